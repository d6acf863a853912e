/**
 * A broadcast: a set of tracks that are looked up by name when somebody asks for one (moq-lite section 1). Consumers are the same
 * whether the broadcast is made here or comes from a peer.
 */
import { Close, format } from "@effect-live/endpoint/Close"
import { Effect, Schema, type Scope } from "effect"
import * as ErrorCode from "./ErrorCode.ts"
import type { GroupConsumer } from "./Group.ts"
import { Signal } from "@effect-live/actor/Signal"
import * as Limits from "./Limits.ts"
import * as Track from "./Track.ts"

/** Nobody offers a track of this name, or nobody offers the broadcast. */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", {}) {}
/** The broadcast ended before. */
export class BroadcastEnded extends Schema.TaggedError<BroadcastEnded>()("BroadcastEnded", {}) {}
/** The publisher refused with another code than "not found". */
export class Refused extends Schema.TaggedError<Refused>()("Refused", { code: Schema.Int }) {}
/** The publisher did not answer in time. */
export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", { timeoutMs: Schema.Int }) {}
/** The session to the publisher ended. */
export class SessionEnded extends Schema.TaggedError<SessionEnded>()("SessionEnded", { close: Close }) {}
/** A limit of this side was reached: `limit` is its name in `Limits`. */
export class LimitReached extends Schema.TaggedError<LimitReached>()("LimitReached", { limit: Schema.String }) {}
/** The publisher says goodbye and takes nothing new; it can be had at `uri`, or, when that is empty, by dialing again. */
export class GoingAway extends Schema.TaggedError<GoingAway>()("GoingAway", { uri: Schema.String }) {}
/** This version of moq-lite, agreed with the publisher, cannot fetch. */
export class Unsupported extends Schema.TaggedError<Unsupported>()("Unsupported", { version: Schema.String }) {}

export class SubscribeError extends Schema.TaggedError<SubscribeError>()("SubscribeError", {
  track: Schema.String,
  reason: Schema.Union([
    NotFound,
    BroadcastEnded,
    Refused,
    NoAnswer,
    SessionEnded,
    LimitReached,
    GoingAway,
    Unsupported
  ])
}) {
  override get message(): string {
    return `cannot subscribe to the track "${this.track}": ${explain(this.reason)}`
  }
}

const explain = (reason: SubscribeError["reason"]): string => {
  switch (reason._tag) {
    case "NotFound":
      return "the publisher has none of that name"
    case "BroadcastEnded":
      return "the broadcast has ended"
    case "Refused":
      return `the publisher refused (code ${reason.code})`
    case "NoAnswer":
      return `no answer within ${reason.timeoutMs} ms`
    case "SessionEnded":
      return `the session has ended: ${format(reason.close)}`
    case "LimitReached":
      return `the limit ${reason.limit} of this side is reached`
    case "GoingAway":
      return `the publisher says goodbye; ${reason.uri === "" ? "dial it again" : `it can be had at ${reason.uri}`}`
    case "Unsupported":
      return `${reason.version}, which was agreed on, cannot fetch`
  }
}

/** How a broadcast ended. */
export type Ended = { readonly _tag: "Finished" } | { readonly _tag: "Aborted"; readonly code: number }

/** What is wanted of a track. The publisher of a remote one is told all of it; from a local one it comes at once anyway. */
export interface SubscribeOptions extends Track.ConsumeOptions {
  /** 0 to 255, higher is more urgent; 0 by default. */
  readonly priority?: number
  /** How old a group that is not the newest may be before it is not worth sending any more; `Limits.retention.ageMs` without it. */
  readonly maxLatencyMs?: number
  /** Whether older groups go before newer ones when there is no room for both; false by default. */
  readonly ordered?: boolean
}

export interface FetchOptions {
  /** As of a subscription. */
  readonly priority?: number
}

/** The reading half, of a local or a remote broadcast. */
export interface BroadcastConsumer {
  /** A reader of one track; interest ends with the Scope. Succeeds once the publisher has accepted. */
  readonly subscribe: (
    track: string,
    options?: SubscribeOptions
  ) => Effect.Effect<Track.TrackConsumer, SubscribeError, Scope.Scope>
  /**
   * One group of a track, by its sequence number. `NotFound`: the publisher does not have it (any more); `Unsupported`: the
   * publisher's version knows only subscriptions.
   */
  readonly fetch: (
    track: string,
    sequence: number,
    options?: FetchOptions
  ) => Effect.Effect<GroupConsumer, SubscribeError>
  /** Waits for the end of the broadcast. Open subscriptions may outlive it. */
  readonly closed: Effect.Effect<Ended>
}

/** A new broadcast without tracks. */
export const make = (): BroadcastProducer => new BroadcastProducer()

/** The writing half. A track that has ended leaves the set for another one of its name. */
export class BroadcastProducer {
  readonly #tracks = new Map<string, Track.TrackProducer>()
  #onRequest: ((name: string) => Track.TrackProducer | undefined) | undefined
  /** The tracks of the set that `#onRequest` made, those that were left last behind the others. */
  #requested: Set<Track.TrackProducer> | undefined
  #ended: Ended | undefined
  readonly #signal = new Signal()
  readonly #consumer: BroadcastConsumer = new Consumer(this)

