/**
 * Codec strings of the catalog (RFC 6381 and the WebCodecs registry) and the few bytes of each codec that one must know to carry
 * it: parameter sets and both framings of H.264 and HEVC (ISO 14496-15), AAC (ISO 14496-3), OpusHead (RFC 7845 section 5.1).
 */
import * as Bytes from "@effect-live/wire/Bytes"
import type { DecodeError } from "@effect-live/wire/DecodeError"
import * as Hex from "@effect-live/wire/Hex"
import { decode, type Reader } from "@effect-live/wire/Reader"
import { Result } from "effect"

export type Family = "h264" | "hevc" | "vp8" | "vp9" | "av1" | "opus" | "aac" | "pcm"

/** The family of a codec string, or `undefined` for one that this package does not carry. */
export const family = (codec: string): Family | undefined => {
  const [name = ""] = codec.split(".", 1)
  if (name === "mp4a") return /^mp4a\.(40|67)(\.|$)/.test(codec) ? "aac" : undefined
  return families.get(name)
}

const families = new Map<string, Family>([
  ["avc1", "h264"],
  ["avc3", "h264"],
  ["hev1", "hevc"],
  ["hvc1", "hevc"],
  ["vp8", "vp8"],
  ["vp09", "vp9"],
  ["av01", "av1"],
  ["opus", "opus"],
  ["pcm", "pcm"]
])

/** What an avcC or hvcC record holds: the bytes of a length prefix, and the parameter sets in decode order. */
export interface DecoderConfig {
  readonly lengthBytes: number
  readonly parameterSets: ReadonlyArray<Uint8Array>
}

/** The avcC record of an H.264 `description` (ISO 14496-15 section 5.3.3). A tail for high profiles is not looked at. */
export const decodeAvcC = (bytes: Uint8Array): Result.Result<DecoderConfig, DecodeError> =>
  decode(bytes, (reader) => {
    if (reader.u8() !== 1) reader.fail("an avcC of version 1", 0)
    reader.raw(3) // profile, compatibility, level: the same as in the parameter sets
    const lengthBytes = (reader.u8() & 3) + 1
    const parameterSets: Array<Uint8Array> = []
    for (let left = reader.u8() & 31; left > 0; left--) parameterSets.push(reader.raw(reader.u16be()))
    for (let left = reader.u8(); left > 0; left--) parameterSets.push(reader.raw(reader.u16be()))
    return { lengthBytes, parameterSets }
  })

/** The hvcC record of an HEVC `description` (ISO 14496-15 section 8.3.3). */
export const decodeHvcC = (bytes: Uint8Array): Result.Result<DecoderConfig, DecodeError> =>
  decode(bytes, (reader) => {
    if (reader.u8() !== 1) reader.fail("an hvcC of version 1", 0)
    reader.raw(20)
    const lengthBytes = (reader.u8() & 3) + 1
    const parameterSets: Array<Uint8Array> = []
    for (let arrays = reader.u8(); arrays > 0; arrays--) {
      reader.u8()
      for (let left = reader.u16be(); left > 0; left--) parameterSets.push(reader.raw(reader.u16be()))
    }
    return { lengthBytes, parameterSets }
  })

/** The avcC record for the parameter sets among the NAL units of a key frame; `undefined` when SPS or PPS is missing. */
export const encodeAvcC = (units: ReadonlyArray<Uint8Array>): Uint8Array | undefined => {
  const sets = (type: number) =>
    distinct(units.filter((unit) => nalType("h264", unit) === type && unit.length >= 4 && unit.length <= 0xffff))
  const sps = sets(7).slice(0, 31)
  const pps = distinct(units.filter((unit) => nalType("h264", unit) === 8 && unit.length <= 0xffff)).slice(0, 255)
  const [first] = sps
  const size = first === undefined ? undefined : decodeSps(first)
  if (first === undefined || pps.length === 0 || size === undefined || Result.isFailure(size)) return undefined
  const { bitDepthChroma, bitDepthLuma, chromaFormat, profile } = size.success
  const tail = [100, 110, 122, 144].includes(profile)
    ? [Uint8Array.of(0xfc | chromaFormat, 0xf8 | (bitDepthLuma - 8), 0xf8 | (bitDepthChroma - 8), 0)]
    : []
  return Bytes.concat([
    Uint8Array.of(1, first[1] ?? 0, first[2] ?? 0, first[3] ?? 0, 0xff, 0xe0 | sps.length),
    ...sps.flatMap(withU16Length),
    Uint8Array.of(pps.length),
    ...pps.flatMap(withU16Length),
    ...tail
  ])
}

