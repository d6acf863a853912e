/**
 * A session: two peers that publish to and subscribe from each other (moq-lite section 4), over one connection, or over several
 * that take each other's place. `SessionCore` decides; here connections begin and end, and what the core orders is done. Frames
 * flow past the core: from a stream straight into their Group, and from a Group straight into the streams of all who want it.
 */
import * as Actor from "@effect-live/actor/Actor"
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection, Remote } from "@effect-live/endpoint/Connection"
import type { StreamError } from "@effect-live/endpoint/Stream"
import { Clock, Effect, type Scope, type Stream } from "effect"
import * as Broadcast from "./Broadcast.ts"
import type { Budget } from "./Budget.ts"
import * as ErrorCode from "./ErrorCode.ts"
import { readAnnouncements } from "./internal/Announcing.ts"
import { answer } from "./internal/Answering.ts"
import * as closes from "./internal/closes.ts"
import { type Counters, Link, type Shared } from "./internal/Link.ts"
import { estimates } from "./internal/Probing.ts"
import { RemoteBroadcasts } from "./internal/RemoteBroadcasts.ts"
import * as Requests from "./internal/Requests.ts"
import { sendGoaway, sendSetup } from "./internal/Setup.ts"
import { Signal } from "./internal/Signal.ts"
import { describe, keysOf, readDatagrams, readUni, subscribe } from "./internal/Subscribing.ts"
import { Subscription } from "./internal/Subscription.ts"
import * as Limits from "./Limits.ts"
import type { Probe, Setup } from "./Message.ts"
import * as Origin from "./Origin.ts"
import * as SessionCore from "./SessionCore.ts"
import * as Track from "./Track.ts"
import type { Version } from "./Version.ts"

export interface Session {
  readonly remote: Remote
  /** The ALPN that was agreed for the present connection, such as `moq-lite-05`. */
  readonly version: string
  /** The present connection, or the last one while there is none. */
  readonly connection: () => Connection
  /** What the peer announces under a prefix: first what is there, then changes. Ends with the session. */
  readonly announced: (prefix: string) => Stream.Stream<Origin.Announcement>
  /** The table behind `announced`: its entries are the broadcasts that were announced. */
  readonly origin: Origin.Origin
  /** The paths that the peer has announced and not ended, now. */
  readonly announcedNow: () => ReadonlyArray<string>
  /**
   * A broadcast of the peer, whether it is announced yet or not. All consumers of one track share one subscription on the wire.
   * Its `closed` is the end of the announced broadcast, or of the session. Without a connection, new subscriptions wait for one.
   */
  readonly consume: (path: string) => Broadcast.BroadcastConsumer
  /** The end of the session, once everything that had arrived was read. Hold its Scope until then. */
  readonly closed: Effect.Effect<Close>
  /** How the session ended, if it has. Set before its announcements and tracks end. */
  readonly ended: Close | undefined
  /** Waits until the peer has everything that it asked for: ended tracks, and announcements whose table was closed. */
  readonly drained: Effect.Effect<void>
  /** Ends the session at once: what is in flight is lost. */
  readonly close: (code: number, reason: string) => void
  /** Waits until the session has lost its connection and could go on with another one, and says how it was lost. */
  readonly detached: Effect.Effect<Close>
  /**
   * Goes on with another connection. What was announced and subscribed over the one before goes on where the peer still has it. A
   * connection that the session still has is left, not closed; of several calls the last one counts. `ended`: the session is over,
   * the connection was not touched.
   */
  readonly attach: (connection: Connection, version: Version) => Effect.Effect<"attached" | "ended">
  /** Waits until the peer says that it will close the session, and where it can be had afterwards; empty: dial it again. */
  readonly goaway: Effect.Effect<string>
  /** Tells the peer that we will close the session, and waits until it has heard. Nothing before lite-04. */
  readonly sendGoaway: (uri: string) => Effect.Effect<void, StreamError>
  /**
   * What the peer measures of the way to us, for as long as the stream is read (section 4.5); from then on the peer reports changes.
   * Ends with the session. Peers that measure nothing give nothing.
   */
  readonly estimates: Stream.Stream<Probe>
  /** What the peer said of itself on the present connection; undefined before it did, and before lite-05. */
  readonly peerSetup: () => Setup | undefined
  /** What was lost on the way to subscribers, since the session began. */
  readonly counters: () => Readonly<Counters>
}