  /** Names of the tracks, in the order in which they were added. */
  get tracks(): ReadonlyArray<string> {
    return [...this.#tracks.keys()]
  }

  /** How the broadcast ended, if it has. */
  get ended(): Ended | undefined {
    return this.#ended
  }

  /** A new track, or `duplicate` when a track of this name is there and has not ended. */
  createTrack(name: string, options?: Track.Options): Track.TrackProducer | "duplicate" | "ended" | "tooMany" {
    const producer = Track.make(name, options)
    const inserted = this.insertTrack(producer)
    return inserted === "inserted" ? producer : inserted
  }

  /** Adds a track that was made before. `tooMany`: `Limits.tracksPerBroadcast`, and none of them can be spared. */
  insertTrack(producer: Track.TrackProducer): "inserted" | "duplicate" | "ended" | "tooMany" {
    if (this.#ended !== undefined) return "ended"
    const present = this.#tracks.get(producer.name)
    if (present !== undefined && !present.ended) return "duplicate"
    const full = present === undefined && this.#tracks.size >= Limits.tracksPerBroadcast
    if (full && !this.#spare()) return "tooMany"
    this.removeTrack(producer.name)
    this.#tracks.set(producer.name, producer)
    return "inserted"
  }

  /** Later requests for this name are not found here; subscriptions that exist go on. */
  removeTrack(name: string): void {
    const present = this.#tracks.get(name)
    if (present !== undefined) this.#requested?.delete(present)
    this.#tracks.delete(name)
  }

  /**
   * Asked for a track that is not in the set; what the handler makes is added to it. One handler, the last one counts. Anybody may
   * ask for any name, so a track that was made so and that nobody uses any more makes room where it is needed, the one that was left
   * first before the others: until then whoever comes back goes on with it. One that its maker ended then is asked for anew.
   */
  onRequest(handler: (name: string) => Track.TrackProducer | undefined): void {
    this.#onRequest = handler
  }

  /** The track of this name, asking the handler if there is none. A track that has ended is still found. */
  lookup(name: string): Track.TrackProducer | NotFound | BroadcastEnded | LimitReached {
    if (this.#ended !== undefined) return new BroadcastEnded({})
    const present = this.#tracks.get(name)
    if (present !== undefined && !(present.ended && this.#isSpare(present))) return present
    const made = this.#onRequest?.(name)
    if (made === undefined) return present ?? new NotFound({})
    const inserted = this.insertTrack(made)
    if (inserted === "inserted") (this.#requested ??= new Set()).add(made)
    return inserted === "tooMany" ? new LimitReached({ limit: "tracksPerBroadcast" }) : made
  }

  /** Made on request, and used by nobody. */
  #isSpare(track: Track.TrackProducer): boolean {
    return track.consumers === 0 && this.#requested?.has(track) === true
  }

  /** Makes room for another track, if that can be. */
  #spare(): boolean {
    for (const track of this.#requested ?? []) {
      if (track.consumers > 0) continue
      this.removeTrack(track.name)
      return true
    }
    return false
  }

  /** For consumers: one user less of a track. */
  left(track: Track.TrackProducer): void {
    if (this.#requested?.delete(track) === true) this.#requested.add(track)
  }

  /** For consumers: waits for the end of the broadcast. */
  get closed(): Effect.Effect<Ended> {
    return Effect.map(
      this.#signal.wait(() => this.#ended !== undefined),
      () => this.#ended ?? { _tag: "Finished" }
    )
  }

  /** Ends the broadcast and finishes every track that is open. */
  finish(): void {
    this.#end({ _tag: "Finished" }, (track) => track.finish())
  }

  /** Ends the broadcast and aborts every track. */
  abort(code: number = ErrorCode.cancel): void {
    this.#end({ _tag: "Aborted", code }, (track) => track.abort(code))
  }

  /** The reading half: one object, for any number of readers. */
  consume(): BroadcastConsumer {
    return this.#consumer
  }

  #end(ended: Ended, endTrack: (track: Track.TrackProducer) => void): void {
    if (this.#ended !== undefined) return
    this.#ended = ended
    for (const track of this.#tracks.values()) endTrack(track)
    this.#tracks.clear()
    this.#requested = undefined
    this.#onRequest = undefined
    this.#signal.notify()
  }
}

/** Made for every broadcast that anybody announces: what nobody asks of it costs nothing. */
class Consumer implements BroadcastConsumer {
  readonly #producer: BroadcastProducer

  constructor(producer: BroadcastProducer) {
    this.#producer = producer
  }

  get closed(): Effect.Effect<Ended> {
    return this.#producer.closed
  }

  get subscribe(): BroadcastConsumer["subscribe"] {
    const producer = this.#producer
    const consume = (name: string, options?: SubscribeOptions) =>
      Effect.suspend(() => {
        const track = producer.lookup(name)
        return track instanceof Track.TrackProducer
          ? Effect.succeed({ track, consumer: track.consume(options) })
          : Effect.fail(new SubscribeError({ track: name, reason: track }))
      })
    return (name, options) =>
      Effect.map(
        Effect.acquireRelease(consume(name, options), ({ consumer, track }) =>
          Effect.sync(() => {
            consumer.close()
            producer.left(track)
          })
        ),
        ({ consumer }) => consumer
      )
  }

  get fetch(): BroadcastConsumer["fetch"] {
    const producer = this.#producer
    return (name, sequence) =>
      Effect.suspend(() => {
        const track = producer.lookup(name)
        if (!(track instanceof Track.TrackProducer)) {
          return Effect.fail(new SubscribeError({ track: name, reason: track }))
        }
        const group = track.group(sequence)?.consume()
        producer.left(track)
        return group === undefined
          ? Effect.fail(new SubscribeError({ track: name, reason: new NotFound({}) }))
          : Effect.succeed(group)
      })
  }
}
