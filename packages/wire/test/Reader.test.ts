import { assert, describe, it } from "@effect/vitest"
import { decode, type Reader } from "@effect-live/wire/Reader"
import { Writer } from "@effect-live/wire/Writer"
import { Result } from "effect"
import fc from "fast-check"
import { bytesOf } from "./support.ts"

const refusal = (bytes: Uint8Array, read: (reader: Reader) => unknown) => {
  const error = Result.getOrThrow(Result.flip(decode(bytes, read)))
  return `${error.offset}: ${error.expected}`
}

describe("Reader", () => {
  it("says at which offset it expected what", () => {
    assert.strictEqual(
      refusal(bytesOf(""), (r) => r.u8()),
      "0: a byte"
    )
    assert.strictEqual(
      refusal(bytesOf("0102"), (r) => (r.u8(), r.bool())),
      "1: 00 or 01"
    )
    assert.strictEqual(
      refusal(bytesOf("01"), (r) => r.u16be()),
      "0: 2 bytes"
    )
    assert.strictEqual(
      refusal(bytesOf("0102"), (r) => r.raw(3)),
      "0: 3 bytes, there are 2"
    )
    assert.strictEqual(
      refusal(bytesOf("0102"), (r) => (r.u8(), r.done())),
      "1: the end, 1 bytes are left over"
    )
    assert.strictEqual(
      refusal(bytesOf("8080"), (r) => r.leb32()),
      "0: a whole varint"
    )
    assert.strictEqual(
      refusal(bytesOf("02ffff"), (r) => r.str()),
      "1: valid UTF-8"
    )
    assert.strictEqual(
      decode(bytesOf("05"), (r) => r.fail("something else")).pipe(Result.flip, Result.getOrThrow).message,
      "at offset 0: expected something else"
    )
  })

  it("lets a bug in a decoder through as the bug that it is", () => {
    assert.throws(
      () =>
        decode(new Uint8Array(1), () => {
          throw new TypeError("bug")
        }),
      TypeError
    )
  })

  it("refuses varints of postcard that are too long or too large for their width", () => {
    const widths = [
      ["leb16", "ffff03", "ffff04", "80808000"],
      ["leb32", "ffffffff0f", "ffffffff10", "808080808000"],
      ["leb53", "ffffffffffffff0f", "ffffffffffffffff01", "8080808080808080808000"],
      ["leb64", "ffffffffffffffffff01", "ffffffffffffffffff02", "8080808080808080808000"]
    ] as const
    for (const [method, largest, tooLarge, tooLong] of widths) {
      const max = { leb16: 2n ** 16n, leb32: 2n ** 32n, leb53: 2n ** 53n, leb64: 2n ** 64n }[method] - 1n
      assert.strictEqual(BigInt(Result.getOrThrow(decode(bytesOf(largest), (r) => r[method]()))), max)
      assert.isTrue(Result.isFailure(decode(bytesOf(tooLarge), (r) => r[method]())), `${method} ${tooLarge}`)
      assert.isTrue(Result.isFailure(decode(bytesOf(tooLong), (r) => r[method]())), `${method} ${tooLong}`)
    }
  })

  it("accepts varints longer than needed, as the Rust peers do", () => {
    assert.strictEqual(Result.getOrThrow(decode(bytesOf("808000"), (r) => r.leb16())), 0)
    assert.strictEqual(Result.getOrThrow(decode(bytesOf("8180808000"), (r) => r.leb32())), 1)
    assert.strictEqual(Result.getOrThrow(decode(bytesOf("81808080808080808000"), (r) => r.leb53())), 1)
    assert.strictEqual(Result.getOrThrow(decode(bytesOf("81808080808080808000"), (r) => r.leb64())), 1n)
  })

  it("never believes a count that the bytes left cannot hold", () => {
    assert.strictEqual(
      refusal(bytesOf("ffffffffffffffffff01"), (r) => r.count()),
      "0: at most 0 items, 0 bytes are left"
    )
    assert.strictEqual(
      refusal(bytesOf("03aabbccddee"), (r) => r.count(2)),
      "0: at most 2 items, 5 bytes are left"
    )
    assert.strictEqual(Result.getOrThrow(decode(bytesOf("02aabbccdd"), (r) => r.count(2))), 2)
    assert.strictEqual(
      refusal(bytesOf("ff7f61"), (r) => r.str()),
      "0: at most 1 items, 1 bytes are left"
    )
  })

  it("reads UTF-8 strictly: no overlong forms, no surrogates, and a byte order mark stays", () => {
    for (const hex of ["c080", "eda080", "f4908080", "e282", "80", "61ff"]) {
      assert.isTrue(Result.isFailure(decode(bytesOf(hex), (r) => r.utf8(r.remaining))), hex)
    }
    assert.strictEqual(Result.getOrThrow(decode(bytesOf("efbbbf61"), (r) => r.utf8(4))), "\uFEFFa")
  })

  it("returns views, not copies", () => {
    const bytes = bytesOf("00aabb")
    const [, view] = Result.getOrThrow(decode(bytes, (r) => [r.u8(), r.rest()] as const))
    assert.strictEqual(view.buffer, bytes.buffer)
    assert.strictEqual(view.byteOffset - bytes.byteOffset, 1)
  })

  it("works on a part of a larger buffer without seeing the rest", () => {
    const part = bytesOf("aabbccdd").subarray(1, 3)
    assert.strictEqual(
      refusal(part, (r) => r.raw(3)),
      "0: 3 bytes, there are 2"
    )
  })

  it("reads back whatever a Writer wrote", () => {
    fc.assert(
      fc.property(
        fc.record({
          text: fc.string({ unit: "binary", maxLength: 200 }),
          bytes: fc.uint8Array({ maxLength: 300 }),
          u16: fc.nat(0xffff),
          u32: fc.nat(0xffff_ffff),
          u53: fc.maxSafeNat(),
          u64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
          i8: fc.integer({ min: -128, max: 127 }),
          i16: fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
          i32: fc.integer(),
          i64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
          flag: fc.boolean()
        }),
        (value) => {
          const writer = new Writer(16)
          writer.str(value.text)
          writer.byteString(value.bytes)
          writer.u16be(value.u16)
          writer.leb16(value.u16)
          writer.leb32(value.u32)
          writer.leb53(value.u53)
          writer.leb64(value.u64)
          writer.i8(value.i8)
          writer.zigzag16(value.i16)
          writer.zigzag32(value.i32)
          writer.zigzag64(value.i64)
          writer.bool(value.flag)
          const read = decode(writer.done(), (r) => {
            const [text, bytes, be] = [r.str(), r.byteString(), r.u16be()]
            const rest = { u16: r.leb16(), u32: r.leb32(), u53: r.leb53(), u64: r.leb64(), i8: r.i8() }
            const signed = { i16: r.zigzag16(), i32: r.zigzag32(), i64: r.zigzag64(), flag: r.bool() }
            r.done()
            assert.strictEqual(be, value.u16)
            return { text, bytes: bytes.slice(), ...rest, ...signed }
          })
          assert.deepStrictEqual(Result.getOrThrow(read), value)
        }
      )
    )
  })
})
