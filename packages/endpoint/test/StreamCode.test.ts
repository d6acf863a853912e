import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as StreamCode from "../src/StreamCode.ts"

describe("stream codes of an application", () => {
  it("map to QUIC and back, and never to a reserved value", () =>
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (code) => {
        const quicCode = StreamCode.toQuic(code)
        assert.strictEqual(StreamCode.fromQuic(quicCode), code)
        assert.notStrictEqual((quicCode - 0x21) % 0x1f, 0)
      })
    ))

  it("fill their range, and nothing outside of it is one", () => {
    assert.strictEqual(StreamCode.toQuic(0), 0x52e4a40fa8db)
    assert.strictEqual(StreamCode.toQuic(0xffff_ffff), 0x52e5ac983162)
    for (const other of [0, 1, 0x52e4a40fa8da, 0x52e5ac983163, 0x52e4a40fa8db + 30]) {
      assert.isUndefined(StreamCode.fromQuic(other))
    }
  })
})
