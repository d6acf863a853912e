/**
 * The Moq service: publishes broadcasts to every session, present and future, and holds the sessions of an endpoint. `MoqCore`
 * decides; `internal/Connections` opens what connects.
 */
import * as Actor from "@effect-live/actor/Actor"
import type { Remote } from "@effect-live/endpoint/Connection"
import { ConnectError, Endpoint } from "@effect-live/endpoint/Endpoint"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { Router } from "@effect-live/endpoint/Router"
import { Context, Effect, Layer, Random, Schema, Scope, type Stream } from "effect"
import type { BroadcastProducer } from "./Broadcast.ts"
import { Connections, type Options as ConnectionsOptions } from "./internal/Connections.ts"
import * as Limits from "./Limits.ts"
import * as MoqCore from "./MoqCore.ts"
import * as Origin from "./Origin.ts"
import * as Path from "./Path.ts"
import type { Peer } from "./Peer.ts"
import type { Session } from "./Session.ts"
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
}) {
  override get message(): string {
    return `cannot publish "${this.path}": ${explain(this.reason)}`
  }
}

/** There is no session to a peer. */
export class MoqError extends Schema.TaggedError<MoqError>()("MoqError", {
  reason: Schema.Union([ConnectError, TooManySessions, ShutDown])
}) {
  override get message(): string {
    return `no session: ${explain(this.reason)}`
  }
}

const explain = (reason: (PublishError | MoqError)["reason"]): string => {
  switch (reason._tag) {
    case "InvalidPath":
      return `the path cannot be carried: ${reason.fault}`
    case "TooManyBroadcasts":
      return `${reason.limit} broadcasts are published, which is the limit`
    case "TooManySessions":
      return `${reason.limit} sessions are open, which is the limit`
    case "ShutDown":
      return "the service was shut down"
    case "ConnectError":
      return reason.message
  }
}

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

/** How a service is doing. */
export interface Inspection {
  /** What `connect` gave and somebody holds, or held until a moment ago. */
  readonly peers: number
  /** Of peers that we dialed and of those that dialed us. */
  readonly sessions: number
  readonly connections: number
  /** Broadcasts that are announced. */
  readonly broadcasts: number
  /** Bytes of remote tracks that are kept for their readers; at most `Limits.heldBytes`. */
  readonly heldBytes: number
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
     * A session with a peer that stays as long as somebody holds it: concurrent and later callers share it, and so is one that
     * the peer opened. The first connection is tried once. When it is lost, another one is sought for `Limits.resumeMs`, and
     * subscriptions and announcements go on over it; the peer's own close is final. It closes when the last Scope is gone, after
     * `Limits.sessionLingerMs`. Once it has ended, the next caller dials anew.
     */
    readonly connect: (peer: EndpointAddr | EndpointId) => Effect.Effect<Peer, MoqError, Scope.Scope>
    /** Sessions with a connection that the peer opened and that was admitted: those there are, then new ones. */
    readonly sessions: Stream.Stream<Session>
    /** Reading it costs the service nothing. */
    readonly inspect: () => Inspection
    /**
     * Ends all announcements, tells the peers, gives tracks that have finished up to `Limits.shutdownDrainMs` to arrive, ends all
     * sessions with code 0, and refuses new ones. Idempotent.
     */
    readonly shutdown: Effect.Effect<void>
  }
>()("@effect-live/moq/Moq") {}

type Service = typeof Moq.Service
type Event = MoqCore.Event
type Self = Actor.Self<Event, never>

/** Serves every version of `Version.all` at the Router, and shuts down when the Layer goes. */
export const layer = (options: Options = {}): Layer.Layer<Moq, never, Endpoint | Router> =>
  Layer.effect(
    Moq,
    Effect.gen(function* () {
      const endpoint = yield* Endpoint
      const hop = yield* randomHop
      // made first: sessions go after the service has said goodbye
      const sessions = yield* Scope.fork(yield* Effect.scope)
      const driver = new Driver({ endpoint, hop, scope: sessions })
      const actor = yield* Actor.make({
        name: "moq",
        core: MoqCore.core(endpoint.id),
        perform: (output, self: Self) => driver.perform(output, self)
      })
      const service = driver.service(actor)
      const router = yield* Router
      // another service at the same ALPN is a mistake in the composition of the program
      yield* Effect.orDie(
        router.handle(Version.alpns, (connection) => driver.connections.welcome(actor, connection, options.admit))
      )
      // before the Router gives our connections up
      yield* Effect.addFinalizer(() => service.shutdown)
      return service
    })
  )

interface Published {
  readonly producer: BroadcastProducer
  /**
   * Its first hop: for peers, content is the same as before when that is (moq-lite section 3.5), and what takes the place of a
   * broadcast while a connection is lost is not.
   */
  readonly origin: number
}

const randomHop = Random.nextIntBetween(1, Number.MAX_SAFE_INTEGER)

class Driver {
  readonly #published = Origin.make()
  readonly #broadcasts = new Map<number, Published>()
  readonly connections: Connections
  #nextBroadcast = 0
  #nextHolder = 0

  constructor(options: Omit<ConnectionsOptions, "published">) {
    this.connections = new Connections({ ...options, published: this.#published })
  }

  service(actor: Actor.Actor<Event>): Service {
    const stopped = Effect.catch(() => Effect.void) // the service is gone: so is what was to be ended
    return {
      publish: Effect.fnUntraced({ self: this }, function* (this: Driver, path: string, producer: BroadcastProducer) {
        const normal = Path.normalize(path)
        const broadcast = this.#nextBroadcast++
        this.#broadcasts.set(broadcast, { producer, origin: yield* randomHop })
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
      connect: Effect.fnUntraced({ self: this }, function* (this: Driver, to: EndpointAddr | EndpointId) {
        const holder = this.#nextHolder++
        yield* Effect.addFinalizer(() => stopped(actor.tell({ _tag: "Disconnect", holder })))
        const peer = yield* Effect.mapError(
          actor.ask<number, MoqCore.ConnectRefusal>((replyTo) => ({
            _tag: "Connect",
            replyTo,
            holder,
            id: typeof to === "string" ? to : to.id,
            to
          })),
          (refusal) => new MoqError({ reason: connectReason(refusal) })
        )
        return this.connections.peer(peer)
      }),
      sessions: this.connections.incoming,
      inspect: () => ({ ...this.connections.inspect(), broadcasts: this.#published.paths.length }),
      shutdown: stopped(actor.ask<void>((replyTo) => ({ _tag: "ShutDown", replyTo })))
    }
  }

  perform(output: MoqCore.Output, self: Self): Effect.Effect<unknown> | void {
    switch (output._tag) {
      case "Announce": {
        const { broadcast, path } = output
        const known = this.#broadcasts.get(broadcast)
        if (known === undefined) return // its Scope closed while the event was on its way; `BroadcastDone` follows
        const { origin, producer } = known
        this.#published.publish(path, producer.consume(), [origin])
        const done: Event = { _tag: "BroadcastDone", path, broadcast }
        self.spawn(`broadcast/${broadcast}`, producer.consume().closed, () => done)
        return
      }
      case "Withdraw":
        this.#published.unpublish(output.path)
        self.kill(`broadcast/${output.broadcast}`)
        return
      case "WithdrawAll":
        this.#published.close()
        this.connections.noMore()
        return
      default:
        return this.connections.perform(output, self)
    }
  }
}

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
