/**
 * A publisher with the Moq service, three honest subscribers, and beside them somebody who does what nobody should, with streams
 * written by hand. What the honest ones got is compared with a run in which nobody abuses anything.
 */
import type { Actor } from "@effect-live/actor/Actor"
import { type Watcher, Watchers } from "@effect-live/actor/Watcher"
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection } from "@effect-live/endpoint/Connection"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import {
  type BiStream,
  type ConnectionLost,
  End,
  type RecvStream,
  type SendStream,
  type StreamError
} from "@effect-live/endpoint/Stream"
import { layer as networkLayer, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import * as Varint from "@effect-live/wire/Varint"
import { Cause, Clock, Deferred, Effect, Fiber, Logger, LogLevel, Option, Result, Scope, Stream } from "effect"
import * as Broadcast from "../../src/Broadcast.ts"
import * as ErrorCode from "../../src/ErrorCode.ts"
import * as Message from "../../src/Message.ts"
import type * as Moq from "../../src/Moq.ts"
import * as Track from "../../src/Track.ts"
import type { Version } from "../../src/Version.ts"
import { subscribing } from "./raw.ts"
import { moqOn } from "./services.ts"
import { camera } from "./world.ts"

const framesPerSecond = 5
const framesPerGroup = 5
const frameBytes = 1_000
/** Longer than a burst of requests and `Limits.overloadMs` behind it. */
const filmMs = 24_000
/** Longer than every deadline of a session. */
const settleMs = 15_000
const link = { latencyMs: 20, jitterMs: 10, loss: 0.01 }

/** What of the victim grows with what it is asked for. */
export interface Load {
  readonly actors: number
  readonly children: number
  readonly timers: number
  readonly depth: number
  readonly pendingAsks: number
  /** Readers of the film and of a hundred cameras. */
  readonly consumers: number
}

export interface Observation {
  /** Of every frame that every honest subscriber got, in milliseconds, in order of size. */
  readonly latencies: ReadonlyArray<number>
  /** Frames that they should have got and did not. */
  readonly lost: number
  /** What the victim's log calls an error, and its actors that crashed. */
  readonly defects: ReadonlyArray<string>
  /** Events that the victim's actors handled. */
  readonly handled: number
  readonly before: Load
  readonly after: Load
  /** The largest that were seen. */
  readonly peak: Load
  /** How the victim ended the abuser's connection, if it did. */
  readonly close: Close | undefined
}

export interface Abuser {
  readonly connection: Connection
  readonly version: Version
  /** The same with one more connection, which belongs to the Scope. */
  readonly again: Effect.Effect<Abuser, never, Scope.Scope>
  /** A new bidirectional stream that begins with these bytes. */
  readonly bi: (...bytes: ReadonlyArray<Uint8Array>) => Effect.Effect<BiStream, ConnectionLost>
  readonly uni: (...bytes: ReadonlyArray<Uint8Array>) => Effect.Effect<SendStream, ConnectionLost>
  /** The beginning of a Subscribe stream. */
  readonly subscribe: (id: number, broadcast?: string, track?: string) => Uint8Array
  /** The next group that the victim sends. */
  readonly group: Effect.Effect<RecvStream, ConnectionLost>
  /** The victim's Announce stream to us, once it is there. */
  readonly announcing: Effect.Effect<BiStream, ConnectionLost>
  readonly announcement: (suffix: string, active: boolean) => Uint8Array
  /** Makes the victim watch a track of ours: its Subscribe stream, and the beginning of a group's stream for it. */
  readonly watched: Effect.Effect<
    { readonly stream: BiStream; readonly header: (sequence: number) => Uint8Array },
    ConnectionLost
  >
  /** What the victim's reader of that track saw. */
  readonly seen: Array<string>
}

/** Comes to its end before the film does. Whoever is thrown out meanwhile has lost the connection. */
export type Attack = (abuser: Abuser) => Effect.Effect<void, ConnectionLost | StreamError, Scope.Scope>

export interface Options {
  readonly seed: number
  readonly version: Version
  readonly attack?: Attack
  /** On 05 the victim is told who it has to do with, unless that is the attack. */
  readonly greet?: boolean
}

/** Runs the film, with somebody who attacks or without. */
export const observe = (options: Options): Effect.Effect<Observation, Simulation.Stuck> =>
  Simulation.run(Effect.scoped(Effect.provide(scene(options), networkLayer({ link }))), { seed: options.seed })

export const p95 = ({ latencies }: Observation): number => latencies[Math.floor(latencies.length * 0.95)] ?? Infinity

/** How the victim ended its half of a stream; what it said before does not count. */
export const endOf = (recv: RecvStream): Effect.Effect<string> =>
  recv.read.pipe(
    Effect.repeat({ until: (chunk) => chunk === End }),
    Effect.match({ onSuccess: () => "FIN", onFailure: ({ reason }) => outcome(reason) })
  )

/** How the victim stopped a stream of ours. */
export const stopOf = (send: SendStream): Effect.Effect<string> =>
  Effect.match(send.stopped, {
    onSuccess: (code) => `STOP ${ErrorCode.fromStream(code)}`,
    onFailure: ({ reason }) => outcome(reason)
  })

const outcome = (reason: StreamError["reason"]): string =>
  reason._tag === "PeerReset" || reason._tag === "PeerStopped"
    ? `RESET ${ErrorCode.fromStream(reason.code)}`
    : reason._tag

const scene = (options: Options) =>
  Effect.gen(function* () {
    const network = yield* SimNetwork
    const defects: Array<string> = []
    const logged = Logger.make(({ cause, logLevel, message }) => {
      if (LogLevel.isGreaterThanOrEqualTo(logLevel, "Error")) defects.push(`${String(message)} ${Cause.pretty(cause)}`)
    })
    const actors = new Set<Actor<never>>()
    let handledBefore = 0
    const count: Watcher = (actor) => {
      actors.add(actor)
      return {
        ended: (reason) => {
          actors.delete(actor)
          if (reason === "crashed") defects.push(`${actor.name} crashed`)
          handledBefore += actor.inspect().handled
        }
      }
    }
    const victim = yield* moqOn("victim").pipe(
      Effect.provideService(Watchers, [...(yield* Watchers), count]),
      Effect.provideService(Logger.CurrentLoggers, new Set([logged]))
    )
    const { broadcast, video } = camera()
    yield* Effect.orDie(victim.publish("film", broadcast))
    const wide = Broadcast.make()
    const cameras = Array.from({ length: 100 }, (_, n) => Track.make(`camera/${n}`))
    for (const track of cameras) wide.insertTrack(track)
    yield* Effect.orDie(victim.publish("wide", wide))

    const latencies: Array<number> = []
    const viewers = yield* Effect.forEach(["ada", "bob", "eve"], (name) =>
      Effect.gen(function* () {
        const peer = yield* (yield* moqOn(name)).connect(network.addr("victim"))
        const track = yield* peer.consume("film").subscribe("video")
        return yield* Effect.forkScoped(watch(track, latencies))
      }).pipe(Effect.orDie)
    )
    yield* Effect.sleep(1_000)

    const load = (): Load => {
      const consumers = cameras.reduce((sum, camera) => sum + camera.consumers, video.consumers)
      const sum = { actors: actors.size, children: 0, timers: 0, depth: 0, pendingAsks: 0, consumers }
      for (const actor of actors) {
        const { children, depth, pendingAsks, timers } = actor.inspect()
        sum.children += children
        sum.timers += timers
        sum.depth += depth
        sum.pendingAsks += pendingAsks
      }
      return sum
    }
    const before = load()
    let peak = before
    const attacking = yield* Effect.forkScoped(abuse(network, victim, options))
    let frames = 0
    for (const endMs = (yield* Clock.currentTimeMillis) + filmMs; (yield* Clock.currentTimeMillis) < endMs;) {
      const group = video.appendGroup()
      for (const camera of cameras) {
        const picture = camera.appendGroup()
        picture.write(frameAt(0))
        picture.finish()
      }
      for (let index = 0; index < framesPerGroup; index++) {
        group.write(frameAt(yield* Clock.currentTimeMillis))
        frames += viewers.length
        peak = most(peak, load())
        yield* Effect.sleep(1_000 / framesPerSecond)
      }
      group.finish()
    }
    const close = yield* Fiber.join(attacking)
    yield* Effect.sleep(settleMs)
    const after = load()
    const handled = [...actors].reduce((sum, actor) => sum + actor.inspect().handled, handledBefore)
    broadcast.finish()
    wide.finish()
    yield* Fiber.joinAll(viewers)
    return {
      latencies: latencies.toSorted((a, b) => a - b),
      lost: frames - latencies.length,
      defects,
      handled,
      before,
      after,
      peak,
      close
    }
  })

const most = (a: Load, b: Load): Load => ({
  actors: Math.max(a.actors, b.actors),
  children: Math.max(a.children, b.children),
  timers: Math.max(a.timers, b.timers),
  depth: Math.max(a.depth, b.depth),
  pendingAsks: Math.max(a.pendingAsks, b.pendingAsks),
  consumers: Math.max(a.consumers, b.consumers)
})

const frameAt = (nowMs: number): Uint8Array => {
  const frame = new Uint8Array(frameBytes)
  new DataView(frame.buffer).setFloat64(0, nowMs)
  return frame
}

/** Reads a track to its end. */
const watch = (track: Track.TrackConsumer, latencies: Array<number>) =>
  Effect.gen(function* () {
    for (;;) {
      const group = yield* track.next
      if (group === End) return
      if ("_tag" in group) continue // counted as lost
      for (let frame = yield* group.read; frame !== End; frame = yield* group.read) {
        const sentMs = new DataView(frame.buffer, frame.byteOffset).getFloat64(0)
        latencies.push((yield* Clock.currentTimeMillis) - sentMs)
      }
    }
  }).pipe(Effect.ignore)

/** Attacks, and says how the victim ended the connection, if it did. */
const abuse = (network: SimNetwork["Service"], victim: Moq.Moq["Service"], options: Options) =>
  Effect.gen(function* () {
    const { attack } = options
    if (attack === undefined) return undefined
    const outside = yield* Scope.Scope
    return yield* Effect.scoped(
      Effect.gen(function* () {
        let close: Close | undefined
        const endpoint = yield* network.bind("abuser")
        yield* Effect.sleep(500)
        const dial = Effect.orDie(endpoint.connect(network.addr("victim"), [options.version.alpn]))
        const again: Abuser["again"] = Effect.flatMap(dial, (connection) =>
          abuserOn({ connection, again, ourId: endpoint.id, victim, options, outside })
        )
        const abuser = yield* again
        const { connection } = abuser
        yield* Effect.forkScoped(Effect.map(connection.closed, (ended) => void (close = ended)))
        const ended = yield* Effect.timeoutOption(
          Effect.raceFirst(Effect.ignore(attack(abuser)), connection.closed),
          filmMs - 1_000
        )
        if (Option.isNone(ended)) return yield* Effect.die(new Error("the attack did not come to its end"))
        yield* Effect.sleep(1)
        return close
      })
    )
  })

const abuserOn = (made: {
  readonly connection: Connection
  readonly again: Abuser["again"]
  readonly ourId: EndpointId
  readonly victim: Moq.Moq["Service"]
  readonly options: Options
  readonly outside: Scope.Scope
}): Effect.Effect<Abuser, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { again, connection, ourId, outside, victim } = made
    const { greet = true, version } = made.options
    const bi: Abuser["bi"] = (...bytes) => Effect.tap(connection.openBi, ({ send }) => Effect.ignore(send.write(bytes)))
    const uni: Abuser["uni"] = (...bytes) => Effect.tap(connection.openUni, (send) => Effect.ignore(send.write(bytes)))
    if (version.setup && greet) {
      const hello = yield* Effect.orDie(uni(Message.encodeTyped(Message.StreamType.setup, Message.setup, { probe: 0 })))
      hello.finish()
    }
    const announces = yield* Deferred.make<BiStream, ConnectionLost>()
    const subscribes = yield* Deferred.make<readonly [BiStream, Uint8Array], ConnectionLost>()
    const answer = (stream: BiStream) =>
      Effect.gen(function* () {
        const first = yield* stream.recv.read
        if (first === End) return
        switch (first[0]) {
          case Message.StreamType.announce:
            if (version.announceOk) yield* stream.send.write(Message.encode(Message.announceOk, { hop: 7, active: 0 }))
            yield* Deferred.succeed(announces, stream)
            return
          case Message.StreamType.track:
            yield* stream.send.write(
              Message.encode(Message.trackInfo, { priority: 0, ordered: false, maxLatencyMs: 0, timescale: 1_000 })
            )
            stream.send.finish()
            return
          case Message.StreamType.subscribe:
            yield* Deferred.succeed(subscribes, [stream, first])
        }
      }).pipe(Effect.ignore)
    yield* connection.acceptBi.pipe(
      Effect.flatMap((stream) => Effect.forkScoped(answer(stream))),
      Effect.forever,
      Effect.catch((lost) => Effect.andThen(Deferred.fail(announces, lost), Deferred.fail(subscribes, lost))),
      Effect.forkScoped
    )
    const group: Abuser["group"] = Effect.gen(function* () {
      for (;;) {
        const recv = yield* connection.acceptUni
        const first = yield* Effect.result(recv.read)
        if (Result.isSuccess(first) && first.success !== End && first.success[0] === Message.StreamType.group)
          return recv
      }
    })
    const seen: Array<string> = []
    const abuser: Abuser = {
      connection,
      version,
      again,
      bi,
      uni,
      subscribe: (id, broadcast = "film", track = "video") => subscribing(version, id, broadcast, track),
      group,
      announcing: Deferred.await(announces),
      announcement: (suffix, active) =>
        Message.encode(version.announceBroadcast, { active, suffix, hops: active ? [7] : [] }),
      watched: Effect.gen(function* () {
        yield* Effect.forkIn(watchEvil(victim, ourId, seen), outside)
        const [stream, first] = yield* Deferred.await(subscribes)
        const body = first.subarray(1 + Varint.sizeFrom(first[1] ?? 0))
        const { id } = Result.getOrThrow(Message.decode(version.subscribe, body))
        if (version.subscribeOk) {
          const ok = { priority: 0, ordered: false, maxLatencyMs: 0, start: undefined, end: undefined }
          yield* Effect.ignore(stream.send.write(version.encodeResponse({ _tag: "SubscribeOk", ...ok })))
        }
        return { stream, header: (sequence: number) => Message.encodeGroupHeader({ subscribe: id, sequence }) }
      }),
      seen
    }
    return abuser
  })

