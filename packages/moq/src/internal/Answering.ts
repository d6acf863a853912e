/** The peer asks: each of its bidirectional streams begins with what it wants (moq-lite sections 3.2, 4.6). */
import { type BiStream, End } from "@effect-live/endpoint/Stream"
import type { Stopped } from "@effect-live/actor/Actor"
import { Effect, Exit, Result, Scope } from "effect"
import { type BroadcastConsumer, LimitReached, SubscribeError } from "../Broadcast.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as Limits from "../Limits.ts"
import * as Message from "../Message.ts"
import type { Event, Verdict } from "../SessionCore.ts"
import type { TrackConsumer } from "../Track.ts"
import { serveAnnouncements } from "./Announcing.ts"
import { ControlReader, type ReadError } from "./ControlReader.ts"
import { codeOf, refusalCode } from "./failures.ts"
import type { Beginning } from "./HalfOpen.ts"
import { writeFrames } from "./GroupStreams.ts"
import type { Held, Link } from "./Link.ts"
import { priorityOf } from "./priority.ts"
import { readToEnd, serveProbe } from "./Probing.ts"
import { Serving } from "./Serving.ts"
import { readGoaway } from "./Setup.ts"

/** A request of the peer. Only streams whose type we do not know, or that break off, are reset. */
export const answer = (link: Link, stream: BiStream, beginning: Beginning): Effect.Effect<Event> => {
  const { version } = link
  const reader = new ControlReader(stream.recv)
  let refused = false
  const refuse = (code: number): void => {
    refused = true
    stream.recv.stop(ErrorCode.toStream(code))
    stream.send.reset(ErrorCode.toStream(code))
  }
  const request: Request = { link, stream, reader, beginning, refuse }
  // whoever answers our end with its own must be let: iroh-live takes STOP_SENDING at that moment for a failure of all that came
  const ended = Effect.suspend(() =>
    refused ? Effect.void : Effect.ignore(Effect.timeoutOption(readToEnd(link, reader), Limits.peerEndMs))
  )
  const served: Effect.Effect<Event | undefined | void, ReadError | Stopped> = Effect.flatMap(
    reader.varint(),
    (type) => {
      switch (type) {
        case Message.StreamType.announce:
          return Effect.andThen(link.busy(serveAnnouncements(link, stream, reader, beginning)), ended)
        case Message.StreamType.subscribe:
          return Effect.andThen(link.busy(serveSubscription(request)), ended)
        case Message.StreamType.probe:
          beginning.over()
          return serveProbe(link, stream, reader)
        case Message.StreamType.track:
          return version.trackInfo ? serveInfo(request) : Effect.sync(() => refuse(ErrorCode.cancel))
        case Message.StreamType.fetch:
          return version.trackInfo ? link.busy(serveFetch(request)) : Effect.sync(() => refuse(ErrorCode.cancel))
        case Message.StreamType.goaway:
          return version.goaway
            ? Effect.andThen(
                Effect.ensuring(
                  readGoaway(link, reader, beginning),
                  Effect.sync(() => stream.send.finish())
                ),
                ended
              )
            : Effect.sync(() => refuse(ErrorCode.cancel))
        default:
          return Effect.sync(() => refuse(ErrorCode.cancel))
      }
    }
  )
  return served.pipe(
    Effect.catch((error) =>
      Effect.sync(() => {
        if (beginning.givenUp) return refuse(ErrorCode.timeout)
        return refuse(error._tag === "Stopped" ? ErrorCode.cancel : codeOf(error))
      })
    ),
    Effect.map((event) => event ?? link.done),
    Effect.ensuring(
      Effect.sync(() => {
        beginning.over()
        // a half that nobody reads to its end would never be over; nothing happens to one that is
        stream.recv.stop(ErrorCode.toStream(ErrorCode.cancel))
      })
    )
  )
}

