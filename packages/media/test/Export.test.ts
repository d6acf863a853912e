import { assert, describe, it } from "@effect/vitest"
import { Codec, Export, Import, type Sample } from "@effect-live/media"
import { Effect, Result } from "effect"
import {
  byTrack,
  bytesOf,
  collect,
  exported,
  ffmpegComplaints,
  hasFfmpeg,
  media,
  memorySink,
  openFile,
  readerOf
} from "./support.ts"

const containers = ["mp4", "webm", "mkv", "ogg"] as const

/** The NAL units of a sample, whatever its framing; the bytes themselves for other codecs. */
const units = (info: Sample.TrackInfo, data: Uint8Array): ReadonlyArray<Uint8Array> => {
  const family = Codec.family(info.codec)
  if (family !== "h264" && family !== "hevc") return [data]
  return info.description === undefined
    ? Codec.splitAnnexB(data)
    : Result.getOrThrow(Codec.splitLengthPrefixed(data, 4))
}

const assertSame = (
  before: Import.Import,
  beforeSamples: ReadonlyArray<Sample.Sample>,
  after: Import.Import,
  afterSamples: ReadonlyArray<Sample.Sample>,
  toleranceUs: number
): void => {
  const expected = byTrack(beforeSamples)
  const got = byTrack(afterSamples)
  const shifts: Array<number> = []
  for (const info of after.tracks) {
    const source = before.tracks.find(({ kind }) => kind === info.kind)
    assert.isDefined(source)
    if (source === undefined) continue
    const a = expected.get(source.name) ?? []
    const b = got.get(info.name) ?? []
    assert.strictEqual(b.length, a.length, `${info.name}: number of samples`)
    for (const [index, sample] of a.entries()) {
      const other = b[index]
      if (other === undefined) continue
      if (source.description === undefined) assert.deepStrictEqual(units(info, other.data), units(source, sample.data))
      else assert.deepStrictEqual(other.data, sample.data, `${info.name} ${index}`)
      assert.strictEqual(other.key, sample.key, `${info.name} ${index}: key`)
      shifts.push(other.ptsUs - sample.ptsUs)
    }
  }
  assert.isAtMost(Math.max(...shifts) - Math.min(...shifts), 2 * toleranceUs)
}

describe("every file comes back from every container that can hold it", () => {
  for (const name of media) {
    for (const format of containers) {
      it.effect(`${name} as ${format}`, () =>
        Effect.gen(function* () {
          const source = yield* openFile(name)
          const tracks = format === "ogg" ? source.tracks.filter(({ kind }) => kind === "audio") : source.tracks
          const allowed = Export.check(format, tracks)
          if (Result.isFailure(allowed)) {
            assert.include(["CodecNotAllowed", "WrongTrackCount"], allowed.failure._tag)
            return
          }
          const bytes = yield* exported(source, format, tracks)
          const back = yield* Import.fromReader(readerOf(format, bytes))
          // Ogg counts samples of sound from the first packet on, the first of which is shorter by the decoder's delay
          assertSame(source, yield* collect(source), back, yield* collect(back), format === "ogg" ? 7_000 : 1_000)
          if (hasFfmpeg) assert.strictEqual(ffmpegComplaints(bytes, format === "mkv" ? "matroska" : format), "")
          else console.log("not decoded: there is no ffmpeg")
        })
      )
    }
  }
})
