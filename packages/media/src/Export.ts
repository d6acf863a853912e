/**
 * Encoded media into a file or any other sink that only grows: what was written up to a kill is playable. MP4 is fragmented, one
 * fragment per group of pictures; Matroska and WebM are written packet by packet. Access units keep their bytes, their order and
 * their times; only H.264 and HEVC change between start codes and length prefixes where the container demands it.
 */
import * as Bytes from "@effect-live/wire/Bytes"
import { Effect, FileSystem, type PlatformError, Result, Schema, type Scope, Semaphore } from "effect"
import * as Codec from "./Codec.ts"
import { containerMuxer, RawMuxer } from "./internal/muxer.ts"
import { problemOf } from "./internal/problemOf.ts"
import * as Limits from "./Limits.ts"
import type { Sample, TrackInfo } from "./Sample.ts"

/** The last four are raw: one track, nothing around it but what the codec needs. */
export type Format = "mp4" | "webm" | "mkv" | "ogg" | "h264" | "hevc" | "aac" | "ivf"

/** No format belongs to the extension of the path. */
export class UnknownExtension extends Schema.TaggedError<UnknownExtension>()("UnknownExtension", {}) {}
/** The format cannot hold this track. Nothing was created or written. */
export class CodecNotAllowed extends Schema.TaggedError<CodecNotAllowed>()("CodecNotAllowed", {
  format: Schema.String,
  track: Schema.String,
  codec: Schema.String
}) {}
/** The format cannot hold so many tracks, or there is none. Nothing was created or written. */
export class WrongTrackCount extends Schema.TaggedError<WrongTrackCount>()("WrongTrackCount", {
  format: Schema.String,
  tracks: Schema.Int,
  most: Schema.Int
}) {}
/** Neither the catalog nor the first key frame says something that the container needs, or the two contradict each other. */
export class BadTrack extends Schema.TaggedError<BadTrack>()("BadTrack", {
  track: Schema.String,
  problem: Schema.String
}) {}
/** `Limits.exportPendingBytes` are held back for a track that has no samples. */
export class TrackSilent extends Schema.TaggedError<TrackSilent>()("TrackSilent", { pendingBytes: Schema.Int }) {}
/** No space is left for the file. What was written before is playable. */
export class DiskFull extends Schema.TaggedError<DiskFull>()("DiskFull", {}) {}
/** A limit of the system or of the file system keeps the file from growing. What was written before is playable. */
export class FileTooLarge extends Schema.TaggedError<FileTooLarge>()("FileTooLarge", {}) {}
/** The file or sink took no more bytes. */
export class SinkFailed extends Schema.TaggedError<SinkFailed>()("SinkFailed", { problem: Schema.String }) {}

export class ExportError extends Schema.TaggedError<ExportError>()("ExportError", {
  /** Path of the file, or what the sink was called. */
  target: Schema.String,
  reason: Schema.Union([
    UnknownExtension,
    CodecNotAllowed,
    WrongTrackCount,
    BadTrack,
    TrackSilent,
    DiskFull,
    FileTooLarge,
    SinkFailed
  ])
}) {
  override get message(): string {
    return `${this.target}: ${explain(this.reason)}`
  }
}

const explain = (reason: ExportError["reason"]): string => {
  switch (reason._tag) {
    case "UnknownExtension":
      return `the extension says no format; take one of ${[...byExtension.keys()].map((name) => `.${name}`).join(" ")}`
    case "CodecNotAllowed":
      return `${reason.format} cannot hold ${reason.track} (${reason.codec}); .mkv holds everything`
    case "WrongTrackCount":
      return reason.tracks === 0 ? "there is no track to write" : `${reason.format} holds at most ${reason.most} track`
    case "BadTrack":
      return `${reason.track} cannot be written: ${reason.problem}`
    case "TrackSilent":
      return `a track without samples holds ${reason.pendingBytes} bytes of the others back`
    case "DiskFull":
      return "the disk is full; what was written is playable"
    case "FileTooLarge":
      return "the file may not grow further; what was written is playable"
    case "SinkFailed":
      return `cannot be written (${reason.problem})`
  }
}

