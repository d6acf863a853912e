import { assert, describe, it } from "@effect/vitest"
import * as Metrics from "../../src/testing/Metrics.ts"

const metrics = (rmr: number, ldh: number, durationMs: number, missed: number): Metrics.Metrics => ({
  rmr,
  ldh,
  durationMs,
  missed
})
const rounds = [metrics(1, 3, 100, 0), metrics(0, 5, 300, 2)]

describe("Metrics", () => {
  it("sums a run up by the least, the most and the mean of its rounds", () => {
    assert.deepStrictEqual(Metrics.summarize(rounds), {
      min: metrics(0, 3, 100, 0),
      max: metrics(1, 5, 300, 2),
      mean: metrics(0.5, 4, 200, 1)
    })
  })

  it("reads several seeds fairly: the mean of the means, their standard deviation, the extremes of all", () => {
    const runs = [Metrics.summarize(rounds), Metrics.summarize([metrics(2.5, 4, 600, 0)])]
    const { deviation, max, mean, min } = Metrics.acrossSeeds(runs)
    assert.deepStrictEqual(mean, metrics(1.5, 4, 400, 0.5))
    assert.deepStrictEqual(min, metrics(0, 3, 100, 0))
    assert.deepStrictEqual(max, metrics(2.5, 5, 600, 2))
    assert.closeTo(deviation.rmr, Math.SQRT2, 1e-12)
    assert.strictEqual(deviation.ldh, 0)
  })

  it("knows no deviation of a single seed", () => {
    assert.deepStrictEqual(Metrics.acrossSeeds([Metrics.summarize(rounds)]).deviation, metrics(0, 0, 0, 0))
  })

  it("also prints several seeds as the Rust simulator does: the least, in every row", () => {
    const runs = [Metrics.summarize(rounds), Metrics.summarize([metrics(2.5, 4, 600, 0)])]
    assert.deepStrictEqual(Metrics.acrossSeedsUpstream(runs), {
      min: metrics(0, 3, 100, 0),
      max: metrics(1, 4, 300, 0),
      mean: metrics(0.5, 4, 200, 0)
    })
  })

  it("tells how a second run differs as a share of the first", () => {
    assert.deepStrictEqual(
      Metrics.change(metrics(0.5, 4, 200, 0), metrics(0.25, 5, 200, 1)),
      metrics(-0.5, 0.25, 0, Infinity)
    )
  })
})
