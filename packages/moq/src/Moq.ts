/**
 * The Moq service: publishes broadcasts to every session, present and future, and holds the sessions of an endpoint. `MoqCore`
 * decides; here connections are opened and sessions run.
 */
import * as Actor from "@effect-live/actor/Actor"
import type { Connection, Remote } from "@effect-live/endpoint/Connection"
import { ConnectError, Endpoint, TransportFailure } from "@effect-live/endpoint/Endpoint"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { Router } from "@effect-live/endpoint/Router"
import { Cause, Context, Effect, Exit, Layer, Schema, type Scope, Stream } from "effect"
import type { BroadcastProducer } from "./Broadcast.ts"
import * as ErrorCode from "./ErrorCode.ts"
import { Signal } from "./internal/Signal.ts"
import * as Limits from "./Limits.ts"
import * as MoqCore from "./MoqCore.ts"
import * as Origin from "./Origin.ts"
import * as Path from "./Path.ts"
import * as Session from "./Session.ts"
import * as Version from "./Version.ts"

/** The path cannot be carried (moq-lite section 7). */
export class InvalidPath extends Schema.TaggedError<InvalidPath>()("InvalidPath", { fault: Schema.String }) {}
/** So many broadcasts are published: `Limits.broadcastsPerOrigin`. */
export class TooManyBroadcasts extends Schema.TaggedError<TooManyBroadcasts>()("TooManyBroadcasts", {
  limit: Schema.Int
}) {}
/** So many sessions are open: `Limits.sessions`. */
export class TooManySessions extends Schema.TaggedError<TooManySessions>()("TooManySessions", { limit: Schema.Int }) {}
/** The service was shut down. */
export class ShutDown extends Schema.TaggedError<ShutDown>()("ShutDown", {}) {}

/** A broadcast could not be published. */
export class PublishError extends Schema.TaggedError<PublishError>()("PublishError", {
  path: Schema.String,
  reason: Schema.Union([InvalidPath, TooManyBroadcasts, ShutDown])
}) {}

/** There is no session to a peer. */
export class MoqError extends Schema.TaggedError<MoqError>()("MoqError", {
  reason: Schema.Union([ConnectError, TooManySessions, ShutDown])
}) {}

/** Somebody who connected, before anything was announced to them. */
export interface Incoming {
  readonly remote: Remote
  readonly alpn: string
}

/** What to do with them: the connection of somebody who is not accepted is closed with this code and reason. */
export type Admission = "accept" | { readonly code: number; readonly reason: string }

/** How iroh-moq turns somebody away. */
export const reject: Admission = { code: 1, reason: "rejected" }

export interface Options {
  /** Asked for every incoming connection before its session begins; without it everybody is accepted. */
  readonly admit?: (incoming: Incoming) => Effect.Effect<Admission>
}

export class Moq extends Context.Service<
  Moq,
  {
    /**
     * Announces a broadcast to every session, present and future, until the Scope closes or the broadcast ends. A path that is
     * taken is replaced at once: peers see the old broadcast end and the new one begin.
     */
    readonly publish: (path: string, broadcast: BroadcastProducer) => Effect.Effect<void, PublishError, Scope.Scope>
    /** Ends an announcement. Open subscriptions run to the end of their tracks. */
    readonly unpublish: (path: string) => Effect.Effect<void>
    /** The paths that are announced now. */
    readonly publishedBroadcasts: Effect.Effect<ReadonlyArray<string>>
    /**
     * The session that this endpoint dialed to a peer: concurrent and later callers share it. It closes when the last Scope is
     * gone, after `Limits.sessionLingerMs`. Once it has ended, the next caller dials anew.
     */
    readonly connect: (peer: EndpointAddr | EndpointId) => Effect.Effect<Session.Session, MoqError, Scope.Scope>
    /** Sessions that peers opened and that were admitted: those there are, then new ones. */
    readonly sessions: Stream.Stream<Session.Session>
    /** Ends all announcements, then all sessions with code 0, and refuses new ones. Idempotent. */
    readonly shutdown: Effect.Effect<void>
  }
>()("@effect-live/moq/Moq") {}

type Service = typeof Moq.Service
type Event = MoqCore.Event
type Self = Actor.Self<Event, Endpoint>