interface Request {
  readonly link: Link
  readonly stream: BiStream
  readonly reader: ControlReader
  /** The first message is there. */
  readonly beginning: Beginning
  readonly refuse: (code: number) => void
}

/** The first message of a request; undefined when there is none. */
const first = <A>(
  { beginning, reader, refuse }: Request,
  codec: Message.Codec<A>
): Effect.Effect<A | undefined, ReadError> =>
  Effect.flatMap(reader.message(), (body) => {
    beginning.over()
    if (body !== End) return Effect.fromResult(Message.decode(codec, body))
    refuse(ErrorCode.decode)
    return Effect.succeed(undefined)
  })

/** A Subscribe stream (section 4.3). */
const serveSubscription = (asked: Request): Effect.Effect<void, ReadError | Stopped> =>
  Effect.gen(function* () {
    const { link, reader, refuse } = asked
    const { send } = asked.stream
    const { number, shared, version } = link
    const request = yield* first(asked, version.subscribe)
    if (request === undefined) return
    const { id } = request
    const verdict = yield* link.ask<Verdict>((replyTo) => ({ _tag: "SubscribeRequested", link: number, replyTo, id }))
    if (verdict !== "accept") return refuse(verdict.code)
    const serving = new Serving(link, request)
    let complete = false
    const serve = Effect.gen(function* () {
      const broadcast = shared.published.consume(request.broadcast)
      if (broadcast === undefined) return refuse(ErrorCode.notFound)
      const consumer = yield* Effect.result(link.exclusively(request, consume(link, broadcast, request)))
      if (Result.isFailure(consumer)) return refuse(refusalCode(consumer.failure))
      const track = consumer.success
      if (version.subscribeOk) {
        const ok = { priority: track.priority, ordered: false, maxLatencyMs: 0, start: undefined, end: undefined }
        yield* send.write(version.encodeResponse({ _tag: "SubscribeOk", ...ok }))
      }
      const end = yield* serving.run(track, (group) =>
        version.trackInfo
          ? Effect.ignore(send.write(version.encodeResponse({ _tag: "SubscribeStart", group })))
          : Effect.void
      )
      if (end !== End) return send.reset(ErrorCode.toStream(end.code))
      if (version.trackInfo) {
        yield* send.write(version.encodeResponse({ _tag: "SubscribeEnd", group: track.final ?? 0 }))
      }
      send.finish()
      complete = true
      // whoever publishes waits for its tracks to be unused before it leaves: the end must have arrived by then
      yield* Effect.ignore(send.flushed)
    })
    const updates = Effect.gen(function* () {
      for (;;) {
        const update = yield* reader.message()
        if (update === End) return send.finish()
        yield* link.charge
        const wishes = yield* Effect.fromResult(Message.decode(version.subscribeUpdate, update))
        serving.update(wishes)
        if (wishes.start !== undefined) yield* serveEarlier(link, request, serving, wishes.start)
      }
    })
    const served = Effect.ensuring(
      Effect.raceFirst(serve, updates),
      Effect.suspend(() => {
        serving.stop()
        return link.tell({ _tag: "SubscribeClosed", link: number, id })
      })
    )
    // the question what the track is like may come behind all of it, and its frames mean nothing without the answer
    const described = Effect.suspend(() => (complete && version.trackInfo ? link.described(request) : Effect.void))
    yield* Effect.scoped(Effect.andThen(served, described))
  })

/** What an update wants from before the beginning of its subscription, as far as it is there. */
const serveEarlier = (
  link: Link,
  { broadcast, track }: Message.Subscribe,
  serving: Serving,
  start: number
): Effect.Effect<void> => {
  const { floor } = serving
  const source = link.shared.published.consume(broadcast)
  if (source === undefined || floor === undefined || start >= floor) return Effect.void
  const earlier = Effect.flatMap(source.subscribe(track, { start, end: floor - 1 }), (consumer) =>
    serving.runEarlier(consumer)
  )
  return Effect.ignore(Effect.scoped(earlier))
}

