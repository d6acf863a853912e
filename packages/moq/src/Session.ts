/**
 * A session: one connection on which both ends publish and subscribe (moq-lite section 4). `SessionCore` decides; here streams are
 * opened, read and written. Frames flow past the core: from a stream straight into their Group, and from a Group straight into
 * the streams of all who want it.
 */
import * as Actor from "@effect-live/actor/Actor"
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection, Remote } from "@effect-live/endpoint/Connection"
import {
  type BiStream,
  Blocked,
  End,
  type RecvStream,
  type SendStream,
  StreamError
} from "@effect-live/endpoint/Stream"
import { DecodeError } from "@effect-live/wire/DecodeError"
import { Cause, Effect, Exit, Result, type Scope, type Stream } from "effect"
import * as Broadcast from "./Broadcast.ts"
import * as ErrorCode from "./ErrorCode.ts"
import { type GroupConsumer, GroupError, GroupProducer } from "./Group.ts"
import { ControlReader, type ReadError } from "./internal/ControlReader.ts"
import { FrameReader } from "./internal/FrameReader.ts"
import { Signal } from "./internal/Signal.ts"
import * as Limits from "./Limits.ts"
import * as Message from "./Message.ts"
import * as Origin from "./Origin.ts"
import * as Path from "./Path.ts"
import * as SessionCore from "./SessionCore.ts"
import * as Track from "./Track.ts"
import type { Version } from "./Version.ts"

export interface Session {
  readonly remote: Remote
  /** The ALPN that was agreed, such as `moq-lite-03`. */
  readonly version: string
  readonly connection: Connection
  /** What the peer announces under a prefix: first what is there, then changes. Ends with the session. */
  readonly announced: (prefix: string) => Stream.Stream<Origin.Announcement>
  /** The paths that the peer has announced and not ended, now. */
  readonly announcedNow: () => ReadonlyArray<string>
  /**
   * A broadcast of the peer, whether it is announced yet or not. All consumers of one track share one subscription on the wire.
   * Its `closed` is the end of the announced broadcast, or of the session.
   */
  readonly consume: (path: string) => Broadcast.BroadcastConsumer
  readonly closed: Effect.Effect<Close>
  /** Ends the session at once: what is in flight is lost. */
  readonly close: (code: number, reason: string) => void
}

export interface Options {
  readonly connection: Connection
  readonly version: Version
  /** What the peer may see and subscribe to. */
  readonly publish: Origin.Origin
}

/** Runs a session on a connection until the Scope closes or the connection ends. The connection's own Scope closes it. */
export const make = (options: Options): Effect.Effect<Session, never, Scope.Scope> =>
  Effect.gen(function* () {
    const driver = new Driver(options)
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
    yield* Effect.ignore(actor.tell({ _tag: "Started" }))
    return driver.session(actor)
  })

type Self = Actor.Self<SessionCore.Event, never>
type Event = SessionCore.Event

/** One of our subscriptions: where its groups go, and the streams that bring them. */
interface Subscription {
  readonly track: Track.TrackProducer
  readonly streams: Set<RecvStream>
}

class Driver {
  readonly #connection: Connection
  readonly #version: Version
  readonly #published: Origin.Origin
  /** What the peer announces. */
  readonly #announced = Origin.make()
  readonly #broadcasts = new Map<string, Broadcast.BroadcastProducer>()
  readonly #subscriptions = new Map<number, Subscription>()
  /** How the session ended. */
  #close: Close | undefined
  #nextHolder = 0
  #nextChild = 0

  constructor(options: Options) {
    this.#connection = options.connection
    this.#version = options.version
    this.#published = options.publish
  }

