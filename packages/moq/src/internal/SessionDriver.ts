/**
 * What a session has and does besides deciding: its connections begin and end here, one `Link` each, what the core orders is done,
 * and its subscriptions and what the peer announces live here, whatever connection they come over.
 */
import type * as Actor from "@effect-live/actor/Actor"
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection } from "@effect-live/endpoint/Connection"
import { type Clock, Effect, type Scope } from "effect"
import * as Broadcast from "../Broadcast.ts"
import type { Budget } from "../Budget.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as Limits from "../Limits.ts"
import * as Origin from "../Origin.ts"
import type { Options, Session } from "../Session.ts"
import type * as SessionCore from "../SessionCore.ts"
import * as Track from "../Track.ts"
import type { Version } from "../Version.ts"
import { readAnnouncements } from "./Announcing.ts"
import { answer } from "./Answering.ts"
import * as closes from "./closes.ts"
import { Link, type Shared } from "./Link.ts"
import { estimates } from "./Probing.ts"
import { RemoteBroadcasts } from "./RemoteBroadcasts.ts"
import * as Requests from "./Requests.ts"
import { sendGoaway, sendSetup } from "./Setup.ts"
import { Signal } from "@effect-live/actor/Signal"
import { describe, keysOf, readDatagrams, readUni, subscribe } from "./Subscribing.ts"
import { Subscription } from "./Subscription.ts"

type Self = Actor.Self<SessionCore.Event, never>
type Event = SessionCore.Event

export class SessionDriver {
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
    self.spawn("ending", ending, (): Event => ({ _tag: "Closed", close: this.#lost ?? closes.here }))
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
    let answered = 0
    const next = Effect.andThen(link.bi.room, link.connection.acceptBi).pipe(
      Effect.tap(link.chargeStream),
      Effect.flatMap((stream) => {
        const beginning = link.bi.enter(() => stream.recv.stop(ErrorCode.toStream(ErrorCode.timeout)))
        link.spawn(answer(link, stream, beginning))
        // a burst of requests does not stand between others and their frames
        return ++answered % requestsTogether === 0 ? Effect.yieldNow : Effect.void
      })
    )
    return Effect.andThen(link.ready, Effect.forever(next, { disableYield: true })).pipe(
      Effect.catch(() => Effect.succeed(link.done))
    )
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
    const described = link.version.trackInfo && beginning === "fresh"
    // at once behind the request, so that both leave in one packet
    const asked = () => {
      if (described) link.spawn(describe(link, output, subscription), keys.info)
    }
    link.spawn(subscribe(link, output, subscription, asked), keys.subscription)
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

/** Requests of a peer that are taken up before others get a turn. */
const requestsTogether = 8

/** At most `Limits.closeReasonBytes` of UTF-8. */
const cutReason = (reason: string): string => {
  const bytes = new TextEncoder().encode(reason)
  if (bytes.length <= Limits.closeReasonBytes) return reason
  return new TextDecoder().decode(bytes.subarray(0, Limits.closeReasonBytes)).replace(/\uFFFD$/, "")
}
