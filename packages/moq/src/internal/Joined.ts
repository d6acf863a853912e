/** A `Peer` over the sessions that the service joins to it. */
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection } from "@effect-live/endpoint/Connection"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { Blocked, End } from "@effect-live/endpoint/Stream"
import { Cause, Effect, Stream } from "effect"
import type { BroadcastConsumer, Ended } from "../Broadcast.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { Probe } from "../Message.ts"
import * as Origin from "../Origin.ts"
import * as Path from "../Path.ts"
import type { Connectivity, Peer } from "../Peer.ts"
import type { Session } from "../Session.ts"
import { Merged } from "./Merged.ts"
import { Signal } from "@effect-live/actor/Signal"

export class Joined implements Peer {
  readonly id: EndpointId
  readonly closed: Effect.Effect<Close>
  readonly connectivityChanges: Stream.Stream<Connectivity>
  readonly #merged = new Merged<Session>()
  /** By number, oldest first. */
  readonly #sessions = new Map<number, Session>()
  #first: Session
  #state: Connectivity = { _tag: "Connected" }
  readonly #changed = new Signal()

  constructor(id: EndpointId, first: Session) {
    this.id = id
    this.#first = first
    this.closed = Effect.suspend(() =>
      this.#state._tag === "Closed"
        ? Effect.succeed(this.#state.close)
        : Effect.andThen(
            this.#changed.wait(() => this.#state._tag === "Closed"),
            this.closed
          )
    )
    this.connectivityChanges = Stream.suspend(() => {
      let told: Connectivity | undefined
      const next = Effect.suspend(() => {
        if (told?._tag === "Closed") return Cause.done()
        return Effect.map(
          this.#changed.wait(() => this.#state !== told),
          () => {
            told = this.#state
            return told
          }
        )
      })
      return Stream.fromEffectRepeat(next)
    })
  }

  get version(): string {
    return this.#first.version
  }
  readonly connection = (): Connection => this.#first.connection()
  readonly connectivity = (): Connectivity => this.#state
  readonly announced = (prefix: string): Stream.Stream<Origin.Announcement> =>
    Origin.announcements(this.#merged.table, prefix)
  readonly announcedNow = (): ReadonlyArray<string> => this.#merged.table.paths
  readonly consume = (rawPath: string): BroadcastConsumer => {
    const path = Path.normalize(rawPath)
    const broadcast = (): BroadcastConsumer => (this.#merged.source(path)?.session ?? this.#first).consume(path)
    return {
      closed: this.#ended(path),
      subscribe: (track, options) => Effect.suspend(() => broadcast().subscribe(track, options)),
      fetch: (track, sequence, options) => Effect.suspend(() => broadcast().fetch(track, sequence, options))
    }
  }
  readonly estimates: Stream.Stream<Probe> = Stream.suspend(() => this.#first.estimates)
  readonly close = (code: number, reason: string): void => {
    for (const session of this.#sessions.values()) session.close(code, reason)
  }

  /** Waits for the end of the broadcast at a path, and for its beginning before that. */
  #ended(path: string): Effect.Effect<Ended> {
    const { table } = this.#merged
    return Effect.suspend(() => {
      const there = table.consume(path)
      if (there !== undefined) return there.closed
      if (table.closed) return Effect.succeed<Ended>({ _tag: "Aborted", code: ErrorCode.transport })
      return Effect.andThen(
        table.waitFor(() => table.closed || table.consume(path) !== undefined),
        this.#ended(path)
      )
    })
  }

  // ---- for the service ------------------------------------------------------------------------------------------------

  /** Adds a session; runs until that has ended. */
  follow(number: number, session: Session): Effect.Effect<void> {
    const merged = this.#merged
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        this.#sessions.set(number, session)
        return session.origin.announced("")
      }),
      Effect.fnUntraced(function* (watcher) {
        for (;;) {
          const next = watcher.tryNext()
          if (next === End) return
          if (next === Blocked) {
            yield* watcher.readable
            continue
          }
          for (const { active, hops, path } of next) {
            const broadcast = active ? session.origin.consume(path) : merged.source(path, session)?.broadcast
            if (broadcast === undefined) continue
            if (active) {
              merged.came(path, hops, { session, broadcast })
              continue
            }
            const how = yield* broadcast.closed
            // the end of a session ends its broadcasts, which is no news about them: `leave` follows
            if (session.ended !== undefined) return
            merged.went(path, session, how)
          }
        }
      }),
      (watcher) => Effect.sync(() => watcher.close())
    )
  }

  /** A session has ended, and there are others. */
  leave(number: number): void {
    const session = this.#sessions.get(number)
    if (session === undefined) return
    this.#sessions.delete(number)
    this.#first = [...this.#sessions.values()][0] ?? this.#first
    this.#merged.left(session)
  }

  tell(state: Connectivity): void {
    this.#state = state
    this.#changed.notify()
    if (state._tag === "Closed") this.#merged.close()
  }
}
