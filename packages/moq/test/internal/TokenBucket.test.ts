import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as TokenBucket from "../../src/internal/TokenBucket.ts"
import * as Limits from "../../src/Limits.ts"

const rate = { perSecond: 500, burst: 1_000 }
const anyRate = fc.record({
  perSecond: fc.integer({ min: 1, max: 10_000 }),
  burst: fc.integer({ min: 1, max: 10_000 })
})

/**
 * Somebody who asks `perSecond` times a second, one after the other, and is woken `late` milliseconds late: how often it was served,
 * how often it waited, and the longest overload.
 */
const ask = (bucket: TokenBucket.TokenBucket, perSecond: number, fromMs: number, forMs: number, late = 0) => {
  let [served, waited, overloadedMs, now] = [0, 0, 0, fromMs]
  for (let n = 0; ; n++) {
    now = Math.max(now, fromMs + (n * 1_000) / perSecond)
    if (now >= fromMs + forMs) return { served, waited, overloadedMs }
    const wait = TokenBucket.take(bucket, now)
    overloadedMs = Math.max(overloadedMs, TokenBucket.overloadedMs(bucket, now))
    if (wait > 0) {
      waited++
      now += wait + late
    }
    served++
  }
}

describe("a token bucket", () => {
  it("step by step: a burst at once, then one token after the other", () => {
    const bucket = TokenBucket.make({ perSecond: 500, burst: 2 }, 100)
    assert.strictEqual(TokenBucket.take(bucket, 100), 0)
    assert.strictEqual(TokenBucket.take(bucket, 100), 0)
    assert.strictEqual(TokenBucket.take(bucket, 100), 2)
    assert.strictEqual(TokenBucket.take(bucket, 101), 3, "the one before has been promised the next token")
    assert.strictEqual(TokenBucket.take(bucket, 106), 0)
    assert.strictEqual(TokenBucket.take(bucket, 107), 1)
    TokenBucket.take(bucket, 10_000)
    assert.strictEqual(bucket.tokens, 1, "never more than the burst")
  })

  it("serves a burst and the rate and no more, however it is asked", () =>
    fc.assert(
      fc.property(anyRate, fc.array(fc.tuple(fc.nat(3_000), fc.nat(50))), (rate, asked) => {
        const bucket = TokenBucket.make(rate, 0)
        const served: Array<number> = []
        let now = 0
        for (const [pauseMs, times] of asked) {
          now += pauseMs
          for (let n = 0; n < times; n++) served.push(now + TokenBucket.take(bucket, now))
        }
        for (const [index, at] of served.toSorted((a, b) => a - b).entries()) {
          assert.isAtMost(index + 1, rate.burst + (at * rate.perSecond) / 1_000 + 1e-6)
        }
      })
    ))

  it("serves in the order of asking", () =>
    fc.assert(
      fc.property(anyRate, fc.array(fc.nat(100)), (rate, pauses) => {
        const bucket = TokenBucket.make(rate, 0)
        let [now, before] = [0, 0]
        for (let n = 0; n < rate.burst; n++) TokenBucket.take(bucket, 0)
        for (const pause of pauses) {
          now += pause
          const at = now + TokenBucket.take(bucket, now)
          assert.isAtLeast(at, before)
          before = at
        }
      })
    ))

  it("nobody below the rate is ever overloaded, even with an empty bucket", () => {
    const bucket = TokenBucket.make(rate, 0)
    const burst = ask(bucket, 1e6, 0, 20)
    assert.isAtLeast(burst.served, rate.burst)
    const steady = ask(bucket, 0.95 * rate.perSecond, 20, 60_000)
    assert.isAtMost(steady.overloadedMs, 2_000)
    assert.strictEqual(steady.served, 60 * 0.95 * rate.perSecond)
  })

  for (const late of [0, 7]) {
    it(`whoever stays above the rate is overloaded as long as that lasts, served at the rate, and woken ${late} ms late`, () => {
      const bucket = TokenBucket.make(rate, 0)
      const flood = ask(bucket, 600, 0, 40_000, late)
      assert.isAbove(flood.overloadedMs, 25_000)
      assert.closeTo(flood.served, rate.burst + 40 * rate.perSecond, 5)
      assert.strictEqual(TokenBucket.overloadedMs(bucket, 45_000), 0, "a pause forgives")
    })
  }

  it("a clock that is set back neither gives nor takes", () => {
    const bucket = TokenBucket.make({ perSecond: 500, burst: 10 }, 50_000)
    for (let n = 0; n < 10; n++) TokenBucket.take(bucket, 50_000)
    assert.strictEqual(TokenBucket.take(bucket, 10_000), 2)
    assert.strictEqual(TokenBucket.take(bucket, 10_004), 0)
  })

  it("the limits of a session: a table of subscriptions and one of announcements go through without a pause", () => {
    const patient = (Limits.overloadMs * Limits.requestsPerSecond) / 1_000
    assert.isAtLeast(Limits.requestBurst + patient, Limits.subscriptionsPerSession + Limits.broadcastsPerOrigin)
    const bucket = TokenBucket.make({ perSecond: Limits.requestsPerSecond, burst: Limits.requestBurst }, 0)
    assert.strictEqual(ask(bucket, 400, 0, 600_000).waited, 0, "400 requests a second, for ever")
  })
})
