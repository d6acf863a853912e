/** We publish, @moq/net subscribes. */
import type * as Track from "@effect-live/moq/Track"
import * as Version from "@effect-live/moq/Version"
import { assert, describe, it } from "@effect/vitest"
import * as Net from "@moq/net"
import { Effect, Exit } from "effect"
import {
  alice,
  bytes,
  cameraOfOurs,
  frameOfTheirs,
  nextTheirs,
  oddFrames,
  readTheirs,
  type Scene,
  scene,
  textsOf,
  writeOurs
} from "./scene.ts"

const path = Net.Path.from(alice)

/** Theirs subscribes and has the first group, which is there before. */
const subscribed = (it: Scene, track: Track.TrackProducer) =>
  Effect.gen(function* () {
    writeOurs(track, "first")
    const video = it.theirs.consume(path).subscribe("video", { priority: 3 })
    assert.strictEqual((yield* nextTheirs(video)).sequence, 0)
    return video
  })

/** The next announcement, once there is one. */
const next = (announced: Net.Announce.Consumer) => Effect.promise(() => announced.next())

describe.each(Version.all)("our publisher to @moq/net's subscriber, $alpn:", (version) => {
  it.live("announce: what is there, what comes, by prefix", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        cameraOfOurs(it)
        const room = it.theirs.announced(Net.Path.from("room"))
        const all = it.theirs.announced()
        assert.deepStrictEqual(yield* next(room), { path: Net.Path.from("alice"), active: true })
        assert.deepStrictEqual(yield* next(all), { path, active: true })
        cameraOfOurs(it, "hall/bob")
        assert.deepStrictEqual(yield* next(all), { path: Net.Path.from("hall/bob"), active: true })
        cameraOfOurs(it, "room/carol")
        assert.deepStrictEqual(yield* next(room), { path: Net.Path.from("carol"), active: true })
      })
    )
  )

  it.live("late join: begins with the newest group, from its first frame, and follows it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfOurs(it)
        for (const name of ["old", "older"]) writeOurs(track, name)
        const group = track.appendGroup()
        group.write(bytes("key"), 2_000)
        const video = it.theirs.consume(path).subscribe("video")
        const received = yield* nextTheirs(video)
        assert.strictEqual(received.sequence, 2)
        assert.strictEqual(yield* frameOfTheirs(received), "key")
        group.write(bytes("delta"), 2_040)
        group.finish()
        assert.deepStrictEqual(textsOf(yield* readTheirs(received)), ["delta"])
        const after = track.appendGroup()
        after.write(bytes("key 2"), 3_000)
        after.finish()
        const following = yield* nextTheirs(video)
        assert.strictEqual(following.sequence, 3)
        assert.deepStrictEqual(textsOf(yield* readTheirs(following)), ["key 2"])
      })
    )
  )

  it.live("frames: exact, with their timestamps where the version has them", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfOurs(it, alice, { timescale: 90_000, priority: 7 })
        const video = yield* subscribed(it, track)
        const group = track.appendGroup()
        for (const { text, timestamp } of oddFrames) group.write(bytes(text), timestamp)
        group.finish()
        const received = yield* readTheirs(yield* nextTheirs(video))
        assert.deepStrictEqual(textsOf(received), textsOf(oddFrames))
        if (!version.timestamps) return
        assert.deepStrictEqual(received, oddFrames)
        const info = yield* Effect.promise<Net.Track.Info>(() => video.info())
        assert.strictEqual(info.timescale, Net.Time.Timescale(90_000))
        assert.strictEqual(info.priority, 7)
      })
    )
  )

  it.live("unpublish and republish: the end, then the new one with new content", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const all = it.theirs.announced()
        const first = cameraOfOurs(it)
        assert.deepStrictEqual(yield* next(all), { path, active: true })
        it.origin.unpublish(alice)
        first.broadcast.finish()
        assert.deepStrictEqual(yield* next(all), { path, active: false })
        const second = cameraOfOurs(it)
        assert.deepStrictEqual(yield* next(all), { path, active: true })
        writeOurs(second.track, "new")
        const received = yield* nextTheirs(it.theirs.consume(path).subscribe("video"))
        assert.strictEqual(received.sequence, 0)
        assert.deepStrictEqual(textsOf(yield* readTheirs(received)), ["new"])
      })
    )
  )

  it.live("replaced at once: one restart or an end and a beginning, and the new content", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const all = it.theirs.announced()
        cameraOfOurs(it)
        assert.deepStrictEqual(yield* next(all), { path, active: true })
        const second = cameraOfOurs(it)
        // theirs merges what comes within one tick, and a restart of the same publisher is none for it
        writeOurs(second.track, "new")
        const track = it.theirs.consume(path).subscribe("video")
        assert.deepStrictEqual(textsOf(yield* readTheirs(yield* nextTheirs(track))), ["new"])
      })
    )
  )

  it.live("end of track: every group, then the end", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfOurs(it)
        const video = yield* subscribed(it, track)
        for (let n = 0; n < 20; n++) {
          writeOurs(track, `frame ${n}`)
        }
        track.finish()
        const texts: Array<string> = []
        for (let n = 0; n < 20; n++) {
          for (const { text } of yield* readTheirs(yield* nextTheirs(video))) texts.push(text)
        }
        assert.deepStrictEqual(texts.toSorted(), Array.from({ length: 20 }, (_, n) => `frame ${n}`).toSorted())
        // before lite-05 theirs does not look at the stream of a subscription once it was answered (section 6.1)
        if (version.trackInfo) assert.isUndefined(yield* Effect.promise(() => video.recvGroup()))
      })
    )
  )

  it.live("unknown track and unknown broadcast: refused", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        cameraOfOurs(it)
        for (const [path, name] of [
          [alice, "nothing"],
          ["room/nobody", "video"]
        ] as const) {
          const track = it.theirs.consume(Net.Path.from(path)).subscribe(name)
          assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.tryPromise(() => track.recvGroup()))), path)
        }
      })
    )
  )

  it.live("leaving: the track is unused again, and the session goes on", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfOurs(it)
        const video = yield* subscribed(it, track)
        video.close()
        yield* track.unused
        const again = it.theirs.consume(path).subscribe("video")
        assert.strictEqual((yield* nextTheirs(again)).sequence, 0)
      })
    )
  )

  it.live("a group that is given up: its frames so far, then an error, and the track goes on", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfOurs(it)
        const video = yield* subscribed(it, track)
        const group = track.appendGroup()
        group.write(bytes("key"), 0)
        const received = yield* nextTheirs(video)
        assert.strictEqual(yield* frameOfTheirs(received), "key")
        group.abort(2)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.tryPromise(() => received.readFrame()))))
        writeOurs(track, "key")
        assert.strictEqual((yield* nextTheirs(video)).sequence, 2)
      })
    )
  )

  it.live("wishes that change and a goodbye do no harm", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const { track } = cameraOfOurs(it)
        const video = yield* subscribed(it, track)
        video.update({ priority: 200, ordered: true, latencyMax: 5_000 })
        yield* it.session.sendGoaway("")
        writeOurs(track, "still served")
        assert.deepStrictEqual(textsOf(yield* readTheirs(yield* nextTheirs(video))), ["still served"])
      })
    )
  )
})
