/**
 * The Live service: give a broadcast a name and get a ticket, or open a ticket and get the broadcast. It composes an Endpoint
 * with the Moq actor, so the same program runs on real iroh and in the simulator.
 */
import { format as formatClose } from "@effect-live/endpoint/Close"
import { ConnectError, Endpoint } from "@effect-live/endpoint/Endpoint"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import { EndpointId, fmtShort } from "@effect-live/endpoint/EndpointId"
import type { Router } from "@effect-live/endpoint/Router"
import type { TicketError } from "@effect-live/endpoint/TicketEnvelope"
import type { LocalBroadcast } from "@effect-live/media/LocalBroadcast"
import * as RemoteBroadcast from "@effect-live/media/RemoteBroadcast"
import type { BroadcastConsumer } from "@effect-live/moq/Broadcast"
import * as Moq from "@effect-live/moq/Moq"
import * as MoqPath from "@effect-live/moq/Path"
import type { Peer } from "@effect-live/moq/Peer"
import { Clock, type Config, Context, Effect, Fiber, Layer, Schema, type Scope, Stream } from "effect"
import * as Traffic from "./internal/Traffic.ts"
import * as Limits from "./Limits.ts"
import * as LiveTicket from "./LiveTicket.ts"
import type { Closed, Statistics, Subscription } from "./Subscription.ts"

/** The publisher could not be reached. */
export class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", { cause: ConnectError }) {}
/** Nobody answered in time: the publisher is gone, or no way leads to it. */
export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", { timeoutMs: Schema.Int }) {}
/** The publisher is there and does not have this broadcast. `announced`: what it has instead. */
export class NotAnnounced extends Schema.TaggedError<NotAnnounced>()("NotAnnounced", {
  announced: Schema.Array(Schema.String),
  timeoutMs: Schema.Int
}) {}
/** The connection was made and ended before the broadcast was announced; `close` says how. */
export class ConnectionEnded extends Schema.TaggedError<ConnectionEnded>()("ConnectionEnded", {
  close: Schema.String
}) {}
/** The broadcast is announced, and has no catalog that could be read. */
export class NoMedia extends Schema.TaggedError<NoMedia>()("NoMedia", {
  cause: RemoteBroadcast.RemoteBroadcastError
}) {}
/** `Limits.subscriptions` are open. */
export class TooManySubscriptions extends Schema.TaggedError<TooManySubscriptions>()("TooManySubscriptions", {
  limit: Schema.Int
}) {}
export class SubscribeError extends Schema.TaggedError<SubscribeError>()("SubscribeError", {
  peer: EndpointId,
  name: Schema.String,
  reason: Schema.Union([
    Unreachable,
    NoAnswer,
    NotAnnounced,
    ConnectionEnded,
    NoMedia,
    TooManySubscriptions,
    Moq.TooManySessions,
    Moq.ShutDown
  ])
}) {
  override get message(): string {
    return `cannot subscribe to "${this.name}" of ${fmtShort(this.peer)}: ${explain(this.reason)}`
  }
}

const explain = (reason: SubscribeError["reason"]): string => {
  switch (reason._tag) {
    case "Unreachable":
      return `the publisher cannot be reached: ${reason.cause.message}`
    case "NoAnswer":
      return `no answer within ${reason.timeoutMs} ms: the publisher is gone, or no way leads to it`
    case "NotAnnounced":
      return reason.announced.length === 0
        ? `the publisher answers, but announces nothing (waited ${reason.timeoutMs} ms)`
        : `the publisher answers, but announces only ${reason.announced.join(", ")} (waited ${reason.timeoutMs} ms)`
    case "ConnectionEnded":
      return `the connection ended before the broadcast was announced: ${reason.close}`
    case "NoMedia":
      return reason.cause.message
    case "TooManySubscriptions":
      return `${reason.limit} subscriptions are open, which is the limit`
    case "TooManySessions":
      return `${reason.limit} sessions are open, which is the limit`
    case "ShutDown":
      return "Live was shut down"
  }
}

export class Live extends Context.Service<
  Live,
  {
    /**
     * Publishes a broadcast under a name until the Scope closes, and gives the ticket that leads there, with the addresses that
     * are known now. A name that is live is replaced: subscribers see the old broadcast end.
     */
    readonly publish: (
      name: string,
      broadcast: LocalBroadcast
    ) => Effect.Effect<LiveTicket.LiveTicket, Moq.PublishError | TicketError, Scope.Scope>
    /** Takes a name back. Subscriptions run to the end of their tracks. */
    readonly unpublish: (name: string) => Effect.Effect<void>
    /**
     * Opens the broadcast of a ticket, or a name at an address or id. Succeeds once the publisher has it, and fails within
     * `Limits.subscribeTimeoutMs` otherwise. Subscriptions to one peer share a session, which survives the loss of its connection.
     */
    readonly subscribe: {
      (ticket: LiveTicket.LiveTicket): Effect.Effect<Subscription, SubscribeError, Scope.Scope>
      (peer: EndpointAddr | EndpointId, name: string): Effect.Effect<Subscription, SubscribeError, Scope.Scope>
    }
    /** Ends every publication, subscription and session, and refuses new ones. Idempotent; the Layer's Scope does it too. */
    readonly shutdown: Effect.Effect<void>
  }
>()("@effect-live/live/Live") {}

/** Over a Moq that is there. */
export const layerNoDeps = (limits: Partial<Limits.Limits> = {}): Layer.Layer<Live, never, Endpoint | Moq.Moq> =>
  Layer.effect(Live, make({ ...Limits.defaults, ...limits }))