export interface Options {
  readonly connection: Connection
  readonly version: Version
  /** What the peer may see and subscribe to. */
  readonly publish: Origin.Origin
  /** Names this process in the ways of announcements: a random integer, 1 to 2^53 - 1, the same for all its sessions. */
  readonly hop: number
  /** Bytes that the peer may make us hold. */
  readonly budget?: Budget
  /** What the peer may ask for, with all its sessions. */
  readonly requests?: Requests.Allowance
  /** Survives the loss of its connection, and waits for `attach`. Without it the session ends with its connection. */
  readonly resumable?: boolean
}

/**
 * Runs a session until the Scope closes or the session ends. Connections belong to their own Scopes, which close them: the session
 * leaves them open.
 */
export const make = (options: Options): Effect.Effect<Session, never, Scope.Scope> =>
  Effect.gen(function* () {
    const driver = new Driver(options, yield* Clock.Clock, yield* Effect.scope)
    yield* Effect.addFinalizer(() => Effect.sync(() => driver.end(closedHere)))
    const actor = yield* Actor.make({
      name: "moq-session",
      core: SessionCore.core,
      perform: (output, self) => driver.perform(output, self)
    })
    // Whoever holds the Scope may hear of the end of the connection before the actor does: the core still decides what is complete.
    yield* Effect.addFinalizer(() =>
      Effect.andThen(Effect.ignore(actor.tell({ _tag: "Closed", close: closedHere })), Effect.exit(actor.join))
    )
    const session = driver.session(actor)
    yield* session.attach(options.connection, options.version)
    return session
  })

type Self = Actor.Self<SessionCore.Event, never>
type Event = SessionCore.Event

class Driver {
  readonly #shared: Shared
  readonly #scope: Scope.Scope
  readonly #budget: Budget | undefined
  readonly #resumable: boolean
  /** What the peer announces. */
  readonly #announced = Origin.make()
  readonly #broadcasts = new Map<string, Broadcast.BroadcastProducer>()
  /** Connections that the core has not begun with. */
  readonly #coming = new Map<number, { readonly connection: Connection; readonly version: Version }>()
  #nextLink = 0
  #connection: Connection
  #version: Version
  /** The present one. */
  #link: Link | undefined
  /** How the last connection was lost. */
  #lost: Close | undefined
  /** We end the session. */
  #ending: Close | undefined
  /** How the session ended. */
  #close: Close | undefined
  #goaway: string | undefined
  readonly #signal = new Signal()

