import * as Hex from "@effect-live/wire/Hex"
import { blake3 } from "@noble/hashes/blake3.js"
import { assert, describe, it } from "@effect/vitest"
import { contentId } from "../../src/internal/contentId.ts"

describe("the id of a content", () => {
  it("is BLAKE3-256 of its bytes, whatever their number and wherever they lie", () => {
    const bytes = Uint8Array.from({ length: 5_000 }, (_, index) => (index * 167 + (index >> 8)) & 255)
    for (let length = 0; length <= 1_100; length++) {
      const content = bytes.subarray(length % 7, (length % 7) + length)
      assert.strictEqual(contentId(content), Hex.encode(blake3(content)), `${length} bytes`)
    }
    assert.strictEqual(contentId(bytes), Hex.encode(blake3(bytes)))
  })

  it("is that of the specification", () => {
    const text = (words: string) => new TextEncoder().encode(words)
    assert.strictEqual(contentId(text("hello")), "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f")
    assert.strictEqual(contentId(text("hi")), "85052e9aab1b67b6622d94a08441b09fd5b7aca61ee360416d70de5da67d86ca")
  })
})
