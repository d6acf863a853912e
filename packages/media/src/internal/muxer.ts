/**
 * Samples into the bytes of a file: containers by way of the library, elementary streams by hand.
 */
import { Effect, Result } from "effect"
import type { EncodedPacket, OutputFormat } from "mediabunny"
import * as Codec from "../Codec.ts"
import type { Format } from "../Export.ts"
import type { AudioInfo, Sample, TrackInfo, VideoInfo } from "../Sample.ts"
import { compact } from "./compact.ts"
import { type Library, mediabunny } from "./mediabunny.ts"

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

export const containerMuxer = (
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
export class RawMuxer implements Muxer {
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
