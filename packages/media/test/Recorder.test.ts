import { assert, describe, it } from "@effect/vitest"
import { Export, Import, LocalBroadcast, Recorder, RemoteBroadcast } from "@effect-live/media"
import { Effect } from "effect"
import { byTrack, collect, ffmpegComplaints, hasFfmpeg, type MemorySink, media, memorySink, openFile, readerOf } from "./support.ts"

const recorderTo = (sink: MemorySink, format: Export.Format, durationUs?: number) =>
  Recorder.make({
    format,
    open: (tracks) => Export.open({ format, sink }, tracks),
    ...(durationUs === undefined ? {} : { durationUs })
  })

describe.concurrent("what goes live comes out of the recording", () => {
  for (const name of media) {
    it.live(name, () =>
      Effect.scoped(Effect.gen(function* () {
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
      }))
    )
  }
})
