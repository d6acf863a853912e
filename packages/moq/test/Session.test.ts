import { layer, run } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import * as Broadcast from "../src/Broadcast.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Limits from "../src/Limits.ts"
import * as Track from "../src/Track.ts"
import * as Version from "../src/Version.ts"
import { say, settle } from "./support/raw.ts"
import { allOf, bytes, camera, connectedOn, framesOf, groupOf, sessionOn, sessionsOn, write } from "./support/world.ts"

/** Node `a` publishes a camera as `ada`. */
const filmedOn = (version: Version.Version) =>
  Effect.map(sessionsOn(version), ([a, b]) => {
    const filmed = camera({ priority: 9 })
    a.origin.publish("ada", filmed.broadcast.consume())
    return { a, b, ...filmed, ada: b.session.consume("ada") }
  })

const everyVersion = (version: Version.Version) => {
  const sessions = sessionsOn(version)
  const filmed = filmedOn(version)
  it.effect("tells what is announced, before and after it was opened, and what ends", () =>
    run(
      Effect.gen(function* () {
        const [a, b] = yield* sessions
        const { broadcast } = camera()
        a.origin.publish("room/ada", broadcast.consume())
        const seen = yield* b.session.announced("room").pipe(Stream.take(3), Stream.runCollect, Effect.forkScoped)
        yield* Effect.sleep(100)
        assert.deepStrictEqual(b.session.announcedNow(), ["room/ada"])
        a.origin.publish("room/bob", broadcast.consume())
        yield* Effect.sleep(100)
        a.origin.unpublish("room/ada")
        const hops = [version.hops === "count" ? 0 : 1]
        assert.deepStrictEqual(yield* Fiber.join(seen), [
          { path: "room/ada", active: true, hops },
          { path: "room/bob", active: true, hops },
          { path: "room/ada", active: false, hops: [] }
        ])
      }),
      { seed: 1 }
    )
  )

  it.effect("delivers every frame of a track in order, and its end", () =>
    run(
      Effect.gen(function* () {
        const { ada, video } = yield* filmed
        const track = yield* ada.subscribe("video")
        const all = yield* Effect.forkScoped(allOf(track))
        for (let n = 0; n < 20; n++) write(video, `key${n}`, "delta", "x".repeat(70_000 * (n % 3)))
        video.finish()
        const groups = yield* Fiber.join(all)
        assert.strictEqual(groups.length, 20)
        assert.deepStrictEqual(
          groups
            .map((group) =>
              group
                .split(",")
                .map((frame) => (frame.length > 20 ? frame.length : frame))
                .join()
            )
            .toSorted(),
          Array.from({ length: 20 }, (_, n) =>
            [`${n}:key${n}`, "delta", n % 3 === 0 ? "" : 70_000 * (n % 3)].join()
          ).toSorted()
        )
      }),
      { seed: 2 }
    )
  )

  it.effect("carries both directions at once", () =>
    run(
      Effect.gen(function* () {
        const ends = yield* sessions
        const read = (from: number, to: number) =>
          Effect.gen(function* () {
            const { broadcast, video } = camera()
            ends[from]?.origin.publish("camera", broadcast.consume())
            const track = yield* ends[to]?.session.consume("camera").subscribe("video") ?? Effect.die("no node")
            write(video, `from ${from}`)
            return yield* framesOf(yield* groupOf(track))
          })
        assert.deepStrictEqual(yield* Effect.all([read(0, 1), read(1, 0)], { concurrency: 2 }), [
          ["from 0"],
          ["from 1"]
        ])
      }),
      { seed: 3 }
    )
  )

  it.effect("lets a late subscriber begin with the newest group, from its first frame", () =>
    run(
      Effect.gen(function* () {
        const { ada, video } = yield* filmed
        write(video, "old")
        const open = video.appendGroup()
        open.write(bytes("key"))
        const track = yield* ada.subscribe("video")
        const group = yield* groupOf(track)
        assert.strictEqual(group.sequence, 1)
        open.write(bytes("delta"))
        open.finish()
        assert.deepStrictEqual(yield* framesOf(group), ["key", "delta"])
      }),
      { seed: 4 }
    )
  )

  it.effect("lets a subscriber begin at a group that is still kept", () =>
    run(
      Effect.gen(function* () {
        const { ada, video } = yield* filmed
        for (let n = 0; n < 5; n++) write(video, `g${n}`)
        video.finish()
        const track = yield* ada.subscribe("video", { start: 2 })
        assert.deepStrictEqual((yield* allOf(track)).toSorted(), ["2:g2", "3:g3", "4:g4"])
      }),
      { seed: 5 }
    )
  )

  it.effect("says that a broadcast or a track is not there", () =>
    run(
      Effect.gen(function* () {
        const { ada, b } = yield* filmed
        const noTrack = yield* Effect.flip(ada.subscribe("audio"))
        const noBroadcast = yield* Effect.flip(b.session.consume("bob").subscribe("video"))
        assert.strictEqual(noTrack.reason._tag, "NotFound")
        assert.strictEqual(noBroadcast.reason._tag, "NotFound")
      }),
      { seed: 6 }
    )
  )

  it.effect("shares one subscription among the consumers of a track, and cancels it when the last one leaves", () =>
    run(
      Effect.gen(function* () {
        const { ada, video } = yield* filmed
        const watch = Effect.scoped(
          Effect.gen(function* () {
            const track = yield* ada.subscribe("video")
            const group = yield* framesOf(yield* groupOf(track))
            yield* Effect.sleep(1_000)
            return group
          })
        )
        const watchers = yield* Effect.forkScoped(
          Effect.all(
            Array.from({ length: 10 }, () => watch),
            { concurrency: "unbounded" }
          )
        )
        yield* video.used
        assert.strictEqual(video.consumers, 1)
        write(video, "frame")
        yield* Effect.sleep(500)
        assert.strictEqual(video.consumers, 1)
        assert.deepStrictEqual(
          yield* Fiber.join(watchers),
          Array.from({ length: 10 }, () => ["frame"])
        )
        yield* video.unused
        const again = yield* ada.subscribe("video")
        assert.deepStrictEqual(yield* framesOf(yield* groupOf(again)), ["frame"])
      }),
      { seed: 7 }
    )
  )

  it.effect("passes on the code of a track that was aborted, and of a group", () =>
    run(
      Effect.gen(function* () {
        const { ada, video } = yield* filmed
        const track = yield* ada.subscribe("video")
        const group = video.appendGroup()
        group.write(bytes("key"))
        const received = yield* groupOf(track)
        yield* received.read
        group.abort(ErrorCode.application(7))
        assert.strictEqual((yield* Effect.flip(received.read)).code, ErrorCode.application(7))
        video.abort(ErrorCode.dropped)
        assert.strictEqual((yield* Effect.flip(track.next)).code, ErrorCode.dropped)
      }),
      { seed: 8 }
    )
  )

  it.effect("ends everything with the connection, and says how it ended", () =>
    run(
      Effect.gen(function* () {
        const { a, ada, b } = yield* filmed
        const track = yield* ada.subscribe("video")
        a.session.close(42, "enough")
        assert.deepStrictEqual(yield* b.session.closed, { _tag: "Remote", code: 42, reason: "enough" })
        assert.strictEqual((yield* Effect.flip(track.next)).code, ErrorCode.transport)
        assert.strictEqual((yield* Effect.flip(ada.subscribe("video"))).reason._tag, "SessionEnded")
        yield* ada.closed
        assert.deepStrictEqual(yield* Stream.runCollect(b.session.announced("")), [])
      }),
      { seed: 9 }
    )
  )

  it.effect("lets a publisher leave as soon as its track is unused: the subscriber has everything, and its end", () =>
    run(leaving(version), { seed: 14 })
  )

  it.effect("gives a publisher that never answers ten seconds", () =>
    run(
      Effect.gen(function* () {
        const [silent, connection] = yield* connectedOn(version)
        const { session } = yield* sessionOn(connection)
        const error = yield* Effect.flip(session.consume("ada").subscribe("video"))
        assert.deepStrictEqual(error.reason, new Broadcast.NoAnswer({ timeoutMs: Limits.answerTimeoutMs }))
        assert.strictEqual(silent.alpn, version.alpn)
      }),
      { seed: 10 }
    )
  )

  it.effect("cuts the reason of a close to closeReasonBytes, never inside a character", () =>
    run(
      Effect.gen(function* () {
        const [a, b] = yield* sessions
        a.session.close(1, `x${"ü".repeat(Limits.closeReasonBytes)}`)
        const close = yield* b.session.closed
        assert.strictEqual(close._tag === "Remote" && close.reason, `x${"ü".repeat((Limits.closeReasonBytes - 2) / 2)}`)
      }),
      { seed: 13 }
    )
  )

  it.effect("ends with its Scope: whoever waits hears so", () =>
    run(
      Effect.gen(function* () {
        const [connection, other] = yield* connectedOn(version)
        const b = yield* sessionOn(other)
        const { broadcast, video } = camera()
        b.origin.publish("ada", broadcast.consume())
        const scope = yield* Scope.make()
        const a = yield* Scope.provide(sessionOn(connection), scope)
        const consumer = a.session.consume("ada")
        const track = yield* consumer.subscribe("video")
        const waiting = yield* Effect.forkScoped(Effect.flip(track.next))
        const closed = yield* Effect.forkScoped(consumer.closed)
        yield* video.used
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* Fiber.join(waiting)).code, ErrorCode.transport)
        yield* Fiber.join(closed)
        assert.strictEqual((yield* Effect.flip(consumer.subscribe("video"))).reason._tag, "SessionEnded")
      }),
      { seed: 11 }
    )
  )

  it.effect("sends the more important track first, and of a track its newer group", () =>
    run(
      Effect.gen(function* () {
        const { ada, broadcast, video } = yield* filmed
        const audio = Track.make("audio")
        broadcast.insertTrack(audio)
        const tracks = [yield* ada.subscribe("video", { priority: 1 }), yield* ada.subscribe("audio", { priority: 2 })]
        const arrived: Array<string> = []
        const watching = yield* Effect.forEach(tracks, (track) =>
          Effect.forkScoped(
            Effect.forEach([1, 2], () =>
              Effect.flatMap(groupOf(track), (group) =>
                Effect.forkScoped(
                  Effect.andThen(
                    framesOf(group),
                    Effect.sync(() => arrived.push(`${track.name} ${group.sequence}`))
                  )
                )
              )
            )
          )
        )
        const large = "x".repeat(400_000)
        write(video, large)
        yield* Effect.sleep(200)
        write(video, large)
        yield* Effect.sleep(200)
        write(audio, large)
        write(audio, large)
        const fibers = yield* Effect.forEach(watching, Fiber.join)
        yield* Effect.forEach(fibers.flat(), Fiber.join)
        assert.deepStrictEqual(arrived, ["audio 1", "audio 0", "video 1", "video 0"])
      }),
      { seed: 12, link: { bytesPerSecond: 100_000 } }
    )
  )
}

