/**
 * Encoded media into a file or any other sink that only grows: what was written up to a kill is playable. MP4 is fragmented, one
 * fragment per group of pictures; Matroska and WebM are written packet by packet. Access units keep their bytes, their order and
 * their times; only H.264 and HEVC change between start codes and length prefixes where the container demands it.
 */
import * as Bytes from "@effect-live/wire/Bytes"
import { Effect, FileSystem, type PlatformError, Result, Schema, type Scope, Semaphore } from "effect"
import type { EncodedPacket, OutputFormat } from "mediabunny"
import * as Codec from "./Codec.ts"
import { compact } from "./internal/compact.ts"
import { type Library, mediabunny } from "./internal/mediabunny.ts"
import * as Limits from "./Limits.ts"
import type { AudioInfo, Sample, TrackInfo, VideoInfo } from "./Sample.ts"

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

const fileError = (error: PlatformError.PlatformError): SinkError => sinkError(error.reason.cause, error.message)

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

/** Takes samples, leaves bytes in an array. Rejects with what is wrong with the track. */
interface Muxer {
  readonly add: (sample: Sample) => Promise<void>
  readonly endTrack: (name: string) => Promise<void>
  readonly finish: () => Promise<void>
}

/** What a track needs before its first sample can be written, found out from that sample. */
interface VideoPlan {
  readonly config: VideoDecoderConfig
  /** H.264 with start codes, for a container that wants lengths. */
  readonly toLengths: boolean
}

const planVideo = (info: VideoInfo, first: Sample): VideoPlan => {
  const size = Codec.pictureSize(info.codec, info.description, first.data)
  const codedWidth = info.codedWidth ?? size?.width
  const codedHeight = info.codedHeight ?? size?.height
  if (codedWidth === undefined || codedHeight === undefined) throw new Error("the size of the picture is not known")
  const toLengths = Codec.family(info.codec) === "h264" && info.description === undefined
  const description = toLengths ? Codec.encodeAvcC(Codec.splitAnnexB(first.data)) : info.description
  if (toLengths && description === undefined) throw new Error("the first key frame has no parameter sets")
  // No colour space: the library would write it into the bytes of VP9 frames.
  const config = compact({ codec: codecString(info.codec, description), codedWidth, codedHeight, description })
  return { config, toLengths }
}

/** The exact string for H.264: catalogs tend to give the wrong level, or none. */
const codecString = (codec: string, description: Uint8Array | undefined): string =>
  Codec.family(codec) === "h264" && description !== undefined ? Codec.avcString("avc1", description) : codec

const planAudio = (info: AudioInfo): AudioDecoderConfig => {
  const family = Codec.family(info.codec)
  const description =
    info.description ?? (family === "opus" ? Codec.opusHead(info.numberOfChannels, info.sampleRate) : undefined)
  if (family === "aac" && description === undefined) throw new Error("AAC without an AudioSpecificConfig")
  const codec = family === "pcm" ? "pcm-f32" : info.codec
  return compact({ codec, sampleRate: info.sampleRate, numberOfChannels: info.numberOfChannels, description })
}

const videoCodecs = { h264: "avc", hevc: "hevc", vp8: "vp8", vp9: "vp9", av1: "av1" } as const
const audioCodecs = { opus: "opus", aac: "aac", pcm: "pcm-f32" } as const

const containerMuxer = (
  format: Format,
  tracks: ReadonlyArray<TrackInfo>,
  out: Array<Uint8Array>
): Effect.Effect<Muxer> =>
  Effect.gen(function* () {
    const library = yield* mediabunny
    const writable = new WritableStream<Uint8Array>({ write: (bytes) => void out.push(bytes.slice()) })
    const target = new library.AppendOnlyStreamTarget(writable)
    const output = new library.Output({ format: outputFormat(library, format), target })
    const adders = new Map(tracks.map((info) => [info.name, adder(library, output, info)] as const))
    yield* Effect.promise(() => output.start())
    return {
      add: async (sample: Sample) => {
        const adder = adders.get(sample.track)
        if (adder === undefined) throw new Error("no such track in this export")
        const seconds = sample.ptsUs / 1_000_000
        const type = sample.key ? "key" : "delta"
        await adder.add(sample, (data) => new library.EncodedPacket(data, type, seconds, sample.durationUs / 1_000_000))
      },
      endTrack: async (name: string) => adders.get(name)?.end(),
      finish: () => output.finalize()
    }
  })

const outputFormat = (library: Library, format: Format): OutputFormat => {
  switch (format) {
    case "mp4":
      return new library.Mp4OutputFormat({ fastStart: "fragmented" })
    case "webm":
      return new library.WebMOutputFormat({ appendOnly: true })
    case "ogg":
      return new library.OggOutputFormat({ maximumPageDuration: 1 })
    default:
      return new library.MkvOutputFormat({ appendOnly: true })
  }
}

