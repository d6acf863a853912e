/** A session that loses its connection and goes on with another one. */
import type { Connection } from "@effect-live/endpoint/Connection"
import { layer, run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Scope, Stream } from "effect"
import type * as Broadcast from "../src/Broadcast.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as closes from "../src/internal/closes.ts"
import * as Limits from "../src/Limits.ts"
import * as Origin from "../src/Origin.ts"
import type * as Session from "../src/Session.ts"
import type * as Track from "../src/Track.ts"
import * as Version from "../src/Version.ts"
import { allOf, bytes, camera, framesOf, groupOf, sessionOn, text, write } from "./support/world.ts"

/** A publisher that serves whoever connects, and a subscriber whose session survives its connections. */
interface World {
  readonly origin: Origin.Origin
  readonly broadcast: Broadcast.BroadcastProducer
  readonly video: Track.TrackProducer
  readonly session: Session.Session
  /** A connection that the publisher serves as this hop. */
  readonly connect: (hop?: number, origin?: Origin.Origin) => Effect.Effect<Connection, never, Scope.Scope>
  /** The present connection ends in a way that does not end the session. */
  readonly lose: Effect.Effect<void>
  /** ... and another one takes its place. */
  readonly reconnect: (hop?: number, origin?: Origin.Origin) => Effect.Effect<void, never, Scope.Scope>
}

const world = (version: Version.Version): Effect.Effect<World, never, SimNetwork | Scope.Scope> =>
  Effect.gen(function* () {
    const network = yield* SimNetwork
    const a = yield* network.bind("a")
    const b = yield* network.bind("b")
    yield* a.setAlpns([version.alpn])
    const origin = Origin.make()
    const { broadcast, video } = camera({ priority: 9, retention: { ageMs: 120_000 } })
    origin.publish("ada", broadcast.consume())
    const connect = (hop = 7, publish = origin) =>
      Effect.gen(function* () {
        const [connection, accepted] = yield* Effect.all([b.connect(network.addr("a"), [version.alpn]), a.accept], {
          concurrency: 2
        })
        yield* sessionOn(accepted, { hop, publish })
        return connection
      }).pipe(Effect.orDie)
    const { session } = yield* sessionOn(yield* connect(), { resumable: true })
    const lose = Effect.andThen(
      Effect.sync(() => session.connection().close(closes.duplicate.code, closes.duplicate.reason)),
      session.detached
    )
    const reconnect = (hop?: number, publish?: Origin.Origin) =>
      Effect.flatMap(connect(hop, publish), (connection) => session.attach(connection, version))
    return { origin, broadcast, video, session, connect, lose, reconnect }
  })

