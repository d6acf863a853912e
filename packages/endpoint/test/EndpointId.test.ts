import { assert, describe, it } from "@effect/vitest"
import { EndpointId } from "@effect-live/endpoint"
import { Postcard } from "@effect-live/wire"
import * as Limits from "@effect-live/endpoint/Limits"
import { Result, Schema } from "effect"
import { knownIds } from "../src/internal/knownIds.ts"
import { base, bytesOf, hexOf, vectors } from "./vectors.ts"

const ones = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
const refusal = (text: string) => Result.getOrThrow(Result.flip(EndpointId.parse(text))).reason

describe("EndpointId", () => {
  for (const { fields, text = "", what } of vectors(base, "endpoint id text: ")) {
    it(`${fields.reject === true ? "refuses" : "reads"} ${what}`, () => {
      const id = EndpointId.parse(text)
      if (fields.reject === true) assert.isTrue(Result.isFailure(id))
      else assert.strictEqual(Result.getOrThrow(id), fields.endpointId)
    })
  }

  for (const { fields, hex, what } of vectors(base, "endpoint id bytes: ")) {
    it(`${fields.reject === true ? "refuses" : "keeps verbatim"} ${what}`, () => {
      const id = EndpointId.fromBytes(bytesOf(hex))
      const inPostcard = Postcard.codec(EndpointId.EndpointId).decode(bytesOf(hex))
      assert.strictEqual(Result.isSuccess(inPostcard), fields.reject !== true)
      if (fields.reject === true) assert.isTrue(Result.isFailure(id))
      else assert.strictEqual(hexOf(EndpointId.toBytes(Result.getOrThrow(id))), hex)
    })
  }

  it("says which rule a text breaks, and where", () => {
    assert.deepInclude(refusal(ones.toUpperCase()), { _tag: "InvalidHex", offset: 1 })
    assert.deepInclude(refusal("é".repeat(32)), { _tag: "InvalidHex", offset: 0 })
    assert.deepInclude(refusal(` ${ones}`), { _tag: "InvalidLength", bytes: 65 })
    assert.deepInclude(refusal("1".repeat(52)), { _tag: "InvalidBase32", offset: 0 })
    assert.deepInclude(refusal("02".padEnd(64, "0")), { _tag: "NotAPoint" })
    assert.strictEqual(
      Result.getOrThrow(Result.flip(EndpointId.parse(""))).message,
      "not an endpoint id: expected 64 hex digits, 52 base32 letters or 32 raw bytes, not 0 bytes"
    )
  })

  it("remembers a bounded number of valid ids", () => {
    for (let y = 0; y < 3 * Limits.knownIds; y++) {
      EndpointId.fromBytes(Uint8Array.from({ length: 32 }, (_, index) => (index < 2 ? (y >> (8 * index)) & 255 : 0)))
      assert.isAtMost(knownIds.size, Limits.knownIds)
    }
    assert.strictEqual(knownIds.size, Limits.knownIds)
    assert.strictEqual(Result.getOrThrow(EndpointId.parse(ones)), ones)
  })

  it("counts what it checks, and not what it knows", () => {
    const before = EndpointId.checks()
    for (let y = 0; y < 100; y++) EndpointId.fromBytes(new Uint8Array(32).fill(y, 30))
    const checked = EndpointId.checks()
    assert.isAtLeast(checked, before + 50)
    for (let y = 0; y < 100; y++) EndpointId.parse(ones)
    assert.isAtMost(EndpointId.checks(), checked + 1)
  })

  it("is a schema whose values are strings that are keys", () => {
    const decode = Schema.decodeUnknownResult(EndpointId.EndpointId)
    assert.strictEqual(Result.getOrThrow(decode(ones)), ones)
    for (const wrong of [ones.toUpperCase(), "02".padEnd(64, "0"), 7]) assert.isTrue(Result.isFailure(decode(wrong)))
    const id = Result.getOrThrow(EndpointId.parse(ones))
    assert.strictEqual(new Map([[id, 1]]).get(Result.getOrThrow(EndpointId.fromBytes(bytesOf(ones)))), 1)
    assert.strictEqual(EndpointId.fmtShort(id), "8a88e3dd74")
  })
})