  session(actor: Actor.Actor<Event>): Session {
    const connection = this.#connection
    return {
      remote: connection.remote,
      version: this.#version.alpn,
      connection,
      announced: (prefix) => Origin.announcements(this.#announced, prefix),
      announcedNow: () => this.#announced.paths,
      consume: (path) => this.#consume(actor, Path.normalize(path)),
      closed: connection.closed,
      close: (code, reason) => connection.close(code, cutReason(reason))
    }
  }

  perform(output: SessionCore.Output, self: Self): void {
    switch (output._tag) {
      case "Begin":
        this.#spawn(
          self,
          "closed",
          Effect.map(this.#connection.closed, (close) => ({ _tag: "Closed", close }))
        )
        this.#spawn(self, "accept-uni", this.#acceptUni(self))
        this.#spawn(self, "accept-bi", this.#acceptBi(self))
        this.#spawn(self, "announcements", this.#readAnnouncements(self))
        return
      case "OpenSubscription": {
        const { id, track, priority } = output
        this.#subscriptions.set(id, { track: Track.make(track, { priority }), streams: new Set() })
        this.#spawn(self, `subscription/${id}`, this.#subscribe(self, output))
        return
      }
      case "CancelSubscription":
        self.kill(`subscription/${output.id}`)
        this.#abort(output.id, ErrorCode.cancel)
        return
      case "AbortTrack":
        this.#abort(output.id, output.code)
        return
      case "FinishTrack":
        this.#subscriptions.get(output.id)?.track.finish()
        return
      case "ForgetSubscription":
        this.#subscriptions.delete(output.id)
        return
      case "Announce": {
        const broadcast = Broadcast.make()
        this.#broadcasts.set(output.path, broadcast)
        this.#announced.publish(output.path, broadcast.consume())
        return
      }
      case "Unannounce":
        this.#announced.unpublish(output.path)
        this.#broadcasts.get(output.path)?.finish()
        this.#broadcasts.delete(output.path)
        return
      case "CloseSession":
        this.#connection.close(output.code, cutReason(output.reason))
        return
      case "End":
        this.end(output.close)
        return
    }
  }

  /** Nothing more will come: whoever waits hears so. Tracks that finished keep what they have for their readers. Idempotent. */
  end(close: Close): void {
    if (this.#close !== undefined) return
    this.#close = close
    for (const { track } of this.#subscriptions.values()) if (!track.ended) track.abort(ErrorCode.transport)
    this.#announced.close()
    for (const broadcast of this.#broadcasts.values()) broadcast.abort(ErrorCode.transport)
  }

  /** A handler that dies takes the session with it: half a session would be worse. */
  #spawn(self: Self, key: string, child: Effect.Effect<Event>): void {
    self.spawn(key, Effect.tapCause(child, logDefect), (exit): Event => {
      if (Exit.isSuccess(exit)) return exit.value
      if (!Cause.hasDies(exit.cause)) return { _tag: "StreamDone" }
      return { _tag: "Violated", code: ErrorCode.transport, reason: "internal error" }
    })
  }

  #spawnStream(self: Self, child: Effect.Effect<Event>): string {
    const key = `stream/${this.#nextChild++}`
    this.#spawn(self, key, child)
    return key
  }

  // ---- we subscribe ---------------------------------------------------------------------------------------------------

  #consume(actor: Actor.Actor<Event>, path: string): Broadcast.BroadcastConsumer {
    const ended: Effect.Effect<Broadcast.Ended> = Effect.suspend(() => {
      const announced = this.#announced.consume(path)
      if (announced !== undefined) return announced.closed
      if (this.#announced.closed) return Effect.succeed<Broadcast.Ended>({ _tag: "Aborted", code: ErrorCode.transport })
      return Effect.andThen(
        this.#announced.waitFor(() => this.#announced.closed || this.#announced.consume(path) !== undefined),
        ended
      )
    })
    return {
      closed: ended,
      subscribe: Effect.fnUntraced(
        { self: this },
        function* (this: Driver, track: string, options: Broadcast.SubscribeOptions = {}) {
          const holder = this.#nextHolder++
          yield* Effect.addFinalizer(() => Effect.ignore(actor.tell({ _tag: "Release", holder })))
          const { priority = 0, start } = options
          const granted = yield* actor
            .ask<SessionCore.Granted, SessionCore.Refusal>((replyTo) => ({
              _tag: "Subscribe",
              replyTo,
              holder,
              broadcast: path,
              track,
              priority,
              start
            }))
            .pipe(
              Effect.mapError((refused) => {
                const reason =
                  refused._tag === "Stopped"
                    ? new Broadcast.SessionEnded({ close: this.#close ?? closedHere })
                    : refused
                return new Broadcast.SubscribeError({ track, reason })
              })
            )
          // groups may have come before the answer: whoever opened the subscription gets them all
          const first = start ?? (granted.fresh ? 0 : undefined)
          const subscription = this.#subscriptions.get(granted.id)
          if (subscription === undefined)
            return yield* Effect.die(new Error(`subscription ${granted.id} was forgotten while held`))
          return yield* Effect.acquireRelease(
            Effect.sync(() => subscription.track.consume(first === undefined ? undefined : { start: first })),
            (consumer) => Effect.sync(() => consumer.close())
          )
        }
      )
    }
  }

  /** One subscription on the wire (section 4.3). */
  #subscribe(
    self: Self,
    request: Extract<SessionCore.Output, { readonly _tag: "OpenSubscription" }>
  ): Effect.Effect<Event> {
    const { id, broadcast, track, priority, start } = request
    const version = this.#version
    const failed = (code: number): Event => ({ _tag: "Failed", id, code })
    return Effect.flatMap(this.#connection.openBi, ({ recv, send }) => {
      const leave = Effect.sync(() => {
        send.finish()
        recv.stop(ErrorCode.toStream(ErrorCode.cancel))
      })
      const reader = new ControlReader(recv)
      return Effect.gen(function* () {
        // what iroh-live sends too
        const message = { id, broadcast, track, priority, ordered: true, maxLatencyMs: 0, start, end: undefined }
        yield* send.write(Message.encodeTyped(Message.StreamType.subscribe, version.subscribe, message))
        let answered = false
        for (;;) {
          const type = yield* reader.varint()
          if (type === End) return { _tag: "Finished", id } as const
          const body = yield* reader.message()
          if (body === End) return failed(ErrorCode.decode)
          const response = yield* Effect.fromResult(version.decodeResponse(type, body))
          // a second answer and SUBSCRIBE_DROP tell nothing that we rely on
          if (answered) continue
          if (response._tag !== "SubscribeOk") return failed(ErrorCode.protocolViolation)
          answered = true
          yield* Effect.ignore(self.tell({ _tag: "Accepted", id }))
        }
      }).pipe(
        Effect.catch((error) => Effect.succeed(failed(codeOf(error)))),
        Effect.ensuring(leave)
      )
    }).pipe(Effect.catch(() => Effect.succeed<Event>({ _tag: "StreamDone" })))
  }

  #abort(id: number, code: number): void {
    const subscription = this.#subscriptions.get(id)
    if (subscription === undefined) return
    subscription.track.abort(code)
    for (const stream of subscription.streams) stream.stop(ErrorCode.toStream(ErrorCode.cancel))
  }

  #acceptUni(self: Self): Effect.Effect<Event> {
    return this.#connection.acceptUni.pipe(
      Effect.map((recv) => this.#spawnStream(self, this.#readGroup(self, recv))),
      Effect.forever,
      Effect.catch(() => Effect.succeed<Event>({ _tag: "StreamDone" }))
    )
  }