/** The victim reads what the abuser publishes, and writes down what came. */
const watchEvil = (victim: Moq.Moq["Service"], id: EndpointId, seen: Array<string>) =>
  Effect.gen(function* () {
    const mine = victim.sessions.pipe(
      Stream.filter(({ remote }) => remote._tag === "Peer" && remote.id === id),
      Stream.runHead
    )
    const peer = Option.getOrThrow(yield* mine)
    const track = yield* peer.consume("evil").subscribe("track")
    seen.push("subscribed")
    for (;;) {
      const next = yield* track.next
      if (next === End) return void seen.push("finished")
      if ("_tag" in next) {
        seen.push(`lagged ${next.groups}`)
        continue
      }
      yield* Effect.forkScoped(
        Effect.gen(function* () {
          let [frames, bytes] = [0, 0]
          for (let frame = yield* next.read; frame !== End; frame = yield* next.read) {
            frames++
            bytes += frame.length
          }
          seen.push(`${next.sequence}: ${frames} frames, ${bytes} bytes`)
        }).pipe(Effect.catch(({ code }) => Effect.sync(() => seen.push(`${next.sequence}: lost ${code}`))))
      )
    }
  }).pipe(
    Effect.scoped,
    Effect.catch((error) => Effect.sync(() => seen.push(`${error._tag}: ${error.message}`)))
  )
