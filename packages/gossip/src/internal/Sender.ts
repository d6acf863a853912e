/**
 * What is sent on one connection: one queue for all topics, and a unidirectional stream for each (iroh-gossip section 2.2). Pushing
 * never waits. A stream is opened with the first message of its topic, header and message in one write, and ends behind a
 * Disconnect.
 */
import { Signal } from "@effect-live/actor/Signal"
import type { Connection } from "@effect-live/endpoint/Connection"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { Blocked, type ConnectionLost, type SendStream, StreamError } from "@effect-live/endpoint/Stream"
import * as Bytes from "@effect-live/wire/Bytes"
import { Effect } from "effect"
import * as Limits from "../Limits.ts"
import type { TopicId } from "../TopicId.ts"
import * as Wire from "../Wire.ts"
import { LinkFault } from "./LinkFault.ts"
import type { Pressure, Target } from "./Pressure.ts"

interface Frame {
  readonly topic: TopicId
  readonly bytes: Uint8Array
  /** `payload` may be dropped; behind the `last` one its stream ends. */
  readonly kind: Kind
}
export type Kind = "payload" | "control" | "last"

/** Ends all streams and says when everything has arrived. */
interface Rest {
  readonly rest: number
}

interface TopicStream {
  readonly send: SendStream
  /** The header, until it is written. */
  header: Uint8Array | undefined
}

export type Failure = LinkFault | ConnectionLost | StreamError

export interface Options {
  readonly connection: Connection
  readonly peer: EndpointId
  readonly pressure: Pressure
  /** Called when a rest is over. */
  readonly rested: (rest: number) => Effect.Effect<void>
  /** Called at the end with the number of messages that still waited. */
  readonly lost: (messages: number) => void
}

export class Sender implements Target {
  readonly peer: EndpointId
  readonly #connection: Connection
  readonly #pressure: Pressure
  readonly #rested: (rest: number) => Effect.Effect<void>
  #over = false
  #queue: Array<Frame | Rest> = []
  #next = 0
  #payloadBytes = 0
  #controls = 0
  readonly #signal = new Signal()
  /** Least recently used first. */
  readonly #streams = new Map<TopicId, TopicStream>()
  /** Streams that have ended and may not have arrived: the next one of their topic must not overtake them. */
  readonly #ended = new Map<TopicId, SendStream>()
  readonly #wait: Effect.Effect<void>
  /** Sends until the connection ends or the peer takes nothing any more. */
  readonly run: Effect.Effect<never, Failure>

