import { assert, describe, it } from "@effect/vitest"
import { Export, Import, LocalBroadcast, Recorder, RemoteBroadcast } from "@effect-live/media"
import { Effect, type Scope, Stream } from "effect"
import {
  byTrack,
  collect,
  ffmpegComplaints,
  hasFfmpeg,
  type MemorySink,
  media,
  memorySink,
  openFile,
  readerOf
} from "./support.ts"

const recorderTo = (sink: MemorySink, format: Export.Format, durationUs?: number) =>
  Recorder.make({
    format,
    open: (tracks) => Export.open({ format, sink }, tracks),
    ...(durationUs === undefined ? {} : { durationUs })
  })

/** These run in real time, because the library of containers does; a busy machine may need long. */
const unhurried = { concurrent: true, timeout: 60_000 }

describe("what goes live comes out of the recording", unhurried, () => {
  for (const name of media) {
    it.live(name, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const source = yield* openFile(name)
          const local = yield* LocalBroadcast.fromImport(source, { wait: true })
          const sink = memorySink()
          const recorder = yield* recorderTo(sink, "mkv")
          const remote = yield* RemoteBroadcast.make(local.producer.consume())
          const ended = yield* recorder.run(remote)
          assert.strictEqual(ended._tag, "Finished")
          yield* recorder.finish
          assert.strictEqual(recorder.progress().lostGroups, 0)
          const back = yield* Import.fromReader(readerOf("recorded", sink.bytes()))
          const before = byTrack(yield* collect(source))
          const after = byTrack(yield* collect(back))
          assert.strictEqual(after.size, before.size)
          const shifts: Array<number> = []
          for (const info of source.tracks) {
            const a = before.get(info.name) ?? []
            const b = after.get(info.name) ?? []
            assert.strictEqual(b.length, a.length, info.name)
            for (const [index, sample] of a.entries()) {
              if (info.codec.startsWith("avc3") === false) assert.deepStrictEqual(b[index]?.data, sample.data)
              shifts.push((b[index]?.ptsUs ?? NaN) - sample.ptsUs)
            }
          }
          assert.isAtMost(Math.max(...shifts) - Math.min(...shifts), 2_000)
          if (hasFfmpeg) assert.strictEqual(ffmpegComplaints(sink.bytes(), "matroska"), "")
          else console.log("not decoded: there is no ffmpeg")
        })
      )
    )
  }
})

const once = (name: string, recorder: Recorder.Recorder<Scope.Scope>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const local = yield* LocalBroadcast.fromImport(yield* openFile(name), { wait: true })
      return yield* recorder.run(yield* RemoteBroadcast.make(local.producer.consume()))
    })
  )

describe("sound that begins earlier than the picture", unhurried, () => {
  const rare: ReadonlyArray<readonly [name: string, format: Export.Format, ffmpeg: string]> = [
    ["h264-bframes-aac.mp4", "mkv", "matroska"],
    ["av1-opus.mp4", "webm", "webm"]
  ]
  for (const [name, format, ffmpeg] of rare) {
    // Half a frame is 33,333 µs. Some of these put two pictures on one tick where times are plainly rounded to milliseconds.
    for (const lateUs of [33_000, 33_200, 33_320, 33_350, 33_500, 33_700]) {
      it.live(`${lateUs} µs, ${name} to ${format}: ffmpeg finds nothing wrong, times keep their distance`, () =>
        Effect.scoped(
          Effect.gen(function* () {
            const whole = yield* openFile(name)
            const [video] = whole.tracks
            const earliest = (yield* collect(whole)).find(({ track }) => track === video?.name)
            const late = lateUs - (earliest?.ptsUs ?? 0)
            const samples = Stream.map(whole.samples, (sample) =>
              sample.track === video?.name ? { ...sample, ptsUs: sample.ptsUs + late } : sample
            )
            const source: Import.Import = { ...whole, samples }
            const local = yield* LocalBroadcast.fromImport(source, { wait: true })
            const sink = memorySink()
            const recorder = yield* recorderTo(sink, format)
            yield* recorder.run(yield* RemoteBroadcast.make(local.producer.consume()))
            yield* recorder.finish
            const back = byTrack(yield* collect(yield* Import.fromReader(readerOf("recorded", sink.bytes()))))
            const shifts = [...byTrack(yield* collect(source))].flatMap(([track, before]) =>
              before.map(({ ptsUs }, index) => (back.get(track)?.[index]?.ptsUs ?? NaN) - ptsUs)
            )
            assert.isAtMost(Math.max(...shifts) - Math.min(...shifts), 1_000)
            if (hasFfmpeg) assert.strictEqual(ffmpegComplaints(sink.bytes(), ffmpeg), "")
            else console.log("not decoded: there is no ffmpeg")
          })
        )
      )
    }
  }
})

describe("one file, several runs", unhurried, () => {
  it.live("a broadcast that comes back goes on right behind what was recorded", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const sink = memorySink()
        const recorder = yield* recorderTo(sink, "mkv")
        const whole = yield* openFile("vp8-opus.webm")
        const reason = new Import.Unreadable({ problem: "the publisher dies" })
        const dying: Import.Import = {
          ...whole,
          samples: Stream.concat(
            Stream.take(whole.samples, 80),
            Stream.fail(new Import.ImportError({ source: "x", reason }))
          )
        }
        const local = yield* LocalBroadcast.fromImport(dying, { wait: true })
        const ended = yield* recorder.run(yield* RemoteBroadcast.make(local.producer.consume()))
        assert.strictEqual(ended._tag, "Lost")
        const first = recorder.progress().tracks.map(({ samples }) => samples)
        assert.strictEqual((yield* once("vp8-opus.webm", recorder))._tag, "Finished")
        const { tracks } = recorder.progress()
        assert.deepStrictEqual(
          tracks.map(({ samples }, index) => samples - (first[index] ?? 0)),
          [30, 101]
        )
        yield* recorder.finish
        if (hasFfmpeg) assert.strictEqual(ffmpegComplaints(sink.bytes(), "matroska"), "")
        const changed = yield* Effect.flip(once("vp9-opus.webm", recorder))
        assert.strictEqual(changed.reason._tag, "Changed")
      })
    )
  )

  it.live("stops after so much media", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const recorder = yield* recorderTo(memorySink(), "mp4", 1_000_000)
        assert.strictEqual((yield* once("h264-opus-fragmented.mp4", recorder))._tag, "DurationReached")
        const [video] = recorder.progress().tracks
        assert.strictEqual(video?.samples, 15)
      })
    )
  )

  it.live("says what the format cannot hold, before anything is opened", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const sink = memorySink()
        const refused = yield* Effect.flip(once("h264-opus-fragmented.mp4", yield* recorderTo(sink, "webm")))
        assert.include(refused.message, "webm cannot hold video/h264-120p")
        const nothing = yield* Effect.flip(once("hevc.mpegts", yield* recorderTo(sink, "ogg")))
        assert.strictEqual(nothing.reason._tag, "NothingToRecord")
        assert.strictEqual(sink.bytes().length, 0)
      })
    )
  )
})