for (const version of Version.all)
  describe(`a session of ${version.alpn}`, () => {
    everyVersion(version)
  })

describe("a session of moq-lite-03 alone", () => {
  it.effect("does not call a track complete whose publisher left in the middle of a group", () =>
    run(
      Effect.gen(function* () {
        const [publisher, connection] = yield* connectedOn(Version.lite03)
        const { session } = yield* sessionOn(connection)
        yield* publisher.acceptBi // the session asks what is announced
        const subscribing = yield* Effect.forkScoped(session.consume("ada").subscribe("video"))
        const stream = yield* publisher.acceptBi
        yield* say(stream, "00 05 00 00 00 00 00")
        const track = yield* Fiber.join(subscribing)
        const group = yield* publisher.openUni
        yield* say(group, "00 02 00 00 01 61")
        stream.send.finish()
        const received = yield* groupOf(track)
        yield* received.read
        yield* settle
        publisher.close(0, "gone")
        assert.strictEqual((yield* Effect.flip(received.read)).code, ErrorCode.transport)
        assert.strictEqual((yield* Effect.flip(track.next)).code, ErrorCode.transport)
      }),
      { seed: 15 }
    )
  )
})

/** A publisher closes the session when its last subscriber has the end; one reader keeps up, one begins long after that. */
const leaving = (version: Version.Version) =>
  Effect.gen(function* () {
    const { a, ada, b, video } = yield* filmedOn(version)
    const [prompt, late] = [yield* ada.subscribe("video"), yield* ada.subscribe("video", { start: 0 })]
    const reading = yield* Effect.forkScoped(allOf(prompt))
    for (let n = 0; n < 3; n++) write(video, `key${n}`, "delta")
    video.finish()
    yield* video.unused
    a.session.close(0, "that was all")
    yield* b.session.closed
    const everything = ["0:key0,delta", "1:key1,delta", "2:key2,delta"]
    assert.deepStrictEqual((yield* Fiber.join(reading)).toSorted(), everything)
    yield* settle
    assert.deepStrictEqual((yield* allOf(late)).toSorted(), everything)
  })