  constructor({ connection, lost, peer, pressure, rested }: Options) {
    this.peer = peer
    this.#connection = connection
    this.#pressure = pressure
    this.#rested = rested
    // behind the yield stands everything that the turn of the actor pushes, and goes out in one write
    this.#wait = Effect.andThen(
      this.#signal.wait(() => this.#next < this.#queue.length),
      Effect.yieldNow
    )
    this.run = Effect.andThen(
      Effect.whileLoop({ while: () => true, body: () => this.#step(), step: () => {} }),
      Effect.never
    ).pipe(Effect.ensuring(Effect.sync(() => lost(this.#end()))))
  }

  get payloadBytes(): number {
    return this.#payloadBytes
  }

  /** Messages that wait. */
  get depth(): number {
    return this.#queue.length - this.#next
  }

  get openStreams(): number {
    return this.#streams.size
  }

  /** Streams that have ended and may not have arrived. */
  get endedStreams(): number {
    return this.#ended.size
  }

  /**
   * `dropped`: a payload for which there is no room. `overflow`: not even for control; the connection cannot go on. `over`: it has
   * ended already.
   */
  push(topic: TopicId, bytes: Uint8Array, kind: Kind): "accepted" | "dropped" | "overflow" | "over" {
    if (this.#over) return "over"
    if (kind === "payload") {
      if (this.#payloadBytes + bytes.length > Limits.queuedPayloadBytes) return "dropped"
      this.#payloadBytes += bytes.length
      if (this.#payloadBytes >= Limits.pressureBytes) this.#pressure.rise(this)
    } else {
      if (this.#controls >= Limits.queuedControls) return "overflow"
      this.#controls++
    }
    this.#queue.push({ topic, bytes, kind })
    this.#signal.notify()
    return "accepted"
  }

  rest(rest: number): void {
    if (this.#over) return
    this.#queue.push({ rest })
    this.#signal.notify()
  }

  /** Answers with how many messages nobody will send any more. */
  #end(): number {
    this.#over = true
    let messages = 0
    for (const item of this.#queue.slice(this.#next)) if (!("rest" in item)) messages++
    this.#queue = []
    this.#next = 0
    this.#payloadBytes = 0
    this.#controls = 0
    this.#streams.clear()
    this.#ended.clear()
    this.#pressure.fall(this)
    return messages
  }

  // ---- the loop -------------------------------------------------------------------------------------------------------

  #step(): Effect.Effect<void, Failure> {
    const item = this.#queue[this.#next]
    if (item === undefined) return this.#wait
    if ("rest" in item) {
      this.#taken(1)
      return Effect.andThen(this.#finishAll(), this.#rested(item.rest))
    }
    const stream = this.#streams.get(item.topic)
    return stream === undefined ? this.#open(item.topic) : this.#write(item.topic, stream)
  }

  /** What comes next for a topic, at once. */
  #write(topic: TopicId, stream: TopicStream): Effect.Effect<void, Failure> {
    const parts: Array<Uint8Array> = []
    let length = 0
    let last = false
    if (stream.header !== undefined) {
      parts.push(stream.header)
      length = stream.header.length
      stream.header = undefined
    }
    let end = this.#next
    for (; end < this.#queue.length && !last && length < Limits.writeBytes; end++) {
      const item = this.#queue[end]
      if (item === undefined || "rest" in item || item.topic !== topic) break
      if (item.kind === "payload") this.#payloadBytes -= item.bytes.length
      else this.#controls--
      parts.push(item.bytes)
      length += item.bytes.length
      last = item.kind === "last"
    }
    this.#taken(end - this.#next)
    if (this.#payloadBytes < Limits.pressureBytes / 2) this.#pressure.fall(this)
    this.#used(topic, stream)
    const bytes = parts.length === 1 ? parts[0] : undefined
    const written = this.#writeAll(stream.send, bytes ?? Bytes.concat(parts))
    // behind a Disconnect
    return last
      ? Effect.andThen(
          written,
          Effect.suspend(() => this.#finish(topic, stream))
        )
      : written
  }

  #writeAll(send: SendStream, bytes: Uint8Array): Effect.Effect<void, Failure> {
    const taken = send.tryWrite(bytes)
    if (taken === bytes.length) return Effect.void
    if (taken instanceof StreamError) return Effect.fail(taken)
    return Effect.timeoutOrElse(send.write(taken === Blocked ? bytes : bytes.subarray(taken)), {
      duration: Limits.stallMs,
      orElse: () => Effect.fail(new LinkFault({ kind: "stalled", reason: "nothing was read" }))
    })
  }

  #taken(count: number): void {
    this.#next += count
    if (this.#next === this.#queue.length) {
      this.#queue = []
      this.#next = 0
    } else if (this.#next >= compactAfter) {
      this.#queue = this.#queue.slice(this.#next)
      this.#next = 0
    }
  }

  // ---- streams --------------------------------------------------------------------------------------------------------

  #open(topic: TopicId): Effect.Effect<void, Failure> {
    const ended = this.#ended.get(topic)
    this.#ended.delete(topic)
    const arrived = ended === undefined ? Effect.void : inTime(Effect.exit(ended.flushed))
    const opened = Effect.timeoutOrElse(this.#connection.openUni, {
      duration: Limits.openStreamMs,
      orElse: () => Effect.fail(new LinkFault({ kind: "stalled", reason: "no stream was granted" }))
    })
    return this.#makeRoom().pipe(
      Effect.andThen(arrived),
      Effect.andThen(opened),
      Effect.map((send) => {
        this.#streams.set(topic, { send, header: Wire.header(topic) })
      })
    )
  }

  #makeRoom(): Effect.Effect<void> {
    if (this.#streams.size < Limits.topicStreams) return Effect.void
    for (const [oldest, stream] of this.#streams) return this.#finish(oldest, stream)
    return Effect.void
  }

  /** Ends a stream, and remembers it until it has arrived. */
  #finish(topic: TopicId, { send }: TopicStream): Effect.Effect<void> {
    send.finish()
    this.#streams.delete(topic)
    this.#ended.set(topic, send)
    const forget = (): void => {
      if (this.#ended.get(topic) === send) this.#ended.delete(topic)
    }
    const arrived = Effect.andThen(Effect.exit(send.flushed), Effect.sync(forget))
    return Effect.asVoid(Effect.forkChild(arrived, { startImmediately: true }))
  }

  #finishAll(): Effect.Effect<void> {
    const ended = [...this.#ended.values()]
    this.#ended.clear()
    for (const { send } of this.#streams.values()) {
      send.finish()
      ended.push(send)
    }
    this.#streams.clear()
    const flushed = Effect.forEach(ended, ({ flushed }) => Effect.exit(flushed), {
      concurrency: "unbounded",
      discard: true
    })
    return inTime(flushed)
  }

  #used(topic: TopicId, stream: TopicStream): void {
    this.#streams.delete(topic)
    this.#streams.set(topic, stream)
  }
}

/** Waits for what may never arrive. */
const inTime = (arrived: Effect.Effect<unknown>): Effect.Effect<void> =>
  Effect.asVoid(Effect.timeoutOption(arrived, Limits.flushMs))

/** Items at the front of the queue that were taken, before it is cut. */
const compactAfter = 1_024