const resumes = (version: Version.Version): void => {
  it.effect("a track goes on: no frame twice, none out of order, none lost of what the publisher keeps", () =>
    run(
      Effect.gen(function* () {
        const { lose, reconnect, session, video } = yield* world(version)
        const track = yield* session.consume("ada").subscribe("video")
        const group = video.appendGroup()
        group.write(bytes("key"))
        group.write(bytes("b"))
        const received = yield* groupOf(track)
        assert.strictEqual(text(yield* readFrame(received)), "key")
        assert.strictEqual(text(yield* readFrame(received)), "b")
        yield* lose
        group.write(bytes("c"))
        group.finish()
        if (version.trackInfo) write(video, "next") // where the numbers alone tell, the newest group is where it goes on
        yield* reconnect()
        assert.deepStrictEqual(yield* framesOf(received), ["c"])
        if (!version.trackInfo) write(video, "next")
        assert.deepStrictEqual(yield* framesOf(yield* groupOf(track)), ["next"])
        video.finish()
        assert.deepStrictEqual(yield* allOf(track), [])
      }),
      { seed: 1 }
    )
  )

  it.effect("its announcements stay: nobody who watches hears of the loss", () =>
    run(
      Effect.gen(function* () {
        const { lose, origin, reconnect, session } = yield* world(version)
        const heard: Array<string> = []
        yield* Stream.runForEach(session.announced(""), ({ active, path }) =>
          Effect.sync(() => heard.push(`${path} ${active}`))
        ).pipe(Effect.forkScoped)
        yield* Effect.sleep(100)
        yield* lose
        assert.deepStrictEqual(session.announcedNow(), ["ada"])
        yield* reconnect()
        yield* Effect.sleep(Limits.answerTimeoutMs + 1_000)
        origin.unpublish("ada")
        yield* Effect.sleep(100)
        assert.deepStrictEqual(heard, ["ada true", "ada false"])
      }),
      { seed: 2 }
    )
  )

  it.effect("what is not announced again ends, and its tracks with it", () =>
    run(
      Effect.gen(function* () {
        const { broadcast, lose, origin, reconnect, session } = yield* world(version)
        origin.publish("bob", broadcast.consume())
        yield* Effect.sleep(100)
        const track = yield* session.consume("ada").subscribe("video")
        yield* lose
        origin.unpublish("ada")
        yield* reconnect()
        assert.strictEqual((yield* Effect.flip(track.next)).code, ErrorCode.dropped)
        assert.deepStrictEqual(session.announcedNow(), ["bob"])
      }),
      { seed: 3 }
    )
  )

  it.effect("something else at the same path ends the track, and the broadcast begins anew", () =>
    run(
      Effect.gen(function* () {
        const { lose, reconnect, session, video } = yield* world(version)
        const heard: Array<string> = []
        yield* Stream.runForEach(session.announced(""), ({ active, path }) =>
          Effect.sync(() => heard.push(`${path} ${active}`))
        ).pipe(Effect.forkScoped)
        const track = yield* session.consume("ada").subscribe("video")
        for (let n = 0; n < 5; n++) write(video, `old ${n}`)
        yield* Effect.sleep(100)
        yield* lose
        const other = Origin.make()
        const { broadcast, video: anew } = camera()
        write(anew, "new")
        other.publish("ada", broadcast.consume())
        yield* reconnect(8, other)
        yield* Effect.sleep(100)
        assert.strictEqual((yield* Effect.flip(allOf(track))).code, ErrorCode.dropped)
        assert.deepStrictEqual(heard, ["ada true", "ada false", "ada true"])
        const again = yield* session.consume("ada").subscribe("video")
        assert.deepStrictEqual(yield* framesOf(yield* groupOf(again)), ["new"])
      }),
      { seed: 4 }
    )
  )

  it.effect("who subscribes without a connection waits for the next one", () =>
    run(
      Effect.gen(function* () {
        const { lose, reconnect, session, video } = yield* world(version)
        write(video, "frame")
        yield* lose
        const track = yield* Effect.forkScoped(session.consume("ada").subscribe("video"))
        yield* Effect.sleep(60_000)
        assert.isUndefined(track.pollUnsafe())
        yield* reconnect()
        assert.deepStrictEqual(yield* framesOf(yield* groupOf(yield* Fiber.join(track))), ["frame"])
      }),
      { seed: 5 }
    )
  )

  it.effect("a session without a connection ends when it is closed, with the loss", () =>
    run(
      Effect.gen(function* () {
        const { connect, lose, session } = yield* world(version)
        const track = yield* session.consume("ada").subscribe("video")
        yield* lose
        const waiting = yield* Effect.forkScoped(Effect.flip(session.consume("ada").subscribe("audio")))
        yield* Effect.sleep(1)
        session.close(0, "given up")
        const close = yield* session.closed
        assert.deepStrictEqual(close, { _tag: "Local", ...closes.duplicate })
        assert.strictEqual((yield* Effect.flip(track.next)).code, ErrorCode.transport)
        assert.strictEqual((yield* Fiber.join(waiting)).reason._tag, "SessionEnded")
        assert.strictEqual(yield* session.attach(yield* connect(), version), "ended")
      }),
      { seed: 6 }
    )
  )

  it.effect("an application's close is final", () =>
    run(
      Effect.gen(function* () {
        const { session } = yield* world(version)
        const track = yield* session.consume("ada").subscribe("video")
        session.connection().close(3, "enough")
        assert.deepStrictEqual(yield* session.closed, { _tag: "Local", code: 3, reason: "enough" })
        assert.strictEqual((yield* Effect.flip(track.next)).code, ErrorCode.transport)
      }),
      { seed: 7 }
    )
  )

  it.effect("its publisher moves to another connection in the middle of a group: nothing of it is lost", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const a = yield* network.bind("a")
        const b = yield* network.bind("b")
        yield* a.setAlpns([version.alpn])
        const link = Effect.orDie(
          Effect.all([b.connect(network.addr("a"), [version.alpn]), a.accept], { concurrency: 2 })
        )
        const publish = Origin.make()
        const { broadcast, video } = camera()
        publish.publish("ada", broadcast.consume())
        const [here, there] = yield* link
        const publisher = yield* sessionOn(there, { publish, hop: 7, resumable: true })
        const { session } = yield* sessionOn(here, { resumable: true })
        const track = yield* session.consume("ada").subscribe("video")
        const group = video.appendGroup()
        group.write(bytes("a"))
        const received = yield* groupOf(track)
        yield* readFrame(received)
        const [nextHere, nextThere] = yield* link
        yield* publisher.session.attach(nextThere, version)
        yield* Effect.sleep(100)
        yield* session.attach(nextHere, version)
        group.write(bytes("b"))
        group.finish()
        assert.deepStrictEqual(yield* framesOf(received), ["b"])
        assert.deepStrictEqual(session.announcedNow(), ["ada"])
      }),
      { seed: 9 }
    )
  )

  it.effect("it moves to another connection while it still has one", () =>
    run(
      Effect.gen(function* () {
        const { connect, session, video } = yield* world(version)
        const track = yield* session.consume("ada").subscribe("video")
        const group = video.appendGroup()
        group.write(bytes("a"))
        const received = yield* groupOf(track)
        yield* readFrame(received)
        const old = session.connection()
        yield* session.attach(yield* connect(), version)
        yield* Effect.sleep(100)
        assert.notStrictEqual(session.connection(), old)
        old.close(closes.duplicate.code, closes.duplicate.reason)
        group.write(bytes("b"))
        group.finish()
        assert.deepStrictEqual(yield* framesOf(received), ["b"])
        video.finish()
        assert.deepStrictEqual(yield* allOf(track), [])
      }),
      { seed: 8 }
    )
  )
}