/** Subscribing, leaving, ending and aborting at once, on one session. */
const turmoil = (version: Version.Version) =>
  Effect.gen(function* () {
    const { ada, broadcast, video } = yield* filmedOn(version)
    const audio = Track.make("audio")
    broadcast.insertTrack(audio)
    const brief = Effect.scoped(ada.subscribe("video"))
    const first = Effect.scoped(
      Effect.gen(function* () {
        const track = yield* ada.subscribe("video")
        return yield* framesOf(yield* groupOf(track))
      })
    )
    const whole = Effect.scoped(Effect.flatMap(ada.subscribe("audio"), allOf))
    const filming = Effect.gen(function* () {
      yield* Effect.all([video.used, audio.used])
      write(video, "frame")
      write(audio, "a")
      write(audio, "b")
      audio.finish()
    })
    const interrupted = Effect.timeoutOption(first, 1)
    const results = yield* Effect.all([brief, first, whole, interrupted, filming, first, brief, whole], {
      concurrency: "unbounded"
    })
    assert.deepStrictEqual([results[1], results[5]], [["frame"], ["frame"]])
    assert.deepStrictEqual(
      [results[2], results[7]].map((groups) => groups.toSorted()),
      [
        ["0:a", "1:b"],
        ["0:a", "1:b"]
      ]
    )
    yield* Effect.all([video.unused, audio.unused])
  })

for (const version of Version.all) {
  describe(`${version.alpn} under the race finder`, () => {
    it.effect(
      "subscribing and leaving at once has no race in 1,000 seeds",
      () => Simulation.clean(Effect.scoped(Effect.provide(turmoil(version), layer())), { seeds: 1_000 }),
      120_000
    )

    it.effect(
      "leaving as soon as a track is unused has no race in 1,000 seeds",
      () => Simulation.clean(Effect.scoped(Effect.provide(leaving(version), layer())), { seeds: 1_000 }),
      120_000
    )
  })
}
