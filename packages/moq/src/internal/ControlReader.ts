import { Blocked, End, type RecvStream, StreamError } from "@effect-live/endpoint/Stream"
import { DecodeError } from "@effect-live/wire/DecodeError"
import * as Varint from "@effect-live/wire/Varint"
import { type Cause, Effect } from "effect"
import * as Limits from "../Limits.ts"

export type ReadError = StreamError | DecodeError | Cause.TimeoutError

/** Reads varints and messages (moq-lite section 3.1) from a stream; what is buffered stays below twice a message and a chunk. */
export class ControlReader {
  readonly #recv: RecvStream
  /** What was received and not read is `#bytes` from `#from` to `#to`; behind that there may be room of our own. */
  #bytes: Uint8Array = empty
  #from = 0
  #to = 0

  constructor(recv: RecvStream) {
    this.#recv = recv
  }

  /** Waits until there is more to try. */
  get readable(): Effect.Effect<void> {
    return this.#recv.readable
  }

  /** Answers `End` only between messages. */
  varint(): Effect.Effect<number | End, StreamError | DecodeError> {
    return this.#wait(() => this.#tryVarint())
  }

  /** The body of the next message: a view. Answers `End` only between messages. */
  message(): Effect.Effect<Uint8Array | End, StreamError | DecodeError> {
    return this.#wait(() => this.tryMessage())
  }

  /** The same, if it is there. */
  tryMessage(): Uint8Array | Blocked | End | StreamError | DecodeError {
    for (;;) {
      const length = this.#peek()
      if (length > Limits.maxMessageBytes || length === Varint.TooLarge) {
        return new DecodeError({ offset: 0, expected: `a message of at most ${Limits.maxMessageBytes} bytes` })
      }
      if (length !== Varint.NeedMore) {
        const start = this.#from + Varint.sizeFrom(this.#bytes[this.#from] ?? 0)
        const end = start + length
        if (end <= this.#to) {
          this.#from = end
          return this.#bytes.subarray(start, end)
        }
      }
      const stuck = this.#fill()
      if (stuck !== undefined) return stuck
    }
  }

  #tryVarint(): number | Blocked | End | StreamError | DecodeError {
    for (;;) {
      const value = this.#peek()
      if (value === Varint.TooLarge) return new DecodeError({ offset: 0, expected: "a varint up to 2^53 - 1" })
      if (value !== Varint.NeedMore) {
        this.#from += Varint.sizeFrom(this.#bytes[this.#from] ?? 0)
        return value
      }
      const stuck = this.#fill()
      if (stuck !== undefined) return stuck
    }
  }

  /** What was received behind the last message. The reader forgets it. */
  takeRest(): Uint8Array {
    const rest = this.#bytes.subarray(this.#from, this.#to)
    this.#bytes = empty
    this.#from = this.#to = 0
    return rest
  }

  /** The varint that comes next. */
  #peek(): number {
    const cut = this.#from + Varint.sizeFrom(this.#bytes[this.#from] ?? 0) > this.#to
    return cut ? Varint.NeedMore : Varint.tryRead(this.#bytes, this.#from)
  }

  /** One more chunk, or why there is none. */
  #fill(): Blocked | End | StreamError | DecodeError | undefined {
    const chunk = this.#recv.tryRead()
    if (chunk instanceof Uint8Array) {
      this.#append(chunk)
      return undefined
    }
    if (chunk === End && this.#from < this.#to) {
      return new DecodeError({
        offset: this.#to - this.#from,
        expected: "the rest of a message before the end of the stream"
      })
    }
    return chunk
  }

  /** Each byte is copied a few times at most, however small the chunks are, and nothing where a message ends with its chunk. */
  #append(chunk: Uint8Array): void {
    const left = this.#to - this.#from
    if (left === 0) {
      this.#bytes = chunk
      this.#from = 0
      this.#to = chunk.length
      return
    }
    // a chunk has no room behind it, so what is written to is always ours, and behind all views of it
    if (this.#to + chunk.length > this.#bytes.length) {
      const room = new Uint8Array(2 * (left + chunk.length))
      room.set(this.#bytes.subarray(this.#from, this.#to))
      this.#bytes = room
      this.#from = 0
      this.#to = left
    }
    this.#bytes.set(chunk, this.#to)
    this.#to += chunk.length
  }

  #wait<A extends number | Uint8Array>(
    attempt: () => A | Blocked | End | StreamError | DecodeError
  ): Effect.Effect<A | End, StreamError | DecodeError> {
    const again: Effect.Effect<A | End, StreamError | DecodeError> = Effect.suspend(() => {
      const value = attempt()
      if (value === Blocked) return wait
      if (value instanceof StreamError || value instanceof DecodeError) return Effect.fail(value)
      return Effect.succeed(value)
    })
    const wait = Effect.andThen(this.readable, again)
    return again
  }
}

const empty = new Uint8Array(0)