  constructor(options: Options, clock: Clock.Clock, scope: Scope.Scope) {
    this.#scope = scope
    this.#connection = options.connection
    this.#version = options.version
    this.#budget = options.budget
    this.#resumable = options.resumable === true
    this.#shared = {
      published: options.publish,
      hop: options.hop,
      subscriptions: new Map(),
      counters: { droppedGroups: 0, expiredGroups: 0, droppedDatagrams: 0 },
      clock,
      requests: options.requests ?? Requests.make(clock.currentTimeMillisUnsafe())
    }
  }

  session(actor: Actor.Actor<Event>): Session {
    const alpn = (): string => this.#version.alpn
    const ended = (): Close | undefined => this.#close
    const remote = new RemoteBroadcasts({
      actor,
      announced: this.#announced,
      subscriptions: this.#shared.subscriptions,
      scope: this.#scope,
      link: this.#linkAfter(-1),
      ended
    })
    return {
      remote: this.#connection.remote,
      get version() {
        return alpn()
      },
      connection: () => this.#connection,
      announced: (prefix) => Origin.announcements(this.#announced, prefix),
      origin: this.#announced,
      announcedNow: () => this.#announced.paths,
      consume: (path) => remote.consume(path),
      closed: this.#when(() => this.#close),
      get ended() {
        return ended()
      },
      drained: Effect.suspend(() => {
        const link = this.#link
        return link === undefined ? Effect.void : Effect.raceFirst(link.idle, link.connection.closed)
      }),
      close: (code, reason) => {
        this.#ending ??= { _tag: "Local", code, reason: cutReason(reason) }
        this.#link?.connection.close(code, cutReason(reason))
        this.#signal.notify()
      },
      detached: this.#when(() => (this.#link === undefined && this.#close === undefined ? this.#lost : undefined)),
      attach: (connection, version) => {
        // numbered when called: where several are under way, the last call counts
        const link = this.#nextLink++
        this.#coming.set(link, { connection, version })
        const { alpn, announceOk, setup, subscribeUpdates } = version
        const traits = { alpn, announceOk, setup, subscribeUpdates }
        return Effect.matchEffect(actor.tell({ _tag: "Attached", link, version: traits }), {
          onSuccess: () =>
            Effect.map(this.#linkAfter(link - 1), (begun) => (begun === undefined ? "ended" : "attached")),
          onFailure: () => Effect.succeed("ended" as const)
        })
      },
      goaway: this.#when(() => this.#goaway),
      sendGoaway: (uri) =>
        Effect.suspend(() => {
          const link = this.#link
          return link?.version.goaway === true ? sendGoaway(link.connection, uri) : Effect.void
        }),
      estimates: estimates((seen) => this.#linkAfter(seen)),
      peerSetup: () => this.#link?.peer,
      counters: () => ({ ...this.#shared.counters })
    }
  }

  perform(output: SessionCore.Output, self: Self): void {
    switch (output._tag) {
      case "Begin":
        return this.#begin(output.link, self)
      case "Leave":
        this.#link?.leave()
        this.#link = undefined
        for (const subscription of this.#shared.subscriptions.values()) subscription.cut()
        return
      case "Detached":
        this.#lost = output.close
        this.#signal.notify()
        return
      case "OpenSubscription":
        return this.#openSubscription(output)
      case "UpdateSubscription":
        this.#shared.subscriptions.get(output.id)?.update(output.wishes)
        return
      case "CancelSubscription": {
        const keys = keysOf(output.id)
        this.#link?.killNamed(keys.subscription)
        this.#link?.killNamed(keys.info)
        return this.#abort(output.id, ErrorCode.cancel)
      }
      case "AbortCutGroups":
        this.#shared.subscriptions.get(output.id)?.abortCut()
        return
      case "AbortTrack":
        return this.#abort(output.id, output.code)
      case "FinishTrack":
        this.#shared.subscriptions.get(output.id)?.finish()
        return
      case "ForgetSubscription":
        this.#shared.subscriptions.get(output.id)?.track.release()
        this.#shared.subscriptions.delete(output.id)
        return
      case "Announce": {
        const broadcast = Broadcast.make()
        this.#broadcasts.set(output.path, broadcast)
        this.#announced.publish(output.path, broadcast.consume(), output.hops)
        return
      }
      case "Unannounce": {
        const broadcast = this.#broadcasts.get(output.path)
        this.#broadcasts.delete(output.path)
        this.#announced.unpublish(output.path)
        if (output.code === undefined) broadcast?.finish()
        else broadcast?.abort(output.code)
        return
      }
      case "GoAway":
        this.#goaway = output.uri
        this.#signal.notify()
        return
      case "CloseSession":
        this.#link?.connection.close(output.code, cutReason(output.reason))
        return
      case "End":
        return this.end(output.close)
    }
  }

  /** Nothing more will come: whoever waits hears so. Tracks that finished keep what they have for their readers. Idempotent. */
  end(close: Close): void {
    if (this.#close !== undefined) return
    this.#close = close
    for (const { track } of this.#shared.subscriptions.values()) {
      if (!track.ended) track.abort(ErrorCode.transport)
      else if (track.consumers === 0) track.release() // otherwise its last reader does
    }
    this.#announced.close()
    for (const broadcast of this.#broadcasts.values()) broadcast.abort(ErrorCode.transport)
    this.#signal.notify()
  }

  // ---- connections ----------------------------------------------------------------------------------------------------

  #begin(number: number, self: Self): void {
    const coming = this.#coming.get(number)
    if (coming === undefined) return
    for (const link of this.#coming.keys()) if (link <= number) this.#coming.delete(link)
    const { connection, version } = coming
    this.#connection = connection
    this.#version = version
    const link = new Link(number, connection, version, this.#shared, self)
    this.#link = link
    this.#goaway = undefined
    if (number === 0) this.#awaitEnding(self)
    if (this.#ending?._tag === "Local") connection.close(this.#ending.code, this.#ending.reason)
    link.spawn(this.#watch(link), "watch")
    link.spawn(this.#acceptUni(link), "accept-uni")
    link.spawn(this.#acceptBi(link), "accept-bi")
    link.spawn(Effect.raceFirst(link.uni.run, link.bi.run), "half-open")
    if (version.datagrams) link.spawn(readDatagrams(link), "datagrams")
    const introduce = version.setup ? sendSetup(link) : Effect.void
    link.spawn(Effect.andThen(introduce, readAnnouncements(link)), "announcements")
    this.#signal.notify()
  }

  /** The end of a connection, once everything that came over it was read. */
  #watch(link: Link): Effect.Effect<Event> {
    const { number } = link
    return Effect.gen({ self: this }, function* () {
      const close = yield* link.connection.closed
      yield* link.drained
      const resume = this.#resumable && this.#ending === undefined && closes.isLoss(close)
      // in its turn behind what was read last
      yield* link.tell({ _tag: "Lost", link: number, close, resume, cut: link.cut })
      return link.done
    })
  }

  /** `close` without a connection. */
  #awaitEnding(self: Self): void {
    const ending = this.#when(() => (this.#link === undefined ? this.#ending : undefined))
    self.spawn("ending", ending, (): Event => ({ _tag: "Closed", close: this.#lost ?? closedHere }))
  }

  #acceptUni(link: Link): Effect.Effect<Event> {
    link.incomingBegan()
    return Effect.andThen(link.uni.room, link.connection.acceptUni).pipe(
      Effect.map((recv) => {
        const beginning = link.uni.enter(() => recv.stop(ErrorCode.toStream(ErrorCode.timeout)))
        link.spawnIncoming(readUni(link, recv, beginning), beginning)
      }),
      Effect.forever,
      Effect.catch(() => Effect.succeed(link.done)),
      Effect.ensuring(Effect.sync(() => link.incomingEnded()))
    )
  }

  #acceptBi(link: Link): Effect.Effect<Event> {
    const next = Effect.andThen(link.bi.room, link.connection.acceptBi).pipe(
      Effect.tap(link.chargeStream),
      Effect.flatMap((stream) => {
        const beginning = link.bi.enter(() => stream.recv.stop(ErrorCode.toStream(ErrorCode.timeout)))
        link.spawn(answer(link, stream, beginning))
        return Effect.yieldNow // a burst of requests does not stand between others and their frames
      })
    )
    return Effect.andThen(link.ready, Effect.forever(next)).pipe(Effect.catch(() => Effect.succeed(link.done)))
  }

  /** Waits for a connection newer than this one; undefined when the session is over. */
  #linkAfter(number: number): Effect.Effect<Link | undefined> {
    const newer = () => (this.#link !== undefined && this.#link.number > number ? this.#link : undefined)
    return Effect.map(
      this.#signal.wait(() => this.#close !== undefined || newer() !== undefined),
      () => (this.#close === undefined ? newer() : undefined)
    )
  }

  #when<A>(value: () => A | undefined): Effect.Effect<A> {
    return Effect.flatMap(
      this.#signal.wait(() => value() !== undefined),
      () => {
        const now = value()
        return now === undefined ? this.#when(value) : Effect.succeed(now)
      }
    )
  }

  // ---- subscriptions --------------------------------------------------------------------------------------------------

  #openSubscription(output: Extract<SessionCore.Output, { readonly _tag: "OpenSubscription" }>): void {
    const link = this.#link
    if (link === undefined) return
    const { beginning, broadcast, id, track, wishes } = output
    const { subscriptions } = this.#shared
    const subscription = subscriptions.get(id) ?? this.#newSubscription(id, broadcast, track, wishes.priority)
    subscriptions.set(id, subscription)
    const keys = keysOf(id)
    link.spawn(subscribe(link, output, subscription), keys.subscription)
    if (link.version.trackInfo && beginning === "fresh") link.spawn(describe(link, output, subscription), keys.info)
  }

  #newSubscription(id: number, broadcast: string, name: string, priority: number): Subscription {
    const budget = this.#budget
    const track = Track.make(name, { priority, clock: this.#shared.clock, ...(budget === undefined ? {} : { budget }) })
    return new Subscription(id, broadcast, track, this.#shared.clock)
  }

  #abort(id: number, code: number): void {
    const subscription = this.#shared.subscriptions.get(id)
    if (subscription === undefined) return
    subscription.track.abort(code)
    subscription.stop()
  }
}

const closedHere: Close = { _tag: "Local", code: ErrorCode.cancel, reason: "" }

/** At most `Limits.closeReasonBytes` of UTF-8. */
const cutReason = (reason: string): string => {
  const bytes = new TextEncoder().encode(reason)
  if (bytes.length <= Limits.closeReasonBytes) return reason
  return new TextDecoder().decode(bytes.subarray(0, Limits.closeReasonBytes)).replace(/\uFFFD$/, "")
}
