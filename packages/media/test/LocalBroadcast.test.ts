import { assert, describe, it } from "@effect/vitest"
import { Blocked, End } from "@effect-live/endpoint/Stream"
import { Catalog, Import, Legacy, Limits, LocalBroadcast, type Sample } from "@effect-live/media"
import type { BroadcastConsumer } from "@effect-live/moq/Broadcast"
import * as Simulation from "@effect-live/sim/Simulation"
import { DecodeError } from "@effect-live/wire/DecodeError"
import { Clock, Effect, Fiber, Result, type Scope, Stream } from "effect"
import { audioName, memory, samplesFor, tracks, videoName } from "./broadcast.ts"
import { openFile, pipeOf, bytesOf } from "./support.ts"

const simulated = <A, E>(program: Effect.Effect<A, E, Scope.Scope>) =>
  Simulation.run(Effect.scoped(program), { seed: 1 })

interface Got {
  readonly sequence: number
  readonly atMs: number
  readonly frames: ReadonlyArray<Legacy.LegacyFrame>
}

/** Every group of a track up to its end. */
const groupsOf = (broadcast: BroadcastConsumer, name: string, most = Infinity) =>
  Effect.scoped(
    Effect.gen(function* () {
      const track = yield* broadcast.subscribe(name)
      const groups: Array<Got> = []
      while (groups.length < most) {
        const group = yield* track.next
        if (group === End) break
        if (!("sequence" in group)) return yield* Effect.die("lagged")
        const atMs = yield* Clock.currentTimeMillis
        const frames: Array<Legacy.LegacyFrame> = []
        for (let frame = yield* group.read; frame !== End; frame = yield* group.read) {
          const decoded = Legacy.decode(frame)
          if (decoded instanceof DecodeError) return yield* decoded
          frames.push(decoded)
        }
        groups.push({ sequence: group.sequence, atMs, frames })
      }
      return groups
    })
  )

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

const times = (groups: ReadonlyArray<Got>) => groups.flatMap(({ frames }) => frames.map(({ ptsUs }) => ptsUs))