for (const version of Version.all)
  describe(`a session of ${version.alpn} that lost its connection`, () => {
    resumes(version)
  })

describe("a session that lost its connection", () => {
  it.effect("survives silence: the network comes back and nothing is missing", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const { reconnect, session, video } = yield* world(Version.lite05)
        const track = yield* session.consume("ada").subscribe("video")
        const all = yield* Effect.forkScoped(allOf(track))
        for (let n = 0; n < 10; n++) {
          write(video, `key${n}`, "delta")
          yield* Effect.sleep(100)
        }
        network.partition([["a"], ["b"]])
        for (let n = 10; n < 20; n++) {
          write(video, `key${n}`, "delta")
          yield* Effect.sleep(100)
        }
        assert.strictEqual((yield* session.detached)._tag, "IdleTimeout")
        network.heal()
        yield* reconnect()
        for (let n = 20; n < 30; n++) write(video, `key${n}`, "delta")
        video.finish()
        assert.deepStrictEqual(
          (yield* Fiber.join(all)).toSorted((x, y) => Number.parseInt(x) - Number.parseInt(y)),
          Array.from({ length: 30 }, (_, n) => `${n}:key${n},delta`)
        )
      }),
      { seed: 9 }
    )
  )

  it.effect("waits for the groups that were cut, and gives them up when they do not come", () =>
    run(
      Effect.gen(function* () {
        const { lose, reconnect, session, video } = yield* world(Version.lite03)
        const track = yield* session.consume("ada").subscribe("video")
        const group = video.appendGroup()
        group.write(bytes("key"))
        const received = yield* groupOf(track)
        yield* readFrame(received)
        yield* lose
        group.finish()
        write(video, "next")
        yield* reconnect()
        assert.deepStrictEqual(yield* framesOf(yield* groupOf(track)), ["next"])
        assert.strictEqual((yield* Effect.flip(received.read)).code, ErrorCode.dropped)
      }),
      { seed: 10 }
    )
  )

  it.effect("of another version begins anew", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const a = yield* network.bind("c")
        const { lose, origin, session, video } = yield* world(Version.lite05)
        yield* a.setAlpns(["moq-lite-03"])
        const track = yield* session.consume("ada").subscribe("video")
        write(video, "old")
        yield* groupOf(track)
        yield* lose
        const b = yield* network.bind("d")
        const [connection, accepted] = yield* Effect.all(
          [Effect.orDie(b.connect(network.addr("c"), ["moq-lite-03"])), Effect.orDie(a.accept)],
          { concurrency: 2 }
        )
        yield* sessionOn(accepted, { hop: 7, publish: origin })
        yield* session.attach(connection, Version.lite03)
        assert.strictEqual((yield* Effect.flip(track.next)).code, ErrorCode.dropped)
        const again = yield* session.consume("ada").subscribe("video")
        assert.deepStrictEqual(yield* framesOf(yield* groupOf(again)), ["old"])
        assert.strictEqual(session.version, "moq-lite-03")
      }),
      { seed: 11 }
    )
  )
})

const readFrame = (group: Parameters<typeof framesOf>[0]) =>
  Effect.flatMap(Effect.orDie(group.read), (frame) =>
    frame instanceof Uint8Array ? Effect.succeed(frame) : Effect.die(new Error("the group ended"))
  )

/** Connections come and go while a track runs; some of them are lost in the middle of an attach. */
const flapping = Effect.gen(function* () {
  const { connect, lose, session, video } = yield* world(Version.lite05)
  const track = yield* session.consume("ada").subscribe("video")
  const all = yield* Effect.forkScoped(allOf(track))
  const film = Effect.gen(function* () {
    for (let n = 0; n < 12; n++) {
      const group = video.appendGroup()
      group.write(bytes("key"))
      yield* Effect.sleep(3)
      group.write(bytes("delta"))
      group.finish()
    }
  })
  const flap = Effect.gen(function* () {
    for (let n = 0; n < 3; n++) {
      yield* Effect.sleep(8)
      yield* lose
      yield* session.attach(yield* connect(), Version.lite05)
    }
  })
  yield* Effect.all([film, flap], { concurrency: 2 })
  video.finish()
  assert.deepStrictEqual(
    (yield* Fiber.join(all)).toSorted((x, y) => Number.parseInt(x) - Number.parseInt(y)),
    Array.from({ length: 12 }, (_, n) => `${n}:key,delta`)
  )
})

describe("under the race finder", () => {
  it.effect(
    "connections that come and go lose nothing in 1,000 seeds",
    () => Simulation.clean(Effect.scoped(Effect.provide(flapping, layer())), { seeds: 1_000 }),
    120_000
  )
})
