import { assert, describe, it } from "@effect/vitest"
import * as Rng from "../src/Rng.ts"

const draws = (rng: Rng.Rng, n: number) => Array.from({ length: n }, () => rng.below(1000))

describe("Rng", () => {
  it("gives the same numbers for the same seed and name, on every engine", () => {
    assert.deepStrictEqual(draws(Rng.make(1, "link"), 6), draws(Rng.make(1, "link"), 6))
    assert.deepStrictEqual(draws(Rng.make(1, "link"), 6), [246, 459, 485, 493, 187, 676])
    assert.notDeepEqual(draws(Rng.make(1, "link"), 6), draws(Rng.make(2, "link"), 6))
    assert.notDeepEqual(draws(Rng.make(1, "link"), 6), draws(Rng.make(1, "node"), 6))
  })

  it("stays in its range and is spread evenly", () => {
    const rng = Rng.make(7)
    const counts = Array.from({ length: 10 }, () => 0)
    for (let i = 0; i < 100_000; i++) {
      const n = rng.below(10)
      counts[n] = (counts[n] ?? Number.NaN) + 1
    }
    for (const count of counts) assert.isTrue(count > 9_600 && count < 10_400, String(counts))
  })
})
