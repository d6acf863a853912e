import { assert, describe, it } from "@effect/vitest"
import { Legacy } from "@effect-live/media"
import { DecodeError } from "@effect-live/wire/DecodeError"
import * as Hex from "@effect-live/wire/Hex"
import { Result } from "effect"
import fc from "fast-check"
import { vectors } from "./support.ts"

interface Entry {
  readonly id: string
  readonly kind: string
  readonly timestampUs: number
  readonly payloadHex: string
  readonly wireHex: string
  readonly decodeOnly?: boolean
}

const entries = vectors<Entry>()
const bytes = (hex: string): Uint8Array => Result.getOrThrow(Hex.decode(hex))

describe("legacy frames", () => {
  for (const { decodeOnly, id, kind, payloadHex, timestampUs, wireHex } of entries) {
    if (kind !== "legacy-frame") continue
    it(`reads and writes ${id}`, () => {
      const frame = bytes(wireHex)
      assert.deepStrictEqual(Legacy.decode(frame), { ptsUs: timestampUs, payload: bytes(payloadHex) })
      if (decodeOnly !== true) assert.deepStrictEqual(Legacy.encode(timestampUs, bytes(payloadHex)), frame)
    })
  }

  it("come back as they were, and the sized form is the frame behind its size", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.uint8Array({ maxLength: 200 }), (ptsUs, payload) => {
        const frame = Legacy.encode(ptsUs, payload)
        assert.deepStrictEqual(Legacy.decode(frame), { ptsUs, payload })
        assert.deepStrictEqual(Uint8Array.of(...Legacy.prefix(ptsUs), ...payload), frame)
      })
    )
  })

  it("say what is wrong with a time that is cut or too large", () => {
    assert.instanceOf(Legacy.decode(new Uint8Array(0)), DecodeError)
    assert.instanceOf(Legacy.decode(Uint8Array.of(0x80, 1)), DecodeError)
    assert.instanceOf(Legacy.decode(new Uint8Array(8).fill(0xff)), DecodeError)
  })
})