  /** A group's stream (section 4.4). */
  #readGroup(self: Self, recv: RecvStream): Effect.Effect<Event> {
    const streamDone: Event = { _tag: "StreamDone" }
    const refuse = (code: number): Event => {
      recv.stop(ErrorCode.toStream(code))
      return streamDone
    }
    const version = this.#version
    const subscriptions = this.#subscriptions
    return Effect.gen(function* () {
      const reader = new ControlReader(recv)
      const type = yield* reader.varint(Limits.answerTimeoutMs)
      if (type !== Message.StreamType.group) return refuse(ErrorCode.cancel)
      const body = yield* reader.message(Limits.answerTimeoutMs)
      if (body === End) return refuse(ErrorCode.decode)
      const header = yield* Effect.fromResult(Message.decode(version.group, body))
      const verdict = yield* self.ask<SessionCore.Verdict>((replyTo) => ({
        _tag: "GroupOpened",
        replyTo,
        id: header.subscribe
      }))
      if (verdict !== "accept") return refuse(verdict.code)
      const id = Number(header.subscribe) // the core knows only ids of our own
      const done: Event = { _tag: "GroupClosed", id }
      const subscription = subscriptions.get(id)
      const group = subscription?.track.createGroup(header.sequence)
      if (subscription === undefined || !(group instanceof GroupProducer)) {
        refuse(group === "duplicate" ? ErrorCode.duplicate : ErrorCode.closed)
        return done
      }
      subscription.streams.add(recv)
      const ended = yield* readFrames(recv, reader.takeRest(), group)
      subscription.streams.delete(recv)
      // the core must not take a track for complete that the end of the connection has cut
      return ended ? done : streamDone
    }).pipe(
      Effect.catch((error) => Effect.sync(() => refuse(error._tag === "Stopped" ? ErrorCode.cancel : codeOf(error))))
    )
  }

  // ---- the peer announces ---------------------------------------------------------------------------------------------

  /** Our one Announce stream (section 4.2): everything that the peer has. */
  #readAnnouncements(self: Self): Effect.Effect<Event> {
    const version = this.#version
    const read = ({ recv, send }: BiStream) =>
      Effect.gen(function* () {
        const request = Message.encodeTyped(Message.StreamType.announce, version.announceRequest, { prefix: "" })
        yield* send.write(request)
        const reader = new ControlReader(recv)
        for (;;) {
          const body = yield* reader.message()
          if (body === End) break
          const { active, suffix } = yield* Effect.fromResult(Message.decode(version.announceBroadcast, body))
          yield* Effect.ignore(self.tell({ _tag: "Announced", path: suffix, active }))
        }
        return { _tag: "AnnouncementsEnded" } as const
      }).pipe(Effect.ensuring(Effect.sync(() => send.finish())))
    return Effect.flatMap(this.#connection.openBi, read).pipe(
      Effect.catch((error) =>
        Effect.succeed<Event>(
          error instanceof DecodeError
            ? { _tag: "Violated", code: ErrorCode.decode, reason: `announcement: ${error.message}` }
            : { _tag: "AnnouncementsEnded" }
        )
      )
    )
  }

  // ---- the peer asks --------------------------------------------------------------------------------------------------

  #acceptBi(self: Self): Effect.Effect<Event> {
    return this.#connection.acceptBi.pipe(
      Effect.map((stream) => this.#spawnStream(self, this.#answer(self, stream))),
      Effect.forever,
      Effect.catch(() => Effect.succeed<Event>({ _tag: "StreamDone" }))
    )
  }

  /** A request of the peer. Only streams whose type we do not know, or that break off, are reset. */
  #answer(self: Self, stream: BiStream): Effect.Effect<Event> {
    const reader = new ControlReader(stream.recv)
    const refuse = (code: number): void => {
      stream.recv.stop(ErrorCode.toStream(code))
      stream.send.reset(ErrorCode.toStream(code))
    }
    return reader.varint(Limits.answerTimeoutMs).pipe(
      Effect.flatMap((type) => {
        switch (type) {
          case Message.StreamType.announce:
            return this.#serveAnnouncements(self, stream, reader)
          case Message.StreamType.subscribe:
            return this.#serveSubscription(self, stream, reader, refuse)
          case Message.StreamType.probe:
            // we measure nothing; some peers close their session when this stream is reset (section 4.5)
            return Effect.andThen(
              Effect.sync(() => stream.send.finish()),
              Effect.ignore(readToEnd(reader))
            )
          default:
            return Effect.sync(() => refuse(ErrorCode.cancel))
        }
      }),
      Effect.catch((error) => Effect.sync(() => refuse(error._tag === "Stopped" ? ErrorCode.cancel : codeOf(error)))),
      Effect.as<Event>({ _tag: "StreamDone" })
    )
  }

  /** An Announce stream of the peer (section 4.2). It is never reset: peers close their session on that. */
  #serveAnnouncements(self: Self, { send }: BiStream, reader: ControlReader): Effect.Effect<void> {
    const version = this.#version
    const published = this.#published
    return Effect.gen(function* () {
      const body = yield* reader.message(Limits.answerTimeoutMs)
      if (body === End) return
      const { prefix } = yield* Effect.fromResult(Message.decode(version.announceRequest, body))
      const verdict = yield* self.ask<SessionCore.Verdict>((replyTo) => ({ _tag: "AnnounceRequested", replyTo }))
      if (verdict !== "accept") return
      yield* Effect.raceFirst(writeAnnouncements(version, published, prefix, send), readToEnd(reader)).pipe(
        Effect.ensuring(Effect.ignore(self.tell({ _tag: "AnnounceClosed" })))
      )
    }).pipe(Effect.ignore, Effect.ensuring(Effect.sync(() => send.finish())))
  }

  /** A Subscribe stream of the peer (section 4.3). */
  #serveSubscription(
    self: Self,
    { recv, send }: BiStream,
    reader: ControlReader,
    refuse: (code: number) => void
  ): Effect.Effect<void, ReadError | Actor.Stopped> {
    const version = this.#version
    const published = this.#published
    return Effect.gen({ self: this }, function* () {
      const body = yield* reader.message(Limits.answerTimeoutMs)
      if (body === End) return refuse(ErrorCode.decode)
      const request = yield* Effect.fromResult(Message.decode(version.subscribe, body))
      const { id } = request
      const verdict = yield* self.ask<SessionCore.Verdict>((replyTo) => ({ _tag: "SubscribeRequested", replyTo, id }))
      if (verdict !== "accept") return refuse(verdict.code)
      const broadcast = published.consume(request.broadcast)
      const serving = new Serving(request, this.#connection, (child) => this.#spawnStream(self, child), self.kill)
      const serve = Effect.gen(function* () {
        if (broadcast === undefined) return refuse(ErrorCode.notFound)
        const { start } = request
        const consumer = yield* Effect.result(broadcast.subscribe(request.track, start === undefined ? {} : { start }))
        if (Result.isFailure(consumer)) return refuse(refusalCode(consumer.failure))
        const { priority } = consumer.success
        const ok = { priority, ordered: false, maxLatencyMs: 0, start: undefined, end: undefined }
        yield* send.write(version.encodeResponse({ _tag: "SubscribeOk", ...ok }))
        const end = yield* serving.run(consumer.success)
        if (end !== End) return send.reset(ErrorCode.toStream(end.code))
        send.finish()
        // whoever publishes waits for its tracks to be unused before it leaves: the end must have arrived by then
        yield* Effect.ignore(send.flushed)
      })
      const updates = Effect.gen(function* () {
        for (;;) {
          const update = yield* reader.message()
          if (update === End) return send.finish()
          serving.priority = (yield* Effect.fromResult(Message.decode(version.subscribeUpdate, update))).priority
        }
      })
      yield* Effect.scoped(Effect.raceFirst(serve, updates)).pipe(
        Effect.andThen(Effect.sync(() => recv.stop(ErrorCode.toStream(ErrorCode.cancel)))),
        Effect.ensuring(
          Effect.suspend(() => {
            serving.stop()
            return Effect.ignore(self.tell({ _tag: "SubscribeClosed", id }))
          })
        )
      )
    })
  }
}