interface Adder {
  readonly add: (sample: Sample, packet: (data: Uint8Array) => EncodedPacket) => Promise<void>
  readonly end: () => void
}

const adder = (library: Library, output: InstanceType<Library["Output"]>, info: TrackInfo): Adder => {
  const family = Codec.family(info.codec)
  if (info.kind === "audio") {
    const source = new library.EncodedAudioPacketSource(
      family === "aac" || family === "pcm" ? audioCodecs[family] : audioCodecs.opus
    )
    output.addAudioTrack(source)
    let config: AudioDecoderConfig | undefined
    return {
      add: (sample, packet) => source.add(packet(sample.data), { decoderConfig: (config ??= planAudio(info)) }),
      end: () => source.close()
    }
  }
  const source = new library.EncodedVideoPacketSource(
    family === "hevc" || family === "vp8" || family === "vp9" || family === "av1"
      ? videoCodecs[family]
      : videoCodecs.h264
  )
  output.addVideoTrack(source)
  let plan: VideoPlan | undefined
  return {
    add: (sample, packet) => {
      plan ??= planVideo(info, sample)
      const data = plan.toLengths ? Codec.joinLengthPrefixed(Codec.splitAnnexB(sample.data)) : sample.data
      return source.add(packet(data), { decoderConfig: plan.config })
    },
    end: () => source.close()
  }
}

/** Elementary streams: Annex B with parameter sets before key frames, ADTS, IVF. */
class RawMuxer implements Muxer {
  readonly #format: Format
  readonly #info: TrackInfo | undefined
  readonly #out: Array<Uint8Array>
  #config: Codec.DecoderConfig | undefined
  #started = false

  constructor(format: Format, tracks: ReadonlyArray<TrackInfo>, out: Array<Uint8Array>) {
    this.#format = format
    this.#info = tracks[0]
    this.#out = out
  }

  async add(sample: Sample): Promise<void> {
    if (this.#info === undefined || sample.track !== this.#info.name) throw new Error("no such track in this export")
    if (!this.#started) this.#start(this.#info, sample)
    this.#started = true
    this.#out.push(...this.#pack(this.#info, sample))
  }

  async endTrack(): Promise<void> {}

  async finish(): Promise<void> {}

  #start(info: TrackInfo, first: Sample): void {
    const { description } = info
    if (description !== undefined && (this.#format === "h264" || this.#format === "hevc")) {
      this.#config = orThrow(this.#format === "h264" ? Codec.decodeAvcC(description) : Codec.decodeHvcC(description))
    }
    if (this.#format === "ivf" && info.kind === "video") this.#out.push(ivfHeader(planVideo(info, first).config))
  }

  #pack(info: TrackInfo, sample: Sample): ReadonlyArray<Uint8Array> {
    if (this.#format === "ivf") return [ivfFrameHeader(sample), sample.data]
    if (this.#format === "aac") {
      const frame = info.description && Codec.encodeAdts(info.description, sample.data)
      if (frame === undefined) throw new Error("ADTS cannot express this AAC")
      return [frame]
    }
    if (this.#config === undefined) return [sample.data]
    const units = orThrow(Codec.splitLengthPrefixed(sample.data, this.#config.lengthBytes))
    return [Codec.joinAnnexB(sample.key ? [...this.#config.parameterSets, ...units] : units)]
  }
}

const orThrow = <A, E>(result: Result.Result<A, E>): A => {
  if (Result.isFailure(result)) throw result.failure
  return result.success
}

/** In units of a microsecond. The number of frames is not known and left at 0. */
const ivfHeader = (config: VideoDecoderConfig): Uint8Array => {
  const fourcc = config.codec === "vp8" ? "VP80" : config.codec.startsWith("vp09") ? "VP90" : "AV01"
  const header = new Uint8Array(32)
  header.set(new TextEncoder().encode(`DKIF\0\0\x20\0${fourcc}`))
  const view = new DataView(header.buffer)
  view.setUint16(12, config.codedWidth ?? 0, true)
  view.setUint16(14, config.codedHeight ?? 0, true)
  view.setUint32(16, 1_000_000, true)
  view.setUint32(20, 1, true)
  return header
}

const ivfFrameHeader = (sample: Sample): Uint8Array => {
  const header = new Uint8Array(12)
  const view = new DataView(header.buffer)
  view.setUint32(0, sample.data.length, true)
  view.setBigUint64(4, BigInt(sample.ptsUs), true)
  return header
}
