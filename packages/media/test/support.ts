import { readFileSync } from "node:fs"
import { spawnSync } from "node:child_process"
import { Export, Import, type Sample } from "@effect-live/media"
import { Effect, type Scope, Stream } from "effect"

export const media = [
  "h264-bframes-aac.mp4",
  "h264-opus-fragmented.mp4",
  "h264-bframes-opus.mkv",
  "h264-aac.mpegts",
  "hevc-bframes-aac.mp4",
  "hevc.mpegts",
  "vp8-opus.webm",
  "vp9-opus.webm",
  "av1-opus.mp4",
  "av1-opus.mkv",
  "opus.ogg"
] as const

/** The test vectors, as far as a test knows their fields. */
export const vectors = <Entry>(): ReadonlyArray<Entry> =>
  JSON.parse(readFileSync(new URL("vectors/media.json", import.meta.url), "utf8")).entries

export const bytesOf = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`media/${name}`, import.meta.url)))

export const readerOf = (name: string, bytes: Uint8Array): Import.RandomAccess => ({
  name,
  sizeBytes: bytes.length,
  read: (start, end) => bytes.slice(start, end)
})

export const openFile = (name: string): Effect.Effect<Import.Import, Import.ImportError, Scope.Scope> =>
  Effect.suspend(() => Import.fromReader(readerOf(name, bytesOf(name))))

/** In pieces, as a pipe gives them. */
export const pipeOf = (bytes: Uint8Array, pieceBytes = 4_096): ReadableStream<Uint8Array> => {
  let at = 0
  return new ReadableStream({
    pull: (controller) => {
      if (at >= bytes.length) controller.close()
      else controller.enqueue(bytes.slice(at, (at += pieceBytes)))
    }
  })
}

/** Samples of each track. */
export const byTrack = (samples: ReadonlyArray<Sample.Sample>): ReadonlyMap<string, ReadonlyArray<Sample.Sample>> =>
  Map.groupBy(samples, ({ track }) => track)

export const collect = (source: Import.Import) => Stream.runCollect(source.samples)

export interface MemorySink extends Export.Sink {
  readonly bytes: () => Uint8Array
}

export const memorySink = (name = "memory"): MemorySink => {
  const parts: Array<Uint8Array> = []
  return {
    name,
    write: (bytes) => Effect.sync(() => void parts.push(bytes.slice())),
    bytes: () => new Uint8Array(Buffer.concat(parts))
  }
}

/** Everything in the file, written in one format, as bytes. */
export const exported = (source: Import.Import, format: Export.Format, tracks = source.tracks) =>
  Effect.gen(function* () {
    const sink = memorySink()
    const names = new Set(tracks.map(({ name }) => name))
    yield* Effect.scoped(
      Effect.gen(function* () {
        const file = yield* Export.open({ format, sink }, tracks)
        yield* Stream.runForEach(source.samples, (sample) =>
          names.has(sample.track) ? file.write(sample) : Effect.void
        )
        yield* file.finish
      })
    )
    return sink.bytes()
  })

export const hasFfmpeg = spawnSync("ffmpeg", ["-version"]).status === 0

/** What ffmpeg has to say about the file: nothing, when every sample decodes. */
export const ffmpegComplaints = (bytes: Uint8Array, format: string): string => {
  const run = spawnSync("ffmpeg", ["-v", "error", "-xerror", "-f", format, "-i", "-", "-f", "null", "-"], {
    input: bytes
  })
  return run.stderr.toString()
}