describe("LocalBroadcast", () => {
  it.live("publishes its catalog first, in one finished group on a track that stays open", () =>
    simulated(
      Effect.gen(function* () {
        const local = yield* LocalBroadcast.fromImport(memory(2))
        const track = yield* local.producer.consume().subscribe(Catalog.trackName)
        const group = yield* track.next
        assert(group !== End && "sequence" in group)
        const frame = yield* group.read
        assert(frame !== End)
        assert.strictEqual(yield* group.read, End)
        const { catalog, warnings } = Result.getOrThrow(Catalog.decode(frame))
        assert.deepStrictEqual(warnings, [])
        assert.deepStrictEqual([...catalog.video.keys(), ...catalog.audio.keys()], [videoName, audioName])
        assert.strictEqual(track.tryNext(), Blocked)
      })
    )
  )

  it.live("begins a group of video with each key frame and one of audio every 100 ms, in real time", () =>
    simulated(
      Effect.gen(function* () {
        const local = yield* LocalBroadcast.fromImport(memory(3), { wait: true })
        const consumer = local.producer.consume()
        const video = yield* fork(groupsOf(consumer, videoName))
        const audio = yield* fork(groupsOf(consumer, audioName))
        const videoGroups = yield* Fiber.join(video)
        const audioGroups = yield* Fiber.join(audio)
        yield* local.ended
        assert.deepStrictEqual(
          videoGroups.map(({ sequence }) => sequence),
          [0, 1, 2]
        )
        assert.deepStrictEqual(
          videoGroups.map(({ frames }) => frames.length),
          [25, 25, 25]
        )
        assert.deepStrictEqual(
          videoGroups.map(({ atMs }) => atMs - (videoGroups[0]?.atMs ?? 0)),
          [0, 1000, 2000]
        )
        assert.strictEqual(audioGroups.length, 30)
        assert.isTrue(audioGroups.every(({ frames }) => frames.length === 5))
        const payloads = [...videoGroups, ...audioGroups].flatMap(({ frames }) => frames.map(({ payload }) => payload))
        const sent = samplesFor(3).map(({ data }) => data)
        assert.deepStrictEqual(payloads.map(String).toSorted(), sent.map(String).toSorted())
      })
    )
  )

  it.live("loops with rising times on one clock", () =>
    simulated(
      Effect.gen(function* () {
        const local = yield* LocalBroadcast.fromImport(memory(2), { loop: true, wait: true })
        const consumer = local.producer.consume()
        const video = yield* fork(groupsOf(consumer, videoName, 7))
        const audio = yield* fork(groupsOf(consumer, audioName, 65))
        const videoTimes = times(yield* Fiber.join(video))
        const audioTimes = times(yield* Fiber.join(audio))
        assert.deepStrictEqual(
          videoTimes,
          Array.from(videoTimes, (_, index) => index * 40_000)
        )
        assert.deepStrictEqual(
          audioTimes,
          Array.from(audioTimes, (_, index) => index * 20_000)
        )
      })
    )
  )

  it.live("with wait, sends nothing before every rendition has a subscriber, so that nobody misses the beginning", () =>
    simulated(
      Effect.gen(function* () {
        const local = yield* LocalBroadcast.fromImport(memory(1), { wait: true })
        const consumer = local.producer.consume()
        yield* Effect.sleep("1 hour")
        const video = yield* fork(groupsOf(consumer, videoName))
        yield* Effect.sleep("2 seconds")
        const audio = yield* fork(groupsOf(consumer, audioName))
        const [first] = yield* Fiber.join(video)
        assert.strictEqual(first?.atMs, 3_602_000)
        assert.strictEqual((yield* Fiber.join(audio)).length, 10)
      })
    )
  )

  it.live("with wait, starts 3 s after the first subscriber all the same", () =>
    simulated(
      Effect.gen(function* () {
        const local = yield* LocalBroadcast.fromImport(memory(1), { wait: true })
        const [first] = yield* groupsOf(local.producer.consume(), videoName)
        assert.strictEqual(first?.atMs, Limits.waitMs)
      })
    )
  )

  it.live("ends the broadcast once everybody has read to the end", () =>
    simulated(
      Effect.gen(function* () {
        const local = yield* LocalBroadcast.fromImport(memory(1), { wait: true })
        const consumer = local.producer.consume()
        const closed = yield* fork(consumer.closed)
        const track = yield* consumer.subscribe(videoName)
        yield* Effect.sleep("6 seconds")
        assert.isUndefined(closed.pollUnsafe())
        track.close()
        yield* local.ended
        assert.deepStrictEqual(yield* Fiber.join(closed), { _tag: "Finished" })
      })
    )
  )

  it.live("does not wait longer than 10 s for a subscriber that stopped reading", () =>
    simulated(
      Effect.gen(function* () {
        const local = yield* LocalBroadcast.fromImport(memory(1))
        yield* local.producer.consume().subscribe(videoName)
        yield* local.ended
        assert.isAtMost(yield* Clock.currentTimeMillis, 1_000 + Limits.flushMs)
      })
    )
  )

  it.live("refuses to loop a pipe", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const pipe = yield* Import.fromStream("-", pipeOf(bytesOf("h264-aac.mpegts")))
        const error = yield* Effect.flip(LocalBroadcast.fromImport(pipe, { loop: true }))
        assert.strictEqual(error.reason._tag, "NotRewindable")
      })
    )
  )

  it.live("says so when a track has no key frame until its group is full", () =>
    simulated(
      Effect.gen(function* () {
        const big = new Uint8Array(8 * 1024 * 1024)
        const samples: ReadonlyArray<Sample.Sample> = Array.from({ length: 8 }, (_, index) => ({
          track: videoName,
          ptsUs: index * 40_000,
          key: index === 0,
          data: big,
          durationUs: 40_000
        }))
        const local = yield* LocalBroadcast.fromImport(Import.fromSamples("big", tracks, samples))
        const error = yield* Effect.flip(local.ended)
        assert.strictEqual(error._tag, "GroupTooLarge")
      })
    )
  )

  it.live("passes a broken file on as the end of the broadcast", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const whole = yield* openFile("h264-aac.mpegts")
        const reason = new Import.Truncated({ problem: "cut" })
        const failing: Import.Import = {
          ...whole,
          samples: Stream.concat(
            Stream.take(whole.samples, 3),
            Stream.fail(new Import.ImportError({ source: "x", reason }))
          )
        }
        const local = yield* LocalBroadcast.fromImport(failing)
        const error = yield* Effect.flip(local.ended)
        assert.strictEqual(error._tag, "ImportError")
        assert.strictEqual((yield* local.producer.consume().closed)._tag, "Aborted")
      })
    )
  )
})