/** Serves every version of `Version.all` at the Router, and shuts down when the Layer goes. */
export const layer = (options: Options = {}): Layer.Layer<Moq, never, Endpoint | Router> =>
  Layer.effect(
    Moq,
    Effect.gen(function* () {
      const driver = new Driver(yield* Endpoint)
      const actor = yield* Actor.make({
        name: "moq",
        core: MoqCore.core,
        perform: (output, self: Self) => driver.perform(output, self)
      })
      const service = driver.service(actor)
      const router = yield* Router
      // another service at the same ALPN is a mistake in the composition of the program
      yield* Effect.orDie(
        router.handle(Version.alpns, (connection) => driver.welcome(actor, connection, options.admit))
      )
      // before the Router gives our connections up
      yield* Effect.addFinalizer(() => service.shutdown)
      return service
    })
  )

class Driver {
  readonly #endpoint: typeof Endpoint.Service
  readonly #published = Origin.make()
  readonly #broadcasts = new Map<number, BroadcastProducer>()
  readonly #dialed = new Map<number, Session.Session>()
  readonly #incoming = new Set<Session.Session>()
  readonly #incomingChanged = new Signal()
  #nextBroadcast = 0
  #nextHolder = 0
  #shutDown = false

  constructor(endpoint: typeof Endpoint.Service) {
    this.#endpoint = endpoint
  }