/** `avc3.PPCCLL` or `avc1.PPCCLL` (with a description) for an H.264 SPS of at least 4 bytes. */
export const avcString = (form: "avc1" | "avc3", sps: Uint8Array): string => `${form}.${Hex.encode(sps.subarray(1, 4))}`

export interface Sps {
  readonly profile: number
  readonly chromaFormat: number
  readonly bitDepthLuma: number
  readonly bitDepthChroma: number
  /** Size of the picture in pixels, cropping applied. */
  readonly width: number
  readonly height: number
}

/** The beginning of an H.264 sequence parameter set, a whole NAL unit (H.264 section 7.3.2.1.1). */
export const decodeSps = (unit: Uint8Array): Result.Result<Sps, DecodeError> =>
  decode(unescape(unit), (reader) => {
    const bits = new BitReader(reader)
    if ((bits.u(8) & 31) !== 7) reader.fail("a sequence parameter set", 0)
    const profile = bits.u(8)
    bits.u(16)
    bits.ue()
    let chromaFormat = 1
    let bitDepthLuma = 8
    let bitDepthChroma = 8
    let separatePlanes = false
    if (highProfiles.has(profile)) {
      chromaFormat = bits.ueUpTo(3)
      if (chromaFormat === 3) separatePlanes = bits.u(1) === 1
      bitDepthLuma = 8 + bits.ueUpTo(6)
      bitDepthChroma = 8 + bits.ueUpTo(6)
      bits.u(1)
      if (bits.u(1) === 1) {
        for (let list = 0; list < (chromaFormat === 3 ? 12 : 8); list++) {
          if (bits.u(1) === 1) skipScalingList(bits, list < 6 ? 16 : 64)
        }
      }
    }
    bits.ue()
    const orderType = bits.ueUpTo(2)
    if (orderType === 0) bits.ue()
    else if (orderType === 1) {
      bits.u(1)
      bits.ue()
      bits.ue()
      for (let left = bits.ueUpTo(255); left > 0; left--) bits.ue()
    }
    bits.ue()
    bits.u(1)
    const widthMacroblocks = 1 + bits.ueUpTo(maxMacroblocks)
    const heightMapUnits = 1 + bits.ueUpTo(maxMacroblocks)
    const fields = bits.u(1) === 0
    if (fields) bits.u(1)
    bits.u(1)
    const crop = bits.u(1) === 1 ? [bits.ue(), bits.ue(), bits.ue(), bits.ue()] : [0, 0, 0, 0]
    const [left = 0, right = 0, top = 0, bottom = 0] = crop
    const planar = separatePlanes || chromaFormat === 0
    const unitX = planar || chromaFormat === 3 ? 1 : 2
    const unitY = (planar || chromaFormat !== 1 ? 1 : 2) * (fields ? 2 : 1)
    const width = widthMacroblocks * 16 - unitX * (left + right)
    const height = heightMapUnits * 16 * (fields ? 2 : 1) - unitY * (top + bottom)
    if (width <= 0 || height <= 0) reader.fail("a picture that is not cropped away")
    return { profile, chromaFormat, bitDepthLuma, bitDepthChroma, width, height }
  })

/**
 * Width and height in pixels of what a key frame shows, where its first bytes say so without much parsing: H.264 (from the
 * description or in band) and VP8.
 */
