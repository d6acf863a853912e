import type * as Actor from "@effect-live/actor/Actor"
import type { Connection } from "@effect-live/endpoint/Connection"
import { Cause, type Clock, Effect, Exit, type Scope, Semaphore } from "effect"
import * as ErrorCode from "../ErrorCode.ts"
import * as Limits from "../Limits.ts"
import type { HopId, Setup, TrackRequest } from "../Message.ts"
import type { Origin } from "../Origin.ts"
import type { Event } from "../SessionCore.ts"
import type { TrackConsumer } from "../Track.ts"
import type { Version } from "../Version.ts"
import * as closes from "./closes.ts"
import { GroupOpener } from "./GroupOpener.ts"
import { type Beginning, HalfOpen } from "./HalfOpen.ts"
import type { Allowance } from "./Requests.ts"
import { Signal } from "@effect-live/actor/Signal"
import type { Subscription } from "./Subscription.ts"
import * as TokenBucket from "./TokenBucket.ts"

type Self = Actor.Self<Event, never>

/** What was lost on the way and nobody else reports. */
export interface Counters {
  /** Groups that a subscriber did not get because it or its connection was too slow. */
  droppedGroups: number
  /** Groups that became older than a subscriber's latency. */
  expiredGroups: number
  /** Datagrams that did not fit or had no connection that carries any, and those that came for nobody. */
  droppedDatagrams: number
}

/** What all connections of a session share. */
export interface Shared {
  readonly published: Origin
  /** Names us in the ways of announcements. */
  readonly hop: HopId
  readonly subscriptions: Map<number, Subscription>
  readonly counters: Counters
  readonly clock: Clock.Clock
  /** What the peer may ask for. */
  readonly requests: Allowance
}

/** One connection of a session, with what runs on it. */
export class Link {
  readonly number: number
  readonly connection: Connection
  readonly version: Version
  readonly shared: Shared
  readonly opener: GroupOpener
  /** What the peer said of itself. */
  peer: Setup | undefined
  /** A stream was lost with the connection before anybody knew what it was. */
  cut = false
  /** The session goes on without this connection: its streams end with it, and say nothing about what they carry. */
  left = false
  readonly #self: Self
  readonly #children = new Set<string>()
  #nextChild = 0
  readonly #turns = new Map<string, { readonly permit: Semaphore.Semaphore; users: number }>()
  readonly #offers = new Map<string, Held>()
  /** The tracks that are served now. */
  readonly #served = new Map<string, Served>()
  #introduced = false
  #incoming = 0
  #serving = 0
  readonly #signal = new Signal()
  /** Waits until we have said who we are: nothing goes out before. */
  readonly introduced: Effect.Effect<void>
  /** Waits for the peer's SETUP, where the version has one: nothing that depends on it is answered before. */
  readonly ready: Effect.Effect<void>
  /** The peer's streams that have not said yet what they are. */
  readonly uni: HalfOpen
  readonly bi: HalfOpen
  /** Waits until every unidirectional stream was read to its end, or to the end of the connection. */
  readonly drained: Effect.Effect<void>
  /** Waits until the peer has all that it asked for and we had for it. */
  readonly idle: Effect.Effect<void>

  constructor(number: number, connection: Connection, version: Version, shared: Shared, self: Self) {
    this.number = number
    this.connection = connection
    this.version = version
    this.shared = shared
    this.#self = self
    this.opener = new GroupOpener(connection)
    this.introduced = this.#signal.wait(() => !version.setup || this.#introduced)
    this.ready = this.#signal.wait(() => !version.setup || this.peer !== undefined)
    this.uni = new HalfOpen(shared.clock)
    this.bi = new HalfOpen(shared.clock)
    this.drained = this.#signal.wait(() => this.#incoming === 0)
    this.idle = this.#signal.wait(() => this.#serving === 0)
  }

