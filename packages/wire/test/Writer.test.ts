import { assert, describe, it } from "@effect/vitest"
import { Limits } from "@effect-live/wire"
import { encode, Writer } from "@effect-live/wire/Writer"
import { hexOf } from "./support.ts"

describe("Writer", () => {
  it("never touches a finished message again", () => {
    const writer = new Writer(64)
    const messages: Array<readonly [Uint8Array, string]> = []
    for (let index = 0; index < 200; index++) {
      writer.leb32(index)
      writer.str("x".repeat(index % 50))
      const message = writer.done()
      messages.push([message, hexOf(message)])
    }
    for (const [message, hex] of messages) assert.strictEqual(hexOf(message), hex)
  })

  it("cuts small messages from one block and gives a large one a block of its own", () => {
    const small = encode((writer) => writer.u8(1))
    const next = encode((writer) => writer.u8(2))
    assert.strictEqual(next.buffer, small.buffer)
    assert.strictEqual(small.buffer.byteLength, Limits.arenaBytes)
    const large = encode((writer) => writer.raw(new Uint8Array(3 * Limits.arenaBytes)))
    assert.strictEqual(large.length, 3 * Limits.arenaBytes)
    assert.notStrictEqual(large.buffer, small.buffer)
  })

  it("forgets the half of a message whose encoder threw", () => {
    assert.throws(() =>
      encode((writer) => {
        writer.u8(1)
        writer.u8(256)
      })
    )
    assert.strictEqual(hexOf(encode((writer) => writer.u8(7))), "07")
  })

  it("lets an encoder encode something else inside", () => {
    const outer = encode((writer) => {
      writer.u8(1)
      writer.byteString(encode((inner) => inner.u8(2)))
      writer.u8(3)
    })
    assert.strictEqual(hexOf(outer), "01010203")
  })

  it("writes text as UTF-8, and a lone surrogate as U+FFFD", () => {
    assert.strictEqual(hexOf(encode((writer) => writer.str("€"))), "03e282ac")
    assert.strictEqual(hexOf(encode((writer) => writer.utf8("a€"))), "61e282ac")
    assert.strictEqual(hexOf(encode((writer) => writer.str("\uD800"))), "03efbfbd")
    assert.strictEqual(encode((writer) => writer.str("x".repeat(128))).length, 130)
  })

  it("takes a value out of its range for a bug", () => {
    const writer = new Writer()
    const bad: ReadonlyArray<() => void> = [
      () => writer.u8(256),
      () => writer.u8(-1),
      () => writer.u8(0.5),
      () => writer.i8(128),
      () => writer.u16be(65_536),
      () => writer.leb16(65_536),
      () => writer.leb32(2 ** 32),
      () => writer.leb32(-1),
      () => writer.leb53(2 ** 53),
      () => writer.leb53(Number.NaN),
      () => writer.leb64(2n ** 64n),
      () => writer.leb64(-1n),
      () => writer.zigzag16(2 ** 15),
      () => writer.zigzag32(2 ** 31),
      () => writer.zigzag64(2n ** 63n),
      () => writer.varint(-1)
    ]
    for (const write of bad) assert.throws(write, RangeError)
  })
})
