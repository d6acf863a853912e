/**
 * What arrives on one connection: streams of any number, each with a header and messages (iroh-gossip section 2). Headers are read
 * beside each other, each with a deadline; a stream that cannot be read ends the connection, as a peer whose stream is stopped would
 * go on without it.
 */
import type { Connection } from "@effect-live/endpoint/Connection"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { Blocked, End, type RecvStream, StreamError } from "@effect-live/endpoint/Stream"
import { Effect, FiberSet, Result, Semaphore } from "effect"
import * as Limits from "../Limits.ts"
import type * as Message from "../Message.ts"
import type { TopicId } from "../TopicId.ts"
import * as Wire from "../Wire.ts"
import { contentId } from "./contentId.ts"
import type { FreshIds } from "./FreshIds.ts"
import { LinkFault } from "./LinkFault.ts"

/** Where it goes. */
export interface Sink {
  readonly opened: Effect.Effect<void>
  readonly ended: Effect.Effect<void>
  /** At least one, in their order; behind one that `asksForContent` comes none. Undefined, or what to wait for before the next ones. */
  readonly messages: (
    topic: TopicId,
    messages: ReadonlyArray<Message.Message<EndpointId>>
  ) => Effect.Effect<void> | undefined
  /** A content under an id that is not its own. It goes no further. */
  readonly forged: () => void
  /** A message that brings ids of others, of which too many came: it was not read. */
  readonly introductionDropped: () => void
}

export interface Options {
  readonly connection: Connection
  readonly maxMessageBytes: number
  readonly freshIds: FreshIds
  readonly sink: Sink
}

/** A Graft that is answered with a content: many times as many bytes. */
export const asksForContent = (message: Message.Message<EndpointId>): boolean =>
  message._tag === "Graft" && message.id !== undefined

/**
 * Reads until the connection has ended and everything that came on it was handed over. Errors: what the peer sent is no gossip;
 * whoever gets that closes the connection.
 */
export const run = (options: Options): Effect.Effect<void, LinkFault> =>
  Effect.scoped(
    Effect.gen(function* () {
      const streams = yield* FiberSet.make<void, LinkFault>()
      yield* Effect.raceFirst(acceptAll(options, streams), FiberSet.join(streams))
      yield* Effect.raceFirst(FiberSet.awaitEmpty(streams), FiberSet.join(streams))
    })
  )

/** Until the connection has ended. */
const acceptAll = (options: Options, streams: FiberSet.FiberSet<void, LinkFault>): Effect.Effect<void, LinkFault> => {
  const { connection } = options
  const open = Semaphore.makeUnsafe(Limits.incomingStreams)
  const halfOpen = Semaphore.makeUnsafe(Limits.halfOpenStreams)
  const one = Effect.gen(function* () {
    yield* Effect.andThen(open.take(1), halfOpen.take(1))
    const recv = yield* connection.acceptUni
    const stream = new IncomingStream(recv, options, halfOpen.release(1))
    yield* FiberSet.run(streams, Effect.ensuring(stream.run, open.release(1)))
  })
  return Effect.catchTag(Effect.forever(one), "ConnectionLost", () => Effect.void)
}

class IncomingStream {
  readonly #recv: RecvStream
  readonly #options: Options
  readonly #frames: Wire.FrameReader
  #topic: TopicId | undefined
  #over = false
  readonly run: Effect.Effect<void, LinkFault>

  /** `begun`: once the header is there, or will never be. */
  constructor(recv: RecvStream, options: Options, begun: Effect.Effect<unknown>) {
    this.#recv = recv
    this.#options = options
    this.#frames = new Wire.FrameReader(options.maxMessageBytes)
    const { sink } = options
    const header = Effect.timeoutOrElse(
      this.#readWhile(() => this.#topic === undefined),
      {
        duration: Limits.headerMs,
        orElse: () => fault("a stream without a header")
      }
    )
    this.run = Effect.andThen(
      Effect.ensuring(Effect.andThen(sink.opened, header), begun),
      this.#readWhile(() => true)
    ).pipe(
      Effect.andThen(sink.ended),
      // its connection is closed then
      Effect.onError(() => Effect.sync(() => recv.stop(0)))
    )
  }

  #readWhile(wanted: () => boolean): Effect.Effect<void, LinkFault> {
    return Effect.whileLoop({
      while: () => !this.#over && wanted(),
      body: () => this.#next(),
      step: () => {}
    })
  }

  /** Hands on what is there; the answer says what to wait for. */
  #next(): Effect.Effect<void, LinkFault> {
    const messages: Array<Message.Message<EndpointId>> = []
    const then = this.#collect(messages)
    if (this.#topic === undefined || messages.length === 0) return then
    const wait = this.#options.sink.messages(this.#topic, messages)
    return wait === undefined ? then : Effect.andThen(wait, then)
  }

  /** What is there, up to some number; the answer says what to wait for behind it. */
  #collect(messages: Array<Message.Message<EndpointId>>): Effect.Effect<void, LinkFault> {
    let bytes = 0
    for (let left = framesAtOnce; left > 0 && bytes < Limits.receivedBytes; left--) {
      const body = this.#frames.next()
      if (body === "tooLarge") return fault(`a frame above ${this.#options.maxMessageBytes} bytes`)
      if (body === undefined) {
        const chunk = this.#recv.tryRead()
        if (chunk === Blocked) return this.#recv.readable
        if (chunk === End || chunk instanceof StreamError) {
          // a part of a frame has no effect
          this.#over = true
          return Effect.void
        }
        this.#frames.push(chunk)
      } else if (this.#topic === undefined) {
        const topic = Wire.decodeHeader(body)
        if (Result.isFailure(topic)) return fault(`no header of a stream: ${topic.failure.message}`)
        this.#topic = topic.success
        return Effect.void
      } else {
        bytes += body.length
        const decoded = this.#decode(body)
        if (decoded === undefined) continue
        if (Result.isFailure(decoded)) return fault(`no message: ${decoded.failure.message}`)
        const message = decoded.success
        if (message._tag === "Gossip" && message.id !== contentId(message.content)) this.#options.sink.forged()
        else messages.push(message)
        if (asksForContent(message)) break
      }
    }
    return Effect.yieldNow
  }

  #decode(body: Uint8Array): ReturnType<typeof Wire.decode> | undefined {
    if (!Wire.introduces(body)) return Wire.decode(body)
    const { freshIds, sink } = this.#options
    if (freshIds.left) return freshIds.read(() => Wire.decode(body))
    sink.introductionDropped()
    return undefined
  }
}

/** Frames that one stream hands on before others have their turn. */
const framesAtOnce = 256

const fault = (reason: string): Effect.Effect<never, LinkFault> =>
  Effect.fail(new LinkFault({ kind: "malformed", reason }))
