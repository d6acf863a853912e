/** The broadcasts of a peer, as its session gives them to whoever wants to consume them. */
import type * as Actor from "@effect-live/actor/Actor"
import type { Close } from "@effect-live/endpoint/Close"
import { StreamError } from "@effect-live/endpoint/Stream"
import { Effect, type Scope } from "effect"
import * as Broadcast from "../Broadcast.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as Group from "../Group.ts"
import * as Limits from "../Limits.ts"
import * as Message from "../Message.ts"
import type { Origin } from "../Origin.ts"
import * as Path from "../Path.ts"
import type * as SessionCore from "../SessionCore.ts"
import * as closes from "./closes.ts"
import type { ReadError } from "./ControlReader.ts"
import { codeOf } from "./failures.ts"
import { readFrames } from "./GroupStreams.ts"
import type { Link } from "./Link.ts"
import { requestInfo } from "./Subscribing.ts"
import type { Subscription } from "./Subscription.ts"

/** What the session has. */
export interface Source {
  readonly actor: Actor.Actor<SessionCore.Event>
  readonly announced: Origin
  readonly subscriptions: ReadonlyMap<number, Subscription>
  /** Of the session. */
  readonly scope: Scope.Scope
  /** Waits for a connection; undefined when the session is over. */
  readonly link: Effect.Effect<Link | undefined>
  /** How the session ended, if it has. */
  readonly ended: () => Close | undefined
}

export class RemoteBroadcasts {
  readonly #source: Source
  #nextHolder = 0
  #fetching = 0

  constructor(source: Source) {
    this.#source = source
  }

  consume(text: string): Broadcast.BroadcastConsumer {
    const path = Path.normalize(text)
    return {
      closed: this.#ended(path),
      subscribe: (track, options) => this.#subscribe(path, track, options),
      fetch: (track, sequence, options) =>
        Effect.mapError(this.#fetch(path, track, sequence, options), (reason) => this.#error(track, reason))
    }
  }

  #ended(path: string): Effect.Effect<Broadcast.Ended> {
    const { announced } = this.#source
    return Effect.suspend(() => {
      const present = announced.consume(path)
      if (present !== undefined) return present.closed
      if (announced.closed) return Effect.succeed<Broadcast.Ended>({ _tag: "Aborted", code: ErrorCode.transport })
      return Effect.andThen(
        announced.waitFor(() => announced.closed || announced.consume(path) !== undefined),
        this.#ended(path)
      )
    })
  }

  readonly #subscribe = Effect.fnUntraced(
    { self: this },
    function* (this: RemoteBroadcasts, path: string, track: string, options: Broadcast.SubscribeOptions = {}) {
      const { actor, subscriptions } = this.#source
      const holder = this.#nextHolder++
      let subscription: Subscription | undefined
      yield* Effect.addFinalizer(() =>
        Effect.andThen(
          Effect.ignore(actor.tell({ _tag: "Release", holder })),
          Effect.sync(() => {
            // nobody forgets the subscription any more
            if (this.#source.ended() !== undefined && subscription?.track.consumers === 0) subscription.track.release()
          })
        )
      )
      const { end, maxLatencyMs = 0, ordered = false, priority = 0, start } = options
      const granted = yield* actor
        .ask<SessionCore.Granted, SessionCore.Refusal>((replyTo) => ({
          _tag: "Subscribe",
          replyTo,
          holder,
          broadcast: path,
          track,
          wishes: { priority, ordered, maxLatencyMs, start, end }
        }))
        .pipe(Effect.mapError((refused) => this.#error(track, refused)))
      const held = subscriptions.get(granted.id)
      if (held === undefined) return yield* Effect.die(new Error(`subscription ${granted.id} was forgotten while held`))
      subscription = held
      // groups may have come before the answer: whoever opened the subscription gets them all
      const first = start ?? (granted.fresh ? 0 : undefined)
      const wanted = { ...(first === undefined ? {} : { start: first }), ...(end === undefined ? {} : { end }) }
      return yield* Effect.acquireRelease(
        Effect.sync(() => held.track.consume(wanted)),
        (consumer) => Effect.sync(() => consumer.close())
      )
    }
  )

  /** One group on a stream of its own (section 3.5). It is read to its end whether or not its consumer reads it. */
  readonly #fetch = Effect.fnUntraced(
    { self: this },
    function* (
      this: RemoteBroadcasts,
      path: string,
      track: string,
      sequence: number,
      { priority = 0 }: Broadcast.FetchOptions = {}
    ) {
      const { scope } = this.#source
      const link = yield* this.#source.link
      if (link === undefined) return yield* Effect.fail(stopped)
      const { connection, version } = link
      if (!version.trackInfo) return yield* new Broadcast.Unsupported({ version: version.alpn })
      if (this.#fetching >= Limits.fetchesPerSession) {
        return yield* new Broadcast.LimitReached({ limit: "fetchesPerSession" })
      }
      this.#fetching++
      const group = Group.make(sequence)
      const read = Effect.gen(function* () {
        // the peer has to know the track before it serves its groups
        yield* requestInfo(link, path, track)
        const { recv, send } = yield* Effect.mapError(connection.openBi, (reason) => new StreamError({ reason }))
        const request = { broadcast: path, track, priority, group: sequence }
        yield* send.write(Message.encodeTyped(Message.StreamType.fetch, version.fetch, request))
        const how = yield* readFrames(recv, new Uint8Array(0), group, { timed: version.timestamps }).pipe(
          Effect.onInterrupt(() => Effect.sync(() => recv.stop(ErrorCode.toStream(ErrorCode.cancel)))),
          // before the answer is complete, moq-net takes our end for a withdrawal
          Effect.ensuring(Effect.sync(() => send.finish()))
        )
        if (how === "lost") group.abort(ErrorCode.transport)
      }).pipe(
        Effect.catch((error: ReadError) => Effect.sync(() => group.abort(codeOf(error)))),
        Effect.ensuring(
          Effect.sync(() => {
            this.#fetching--
            group.abort(ErrorCode.transport) // nothing when it has ended
          })
        ),
        Effect.tapDefect((defect) => Effect.logError("moq: fetching a group died", defect))
      )
      const reading = yield* Effect.forkIn(read, scope, { startImmediately: true, uninterruptible: "inherit" })
      const begun = yield* Effect.timeoutOption(
        group.waitFor(() => group.frames > 0 || group.ended),
        Limits.answerTimeoutMs
      )
      const { error } = group
      if (begun._tag === "None" || error?.code === ErrorCode.timeout) {
        reading.interruptUnsafe()
        return yield* new Broadcast.NoAnswer({ timeoutMs: Limits.answerTimeoutMs })
      }
      if (error === undefined || group.frames > 0) return group.consume()
      if (error.code === ErrorCode.notFound || error.code === ErrorCode.unroutable)
        return yield* new Broadcast.NotFound()
      return yield* new Broadcast.Refused({ code: error.code })
    }
  )

  #error(track: string, reason: SessionCore.Refusal | { readonly _tag: "Stopped" }): Broadcast.SubscribeError {
    return new Broadcast.SubscribeError({
      track,
      reason:
        reason._tag === "Stopped" ? new Broadcast.SessionEnded({ close: this.#source.ended() ?? closes.here }) : reason
    })
  }
}

const stopped = { _tag: "Stopped" } as const
