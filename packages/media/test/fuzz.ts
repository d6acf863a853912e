import { Catalog, Codec, Legacy } from "@effect-live/media"
import { DecodeError } from "@effect-live/wire/DecodeError"
import type { Target } from "@effect-live/wire/testing/Fuzz"
import { Result } from "effect"
import { BoxGuard, HostileFile } from "../src/internal/boxGuard.ts"
import { bytesOf, vectors } from "./support.ts"

interface Entry {
  readonly kind: string
  readonly document?: unknown
  readonly wireHex?: string
  readonly hex?: string
  readonly spsHex?: string
  readonly annexBHex?: string
  readonly lengthPrefixedHex?: string
}

const entries = vectors<Entry>()
const hex = (text: string | undefined): ReadonlyArray<Uint8Array> =>
  text === undefined ? [] : [new Uint8Array(Buffer.from(text, "hex"))]
const all = (pick: (entry: Entry) => string | undefined) => entries.flatMap((entry) => hex(pick(entry)))
const documents = entries.flatMap(({ document }) =>
  document === undefined ? [] : [new TextEncoder().encode(JSON.stringify(document)).subarray(0, 1_000)]
)
const moov = bytesOf("h264-bframes-aac.mp4")

export const fuzzTargets: ReadonlyArray<Target> = [
  {
    name: "Catalog.decode",
    seeds: documents,
    decode: (bytes) =>
      Result.map(Catalog.decode(bytes), (decoded) => {
        const text = Catalog.format(decoded.catalog)
        const again = Result.getOrThrow(Catalog.decode(text))
        if (Catalog.format(again.catalog) !== text) throw new Error("what was written reads differently")
        return decoded
      })
  },
  {
    name: "Catalog.GroupDecoder",
    seeds: documents,
    decode: (bytes) => {
      const decoder = new Catalog.GroupDecoder()
      decoder.decode('{"video":{"renditions":{"v0":{"codec":"vp8"}}}}')
      return decoder.decode(bytes)
    }
  },
  {
    name: "Legacy.decode",
    seeds: all(({ kind, wireHex }) => (kind === "legacy-frame" ? wireHex : undefined)),
    decode: (bytes) => {
      const frame = Legacy.decode(bytes)
      return frame instanceof DecodeError ? Result.fail(frame) : frame
    }
  },
  { name: "Codec.decodeAvcC", seeds: all(({ hex }) => hex), decode: Codec.decodeAvcC },
  { name: "Codec.decodeHvcC", seeds: [], decode: Codec.decodeHvcC },
  { name: "Codec.decodeSps", seeds: all(({ spsHex }) => spsHex), decode: Codec.decodeSps },
  { name: "Codec.splitAnnexB", seeds: all(({ annexBHex }) => annexBHex), decode: Codec.splitAnnexB },
  {
    name: "Codec.splitLengthPrefixed",
    seeds: all(({ lengthPrefixedHex }) => lengthPrefixedHex),
    decode: (bytes) => Codec.splitLengthPrefixed(bytes, 4)
  },
  { name: "Codec.decodeAdts", seeds: hex("fff14c4012bffcde0102"), decode: Codec.decodeAdts },
  {
    name: "Codec.pictureSize",
    seeds: [...all(({ annexBHex }) => annexBHex), ...hex("304a009d012aa0007800")],
    decode: (bytes) => [Codec.pictureSize("avc3", undefined, bytes), Codec.pictureSize("vp8", undefined, bytes)]
  },
  {
    name: "BoxGuard",
    seeds: [moov.subarray(0, 64), moov.subarray(Buffer.from(moov).indexOf("moov") - 4).subarray(0, 1_000)],
    decode: (bytes) => {
      try {
        new BoxGuard().push(bytes)
        return Result.void
      } catch (refused) {
        if (refused instanceof HostileFile) return Result.fail(refused)
        throw refused
      }
    }
  }
]