/** Why a sink takes no more bytes. */
export type SinkError = DiskFull | FileTooLarge | SinkFailed

/** Where the bytes go, one piece after the other. */
export interface Sink {
  /** Path of the file, or what people call it. */
  readonly name: string
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, SinkError>
}

export interface Export {
  readonly format: Format
  /** Bytes that have reached the sink. */
  readonly bytesWritten: () => number
  /** One sample; those of a track in decode order, the first one a key frame. Waits for the sink. Errors are latched. */
  readonly write: (sample: Sample) => Effect.Effect<void, ExportError>
  /** The track has no further samples: the others no longer wait for it. */
  readonly endTrack: (name: string) => Effect.Effect<void, ExportError>
  /** Writes what is held back and the end of the file. Idempotent; closing the Scope does it too. */
  readonly finish: Effect.Effect<void, ExportError>
}

/** The format for the extension of a path. */
export const formatOf = (path: string): Format | undefined =>
  byExtension.get(/\.([a-z0-9]+)$/i.exec(path)?.[1]?.toLowerCase() ?? "")

/** Whether the format can hold video, or audio, at all. */
export const holds = (format: Format, kind: "video" | "audio"): boolean =>
  formats[format].families.some((family) => (kind === "audio") === audioFamilies.has(family))

const audioFamilies = new Set<Codec.Family>(["opus", "aac", "pcm"])

/** Whether the format can hold these tracks. Errors: `CodecNotAllowed`, `WrongTrackCount`. */
export const check = (
  format: Format,
  tracks: ReadonlyArray<TrackInfo>
): Result.Result<void, CodecNotAllowed | WrongTrackCount> => {
  const { families, most } = formats[format]
  if (tracks.length === 0 || tracks.length > most) {
    return Result.fail(new WrongTrackCount({ format, tracks: tracks.length, most }))
  }
  const refused = tracks.find(({ codec }) => {
    const family = Codec.family(codec)
    return family === undefined || !families.includes(family)
  })
  return refused === undefined
    ? Result.void
    : Result.fail(new CodecNotAllowed({ format, track: refused.name, codec: refused.codec }))
}

/** A new file in the format of its extension, in place of what is there. A refused format or codec leaves the disk as it is. */
export const toFile = (
  path: string,
  tracks: ReadonlyArray<TrackInfo>
): Effect.Effect<Export, ExportError, FileSystem.FileSystem | Scope.Scope> =>
  Effect.gen(function* () {
    const format = formatOf(path)
    if (format === undefined) return yield* new ExportError({ target: path, reason: new UnknownExtension({}) })
    yield* checked(path, format, tracks)
    const files = yield* FileSystem.FileSystem
    const file = yield* Effect.mapError(
      files.open(path, { flag: "w" }),
      (error) => new ExportError({ target: path, reason: fileError(error) })
    )
    // Whoever is interrupted in the middle of a piece would leave a hole in front of what `finish` writes.
    const sink: Sink = {
      name: path,
      write: (bytes) => Effect.uninterruptible(Effect.mapError(file.writeAll(bytes), fileError))
    }
    return yield* open({ format, sink }, tracks)
  })

const fileError = (error: PlatformError.PlatformError): SinkError => sinkError(error.reason.cause, problemOf(error))

/** The reason for an error of the operating system, told by its `code`; `problem` says what an unknown one is about. */
export const sinkError = (cause: unknown, problem: string): SinkError => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  if (code === "ENOSPC" || code === "EDQUOT") return new DiskFull()
  return code === "EFBIG" ? new FileTooLarge() : new SinkFailed({ problem })
}

