import { Blocked, End, type RecvStream, StreamError } from "@effect-live/endpoint/Stream"
import { DecodeError } from "@effect-live/wire/DecodeError"
import * as Varint from "@effect-live/wire/Varint"
import { type Cause, Effect } from "effect"
import * as Limits from "../Limits.ts"

export type ReadError = StreamError | DecodeError | Cause.TimeoutError

/** Reads varints and messages (moq-lite section 3.1) from a stream; what is buffered stays below a message and a chunk. */
export class ControlReader {
  readonly #recv: RecvStream
  #bytes: Uint8Array = empty

  constructor(recv: RecvStream) {
    this.#recv = recv
  }

  /** Answers `End` only between messages. */
  varint(withinMs?: number): Effect.Effect<number | End, ReadError> {
    return this.#wait(() => this.#tryVarint(), withinMs)
  }

  /** The body of the next message: a view. Answers `End` only between messages. */
  message(withinMs?: number): Effect.Effect<Uint8Array | End, ReadError> {
    return this.#wait(() => this.#tryMessage(), withinMs)
  }

  #tryVarint(): number | Blocked | End | StreamError | DecodeError {
    for (;;) {
      const value = Varint.tryRead(this.#bytes, 0)
      if (value === Varint.TooLarge) return new DecodeError({ offset: 0, expected: "a varint up to 2^53 - 1" })
      if (value !== Varint.NeedMore) {
        this.#bytes = this.#bytes.subarray(Varint.sizeFrom(this.#bytes[0] ?? 0))
        return value
      }
      const stuck = this.#fill()
      if (stuck !== undefined) return stuck
    }
  }

  #tryMessage(): Uint8Array | Blocked | End | StreamError | DecodeError {
    for (;;) {
      const length = Varint.tryRead(this.#bytes, 0)
      if (length > Limits.maxMessageBytes || length === Varint.TooLarge) {
        return new DecodeError({ offset: 0, expected: `a message of at most ${Limits.maxMessageBytes} bytes` })
      }
      if (length !== Varint.NeedMore) {
        const start = Varint.sizeFrom(this.#bytes[0] ?? 0)
        const end = start + length
        if (end <= this.#bytes.length) {
          const body = this.#bytes.subarray(start, end)
          this.#bytes = this.#bytes.subarray(end)
          return body
        }
      }
      const stuck = this.#fill()
      if (stuck !== undefined) return stuck
    }
  }

  /** What was received behind the last message. The reader forgets it. */
  takeRest(): Uint8Array {
    const rest = this.#bytes
    this.#bytes = empty
    return rest
  }

  /** One more chunk, or why there is none. */
  #fill(): Blocked | End | StreamError | DecodeError | undefined {
    const chunk = this.#recv.tryRead()
    if (chunk instanceof Uint8Array) {
      this.#bytes = this.#bytes.length === 0 ? chunk : concat(this.#bytes, chunk)
      return undefined
    }
    if (chunk === End && this.#bytes.length > 0) {
      return new DecodeError({
        offset: this.#bytes.length,
        expected: "the rest of a message before the end of the stream"
      })
    }
    return chunk
  }

  /** What is there already costs no timer. */
  #wait<A extends number | Uint8Array>(
    attempt: () => A | Blocked | End | StreamError | DecodeError,
    withinMs: number | undefined
  ): Effect.Effect<A | End, ReadError> {
    const again: Effect.Effect<A | End, StreamError | DecodeError> = Effect.suspend(() => {
      const value = attempt()
      if (value === Blocked) return wait
      if (value instanceof StreamError || value instanceof DecodeError) return Effect.fail(value)
      return Effect.succeed(value)
    })
    const wait = Effect.andThen(this.#recv.readable, again)
    if (withinMs === undefined) return again
    return Effect.suspend(() => {
      const value = attempt()
      if (value === Blocked) return Effect.timeout(wait, withinMs)
      if (value instanceof StreamError || value instanceof DecodeError) return Effect.fail(value)
      return Effect.succeed(value)
    })
  }
}

const concat = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

const empty = new Uint8Array(0)