  service(actor: Actor.Actor<Event>): Service {
    const stopped = Effect.catch(() => Effect.void) // the service is gone: so is what was to be ended
    return {
      publish: Effect.fnUntraced({ self: this }, function* (this: Driver, path: string, producer: BroadcastProducer) {
        const normal = Path.normalize(path)
        const broadcast = this.#nextBroadcast++
        this.#broadcasts.set(broadcast, producer)
        yield* Effect.addFinalizer(() => {
          this.#broadcasts.delete(broadcast)
          return stopped(actor.tell({ _tag: "BroadcastDone", path: normal, broadcast }))
        })
        yield* Effect.mapError(
          actor.ask<void, MoqCore.PublishRefusal>((replyTo) => ({ _tag: "Publish", replyTo, path: normal, broadcast })),
          (refusal) => new PublishError({ path: normal, reason: publishReason(refusal) })
        )
      }),
      unpublish: (path) =>
        stopped(actor.ask<void>((replyTo) => ({ _tag: "Unpublish", replyTo, path: Path.normalize(path) }))),
      publishedBroadcasts: Effect.sync(() => this.#published.paths),
      connect: Effect.fnUntraced({ self: this }, function* (this: Driver, peer: EndpointAddr | EndpointId) {
        const holder = this.#nextHolder++
        yield* Effect.addFinalizer(() => stopped(actor.tell({ _tag: "Disconnect", holder })))
        const id = idOf(peer)
        const dial = yield* Effect.mapError(
          actor.ask<number, MoqCore.ConnectRefusal>((replyTo) => ({ _tag: "Connect", replyTo, holder, id, peer })),
          (refusal) => new MoqError({ reason: connectReason(refusal) })
        )
        const session = this.#dialed.get(dial)
        if (session === undefined) return yield* Effect.die(new Error(`session ${dial} was forgotten while held`))
        return session
      }),
      sessions: this.#sessions(),
      shutdown: stopped(actor.ask<void>((replyTo) => ({ _tag: "ShutDown", replyTo })))
    }
  }

  perform(output: MoqCore.Output, self: Self): void {
    switch (output._tag) {
      case "Announce": {
        const { broadcast, path } = output
        const producer = this.#broadcasts.get(broadcast)
        if (producer === undefined) return // its Scope closed while the event was on its way; `BroadcastDone` follows
        this.#published.publish(path, producer.consume())
        const done: Event = { _tag: "BroadcastDone", path, broadcast }
        self.spawn(`broadcast/${broadcast}`, producer.consume().closed, () => done)
        return
      }
      case "Withdraw":
        this.#published.unpublish(output.path)
        self.kill(`broadcast/${output.broadcast}`)
        return
      case "Dial":
        self.spawn(`dial/${output.dial}`, this.#dial(self, output.dial, output.peer), (exit) =>
          ended(output.dial, output.peer, exit)
        )
        return
      case "HangUp": {
        const session = this.#dialed.get(output.dial)
        if (session === undefined) self.kill(`dial/${output.dial}`)
        else session.close(output.code, output.reason)
        return
      }
      case "Forget":
        this.#dialed.delete(output.dial)
        return
      case "WithdrawAll":
        this.#published.close()
        this.#shutDown = true
        this.#incomingChanged.notify()
        return
      case "CloseAll":
        for (const session of [...this.#dialed.values(), ...this.#incoming]) session.close(output.code, output.reason)
        return
    }
  }

  /** An incoming connection, until it ends. */
  welcome(
    actor: Actor.Actor<Event>,
    connection: Connection,
    admit: Options["admit"]
  ): Effect.Effect<void, never, Scope.Scope> {
    const welcomed = Effect.gen({ self: this }, function* () {
      const { alpn, remote } = connection
      const version = Version.fromAlpn(alpn)
      if (version === undefined) return connection.close(1, `unknown protocol ${alpn}`)
      const admission = admit === undefined ? "accept" : yield* admit({ remote, alpn })
      if (admission !== "accept") return connection.close(admission.code, admission.reason)
      const verdict = yield* Effect.acquireRelease(
        actor.ask<MoqCore.Verdict>((replyTo) => ({ _tag: "IncomingOpened", replyTo })),
        (verdict) => (verdict === "accept" ? Effect.ignore(actor.tell({ _tag: "IncomingClosed" })) : Effect.void)
      )
      if (verdict !== "accept") return connection.close(verdict.code, verdict.reason)
      const session = yield* Session.make({ connection, version, publish: this.#published })
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          this.#incoming.add(session)
          this.#incomingChanged.notify()
        }),
        () => Effect.sync(() => this.#incoming.delete(session))
      )
      yield* connection.closed
    })
    // the service ended meanwhile
    return welcomed.pipe(Effect.catch(() => Effect.sync(() => connection.close(ErrorCode.cancel, "cancelled"))))
  }

  /** Dials, and holds the session until it ends. */
  #dial(self: Self, dial: number, peer: EndpointAddr | EndpointId): Effect.Effect<void, ConnectError> {
    const held = Effect.scoped(
      Effect.gen({ self: this }, function* () {
        const connection = yield* this.#endpoint.connect(peer, Version.alpns)
        const version = Version.fromAlpn(connection.alpn)
        if (version === undefined) {
          return yield* transportFailure(peer, `the peer chose ${connection.alpn}, which was not offered`)
        }
        this.#dialed.set(dial, yield* Session.make({ connection, version, publish: this.#published }))
        yield* Effect.ignore(self.tell({ _tag: "Dialed", dial }))
        yield* connection.closed
      })
    )
    return Effect.tapDefect(held, (defect) => Effect.logError("moq: a session died", defect))
  }

  #sessions(): Stream.Stream<Session.Session> {
    return Stream.suspend(() => {
      const seen = new WeakSet<Session.Session>()
      const unseen = (): ReadonlyArray<Session.Session> => [...this.#incoming].filter((session) => !seen.has(session))
      const arrived = this.#incomingChanged.wait(() => this.#shutDown || unseen().length > 0)
      return Stream.fromIterableEffectRepeat(
        Effect.flatMap(arrived, () => {
          const sessions = unseen()
          if (sessions.length === 0) return Cause.done()
          for (const session of sessions) seen.add(session)
          return Effect.succeed(sessions)
        })
      )
    })
  }
}

const ended = (dial: number, peer: EndpointAddr | EndpointId, exit: Exit.Exit<void, ConnectError>): Event => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return { _tag: "SessionEnded", dial }
  const failed = exit.cause.reasons.find(Cause.isFailReason)
  if (failed !== undefined) return { _tag: "DialFailed", dial, error: failed.error }
  return { _tag: "DialFailed", dial, error: transportFailure(peer, "internal error") }
}

const transportFailure = (peer: EndpointAddr | EndpointId, message: string): ConnectError =>
  new ConnectError({ peer: idOf(peer), reason: new TransportFailure({ message }) })

const idOf = (peer: EndpointAddr | EndpointId): EndpointId => (typeof peer === "string" ? peer : peer.id)

const publishReason = (refusal: MoqCore.PublishRefusal | Actor.Stopped): PublishError["reason"] => {
  switch (refusal._tag) {
    case "InvalidPath":
      return new InvalidPath({ fault: refusal.fault })
    case "TooManyBroadcasts":
      return new TooManyBroadcasts({ limit: Limits.broadcastsPerOrigin })
    case "ShutDown":
    case "Stopped":
      return new ShutDown()
  }
}

const connectReason = (refusal: MoqCore.ConnectRefusal | Actor.Stopped): MoqError["reason"] => {
  switch (refusal._tag) {
    case "ConnectError":
      return refusal
    case "TooManySessions":
      return new TooManySessions({ limit: Limits.sessions })
    case "ShutDown":
    case "Stopped":
      return new ShutDown()
  }
}
