/**
 * Encoded media as plain data: what a file, a pipe or a rendition consists of, before it is packed into a container or into the
 * groups of a track.
 */

export interface VideoInfo {
  readonly kind: "video"
  /** Of the track, for example `video/h264-360p`; unique in its file or broadcast. */
  readonly name: string
  /** As in the catalog, for example `avc1.64001f`. */
  readonly codec: string
  /** Out-of-band parameters: avcC, hvcC. With it, H.264 and HEVC samples have length prefixes; without, start codes (Annex B). */
  readonly description?: Uint8Array
  readonly codedWidth?: number
  readonly codedHeight?: number
  /** Frames per second. */
  readonly framerate?: number
  /** Bits per second. */
  readonly bitrate?: number
}

export interface AudioInfo {
  readonly kind: "audio"
  /** For example `audio/opus-hq`. */
  readonly name: string
  readonly codec: string
  /** Out-of-band parameters: OpusHead, AudioSpecificConfig. */
  readonly description?: Uint8Array
  readonly sampleRate: number
  readonly numberOfChannels: number
  /** Bits per second. */
  readonly bitrate?: number
}

export type TrackInfo = VideoInfo | AudioInfo

/** One access unit of video, one packet of audio. The samples of a track come in decode order. */
export interface Sample {
  /** Name of its track. */
  readonly track: string
  /** Presentation time in microseconds, an integer from 0. */
  readonly ptsUs: number
  /** Decodable without the samples before it. */
  readonly key: boolean
  readonly data: Uint8Array
  /** Microseconds; 0 when nobody said. */
  readonly durationUs: number
}