export const pictureSize = (
  codec: string,
  description: Uint8Array | undefined,
  keyFrame: Uint8Array
): { readonly width: number; readonly height: number } | undefined => {
  switch (family(codec)) {
    case "h264": {
      const config = description === undefined ? undefined : decodeAvcC(description)
      const units =
        config === undefined ? splitAnnexB(keyFrame) : Result.isSuccess(config) ? config.success.parameterSets : []
      for (const unit of units) {
        const sps = nalType("h264", unit) === 7 ? decodeSps(unit) : undefined
        if (sps !== undefined && Result.isSuccess(sps)) return { width: sps.success.width, height: sps.success.height }
      }
      return undefined
    }
    case "vp8": {
      const [frameTag = 1, , , a, b, c, w0 = 0, w1 = 0, h0 = 0, h1 = 0] = keyFrame // RFC 6386 section 9.1
      if ((frameTag & 1) !== 0 || a !== 0x9d || b !== 0x01 || c !== 0x2a) return undefined
      const size = { width: ((w1 & 0x3f) << 8) | w0, height: ((h1 & 0x3f) << 8) | h0 }
      return size.width > 0 && size.height > 0 ? size : undefined
    }
    default:
      return undefined
  }
}

/** The type of an H.264 or HEVC NAL unit; -1 for an empty one. */
export const nalType = (family: "h264" | "hevc", unit: Uint8Array): number => {
  const [first] = unit
  return first === undefined ? -1 : family === "h264" ? first & 31 : (first >> 1) & 63
}

/** The NAL units of an Annex B access unit, as views without start codes and trailing zeros (H.264 annex B). */
export const splitAnnexB = (data: Uint8Array): ReadonlyArray<Uint8Array> => {
  const units: Array<Uint8Array> = []
  let start = -1
  for (let at = 0; at + 2 < data.length; at++) {
    if (data[at + 2] !== undefined && (data[at + 2] ?? 0) > 1) at += 2
    else if (data[at] === 0 && data[at + 1] === 0 && data[at + 2] === 1) {
      if (start >= 0) push(units, data, start, at)
      start = at + 3
      at += 2
    }
  }
  if (start >= 0) push(units, data, start, data.length)
  return units
}

/** The NAL units of a length-prefixed access unit, as views. Errors: a length beyond the end. */
export const splitLengthPrefixed = (
  data: Uint8Array,
  lengthBytes: number
): Result.Result<ReadonlyArray<Uint8Array>, DecodeError> =>
  decode(data, (reader) => {
    const units: Array<Uint8Array> = []
    while (reader.remaining > 0) {
      let length = 0
      for (let left = lengthBytes; left > 0; left--) length = length * 256 + reader.u8()
      units.push(reader.raw(length))
    }
    return units
  })

/** NAL units behind start codes of four bytes. */
export const joinAnnexB = (units: ReadonlyArray<Uint8Array>): Uint8Array =>
  Bytes.concat(units.flatMap((unit) => [startCode, unit]))

/** NAL units behind lengths of four bytes. */
export const joinLengthPrefixed = (units: ReadonlyArray<Uint8Array>): Uint8Array =>
  Bytes.concat(
    units.flatMap((unit) => [
      Uint8Array.of(unit.length >>> 24, unit.length >>> 16, unit.length >>> 8, unit.length),
      unit
    ])
  )

export interface Adts {
  /** The raw access unit: a view. */
  readonly payload: Uint8Array
  /** For the catalog: the AudioSpecificConfig that the header stands for. */
  readonly config: Uint8Array
}

/** One AAC frame with an ADTS header (ISO 14496-3 section 1.A.2). */
export const decodeAdts = (frame: Uint8Array): Result.Result<Adts, DecodeError> =>
  decode(frame, (reader) => {
    if (reader.u16be() >>> 4 !== 0xfff) reader.fail("an ADTS sync word", 0)
    reader.offset = 1
    const hasCrc = (reader.u8() & 1) === 0
    const a = reader.u8()
    const b = reader.u8()
    reader.raw(3)
    if (hasCrc) reader.raw(2)
    const objectType = (a >> 6) + 1
    const rateIndex = (a >> 2) & 15
    const channels = ((a & 1) << 2) | (b >> 6)
    if (rateIndex > 12) reader.fail("a sampling frequency index up to 12", 2)
    const config = Uint8Array.of((objectType << 3) | (rateIndex >> 1), ((rateIndex & 1) << 7) | (channels << 3))
    return { payload: reader.rest(), config }
  })