/** Live with its own Moq actor. */
export const layer = (limits?: Partial<Limits.Limits>): Layer.Layer<Live | Moq.Moq, never, Endpoint | Router> =>
  layerNoDeps(limits).pipe(Layer.provideMerge(Moq.layer()))

/** The same with limits from `Limits.config`. */
export const layerConfig: Layer.Layer<Live | Moq.Moq, Config.ConfigError, Endpoint | Router> = Layer.unwrap(
  Effect.map(Limits.config, (limits) => layer(limits))
)

const make = Effect.fnUntraced(function* (limits: Limits.Limits) {
  const endpoint = yield* Endpoint
  const moq = yield* Moq.Moq
  let open = 0

  const publish = Effect.fn("Live.publish")(function* (name: string, broadcast: LocalBroadcast) {
    const ticket = yield* Effect.fromResult(LiveTicket.make(endpoint.addr(), name))
    yield* moq.publish(name, broadcast.producer)
    return ticket
  })

  const subscribeTo = Effect.fn("Live.subscribe")(function* (to: EndpointAddr | EndpointId, rawName: string) {
    const name = MoqPath.normalize(rawName)
    const id = typeof to === "string" ? to : to.id
    const fail = (reason: SubscribeError["reason"]) => new SubscribeError({ peer: id, name, reason })
    if (open >= limits.subscriptions) return yield* fail(new TooManySubscriptions({ limit: limits.subscriptions }))
    open++
    yield* Effect.addFinalizer(() => Effect.sync(() => open--))

    const startedMs = yield* Clock.currentTimeMillis
    const timeoutMs = limits.subscribeTimeoutMs
    /** All steps together have `timeoutMs`. */
    const within = <A, E, R>(step: Effect.Effect<A, E, R>, otherwise: () => SubscribeError["reason"]) =>
      Effect.flatMap(Clock.currentTimeMillis, (nowMs) =>
        Effect.timeoutOrElse(step, {
          duration: Math.max(0, startedMs + timeoutMs - nowMs),
          orElse: () => Effect.fail(fail(otherwise()))
        })
      )
    const peer = yield* moq.connect(to).pipe(
      Effect.mapError(({ reason }) =>
        fail(reason._tag === "ConnectError" ? new Unreachable({ cause: reason }) : reason)
      ),
      (connecting) => within(connecting, () => new NoAnswer({ timeoutMs }))
    )
    const consumer = peer.consume(name)
    const closed = yield* Effect.forkScoped(end(peer, consumer), { startImmediately: true })
    const opening = within(
      Effect.mapError(RemoteBroadcast.make(consumer), (cause) => fail(whyNot(cause))),
      () => new NoAnswer({ timeoutMs })
    )
    const announcement = within(
      Effect.mapError(announced(peer, name), (close) => fail(new ConnectionEnded({ close }))),
      () => new NotAnnounced({ announced: peer.announcedNow(), timeoutMs })
    )
    // Asked for at once: most broadcasts are there when their ticket is opened, and that saves waiting for the announcement.
    const broadcast = yield* Effect.catchIf(opening, isNotThere, () => Effect.andThen(announcement, opening))
    const traffic = Traffic.since(peer.connection)
    yield* Effect.forkScoped(Stream.runForEach(peer.connectivityChanges, () => Effect.sync(traffic)))
    const statistics = Effect.map(Clock.currentTimeMillis, (nowMs): Statistics => ({
      ageMs: nowMs - startedMs,
      rttMs: peer
        .connection()
        .paths()
        .find((path) => path.selected)?.rttMs,
      ...traffic()
    }))
    return {
      name,
      broadcast,
      peer,
      paths: () => peer.connection().paths(),
      statistics,
      closed: Fiber.join(closed)
    } satisfies Subscription
  })

  return Live.of({
    publish,
    unpublish: moq.unpublish,
    subscribe: (target: LiveTicket.LiveTicket | EndpointAddr | EndpointId, name?: string) =>
      typeof target !== "string" && "addr" in target
        ? subscribeTo(LiveTicket.dialAddr(target), target.name)
        : subscribeTo(target, name ?? ""),
    shutdown: moq.shutdown
  })
})

const isNotThere = ({ reason }: SubscribeError): boolean =>
  reason._tag === "NoMedia" &&
  reason.cause.reason._tag === "SubscribeError" &&
  reason.cause.reason.reason._tag === "NotFound"

/** A session that ended is the reason for whatever failed with it. */
const whyNot = (cause: RemoteBroadcast.RemoteBroadcastError): ConnectionEnded | NoMedia => {
  const { reason } = cause
  return reason._tag === "SubscribeError" && reason.reason._tag === "SessionEnded"
    ? new ConnectionEnded({ close: formatClose(reason.reason.close) })
    : new NoMedia({ cause })
}

/** Waits until the peer announces the path; fails with how the session ended if that comes first. */
const announced = (peer: Peer, path: string): Effect.Effect<void, string> =>
  peer.announced(path).pipe(
    Stream.filter((each) => each.path === path && each.active),
    Stream.runHead,
    Effect.flatMap((head) =>
      head._tag === "Some" ? Effect.void : Effect.flatMap(peer.closed, (close) => Effect.fail(formatClose(close)))
    )
  )

/** Waits for the end, watching from now on: a broadcast that has ended and comes back is another one. */
const end = (peer: Peer, consumer: BroadcastConsumer): Effect.Effect<Closed> => {
  const lost = Effect.map(peer.closed, (close): Closed => ({ _tag: "Lost", close }))
  // A session that ends ends its broadcasts too: then the session is what happened.
  const ended = Effect.flatMap(consumer.closed, (how) => Effect.raceFirst(lost, Effect.as(Effect.yieldNow, how)))
  return Effect.raceFirst(lost, ended)
}
