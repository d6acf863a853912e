import { Reader } from "@effect-live/wire/Reader"
import * as Varint from "@effect-live/wire/Varint"
import { encode } from "@effect-live/wire/Writer"
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as Timestamp from "../../src/internal/Timestamp.ts"
import { fromHex, toHex } from "../support/raw.ts"

const timestamp = fc.oneof(fc.nat(), fc.maxSafeNat(), fc.constantFrom(0, 2 ** 52, Number.MAX_SAFE_INTEGER))

/** The same in the words of the specification, with integers of any size. */
const derived = (timestamp: number, previous: number): Uint8Array => {
  const delta = BigInt(timestamp) - BigInt(previous)
  return encode((writer) => writer.varint(delta >= 0n ? 2n * delta : -2n * delta - 1n))
}

describe("timestamps of frames", () => {
  it("are written and read as zigzag of their difference, exact to 2^53 - 1", () =>
    fc.assert(
      fc.property(timestamp, timestamp, fc.nat({ max: 3 }), (timestamp, previous, offset) => {
        const bytes = new Uint8Array(offset + Timestamp.size(timestamp, previous))
        assert.strictEqual(Timestamp.write(bytes, offset, timestamp, previous), bytes.length)
        assert.strictEqual(toHex(bytes.subarray(offset)), toHex(derived(timestamp, previous)))
        assert.strictEqual(Timestamp.tryRead(bytes, offset, previous), timestamp)
        assert.strictEqual(Timestamp.tryRead(bytes.subarray(0, -1), offset, previous), Varint.NeedMore)
      })
    ))

  it("below 0 or above 2^53 - 1 are refused, whatever the difference", () =>
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 62n - 1n), timestamp, (zigzag, previous) => {
        const bytes = encode((writer) => writer.varint(zigzag))
        const expected = BigInt(previous) + (zigzag % 2n === 0n ? zigzag / 2n : -(zigzag + 1n) / 2n)
        assert.strictEqual(
          Timestamp.tryRead(bytes, 0, previous),
          expected < 0n || expected > Number.MAX_SAFE_INTEGER ? Varint.TooLarge : Number(expected)
        )
        assert.strictEqual(new Reader(bytes).varint64(), zigzag)
      })
    ))

  it("may be encoded longer than needed", () => {
    assert.strictEqual(Timestamp.tryRead(fromHex("c000000000000003"), 0, 10), 8)
    assert.strictEqual(Timestamp.tryRead(fromHex("4002"), 0, 10), 11)
  })
})