/** A raw AAC access unit behind an ADTS header, as its AudioSpecificConfig says; `undefined` for what ADTS cannot express. */
export const encodeAdts = (config: Uint8Array, payload: Uint8Array): Uint8Array | undefined => {
  const [a = 0, b = 0] = config
  const objectType = a >> 3
  const rateIndex = ((a & 7) << 1) | (b >> 7)
  const channels = (b >> 3) & 15
  const length = payload.length + 7
  if (config.length < 2 || objectType < 1 || objectType > 4 || rateIndex > 12 || channels > 7 || length > 0x1fff) {
    return undefined
  }
  const header = Uint8Array.of(
    0xff,
    0xf1,
    ((objectType - 1) << 6) | (rateIndex << 2) | (channels >> 2),
    ((channels & 3) << 6) | (length >> 11),
    length >> 3,
    ((length & 7) << 5) | 0x1f,
    0xfc
  )
  return Bytes.concat([header, payload])
}

/** An OpusHead of 19 bytes: 312 samples of pre-skip, for at most two channels. */
export const opusHead = (channels: number, sampleRate: number): Uint8Array => {
  const head = new Uint8Array(19)
  head.set(new TextEncoder().encode("OpusHead"))
  const view = new DataView(head.buffer)
  view.setUint8(8, 1)
  view.setUint8(9, channels)
  view.setUint16(10, 312, true)
  view.setUint32(12, sampleRate, true)
  return head
}

const startCode = Uint8Array.of(0, 0, 0, 1)
const highProfiles = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135])
/** Of one side: 16,384 pixels. */
const maxMacroblocks = 1_023

const push = (units: Array<Uint8Array>, data: Uint8Array, start: number, end: number): void => {
  let last = end
  while (last > start && data[last - 1] === 0) last--
  if (last > start) units.push(data.subarray(start, last))
}

const withU16Length = (bytes: Uint8Array): ReadonlyArray<Uint8Array> => [
  Uint8Array.of(bytes.length >> 8, bytes.length),
  bytes
]

const distinct = (units: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> =>
  units.filter((unit, index) => units.findIndex((other) => Bytes.equals(unit, other)) === index)

/** Without emulation prevention: 00 00 03 stands for 00 00. */
const unescape = (unit: Uint8Array): Uint8Array => {
  const plain = new Uint8Array(unit.length)
  let length = 0
  let zeros = 0
  for (const byte of unit) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0
      continue
    }
    zeros = byte === 0 ? zeros + 1 : 0
    plain[length++] = byte
  }
  return plain.subarray(0, length)
}

const skipScalingList = (bits: BitReader, size: number): void => {
  let last = 8
  for (let index = 0; index < size; index++) {
    last = (last + bits.se() + 256) & 255
    if (last === 0) return
  }
}

/** Bits and Exp-Golomb codes (H.264 section 9.1) over a byte reader. */
class BitReader {
  readonly #reader: Reader
  #byte = 0
  #left = 0

  constructor(reader: Reader) {
    this.#reader = reader
  }

  u(bits: number): number {
    let value = 0
    for (let left = bits; left > 0; left--) {
      if (this.#left === 0) {
        this.#byte = this.#reader.u8()
        this.#left = 8
      }
      this.#left--
      value = value * 2 + ((this.#byte >> this.#left) & 1)
    }
    return value
  }

  ue(): number {
    let zeros = 0
    while (this.u(1) === 0) if (++zeros > 31) this.#reader.fail("an Exp-Golomb code of at most 63 bits")
    return 2 ** zeros - 1 + this.u(zeros)
  }

  ueUpTo(max: number): number {
    const value = this.ue()
    return value <= max ? value : this.#reader.fail(`at most ${max}`)
  }

  se(): number {
    const code = this.ue()
    return code % 2 === 0 ? -code / 2 : (code + 1) / 2
  }
}