  /** An event of this connection, in its turn. Nothing when the session is over. */
  tell(event: Event): Effect.Effect<void> {
    return Effect.ignore(this.#self.tell(event))
  }

  /** The same without waiting; false when there is no room for it now. */
  tryTell(event: Event): boolean {
    return this.#self.tryTell(event) !== "full"
  }

  ask<A>(event: (replyTo: Actor.ReplyTo<A>) => Event): Effect.Effect<A, Actor.Stopped> {
    return this.#self.ask(event)
  }

  /** A handler that dies takes the session with it: half a session would be worse. Answers its key. */
  spawn(child: Effect.Effect<Event>, name = `${this.#nextChild++}`, ended?: () => void): string {
    const key = `${this.number}/${name}`
    this.#children.add(key)
    this.#self.spawn(key, Effect.tapCause(child, logDefect), (exit): Event => {
      this.#children.delete(key)
      ended?.()
      if (Exit.isSuccess(exit)) return exit.value
      if (!Cause.hasDies(exit.cause)) return this.done
      return { _tag: "Violated", link: this.number, code: ErrorCode.transport, reason: "internal error" }
    })
    return key
  }

  /** As `spawn`, for a stream that `drained` counts: it is over when its last event is. */
  spawnIncoming(child: Effect.Effect<Event>, beginning: Beginning): void {
    this.incomingBegan()
    this.spawn(child, undefined, () => {
      beginning.over()
      this.incomingEnded()
    })
  }

  kill(key: string): void {
    this.#self.kill(key)
  }

  /** As `kill`, by the name that `spawn` was given. */
  killNamed(name: string): void {
    this.#self.kill(`${this.number}/${name}`)
  }

  /** Nothing runs on this connection any more. */
  leave(): void {
    this.left = true
    for (const key of this.#children) this.#self.kill(key)
  }

  get done(): Event {
    return { _tag: "StreamDone", link: this.number }
  }

  // ---- who is who -----------------------------------------------------------------------------------------------------

  /** Our SETUP is on its way. */
  introduce(): void {
    this.#introduced = true
    this.#signal.notify()
  }

  /** The peer's SETUP is here. */
  greeted(setup: Setup): void {
    this.peer = setup
    this.#signal.notify()
  }

  // ---- what the peer asks for -----------------------------------------------------------------------------------------

  /** As `drained` counts it. */
  incomingBegan(): void {
    this.#incoming++
  }

  incomingEnded(): void {
    if (--this.#incoming === 0) this.#signal.notify()
  }

  /** One piece of work that the peer asks for. Waits while it asks for too much, and ends the session when it never stops. */
  readonly charge: Effect.Effect<unknown> = Effect.suspend(() => this.tryCharge() ?? Effect.void)

  /** The same: what to wait for before the work may begin, if anything. */
  tryCharge(): Effect.Effect<unknown> | undefined {
    const { clock, requests } = this.shared
    const waitMs = TokenBucket.take(requests.work, clock.currentTimeMillisUnsafe())
    if (waitMs === 0) return undefined
    if (TokenBucket.overloadedMs(requests.work, clock.currentTimeMillisUnsafe()) < Limits.overloadMs) {
      return Effect.raceFirst(Effect.sleep(waitMs), this.connection.closed)
    }
    const overloaded: Event = { _tag: "Violated", link: this.number, ...closes.overloaded }
    return Effect.andThen(this.tell(overloaded), this.connection.closed)
  }

  /** The same for a bidirectional stream, which has a pace of its own. */
  readonly chargeStream: Effect.Effect<void> = Effect.andThen(
    this.charge,
    Effect.suspend(() => {
      const { clock, requests } = this.shared
      const waitMs = TokenBucket.take(requests.streams, clock.currentTimeMillisUnsafe())
      return waitMs === 0 ? Effect.void : Effect.raceFirst(Effect.sleep(waitMs), this.connection.closed)
    })
  )

  /** Does something that `idle` waits for. */
  busy<A, E>(work: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      this.#serving++
      return Effect.ensuring(
        work,
        Effect.sync(() => {
          if (--this.#serving === 0) this.#signal.notify()
        })
      )
    })
  }

  /** Of what the peer asks about one track, one thing at a time. */
  exclusively<A, E, R>(track: TrackRequest, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const key = keyOf(track)
      const turn = this.#turns.get(key) ?? { permit: Semaphore.makeUnsafe(1), users: 0 }
      this.#turns.set(key, turn)
      turn.users++
      return Effect.ensuring(
        turn.permit.withPermits(1)(work),
        Effect.sync(() => {
          if (--turn.users === 0) this.#turns.delete(key)
        })
      )
    })
  }

  /**
   * The peer asked about a track, which this reads, and will probably subscribe to it: the answer waits until it does. Undefined when
   * it has, or when it asked before.
   */
  offer(track: TrackRequest, held: Held): Effect.Effect<void> | undefined {
    const key = keyOf(track)
    if (this.#offers.has(key) || this.#served.has(key)) return undefined
    this.#offers.set(key, held)
    return this.#signal.wait(() => this.#offers.get(key) !== held)
  }

  /** What was offered, if it still is: it now belongs to the caller, who closes its Scope. */
  take(track: TrackRequest): Held | undefined {
    const held = this.#offers.get(keyOf(track))
    if (held !== undefined) this.#offers.delete(keyOf(track))
    this.#signal.notify()
    return held
  }

  /** Takes an offer back; false when it was taken. */
  retract(track: TrackRequest, held: Held): boolean {
    return this.#offers.get(keyOf(track)) === held && this.#offers.delete(keyOf(track))
  }

  /** How many subscriptions of the peer to this track are served now. */
  serving(track: TrackRequest): number {
    return this.#served.get(keyOf(track))?.subscriptions ?? 0
  }

  /** A subscription of the peer to this track is served from now on. Call the answer when it ends. */
  serves(track: TrackRequest): () => void {
    const key = keyOf(track)
    const known = this.#served.get(key)
    const served = known ?? { subscriptions: 0, sinceMs: this.shared.clock.currentTimeMillisUnsafe(), described: false }
    served.subscriptions++
    this.#served.set(key, served)
    return () => {
      if (--served.subscriptions === 0) this.#served.delete(key)
    }
  }

  /** The peer knows what the track is like, as far as one that is served now needs that. */
  describes(track: TrackRequest): void {
    const served = this.#served.get(keyOf(track))
    if (served !== undefined) served.described = true
    this.#signal.notify()
  }

  /** Waits until the peer has asked what a track is like that is served now; whoever knows it already asks no more. */
  described(track: TrackRequest): Effect.Effect<void> {
    const served = this.#served.get(keyOf(track))
    if (served === undefined) return Effect.void
    const waitMs = served.sinceMs + Limits.trackLingerMs - this.shared.clock.currentTimeMillisUnsafe()
    if (waitMs <= 0) return Effect.void
    const asked = this.#signal.wait(() => served.described)
    return Effect.asVoid(Effect.timeoutOption(Effect.raceFirst(asked, this.connection.closed), waitMs))
  }
}

interface Served {
  subscriptions: number
  readonly sinceMs: number
  described: boolean
}

/** A reader of a track, and what it lives in. */
export interface Held {
  readonly consumer: TrackConsumer
  readonly scope: Scope.Closeable
}

const keyOf = ({ broadcast, track }: TrackRequest): string => `${broadcast}\0${track}`

const logDefect = (cause: Cause.Cause<never>): Effect.Effect<void> =>
  Cause.hasDies(cause) ? Effect.logError("moq: a stream handler died, its session ends", cause) : Effect.void
