import { assert, describe, it } from "@effect/vitest"
import { Import } from "@effect-live/media"
import { Effect, FileSystem, Layer } from "effect"
import * as PlatformError from "effect/PlatformError"
import { byTrack, bytesOf, collect, media, openFile, pipeOf, readerOf } from "./support.ts"

const expected: { readonly [name in (typeof media)[number]]: ReadonlyArray<string> } = {
  "h264-bframes-aac.mp4": ["video/h264-120p avc1.64000a description", "audio/aac-hq mp4a.40.2 description"],
  "h264-opus-fragmented.mp4": ["video/h264-120p avc1.64000a description", "audio/opus-hq opus description"],
  "h264-bframes-opus.mkv": ["video/h264-120p avc1.64000a description", "audio/opus-hq opus description"],
  "h264-aac.mpegts": ["video/h264-120p avc3.64000a", "audio/aac-hq mp4a.40.2 description"],
  "hevc-bframes-aac.mp4": ["video/hevc-120p hvc1.1.6.L30.90 description", "audio/aac-hq mp4a.40.2 description"],
  "hevc.mpegts": ["video/hevc-120p hev1.1.6.L30.90"],
  "vp8-opus.webm": ["video/vp8-120p vp8", "audio/opus-hq opus description"],
  "vp9-opus.webm": ["video/vp9-120p vp09.00.10.08.01.02.02.02.00", "audio/opus-hq opus description"],
  "av1-opus.mp4": ["video/av1-120p av01.0.00M.08", "audio/opus-hq opus description"],
  "av1-opus.mkv": ["video/av1-120p av01.0.00M.08", "audio/opus-hq opus description"],
  "opus.ogg": ["audio/opus-hq opus description"]
}

describe("every container and codec", () => {
  for (const name of media) {
    it.effect(`${name} has its tracks, in decode order and interleaved by time`, () =>
      Effect.gen(function* () {
        const file = yield* openFile(name)
        const described = file.tracks.map((info) =>
          [info.name, info.codec, info.description === undefined ? "" : "description"].join(" ").trim()
        )
        assert.deepStrictEqual(described, expected[name])
        const samples = yield* collect(file)
        assert.strictEqual(Math.min(...samples.map(({ ptsUs }) => ptsUs)), 0)
        let latest = 0
        for (const { ptsUs } of samples) {
          assert.isAtMost(latest - ptsUs, 300_000, "a sample comes far too late")
          latest = Math.max(latest, ptsUs)
        }
        for (const info of file.tracks) {
          const own = byTrack(samples).get(info.name) ?? []
          assert.strictEqual(own.length, info.kind === "video" ? 30 : info.codec === "opus" ? 101 : 95)
          assert.isTrue(own[0]?.key)
          assert.isTrue(own.every(({ data }) => data.length > 0))
        }
      })
    )

    it.effect(`${name} is the same from a pipe, but for where its time begins`, () =>
      Effect.gen(function* () {
        const file = yield* openFile(name)
        const pipe = yield* Import.fromStream("-", pipeOf(bytesOf(name), 1_000))
        const fromFile = yield* collect(file)
        const fromPipe = yield* collect(pipe)
        assert.deepStrictEqual(
          fromPipe,
          fromFile.map((sample) => Object.assign({}, sample, { ptsUs: sample.ptsUs + Import.pipeStartUs }))
        )
      })
    )
  }

  it.effect("a file can be read again, a pipe cannot", () =>
    Effect.gen(function* () {
      const file = yield* openFile("h264-bframes-aac.mp4")
      assert.deepStrictEqual(yield* collect(file), yield* collect(file))
      const pipe = yield* Import.fromStream("-", pipeOf(bytesOf("h264-bframes-aac.mp4")))
      yield* collect(pipe)
      assert.strictEqual((yield* Effect.flip(collect(pipe))).reason._tag, "NotRewindable")
    })
  )

  it.effect("a track that cannot be carried is left out and listed", () =>
    Effect.gen(function* () {
      const file = yield* openFile("unsupported-video.mp4")
      assert.deepStrictEqual(file.skipped, [{ kind: "video", codec: "mp4v" }])
      assert.deepStrictEqual(
        file.tracks.map(({ name }) => name),
        ["audio/aac-hq"]
      )
    })
  )
})

const reasonOf = (name: string, bytes: Uint8Array) =>
  Effect.scoped(
    Effect.flatMap(Import.fromReader(readerOf(name, bytes)), collect).pipe(
      Effect.match({ onFailure: ({ reason }) => reason._tag, onSuccess: (samples) => samples.length })
    )
  )