/** Begins an export. Nothing is written before the first sample. */
export const open = (
  { format, sink }: { readonly format: Format; readonly sink: Sink },
  tracks: ReadonlyArray<TrackInfo>
): Effect.Effect<Export, ExportError, Scope.Scope> =>
  Effect.gen(function* () {
    yield* checked(sink.name, format, tracks)
    const out: Array<Uint8Array> = []
    const muxer = formats[format].isRaw ? new RawMuxer(format, tracks, out) : yield* containerMuxer(format, tracks, out)
    const lock = yield* Semaphore.make(1)
    let bytesTaken = 0
    let bytesWritten = 0
    let state: "open" | "finished" | ExportError = "open"

    const failed = (reason: ExportError["reason"]) => {
      const error = new ExportError({ target: sink.name, reason })
      state = error
      return Effect.fail(error)
    }
    const drain = Effect.suspend(() => {
      const [first, ...rest] = out.splice(0)
      if (first === undefined) return Effect.void
      const bytes = rest.length === 0 ? first : Bytes.concat([first, ...rest])
      bytesWritten += bytes.length
      return sink.write(bytes).pipe(Effect.catch(failed))
    })
    const run = (track: string, step: () => Promise<void>) =>
      Effect.tryPromise({
        try: step,
        catch: (cause) => new BadTrack({ track, problem: cause instanceof Error ? cause.message : String(cause) })
      }).pipe(Effect.catch(failed), Effect.andThen(drain))
    const write = (sample: Sample) =>
      lock.withPermit(
        Effect.suspend(() => {
          if (state instanceof ExportError) return Effect.fail(state)
          if (state === "finished") return failed(new SinkFailed({ problem: "the export is finished" }))
          bytesTaken += sample.data.length
          const pendingBytes = bytesTaken - bytesWritten
          if (pendingBytes > Limits.exportPendingBytes) return failed(new TrackSilent({ pendingBytes }))
          return run(sample.track, () => muxer.add(sample))
        })
      )
    const endTrack = (name: string) =>
      lock.withPermit(Effect.suspend(() => (state === "open" ? run(name, () => muxer.endTrack(name)) : Effect.void)))
    const finish = lock.withPermit(
      Effect.suspend(() => {
        if (state instanceof ExportError) return Effect.fail(state)
        if (state === "finished") return Effect.void
        state = "finished"
        return run(tracks[0]?.name ?? "", () => muxer.finish())
      })
    )
    yield* Effect.addFinalizer(() => Effect.ignore(finish)) // whoever wants to hear of its failure calls it
    return { format, bytesWritten: () => bytesWritten, write, endTrack, finish }
  })

const checked = (target: string, format: Format, tracks: ReadonlyArray<TrackInfo>): Effect.Effect<void, ExportError> =>
  Effect.mapError(Effect.fromResult(check(format, tracks)), (reason) => new ExportError({ target, reason }))

interface FormatRules {
  readonly extensions: ReadonlyArray<string>
  readonly families: ReadonlyArray<Codec.Family>
  readonly most: number
  readonly isRaw: boolean
}

const manyTracks = 32

const formats: { readonly [F in Format]: FormatRules } = {
  mp4: {
    extensions: ["mp4", "m4v", "m4a"],
    families: ["h264", "hevc", "vp9", "av1", "opus", "aac"],
    most: manyTracks,
    isRaw: false
  },
  webm: { extensions: ["webm"], families: ["vp8", "vp9", "av1", "opus"], most: manyTracks, isRaw: false },
  mkv: {
    extensions: ["mkv", "mka"],
    families: ["h264", "hevc", "vp8", "vp9", "av1", "opus", "aac", "pcm"],
    most: manyTracks,
    isRaw: false
  },
  ogg: { extensions: ["ogg", "oga", "opus"], families: ["opus"], most: 1, isRaw: false },
  h264: { extensions: ["h264", "264"], families: ["h264"], most: 1, isRaw: true },
  hevc: { extensions: ["h265", "265", "hevc"], families: ["hevc"], most: 1, isRaw: true },
  aac: { extensions: ["aac"], families: ["aac"], most: 1, isRaw: true },
  ivf: { extensions: ["ivf"], families: ["vp8", "vp9", "av1"], most: 1, isRaw: true }
}

const byExtension: ReadonlyMap<string, Format> = new Map(
  (Object.keys(formats) as Array<Format>).flatMap((format) =>
    formats[format].extensions.map((extension) => [extension, format] as const)
  )
)
