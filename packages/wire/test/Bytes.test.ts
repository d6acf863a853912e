import { assert, describe, it } from "@effect/vitest"
import { Bytes } from "@effect-live/wire"
import { bytesOf } from "./support.ts"

describe("Bytes", () => {
  it("orders as a dictionary does, a prefix first", () => {
    const sorted = ["", "00", "0000", "01", "0100", "7f", "80", "ff"].map(bytesOf)
    assert.deepStrictEqual(sorted.toReversed().toSorted(Bytes.compare), sorted)
    assert.isTrue(Bytes.equals(bytesOf("0102"), bytesOf("0102")))
    assert.isFalse(Bytes.equals(bytesOf("0102"), bytesOf("010200")))
    assert.deepStrictEqual(Bytes.concat([bytesOf("01"), bytesOf(""), bytesOf("0203")]), bytesOf("010203"))
  })
})
