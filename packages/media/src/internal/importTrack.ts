/** What a track of a file is: found out from its configuration and its first packets. */
import { Result } from "effect"
import type { EncodedPacket, InputTrack } from "mediabunny"
import * as Codec from "../Codec.ts"
import type { AudioInfo, TrackInfo, VideoInfo } from "../Sample.ts"
import { compact } from "./compact.ts"
import type { Library } from "./mediabunny.ts"

export interface OpenTrack {
  readonly track: InputTrack
  readonly info: TrackInfo
  readonly hasAdts: boolean
}

/** What the track is and when it starts; `undefined`: a codec that is not carried; `empty`: no sample. */
export const describe = async (
  library: Library,
  track: InputTrack,
  rewindable: boolean,
  names: ReadonlySet<string>
): Promise<(OpenTrack & { readonly startUs: number }) | "empty" | undefined> => {
  const sink = new library.EncodedPacketSink(track)
  if (track.isVideoTrack()) {
    const config = await track.getDecoderConfig()
    const family = config === null ? undefined : Codec.family(config.codec)
    if (config === null || family === undefined) return undefined
    const first = await sink.getFirstPacket()
    if (first === null) return "empty"
    const description = config.description === undefined ? undefined : bytesOf(config.description)
    const stats = rewindable ? await track.computePacketStats(statsPackets) : undefined
    const info: VideoInfo = compact({
      kind: "video",
      name: unique(names, `video/${family}-${config.codedHeight ?? 0}p`),
      codec: videoCodec(family, config.codec, description),
      description,
      codedWidth: config.codedWidth,
      codedHeight: config.codedHeight,
      framerate: stats && Math.round(stats.averagePacketRate * 1000) / 1000,
      bitrate: stats && Math.round(stats.averageBitrate)
    } as const)
    const startUs = rewindable ? await earliest(sink, first) : microseconds(first.timestamp)
    return { track, info, hasAdts: false, startUs }
  }
  if (!track.isAudioTrack()) return undefined
  const config = await track.getDecoderConfig()
  const family = config === null ? undefined : Codec.family(config.codec)
  if (config === null || (family !== "opus" && family !== "aac")) return undefined
  const first = await sink.getFirstPacket()
  if (first === null) return "empty"
  const stats = rewindable ? await track.computePacketStats(statsPackets) : undefined
  const hasAdts = family === "aac" && config.description === undefined
  const adts = hasAdts ? Codec.decodeAdts(first.data) : undefined
  if (adts !== undefined && Result.isFailure(adts)) throw adts.failure
  const info: AudioInfo = compact({
    kind: "audio",
    name: unique(names, `audio/${family}-hq`),
    codec: config.codec,
    description: adts?.success.config ?? (config.description === undefined ? undefined : bytesOf(config.description)),
    sampleRate: config.sampleRate,
    numberOfChannels: config.numberOfChannels,
    bitrate: stats && Math.round(stats.averageBitrate)
  } as const)
  return { track, info, hasAdts, startUs: microseconds(first.timestamp) }
}

/** Packets that a file is measured by. */
const statsPackets = 256
/** No codec reorders more pictures than this. */
const reorderPackets = 32

const earliest = async (sink: InstanceType<Library["EncodedPacketSink"]>, first: EncodedPacket): Promise<number> => {
  let startUs = microseconds(first.timestamp)
  let packet: EncodedPacket | null = first
  for (let left = reorderPackets; left > 0 && packet !== null; left--) {
    startUs = Math.min(startUs, microseconds(packet.timestamp))
    packet = await sink.getNextPacket(packet, { metadataOnly: true })
  }
  return startUs
}

/** Four letters that say where the parameter sets are: in the description, or in band. */
const videoCodec = (family: Codec.Family, codec: string, description: Uint8Array | undefined): string => {
  const rest = codec.slice(codec.indexOf("."))
  if (family === "h264") return (description === undefined ? "avc3" : "avc1") + rest
  if (family === "hevc") return (description === undefined ? "hev1" : "hvc1") + rest
  return codec
}

const unique = (names: ReadonlySet<string>, name: string): string => {
  let candidate = name
  for (let number = 2; names.has(candidate); number++) {
    candidate = name.replace(/-(\d+p|hq)$/, (suffix) => `-${number}${suffix}`) // readers look at the suffix
  }
  return candidate
}

export const microseconds = (seconds: number): number => Math.round(seconds * 1_000_000)

const bytesOf = (source: ArrayBuffer | SharedArrayBuffer | ArrayBufferView): Uint8Array =>
  ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source)
