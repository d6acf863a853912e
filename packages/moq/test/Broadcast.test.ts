import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Broadcast from "../src/Broadcast.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Limits from "../src/Limits.ts"
import * as Track from "../src/Track.ts"
import { allOf, framesOf, write } from "./support/world.ts"

const created = (made: Track.TrackProducer | string): Track.TrackProducer => {
  assert.instanceOf(made, Track.TrackProducer)
  return made as Track.TrackProducer
}

describe("a broadcast", () => {
  it.effect("gives each subscriber a reader of its own, until the Scope closes", () =>
    Effect.gen(function* () {
      const broadcast = Broadcast.make()
      const video = created(broadcast.createTrack("video"))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const tracks = yield* Effect.all([
            broadcast.consume().subscribe("video"),
            broadcast.consume().subscribe("video")
          ])
          assert.strictEqual(video.consumers, 2)
          write(video, "a")
          video.finish()
          for (const track of tracks) assert.deepStrictEqual(yield* allOf(track), ["0:a"])
        })
      )
      assert.strictEqual(video.consumers, 0)
    })
  )

  it.effect("makes tracks when they are asked for, and whoever comes back goes on with them", () =>
    Effect.gen(function* () {
      const broadcast = Broadcast.make()
      const asked: Array<string> = []
      broadcast.onRequest((name) => {
        asked.push(name)
        return name === "video" ? Track.make(name) : undefined
      })
      const subscribe = (name: string) => Effect.scoped(broadcast.consume().subscribe(name))
      yield* subscribe("video")
      yield* subscribe("video")
      assert.strictEqual((yield* Effect.flip(subscribe("audio"))).reason._tag, "NotFound")
      assert.deepStrictEqual(asked, ["video", "audio"])
    })
  )

  it.effect("gives tracksPerBroadcast no place to names that somebody made up and that nobody uses any more", () =>
    Effect.gen(function* () {
      const broadcast = Broadcast.make()
      created(broadcast.createTrack("video"))
      broadcast.onRequest((name) => Track.make(name))
      const { fetch, subscribe } = broadcast.consume()
      for (let n = 0; n < Limits.tracksPerBroadcast; n++) {
        yield* Effect.scoped(Effect.all([subscribe(`made up ${n}`), subscribe(`made up ${n}`)]))
        assert.strictEqual((yield* Effect.flip(fetch(`fetched ${n}`, 0))).reason._tag, "NotFound")
      }
      assert.isAtMost(broadcast.tracks.length, Limits.tracksPerBroadcast)
      created(broadcast.createTrack("audio"))
      yield* Effect.scoped(
        Effect.gen(function* () {
          for (let n = 2; n < Limits.tracksPerBroadcast; n++) yield* subscribe(`used ${n}`)
          const { reason } = yield* Effect.flip(subscribe("one more"))
          assert.deepStrictEqual(reason, new Broadcast.LimitReached({ limit: "tracksPerBroadcast" }))
          assert.strictEqual(broadcast.createTrack("own"), "tooMany")
          for (const name of ["video", "audio", "used 2"]) yield* subscribe(name)
        })
      )
    })
  )

  it.effect("gives up, of what was made on request, what was left first", () =>
    Effect.gen(function* () {
      const broadcast = Broadcast.make()
      broadcast.onRequest((name) => Track.make(name))
      const subscribe = (name: string) => Effect.scoped(broadcast.consume().subscribe(name))
      for (let n = 0; n < Limits.tracksPerBroadcast; n++) yield* subscribe(`${n}`)
      yield* subscribe("0")
      yield* subscribe("one more")
      assert.notInclude(broadcast.tracks, "1")
      assert.includeMembers([...broadcast.tracks], ["0", "2", "one more"])
    })
  )

  it.effect("asks anew for a track that was made on request and ended since its last user left", () =>
    Effect.gen(function* () {
      const broadcast = Broadcast.make()
      const made: Array<Track.TrackProducer> = []
      broadcast.onRequest((name) => {
        const track = Track.make(name)
        write(track, `${made.push(track)}`)
        return made.length > 2 ? undefined : track
      })
      const first = Effect.scoped(
        Effect.flatMap(broadcast.consume().subscribe("video"), (track) =>
          Effect.sync(() => {
            made.at(-1)?.finish()
            return track
          }).pipe(Effect.flatMap(allOf))
        )
      )
      assert.deepStrictEqual(yield* first, ["0:1"])
      assert.deepStrictEqual(yield* first, ["0:2"])
      assert.deepStrictEqual(yield* first, ["0:2"], "the last one, where there is no other")
      const own = created(broadcast.createTrack("video"))
      own.finish()
      assert.strictEqual(broadcast.lookup("video"), own)
    })
  )

  it("has each track once, and takes the name again when its track has ended", () => {
    const broadcast = Broadcast.make()
    const first = created(broadcast.createTrack("video"))
    assert.strictEqual(broadcast.createTrack("video"), "duplicate")
    first.finish()
    const second = created(broadcast.createTrack("video"))
    assert.strictEqual(broadcast.lookup("video"), second)
    broadcast.removeTrack("video")
    assert.instanceOf(broadcast.lookup("video"), Broadcast.NotFound)
  })

  it("has at most tracksPerBroadcast tracks", () => {
    const broadcast = Broadcast.make()
    for (let n = 0; n < Limits.tracksPerBroadcast; n++) created(broadcast.createTrack(`t${n}`))
    assert.strictEqual(broadcast.createTrack("one more"), "tooMany")
  })

  it.effect("takes its tracks along when it ends, and says how it ended", () =>
    Effect.gen(function* () {
      for (const end of ["finish", "abort"] as const) {
        const broadcast = Broadcast.make()
        const video = created(broadcast.createTrack("video"))
        const track = yield* broadcast.consume().subscribe("video")
        const closed = yield* Effect.forkChild(broadcast.consume().closed, { startImmediately: true })
        if (end === "finish") {
          broadcast.finish()
          assert.deepStrictEqual(yield* allOf(track), [])
          assert.deepStrictEqual(yield* Fiber.join(closed), { _tag: "Finished" })
        } else {
          broadcast.abort(ErrorCode.application(3))
          assert.strictEqual((yield* Effect.flip(track.next)).code, ErrorCode.application(3))
          assert.deepStrictEqual(yield* Fiber.join(closed), { _tag: "Aborted", code: ErrorCode.application(3) })
        }
        assert.isTrue(video.ended)
        assert.strictEqual((yield* Effect.flip(broadcast.consume().subscribe("video"))).reason._tag, "BroadcastEnded")
      }
    })
  )

  it.effect("gives single groups out of what its tracks keep", () =>
    Effect.gen(function* () {
      const broadcast = Broadcast.make()
      const video = created(broadcast.createTrack("video", { retention: { groups: 2 } }))
      for (const frame of ["0", "1", "2"]) write(video, frame)
      const { fetch } = broadcast.consume()
      assert.deepStrictEqual(yield* framesOf(yield* fetch("video", 1)), ["1"])
      for (const [track, sequence] of [
        ["video", 0],
        ["video", 3],
        ["audio", 0]
      ] as const) {
        const error = yield* Effect.flip(fetch(track, sequence))
        assert.deepStrictEqual([error.track, error.reason._tag], [track, "NotFound"])
      }
      assert.strictEqual(video.consumers, 0)
      broadcast.finish()
      assert.strictEqual((yield* Effect.flip(fetch("video", 1))).reason._tag, "BroadcastEnded")
    })
  )
})