// ---- sending groups -------------------------------------------------------------------------------------------------

/** A group on its way to one subscriber. */
interface Sending {
  /** The child that sends it. */
  key: string
  /** What its stream is reset with when it is given up. */
  code: number
}

/** One subscription of the peer: every group goes out on a stream of its own (section 4.4). */
class Serving {
  priority: number
  readonly #request: Message.Subscribe
  readonly #connection: Connection
  readonly #spawn: (child: Effect.Effect<Event>) => string
  readonly #kill: (key: string) => void
  /** Groups of which not everything was handed to the transport, oldest first. */
  readonly #writing = new Set<Sending>()
  /** Groups that were not yet delivered. */
  readonly #open = new Set<Sending>()
  readonly #signal = new Signal()
  readonly #room = this.#signal.wait(() => this.#writing.size < Limits.sendingGroupsPerSubscription)
  readonly #delivered = this.#signal.wait(() => this.#open.size === 0)

  constructor(
    request: Message.Subscribe,
    connection: Connection,
    spawn: (child: Effect.Effect<Event>) => string,
    kill: (key: string) => void
  ) {
    this.#request = request
    this.priority = request.priority
    this.#connection = connection
    this.#spawn = spawn
    this.#kill = kill
  }

  /** Sends the groups of the track until it ends, and waits until the last ones have arrived. */
  run(consumer: Track.TrackConsumer): Effect.Effect<End | Track.TrackError> {
    const { end } = this.#request
    const delivered = this.#delivered
    const makeRoom = this.#makeRoom
    return Effect.gen({ self: this }, function* () {
      for (;;) {
        const next = consumer.tryNext()
        if (next === Blocked) {
          yield* consumer.readable
        } else if (next === End) {
          yield* delivered
          return next
        } else if (next instanceof Track.TrackError) {
          return next
        } else if ("_tag" in next || (end !== undefined && next.sequence > end)) {
          continue // what was evicted before we came to it shows to the peer as a gap
        } else {
          if (this.#writing.size >= Limits.sendingGroupsPerSubscription) yield* makeRoom
          if (this.#open.size >= Limits.undeliveredGroupsPerSubscription) this.#giveUp(this.#open)
          this.#send(next)
        }
      }
    })
  }

  /** The subscription ended: what is not delivered is given up. */
  stop(): void {
    for (const { key } of this.#open) this.#kill(key)
  }

  /** Waits for a group to be written; when none is, the subscriber loses its oldest one. */
  readonly #makeRoom = Effect.suspend(() =>
    Effect.map(Effect.timeoutOption(this.#room, Limits.sendingPatienceMs), (room) => {
      if (room._tag === "None") this.#giveUp(this.#writing)
    })
  )

  /** The oldest of these groups is lost for the subscriber. */
  #giveUp(groups: ReadonlySet<Sending>): void {
    const [oldest] = groups
    if (oldest === undefined) return
    oldest.code = ErrorCode.lagged
    this.#writing.delete(oldest)
    this.#open.delete(oldest)
    this.#kill(oldest.key)
  }

  #send(group: GroupConsumer): void {
    const sending: Sending = { key: "", code: ErrorCode.cancel }
    this.#writing.add(sending)
    this.#open.add(sending)
    const written = (): void => {
      if (this.#writing.delete(sending)) this.#signal.notify()
    }
    const header = Message.encodeGroupHeader({ subscribe: this.#request.id, sequence: group.sequence })
    sending.key = this.#spawn(
      Effect.flatMap(this.#connection.openUni, (send) => {
        send.setPriority(streamPriority(this.priority, group.sequence))
        return writeFrames(send, header, group).pipe(
          Effect.flatMap((complete) => {
            written()
            return complete ? Effect.ignore(send.flushed) : Effect.void
          }),
          Effect.onInterrupt(() => Effect.sync(() => send.reset(ErrorCode.toStream(sending.code))))
        )
      }).pipe(
        Effect.ignore,
        Effect.ensuring(
          Effect.sync(() => {
            this.#open.delete(sending)
            written()
            this.#signal.notify()
          })
        ),
        Effect.as<Event>({ _tag: "StreamDone" })
      )
    )
  }
}

/**
 * Higher goes first (section 4.7): the more important track, then its newer group, all of them behind the control streams, which
 * have priority 0.
 */
const streamPriority = (priority: number, sequence: number): number =>
  priority * prioritySteps + (sequence % prioritySteps) - 256 * prioritySteps
const prioritySteps = 2 ** 22

/** Hands the frames of a group to a stream as they come; true when the group is complete. */
const writeFrames = (send: SendStream, header: Uint8Array, group: GroupConsumer): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    let pending: Uint8Array | undefined = header
    let complete: boolean | undefined
    const blocked = Effect.raceFirst(send.writable, group.lost)
    const advance = (): Effect.Effect<void> => {
      for (;;) {
        if (pending === undefined) {
          const next = group.tryReadEncoded()
          if (next === Blocked) return group.readable
          if (next === End) {
            send.finish()
            complete = true
            return Effect.void
          }
          if (next instanceof GroupError) {
            send.reset(ErrorCode.toStream(next.code))
            complete = false
            return Effect.void
          }
          pending = next
        }
        const taken = send.tryWrite(pending)
        if (taken === Blocked) {
          if (group.error === undefined) return blocked
          send.reset(ErrorCode.toStream(group.error.code))
          complete = false
          return Effect.void
        }
        if (taken instanceof StreamError) {
          send.reset(ErrorCode.toStream(ErrorCode.cancel)) // the peer wants no more of it, or is gone
          complete = false
          return Effect.void
        }
        pending = taken < pending.length ? pending.subarray(taken) : undefined
      }
    }
    return Effect.map(
      Effect.whileLoop({ while: () => complete === undefined, body: advance, step: () => {} }),
      () => complete === true
    )
  })

