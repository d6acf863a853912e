import { assert, describe, it } from "@effect/vitest"
import { Codec, Export, Import, type Sample } from "@effect-live/media"
import { Effect, FileSystem, Layer, Result, Scope, Stream } from "effect"
import * as PlatformError from "effect/PlatformError"
import {
  byTrack,
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

const anyTracks: ReadonlyArray<Sample.TrackInfo> = [
  { kind: "video", name: "v", codec: "avc3.42c01e" },
  { kind: "audio", name: "a", codec: "opus", sampleRate: 48_000, numberOfChannels: 2 }
]

/** Files in memory; those that exist are in `created`. */
const memoryFiles = (created: Map<string, Array<Uint8Array>>, room = Infinity, code = "ENOSPC") => {
  const full = PlatformError.systemError({
    _tag: "Unknown",
    module: "FileSystem",
    method: "writeAll",
    cause: Object.assign(new Error("no room"), { code })
  })
  return Layer.succeed(
    FileSystem.FileSystem,
    FileSystem.makeNoop({
      open: (path) =>
        Effect.sync(() => {
          const parts: Array<Uint8Array> = []
          created.set(path, parts)
          const noop = Effect.die("not used")
          return {
            [FileSystem.FileTypeId]: FileSystem.FileTypeId,
            stat: noop,
            seek: () => noop,
            sync: noop,
            read: () => noop,
            readAlloc: () => noop,
            truncate: () => noop,
            write: () => noop,
            writeAll: (bytes: Uint8Array) => {
              if (parts.reduce((sum, part) => sum + part.length, bytes.length) > room) return Effect.fail(full)
              parts.push(bytes.slice())
              return Effect.void
            }
          } satisfies FileSystem.File
        })
    })
  )
}

describe("what is refused leaves the disk as it is", () => {
  it.effect("WebM with H.264, Ogg with video, a path without a known extension, nothing at all", () =>
    Effect.gen(function* () {
      const created = new Map<string, Array<Uint8Array>>()
      const attempt = (path: string, tracks: ReadonlyArray<Sample.TrackInfo>) =>
        Export.toFile(path, tracks).pipe(Effect.scoped, Effect.provide(memoryFiles(created)), Effect.flip)
      const webm = yield* attempt("x.webm", anyTracks)
      assert.strictEqual(webm.reason._tag, "CodecNotAllowed")
      assert.include(webm.message, "x.webm: webm cannot hold v (avc3.42c01e)")
      assert.strictEqual((yield* attempt("x.ogg", anyTracks)).reason._tag, "WrongTrackCount")
      assert.strictEqual((yield* attempt("x.ogg", anyTracks.slice(0, 1))).reason._tag, "CodecNotAllowed")
      assert.strictEqual((yield* attempt("x.avi", anyTracks)).reason._tag, "UnknownExtension")
      assert.strictEqual((yield* attempt("mp4", anyTracks)).reason._tag, "UnknownExtension")
      assert.strictEqual((yield* attempt("x.mp4", [])).reason._tag, "WrongTrackCount")
      assert.strictEqual(created.size, 0)
    })
  )
})

describe("when the sink fails", () => {
  for (const [format, path, code, told] of [
    ["mkv", "x.mkv", "ENOSPC", "the disk is full"],
    ["mp4", "x.mp4", "EDQUOT", "the disk is full"],
    ["mkv", "y.mkv", "EFBIG", "the file may not grow further"]
  ] as const) {
    it.effect(`${code} is a typed error, and what is on the disk plays (${format})`, () =>
      Effect.gen(function* () {
        const source = yield* openFile("h264-opus-fragmented.mp4")
        const created = new Map<string, Array<Uint8Array>>()
        const error = yield* Effect.scoped(
          Effect.gen(function* () {
            const file = yield* Export.toFile(path, source.tracks)
            yield* Stream.runForEach(source.samples, file.write)
            yield* file.finish
          })
        ).pipe(Effect.provide(memoryFiles(created, 16_000, code)), Effect.flip)
        assert.strictEqual(error.message, `${path}: ${told}; what was written is playable`)
        const bytes = new Uint8Array(Buffer.concat(created.get(path) ?? []))
        const back = yield* collect(yield* Import.fromReader(readerOf(path, bytes)))
        assert.isAbove(back.length, 20)
        if (hasFfmpeg) assert.strictEqual(ffmpegComplaints(bytes, format === "mkv" ? "matroska" : format), "")
        else console.log("not decoded: there is no ffmpeg")
      })
    )
  }

  it.effect("the error stays: later writes fail with it and touch the sink no more", () =>
    Effect.gen(function* () {
      let writes = 0
      const sink: Export.Sink = {
        name: "pipe",
        write: () => Effect.suspend(() => (writes++, Effect.fail(new Export.SinkFailed({ problem: "EPIPE" }))))
      }
      const file = yield* Export.open({ format: "h264", sink }, anyTracks.slice(0, 1))
      const sample = { track: "v", ptsUs: 0, key: true, data: Uint8Array.of(0, 0, 1, 0x65), durationUs: 0 }
      const first = yield* Effect.flip(file.write(sample))
      assert.strictEqual(first.message, "pipe: cannot be written (EPIPE)")
      assert.strictEqual(yield* Effect.flip(file.write(sample)), first)
      assert.strictEqual(yield* Effect.flip(file.finish), first)
      assert.strictEqual(writes, 1)
    })
  )
})

describe("a file that was never finished", () => {
  for (const format of ["mkv", "mp4", "ogg"] as const) {
    it.effect(`plays up to where it was cut off (${format})`, () =>
      Effect.gen(function* () {
        const source = yield* openFile(format === "ogg" ? "opus.ogg" : "h264-bframes-opus.mkv")
        const sink = memorySink()
        const scope = yield* Scope.make() // stays open: nobody finishes the file
        const file = yield* Scope.provide(Export.open({ format, sink }, source.tracks), scope)
        yield* Stream.runForEach(source.samples, file.write)
        const bytes = sink.bytes()
        if (format !== "ogg") {
          const back = byTrack(yield* collect(yield* Import.fromReader(readerOf("killed", bytes))))
          for (const [name, samples] of back) assert.isAtLeast(samples.length, 14, name)
        }
        assert.isAbove(bytes.length, 3_000)
        if (hasFfmpeg) assert.strictEqual(ffmpegComplaints(bytes, format === "mkv" ? "matroska" : format), "")
        else console.log("not decoded: there is no ffmpeg")
      })
    )
  }
})

const complaintAbout = (info: Sample.VideoInfo) =>
  Effect.gen(function* () {
    const file = yield* Export.open({ format: "mkv", sink: memorySink() }, [info])
    const sample = { track: "v", ptsUs: 0, key: true, data: Uint8Array.of(0, 0, 1, 0x65, 1), durationUs: 0 }
    return (yield* Effect.flip(file.write(sample))).message
  })

describe("tracks that do not behave", () => {
  it.effect("a track without samples does not hold back more than the limit", () =>
    Effect.gen(function* () {
      const file = yield* Export.open({ format: "mkv", sink: memorySink() }, anyTracks)
      const data = new Uint8Array(16 * 1024 * 1024)
      const write = (ptsUs: number) => file.write({ track: "a", ptsUs, key: true, data, durationUs: 20_000 })
      const error = yield* Effect.flip(Effect.forEach([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], (step) => write(step * 20_000)))
      assert.strictEqual(error.reason._tag, "TrackSilent")
    })
  )

  it.effect("the end of one track lets the others go on at once", () =>
    Effect.gen(function* () {
      const sink = memorySink()
      const source = yield* openFile("opus.ogg")
      const file = yield* Export.open({ format: "mkv", sink }, [...source.tracks, ...anyTracks.slice(0, 1)])
      yield* Stream.runForEach(source.samples, file.write)
      const heldBack = sink.bytes().length
      yield* file.endTrack("v")
      yield* file.write({
        track: "audio/opus-hq",
        ptsUs: 3_000_000,
        key: true,
        data: Uint8Array.of(8),
        durationUs: 20_000
      })
      assert.isAbove(sink.bytes().length, heldBack + 4_000)
    })
  )

  it.effect("a key frame without parameter sets, or of unknown size, is a typed error that names the track", () =>
    Effect.gen(function* () {
      const video = { kind: "video", name: "v", codec: "avc3.42c01e" } as const
      assert.strictEqual(
        yield* complaintAbout(video),
        "memory: v cannot be written: the size of the picture is not known"
      )
      const sized = { ...video, codedWidth: 16, codedHeight: 16 }
      assert.strictEqual(
        yield* complaintAbout(sized),
        "memory: v cannot be written: the first key frame has no parameter sets"
      )
    })
  )
})

describe("raw streams", () => {
  const raw: ReadonlyArray<readonly [name: string, Export.Format, ffmpeg: string]> = [
    ["h264-bframes-aac.mp4", "h264", "h264"],
    ["h264-aac.mpegts", "h264", "h264"],
    ["hevc-bframes-aac.mp4", "hevc", "hevc"],
    ["vp8-opus.webm", "ivf", "ivf"],
    ["vp9-opus.webm", "ivf", "ivf"],
    ["av1-opus.mp4", "ivf", "ivf"]
  ]
  for (const [name, format, ffmpeg] of raw) {
    it.effect(`${name} as ${format} holds every access unit`, () =>
      Effect.gen(function* () {
        const source = yield* openFile(name)
        const [video] = source.tracks
        assert(video !== undefined)
        const bytes = Buffer.from(yield* exported(source, format, [video]))
        const samples = byTrack(yield* collect(source)).get(video.name) ?? []
        let at = 0
        for (const { data } of samples) {
          const [wanted] = units(video, data).slice(-1)
          at = bytes.indexOf(wanted ?? data, at)
          assert.isAtLeast(at, 0)
        }
        if (hasFfmpeg) assert.strictEqual(ffmpegComplaints(bytes, ffmpeg), "")
        else console.log("not decoded: there is no ffmpeg")
      })
    )
  }

  it.effect("AAC comes back from ADTS", () =>
    Effect.gen(function* () {
      const source = yield* openFile("h264-bframes-aac.mp4")
      const audio = source.tracks.filter(({ kind }) => kind === "audio")
      const bytes = yield* exported(source, "aac", audio)
      const back = yield* collect(yield* Import.fromReader(readerOf("x.aac", bytes)))
      const before = byTrack(yield* collect(source)).get("audio/aac-hq") ?? []
      assert.deepStrictEqual(
        back.map(({ data }) => data),
        before.map(({ data }) => data)
      )
    })
  )
})
