import { assert, describe, it } from "@effect/vitest"
import { Codec } from "@effect-live/media"
import * as Bytes from "@effect-live/wire/Bytes"
import * as Hex from "@effect-live/wire/Hex"
import { Effect, Result, Stream } from "effect"
import fc from "fast-check"
import { openFile, vectors } from "./support.ts"

interface Entry {
  readonly id: string
  readonly hex?: string
  readonly spsHex?: string
  readonly ppsHex?: string
  readonly annexBHex?: string
  readonly lengthPrefixedHex?: string
  readonly channels?: number
}

const entries = vectors<Entry>()
const vector = (id: string): Entry => {
  const found = entries.find((entry) => entry.id === id)
  assert(found !== undefined)
  return found
}
const bytes = (hex: string | undefined): Uint8Array => Result.getOrThrow(Hex.decode(hex ?? ""))

describe("codec strings", () => {
  it("belong to a family, whatever follows the four letters", () => {
    const cases: ReadonlyArray<readonly [string, Codec.Family | undefined]> = [
      ["avc1.64001f", "h264"],
      ["avc3.42e01e", "h264"],
      ["hev1.1.6.L93.B0", "hevc"],
      ["hvc1.1.6.L93.B0", "hevc"],
      ["vp8", "vp8"],
      ["vp09.00.10.08", "vp9"],
      ["av01.0.00M.08.0.110.01.01.06.0", "av1"],
      ["opus", "opus"],
      ["mp4a.40.2", "aac"],
      ["mp4a.6B", undefined],
      ["pcm", "pcm"],
      ["vorbis", undefined],
      ["", undefined]
    ]
    for (const [codec, family] of cases) assert.strictEqual(Codec.family(codec), family)
  })
})

describe("H.264", () => {
  const { hex, ppsHex, spsHex } = vector("desc-avcc")

  it("an avcC is made from its parameter sets, and gives them back", () => {
    assert.deepStrictEqual(Codec.encodeAvcC([bytes(spsHex), bytes(ppsHex)]), bytes(hex))
    const config = Result.getOrThrow(Codec.decodeAvcC(bytes(hex)))
    assert.deepStrictEqual(config, { lengthBytes: 4, parameterSets: [bytes(spsHex), bytes(ppsHex)] })
    assert.strictEqual(Codec.avcString("avc1", bytes(spsHex)), "avc1.42c01e")
  })

  it("no avcC without both parameter sets", () => {
    assert.isUndefined(Codec.encodeAvcC([bytes(spsHex)]))
    assert.isUndefined(Codec.encodeAvcC([bytes(ppsHex)]))
  })

  it("the size of the picture is in the sequence parameter set", () => {
    const { height, width } = Result.getOrThrow(Codec.decodeSps(bytes(spsHex)))
    assert.deepStrictEqual({ width, height }, { width: 320, height: 180 })
  })

  it("both framings hold the same units", () => {
    const { annexBHex, lengthPrefixedHex } = vector("h264-framing")
    const units = Codec.splitAnnexB(bytes(annexBHex))
    assert.deepStrictEqual(Codec.joinLengthPrefixed(units), bytes(lengthPrefixedHex))
    const same = Result.getOrThrow(Codec.splitLengthPrefixed(bytes(lengthPrefixedHex), 4))
    assert.deepStrictEqual(Codec.joinAnnexB(same), bytes(annexBHex))
  })

  it("units without start codes inside survive both framings", () => {
    const byte = fc.integer({ min: 2, max: 255 })
    const unit = fc.array(byte, { minLength: 1, maxLength: 40 }).map((all) => Uint8Array.from(all))
    fc.assert(
      fc.property(fc.array(unit), (units) => {
        assert.deepStrictEqual(Codec.splitAnnexB(Codec.joinAnnexB(units)), units)
        assert.deepStrictEqual(Result.getOrThrow(Codec.splitLengthPrefixed(Codec.joinLengthPrefixed(units), 4)), units)
      })
    )
  })

  it("start codes of three bytes and trailing zeros are no part of a unit", () => {
    const data = Uint8Array.of(0, 0, 1, 9, 9, 0, 0, 0, 1, 8, 0, 0, 1, 7, 0)
    assert.deepStrictEqual(Codec.splitAnnexB(data), [Uint8Array.of(9, 9), Uint8Array.of(8), Uint8Array.of(7)])
    assert.deepStrictEqual(Codec.splitAnnexB(Uint8Array.of(1, 2, 3)), [])
  })
})

const firstKey = (name: string) =>
  Effect.gen(function* () {
    const file = yield* openFile(name)
    const info = file.tracks.find(({ kind }) => kind === "video")
    const samples = yield* Stream.runCollect(Stream.filter(file.samples, ({ track }) => track === info?.name))
    assert(info !== undefined && samples[0] !== undefined)
    return { info, data: samples[0].data }
  })

describe("what files say about themselves", () => {
  for (const name of ["h264-bframes-aac.mp4", "h264-aac.mpegts", "vp8-opus.webm"]) {
    it.effect(`the size of the picture is found in ${name} itself`, () =>
      Effect.gen(function* () {
        const { data, info } = yield* firstKey(name)
        assert.deepStrictEqual(Codec.pictureSize(info.codec, info.description, data), { width: 160, height: 120 })
      })
    )
  }

  it.effect("the parameter sets of HEVC are in its hvcC", () =>
    Effect.gen(function* () {
      const { info } = yield* firstKey("hevc-bframes-aac.mp4")
      const config = Result.getOrThrow(Codec.decodeHvcC(info.description ?? new Uint8Array(0)))
      const types = config.parameterSets.map((unit) => Codec.nalType("hevc", unit))
      assert.includeMembers(types, [32, 33, 34])
    })
  )
})

describe("audio", () => {
  it("an OpusHead for one and two channels", () => {
    assert.deepStrictEqual(Codec.opusHead(1, 48_000), bytes(vector("desc-opushead-mono").hex))
    assert.deepStrictEqual(Codec.opusHead(2, 48_000), bytes(vector("desc-opushead-stereo").hex))
  })

  it("ADTS headers come and go", () => {
    for (const id of ["desc-aac-asc-44100-2", "desc-aac-asc-48000-2", "desc-aac-asc-48000-1", "desc-aac-asc-16000-1"]) {
      const config = bytes(vector(id).hex)
      const payload = Uint8Array.of(1, 2, 3)
      const frame = Codec.encodeAdts(config, payload)
      assert(frame !== undefined)
      assert.deepStrictEqual(Result.getOrThrow(Codec.decodeAdts(frame)), { payload, config })
    }
  })

  it("ADTS refuses what it cannot express", () => {
    assert.isUndefined(Codec.encodeAdts(bytes(vector("desc-aac-asc-37000-2").hex), Uint8Array.of(1)))
    assert.isUndefined(Codec.encodeAdts(Uint8Array.of(0x11, 0x90), new Uint8Array(9_000)))
    assert.isTrue(Result.isFailure(Codec.decodeAdts(Bytes.concat([Uint8Array.of(0xff, 0x00), new Uint8Array(9)]))))
  })
})
