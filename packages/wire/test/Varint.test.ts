import { assert, describe, it } from "@effect/vitest"
import { decode } from "@effect-live/wire/Reader"
import * as Varint from "@effect-live/wire/Varint"
import { Writer } from "@effect-live/wire/Writer"
import { Result } from "effect"
import fc from "fast-check"
import { bytesOf, hexOf } from "./support.ts"

/** RFC 9000 appendix A.1 */
const samples: ReadonlyArray<readonly [string, bigint]> = [
  ["c2197c5eff14e88c", 151288809941952652n],
  ["9d7f3e7d", 494878333n],
  ["7bbd", 15293n],
  ["25", 37n]
]

describe("Varint", () => {
  it("reads and writes the samples of RFC 9000", () => {
    for (const [hex, value] of samples) {
      assert.strictEqual(Result.getOrThrow(decode(bytesOf(hex), (reader) => reader.varint64())), value)
      const writer = new Writer()
      writer.varint(value)
      assert.strictEqual(hexOf(writer.done()), hex)
    }
  })

  it("accepts an encoding longer than needed", () => {
    assert.strictEqual(Varint.tryRead(bytesOf("4025"), 0), 37)
  })

  it("says that a cut value needs more, at every length", () => {
    for (const [hex] of samples) {
      const whole = bytesOf(hex)
      for (let length = 0; length < whole.length; length++) {
        assert.strictEqual(Varint.tryRead(whole.subarray(0, length), 0), Varint.NeedMore)
      }
    }
  })

  it("says that a whole value above 2^53 - 1 is too large, and reads 2^53 - 1", () => {
    assert.strictEqual(Varint.tryRead(bytesOf("c01fffffffffffff"), 0), Number.MAX_SAFE_INTEGER)
    assert.strictEqual(Varint.tryRead(bytesOf("c020000000000000"), 0), Varint.TooLarge)
    assert.strictEqual(Varint.tryRead(bytesOf("c020000000000001"), 0), Varint.TooLarge)
    assert.strictEqual(Varint.tryRead(bytesOf("ffffffffffffffff"), 0), Varint.TooLarge)
    const refused = decode(bytesOf("00c020000000000000"), (reader) => [reader.varint(), reader.varint()])
    assert.deepInclude(Result.getOrThrow(Result.flip(refused)), { offset: 1, expected: "a varint up to 2^53 - 1" })
  })

  it("writes the shortest encoding at every boundary", () => {
    for (const [value, size] of [
      [0, 1],
      [63, 1],
      [64, 2],
      [16_383, 2],
      [16_384, 4],
      [1_073_741_823, 4],
      [1_073_741_824, 8],
      [Number.MAX_SAFE_INTEGER, 8],
      [2n ** 62n - 1n, 8]
    ] as const) {
      assert.strictEqual(Varint.size(value), size)
      const bytes = new Uint8Array(10)
      assert.strictEqual(Varint.write(bytes, 1, value), 1 + size)
      assert.strictEqual(Varint.sizeFrom(bytes[1] ?? 0), size)
      assert.strictEqual(Result.getOrThrow(decode(bytes.subarray(1), (reader) => reader.varint64())), BigInt(value))
    }
  })

  it("comes back as it was written, as number and as bigint", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.bigInt({ min: 0n, max: 2n ** 62n - 1n }), (small, wide) => {
        const writer = new Writer()
        writer.varint(small)
        writer.varint(wide)
        const read = decode(writer.done(), (reader) => [reader.varint(), reader.varint64()])
        assert.deepStrictEqual(Result.getOrThrow(read), [small, wide])
      })
    )
  })

  it("takes a value out of range for a bug", () => {
    for (const value of [-1, 1.5, Number.NaN, 2 ** 53, -1n, 2n ** 62n]) {
      assert.throws(() => Varint.size(value), RangeError)
    }
  })
})
