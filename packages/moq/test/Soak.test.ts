import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./soak.ts"

const options = { nodes: 8, churnMs: 30_000 }
const seeds = 50
const perTest = 10

/** `npm run soak` runs more of them. */
describe("eight nodes that publish, watch, crash and come back over a bad network", () => {
  for (let first = 0; first < seeds; first += perTest) {
    it.effect(
      `nobody hangs, nothing comes twice or wrong, and nothing is left: seeds ${first} to ${first + perTest - 1}`,
      () =>
        Effect.gen(function* () {
          for (let seed = first; seed < first + perTest; seed++) {
            const { faults } = yield* run({ ...options, seed })
            assert.deepStrictEqual(faults, [], `seed ${seed}; replay it with npm run soak -- --seeds ${seed}`)
          }
        }),
      300_000
    )
  }

  it.effect(
    "one seed always goes the same way",
    () =>
      Effect.gen(function* () {
        const [first, second] = [yield* run({ ...options, seed: 7 }), yield* run({ ...options, seed: 7 })]
        assert.deepStrictEqual(first, second)
        assert.isAbove(first.counts.frames, 1_000)
        assert.isAbove(first.counts.crashes, 0)
      }),
    120_000
  )
})