/** Reads a group's stream to its end into the group; false when the connection was lost before. */
const readFrames = (recv: RecvStream, first: Uint8Array, group: GroupProducer): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const frames = new FrameReader(group)
    let open = true
    let lost = false
    const give = (code: number): void => {
      open = false
      recv.stop(ErrorCode.toStream(code))
      group.abort(code)
    }
    const push = (chunk: Uint8Array): void => {
      const refused = frames.push(chunk)
      if (refused !== undefined) give(refused)
    }
    const advance = (): Effect.Effect<void> => {
      while (open) {
        const chunk = recv.tryRead()
        if (chunk === Blocked) return recv.readable
        if (chunk instanceof Uint8Array) {
          push(chunk)
        } else if (chunk === End) {
          open = false
          if (frames.atFrameEnd) group.finish()
          else group.abort(ErrorCode.wrongSize)
        } else {
          open = false
          lost = chunk.reason._tag === "ConnectionLost"
          group.abort(codeOf(chunk))
        }
      }
      return Effect.void
    }
    push(first)
    return Effect.map(Effect.whileLoop({ while: () => open, body: advance, step: () => {} }), () => !lost)
  })

// ---- pieces ---------------------------------------------------------------------------------------------------------

/** Tells a peer what is published under a prefix, as long as it listens. */
const writeAnnouncements = (
  version: Version,
  published: Origin.Origin,
  prefix: string,
  send: SendStream
): Effect.Effect<void, StreamError> =>
  Effect.acquireUseRelease(
    Effect.sync(() => published.announced(prefix)),
    (watcher) =>
      Effect.gen(function* () {
        for (;;) {
          const next = watcher.tryNext()
          if (next === End) return
          if (next === Blocked) {
            yield* watcher.readable
            continue
          }
          // we are the only hop so far
          yield* send.write(
            next.map(({ path, active }) =>
              Message.encode(version.announceBroadcast, {
                active,
                suffix: Path.suffix(prefix, path) ?? path,
                hops: active ? [0] : []
              })
            )
          )
        }
      }),
    (watcher) => Effect.sync(() => watcher.close())
  )

