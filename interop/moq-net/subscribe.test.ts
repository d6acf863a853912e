/** @moq/net publishes, we subscribe. */
import { End } from "@effect-live/endpoint/Stream"
import * as Version from "@effect-live/moq/Version"
import { assert, describe, it } from "@effect/vitest"
import * as Net from "@moq/net"
import { Effect, Fiber, Option, Result, Stream } from "effect"
import {
  alice,
  cameraOfTheirs,
  frame,
  nextOurs,
  oddFrames,
  readOurs,
  type Scene,
  scene,
  textsOf,
  writeTheirs
} from "./scene.ts"

/** Announcements as they come; a reader that takes so many. */
const announced = ({ session }: Scene, prefix: string, count: number) =>
  Effect.map(Stream.runCollect(Stream.take(session.announced(prefix), count)), (all) =>
    all.map(({ active, path }) => `${active ? "+" : "-"}${path}`)
  )

describe.each(Version.all)("@moq/net's publisher to our subscriber, $alpn:", (version) => {
  it.live("announce: what is there, what comes, what goes", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { broadcast } = cameraOfTheirs(it)
        assert.deepStrictEqual(yield* announced(it, "", 1), ["+room/alice"])
        cameraOfTheirs(it, "hall/bob")
        assert.deepStrictEqual(yield* announced(it, "hall", 1), ["+hall/bob"])
        assert.sameMembers([...it.session.announcedNow()], [alice, "hall/bob"])
        const changes = yield* Effect.forkScoped(announced(it, "room", 2))
        broadcast.close()
        assert.deepStrictEqual(yield* Fiber.join(changes), ["+room/alice", "-room/alice"])
      })
    )
  )

  it.live("late join: begins with the newest group, from its first frame, and follows it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfTheirs(it)
        writeTheirs(track, "old")
        writeTheirs(track, "older")
        const group = track.appendGroup()
        group.writeFrame(frame("key", 2_000))
        yield* announced(it, "", 1)
        const video = yield* it.session.consume(alice).subscribe("video")
        const received = yield* nextOurs(video)
        assert.strictEqual(received.sequence, 2)
        group.writeFrame(frame("delta", 2_040))
        group.close()
        assert.deepStrictEqual(textsOf(yield* readOurs(received)), ["key", "delta"])
        writeTheirs(track, "key 2")
        const following = yield* nextOurs(video)
        assert.strictEqual(following.sequence, 3)
        assert.deepStrictEqual(textsOf(yield* readOurs(following)), ["key 2"])
      })
    )
  )

  it.live("frames: exact, with their timestamps where the version has them", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfTheirs(it, alice, {
          timescale: Net.Time.Timescale(90_000),
          priority: 7,
          latencyMax: 2_000
        })
        const video = yield* it.session.consume(alice).subscribe("video", { priority: 3 })
        const group = track.appendGroup()
        for (const { text, timestamp } of oddFrames) group.writeFrame(frame(text, timestamp, 90_000))
        group.close()
        const received = yield* readOurs(yield* nextOurs(video))
        assert.deepStrictEqual(textsOf(received), textsOf(oddFrames))
        const times = oddFrames.map(({ timestamp }) => (version.timestamps ? timestamp : undefined))
        assert.deepStrictEqual(
          received.map(({ timestamp }) => timestamp),
          times
        )
        if (!version.trackInfo) return
        assert.deepStrictEqual(video.info, { priority: 7, ordered: false, maxLatencyMs: 2_000, timescale: 90_000 })
      })
    )
  )

  it.live("unpublish and republish: the end, then the new one with new content", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const first = cameraOfTheirs(it)
        yield* announced(it, "", 1)
        const ended = yield* Effect.forkScoped(it.session.consume(alice).closed)
        const gone = yield* Effect.forkScoped(announced(it, "", 2))
        first.broadcast.close()
        assert.deepStrictEqual(yield* Fiber.join(gone), ["+room/alice", "-room/alice"])
        yield* Fiber.join(ended)
        const second = cameraOfTheirs(it)
        writeTheirs(second.track, "new")
        assert.deepStrictEqual(yield* announced(it, "", 1), ["+room/alice"])
        const video = yield* it.session.consume(alice).subscribe("video")
        const received = yield* nextOurs(video)
        assert.strictEqual(received.sequence, 0)
        assert.deepStrictEqual(textsOf(yield* readOurs(received)), ["new"])
      })
    )
  )

  it.live("end of track: every group, then the end", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfTheirs(it)
        writeTheirs(track, "first")
        const video = yield* it.session.consume(alice).subscribe("video")
        yield* readOurs(yield* nextOurs(video)) // the subscription is served
        for (let n = 0; n < 20; n++) writeTheirs(track, `frame ${n}`)
        track.close()
        const texts: Array<string> = []
        for (;;) {
          const next = yield* video.next
          if (next === End) break
          if (!("_tag" in next)) for (const { text } of yield* readOurs(next)) texts.push(text)
        }
        assert.sameMembers(
          texts,
          Array.from({ length: 20 }, (_, n) => `frame ${n}`)
        )
      })
    )
  )

  it.live("unknown broadcast: refused, and the session goes on", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfTheirs(it)
        const refused = yield* Effect.flip(Effect.scoped(it.session.consume("room/nobody").subscribe("video")))
        assert.include(["NotFound", "Refused"], refused.reason._tag)
        const video = yield* it.session.consume(alice).subscribe("video")
        writeTheirs(track, "still here")
        assert.strictEqual((yield* readOurs(yield* nextOurs(video)))[0]?.text, "still here")
      })
    )
  )

  it.live("unknown track: whoever publishes is asked, and may refuse", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { broadcast } = cameraOfTheirs(it)
        const asked = yield* Effect.forkScoped(
          Effect.promise(async () => {
            for (;;) {
              const request = await broadcast.requested()
              if (request?.name === "nothing") request.reject(new Error("no such track"))
              if (request === undefined) return
            }
          })
        )
        const subscribed = Effect.scoped(
          Effect.gen(function* () {
            const track = yield* it.session.consume(alice).subscribe("nothing")
            return yield* track.next // theirs may accept first and refuse then
          })
        )
        const refused = yield* Effect.flip(subscribed)
        assert.include(["SubscribeError", "TrackError"], refused._tag)
        broadcast.close()
        yield* Fiber.join(asked)
      })
    )
  )

  it.live("leaving: the track is unused again, and the session goes on", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfTheirs(it)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const video = yield* it.session.consume(alice).subscribe("video")
            writeTheirs(track, "one")
            yield* readOurs(yield* nextOurs(video))
          })
        )
        yield* Effect.promise(() => track.unused())
        const video = yield* it.session.consume(alice).subscribe("video")
        writeTheirs(track, "two")
        const received = yield* nextOurs(video)
        assert.include(["one", "two"], (yield* readOurs(received))[0]?.text)
      })
    )
  )

  it.live("a group that is given up: an error, and the track goes on", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfTheirs(it)
        const video = yield* it.session.consume(alice).subscribe("video")
        const group = track.appendGroup()
        group.writeFrame(frame("key", 0))
        const received = yield* nextOurs(video)
        assert.strictEqual(yield* Effect.map(received.read, (frame) => (frame === End ? -1 : frame.length)), 3)
        group.close(new Error("given up"))
        assert.strictEqual((yield* Effect.flip(received.read))._tag, "GroupError")
        writeTheirs(track, "next")
        assert.strictEqual((yield* nextOurs(video)).sequence, 1)
      })
    )
  )

  it.live("their measurements: what the version can say of them", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version, { stats: { smoothedRtt: 25, estimatedSendRate: 5_000_000 } })
        const estimate = yield* Stream.runHead(it.session.estimates)
        const rttMs = version.hops === "count" ? undefined : 25
        assert.deepStrictEqual(Option.getOrUndefined(estimate), { bitrate: 5_000_000, rttMs })
      })
    )
  )

  it.live("a single group: fetched, or refused here where the version cannot", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfTheirs(it)
        writeTheirs(track, "one", "two")
        const fetched = yield* Effect.result(it.session.consume(alice).fetch("video", 0))
        if (Result.isSuccess(fetched)) {
          assert.isTrue(version.trackInfo)
          assert.deepStrictEqual(textsOf(yield* readOurs(fetched.success)), ["one", "two"])
        } else {
          assert.isFalse(version.trackInfo)
          assert.strictEqual(fetched.failure.reason._tag, "Unsupported")
        }
      })
    )
  )
})