describe("what is no media, or broken", () => {
  it.effect("says that it is no media", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* reasonOf("empty", new Uint8Array(0)), "NotMedia")
      assert.strictEqual(yield* reasonOf("text", new TextEncoder().encode("#!/bin/sh\n".repeat(500))), "NotMedia")
    })
  )

  it.effect("says that none of the codecs can be carried", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* reasonOf("mp4v", bytesOf("unsupported.mp4")), "UnsupportedCodec")
    })
  )

  it.effect("says that an MP4 is cut off before its table of tracks", () =>
    Effect.gen(function* () {
      const bytes = bytesOf("h264-bframes-aac.mp4")
      assert.strictEqual(yield* reasonOf("cut", bytes.subarray(0, bytes.length / 2)), "Truncated")
    })
  )

  it.effect("reads what there is of a file that was cut while it was recorded", () =>
    Effect.gen(function* () {
      for (const name of ["h264-opus-fragmented.mp4", "h264-aac.mpegts"]) {
        const bytes = bytesOf(name)
        const samples = yield* reasonOf(name, bytes.subarray(0, bytes.length * 0.7))
        assert.isAbove(Number(samples), 10)
      }
    })
  )

  for (const name of media) {
    it.effect(`${name} cut or damaged anywhere gives samples or a typed error`, () =>
      Effect.gen(function* () {
        const whole = bytesOf(name)
        for (let step = 1; step < 12; step++) {
          const at = Math.floor((whole.length * step) / 12)
          const damaged = whole.slice()
          for (let offset = 0; offset < 40; offset++) damaged[at + offset] = (offset * 37 + step) & 255
          for (const bytes of [whole.subarray(0, at), damaged]) {
            const outcome = yield* reasonOf(name, bytes)
            assert.include(["number", "string"], typeof outcome)
          }
        }
      })
    )
  }

  it.effect("says that the file could not be read", () =>
    Effect.gen(function* () {
      const bytes = bytesOf("h264-bframes-aac.mp4")
      const access: Import.RandomAccess = {
        ...readerOf("disk", bytes),
        read: () => Promise.reject(new Error("input/output error"))
      }
      const error = yield* Effect.flip(Effect.scoped(Import.fromReader(access)))
      assert.strictEqual(error.message, "disk: cannot be read (input/output error)")
    })
  )

  it.effect("says that a path leads nowhere", () =>
    Effect.gen(function* () {
      const reason = PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "open" })
      const noFiles = Layer.succeed(FileSystem.FileSystem, FileSystem.makeNoop({ open: () => Effect.fail(reason) }))
      const error = yield* Import.fromFile("/nowhere.mp4").pipe(Effect.scoped, Effect.provide(noFiles), Effect.flip)
      assert.strictEqual(error.reason._tag, "Unreadable")
      assert.include(error.message, "/nowhere.mp4")
    })
  )

  it.live("a pipe that breaks, or never says anything, can be left", () =>
    Effect.gen(function* () {
      const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error("gone")) })
      const error = yield* Effect.flip(Effect.scoped(Import.fromStream("-", broken)))
      assert.deepStrictEqual(error.reason, new Import.Unreadable({ problem: "gone" }))
      let cancelled = false
      const silent = new ReadableStream<Uint8Array>({
        pull: () => new Promise(() => {}),
        cancel: () => void (cancelled = true)
      })
      const outcome = yield* Effect.scoped(Import.fromStream("-", silent)).pipe(Effect.timeoutOption("50 millis"))
      assert.strictEqual(outcome._tag, "None")
      assert.isTrue(cancelled)
    })
  )

  it.effect("an MP4 whose tables claim billions of samples is refused before they are listed", () =>
    Effect.gen(function* () {
      for (const [name, table, at] of [
        ["h264-bframes-aac.mp4", "stts", 12],
        ["h264-bframes-aac.mp4", "ctts", 12],
        ["h264-opus-fragmented.mp4", "trun", 8]
      ] as const) {
        const bytes = bytesOf(name)
        bytes.fill(0xff, Buffer.from(bytes).indexOf(table) + at, Buffer.from(bytes).indexOf(table) + at + 4)
        const error = yield* Effect.flip(Effect.scoped(Import.fromReader(readerOf(name, bytes))))
        assert.strictEqual(error.reason._tag, "Truncated")
        assert.include(error.message, "samples")
        const fromPipe = yield* Import.fromStream(name, pipeOf(bytes)).pipe(
          Effect.flatMap(collect),
          Effect.scoped,
          Effect.flip
        )
        assert.strictEqual(fromPipe.reason._tag, "Truncated")
      }
    })
  )

  it.effect("Matroska with damage that cannot be skipped is refused, and does not hang", () =>
    Effect.gen(function* () {
      const bytes = bytesOf("av1-opus.mkv").subarray(0, 11_958)
      const damage = [
        [2056, 128, 1],
        [2046, 127, 4],
        [906, 130, 2],
        [252, 127, 1]
      ] as const
      for (const [at, value, length] of damage) bytes.fill(value, at, at + length)
      assert.strictEqual(yield* reasonOf("damaged.mkv", bytes), "Truncated")
    })
  )
})