/**
 * A Track stream (section 3.5.2). The subscription to the track may be on its way: until it comes the track counts as used, and what
 * is published meanwhile is for it.
 */
const serveInfo = (asked: Request): Effect.Effect<void, ReadError> =>
  Effect.gen(function* () {
    const { link, refuse } = asked
    const { send } = asked.stream
    const request = yield* first(asked, Message.trackRequest)
    if (request === undefined) return
    const broadcast = link.shared.published.consume(request.broadcast)
    if (broadcast === undefined) return refuse(ErrorCode.notFound)
    const scope = yield* Scope.make()
    let offered: Held | undefined
    yield* Effect.gen(function* () {
      const consumed = Effect.map(Scope.provide(broadcast.subscribe(request.track), scope), (consumer) => {
        const held = { consumer, scope }
        const taken = link.offer(request, held)
        if (taken !== undefined) offered = held
        return { consumer, taken }
      })
      const consumer = yield* Effect.result(link.exclusively(request, consumed))
      if (Result.isFailure(consumer)) return refuse(refusalCode(consumer.failure))
      yield* send.write(Message.encode(Message.trackInfo, consumer.success.consumer.info))
      send.finish()
      link.describes(request)
      const { taken } = consumer.success
      if (taken !== undefined) yield* Effect.timeoutOption(taken, Limits.trackLingerMs)
    }).pipe(
      Effect.ensuring(
        Effect.suspend(() => {
          const given = offered !== undefined && !link.retract(request, offered)
          return given ? Effect.void : Scope.close(scope, Exit.void)
        })
      )
    )
  })

/** A reader of the track for a subscription: where it says no beginning, the one that waits since the peer asked about the track. */
const consume = (
  link: Link,
  broadcast: BroadcastConsumer,
  request: Message.Subscribe
): Effect.Effect<TrackConsumer, SubscribeError, Scope.Scope> =>
  Effect.gen(function* () {
    const { maxLatencyMs, ordered, priority, start, track } = request
    if (link.serving(request) >= Limits.subscriptionsPerTrack) {
      return yield* new SubscribeError({ track, reason: new LimitReached({ limit: "subscriptionsPerTrack" }) })
    }
    // what is taken is ours to close from that moment on
    const held = yield* Effect.acquireRelease(
      Effect.sync(() => link.take(request)),
      close
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => link.serves(request)),
      (ended) => Effect.sync(ended)
    )
    if (held !== undefined) link.describes(request)
    if (held !== undefined && start === undefined) return held.consumer
    const wishes = { priority, ordered, maxLatencyMs, ...(start === undefined ? {} : { start }) }
    return yield* Effect.ensuring(broadcast.subscribe(track, wishes), close(held))
  })

const close = (held: Held | undefined): Effect.Effect<void> =>
  held === undefined ? Effect.void : Scope.close(held.scope, Exit.void)

/** A Fetch stream (section 3.5): one group that is kept, without a header. */
const serveFetch = (asked: Request): Effect.Effect<void, ReadError> =>
  Effect.gen(function* () {
    const { link, refuse } = asked
    const { send } = asked.stream
    const request = yield* first(asked, link.version.fetch)
    if (request === undefined) return
    const broadcast = link.shared.published.consume(request.broadcast)
    if (broadcast === undefined) return refuse(ErrorCode.notFound)
    const group = yield* Effect.result(broadcast.fetch(request.track, request.group, { priority: request.priority }))
    if (Result.isFailure(group)) return refuse(refusalCode(group.failure))
    send.setPriority(priorityOf(request.priority, 0))
    // whoever asked may leave before it is complete
    yield* Effect.raceFirst(
      writeFrames(send, undefined, group.success, link.version.timestamps),
      Effect.ignore(send.stopped)
    )
    asked.stream.recv.stop(ErrorCode.toStream(ErrorCode.cancel))
  })
