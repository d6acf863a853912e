import { assert, describe, it } from "@effect/vitest"
import { Lines } from "../src/Lines.ts"

const linesOf = (text: string, maxBytes: number, chunkBytes: number) => {
  const [lines, bytes] = [new Lines(maxBytes), Buffer.from(text)]
  const cut: Array<string> = []
  const told = (line: ReturnType<Lines["push"]>[number]) =>
    cut.push(line._tag === "Line" ? Buffer.from(line.bytes).toString() : `${line.length} too many`)
  for (let at = 0; at < bytes.length; at += chunkBytes) lines.push(bytes.subarray(at, at + chunkBytes)).forEach(told)
  lines.end().forEach(told)
  return cut
}

describe("lines of a stream", () => {
  for (const chunkBytes of [1, 2, 3, 100]) {
    it(`are the same in chunks of ${chunkBytes}`, () => {
      assert.deepStrictEqual(linesOf("a\n\nbc\r\n", 8, chunkBytes), ["a", "", "bc"])
      assert.deepStrictEqual(linesOf("a\nlast", 8, chunkBytes), ["a", "last"], "the last one needs no end")
      assert.deepStrictEqual(linesOf("a\rb\n", 8, chunkBytes), ["a\rb"], "a carriage return inside is kept")
      assert.deepStrictEqual(linesOf("", 8, chunkBytes), [])
      assert.deepStrictEqual(linesOf("\n", 8, chunkBytes), [""])
      assert.deepStrictEqual(linesOf("1234\n1234\r\n12345\n12345\r\n4", 4, chunkBytes), [
        "1234",
        "1234",
        "5 too many",
        "5 too many",
        "4"
      ])
    })
  }

  it("are counted, not kept, beyond the limit, however long one goes on", () => {
    const [lines, chunk] = [new Lines(4_000), new Uint8Array(1_000_000)]
    for (let count = 0; count < 100; count++) assert.lengthOf(lines.push(chunk), 0)
    assert.deepStrictEqual(lines.push(Uint8Array.of(10)), [{ _tag: "TooLong", length: 100_000_000 }])
  })
})