/** Reads until the peer ends its side, ignoring what it says. */
const readToEnd = (reader: ControlReader): Effect.Effect<void, ReadError> =>
  Effect.map(Effect.repeat(reader.message(), { until: (message) => message === End }), () => {})

const codeOf = (error: ReadError): number => {
  if (error instanceof DecodeError) return ErrorCode.decode
  if (!(error instanceof StreamError)) return ErrorCode.timeout
  const { reason } = error
  switch (reason._tag) {
    case "PeerReset":
    case "PeerStopped":
      return ErrorCode.fromStream(reason.code)
    case "StreamEnded":
      return ErrorCode.cancel
    case "ConnectionLost":
      return ErrorCode.transport
  }
}

const refusalCode = ({ reason }: Broadcast.SubscribeError): number => {
  switch (reason._tag) {
    case "Refused":
      return reason.code
    case "NotFound":
    case "BroadcastEnded":
      return ErrorCode.notFound
    case "NoAnswer":
      return ErrorCode.timeout
    case "SessionEnded":
      return ErrorCode.transport
    case "LimitReached":
      return ErrorCode.boundsExceeded
  }
}

const logDefect = (cause: Cause.Cause<never>): Effect.Effect<void> =>
  Cause.hasDies(cause) ? Effect.logError("moq: a stream handler died, its session ends", cause) : Effect.void

const closedHere: Close = { _tag: "Local", code: ErrorCode.cancel, reason: "" }

/** At most `Limits.closeReasonBytes` of UTF-8. */
const cutReason = (reason: string): string => {
  const bytes = new TextEncoder().encode(reason)
  if (bytes.length <= Limits.closeReasonBytes) return reason
  return new TextDecoder().decode(bytes.subarray(0, Limits.closeReasonBytes)).replace(/\uFFFD$/, "")
}
