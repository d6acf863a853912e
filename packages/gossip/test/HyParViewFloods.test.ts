/** What others say of themselves and of third parties again and again costs nobody more than a rate (iroh-gossip section 7.1, 19). */
import { assert, describe, it } from "@effect/vitest"
import * as Limits from "../src/Limits.ts"
import { core, disconnect, forwardJoin, joinMessage, shuffle } from "./support/steps.ts"

const asked = (out: ReadonlyArray<string>): ReadonlyArray<string> => out.filter((text) => text.includes("<- Neighbor"))
const range = (from: number, count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, i) => from + i)

describe("HyParView floods", () => {
  it("cure 19: 5,000 Joins of a neighbor cost the others one message, and one more after half a second", () => {
    const { pass, receive, state } = core({ active: [1, 2, 3] })
    const forwarded = (out: ReadonlyArray<string>) => out.filter((text) => text.includes("ForwardJoin")).length
    let sum = 0
    for (let n = 0; n < 5_000; n++) {
      const out = receive(1, joinMessage())
      assert.deepStrictEqual(asked(out), ["1 <- Neighbor High"])
      sum += forwarded(out)
    }
    assert.strictEqual(sum, 2)
    assert.strictEqual(state.stats.joinsNotForwarded, 4_999)
    pass(Limits.forwardJoinMs)
    assert.strictEqual(forwarded(receive(1, joinMessage())), 2)
  })

  it("cure 19: whoever leaves and joins in turn is forwarded no more often", () => {
    const { receive } = core({ active: [1, 2, 3] })
    let sum = 0
    for (let n = 0; n < 100; n++) {
      sum += receive(5, joinMessage()).filter((text) => text.includes("ForwardJoin")).length
      receive(5, disconnect(false))
    }
    assert.strictEqual(sum, 3)
  })

  it("cure 19: the Joins of `Limits.forwardedJoinsPerTopic` peers are forwarded at once; one more is answered only", () => {
    const { pass, receive, state } = core({ active: [1] })
    for (const id of range(10, Limits.forwardedJoinsPerTopic)) receive(id, joinMessage())
    assert.strictEqual(state.stats.joinsNotForwarded, 0)
    const out = receive(9, joinMessage())
    assert.include(out, "9 <- Neighbor High")
    assert.isFalse(out.some((text) => text.includes("ForwardJoin")))
    assert.strictEqual(state.stats.joinsNotForwarded, 1)
    pass(Limits.forwardJoinMs)
    assert.isTrue(receive(9, joinMessage()).some((text) => text.includes("ForwardJoin")))
    assert.strictEqual(state.joined.size, 1)
  })

  it("cure 19: 6,000 Shuffles of origins that a stranger made up: `Limits.introductionsPerTopic` are answered in 10 s", () => {
    const { pass, receive, state } = core({ active: [1, 2] })
    const answered = (origins: ReadonlyArray<number>) =>
      origins.filter((origin) =>
        receive(9, shuffle(origin, [3], 0)).some((text) => text.startsWith(`${origin} <- ShuffleReply`))
      )
    const madeUp = range(10, 6_000)
    assert.strictEqual(answered(madeUp).length, Limits.introductionsPerTopic)
    assert.strictEqual(state.stats.introductionsRefused, 6_000 - Limits.introductionsPerTopic)
    // Neighbors, and who asks for itself, are answered all the same.
    assert.deepStrictEqual(answered([1, 9]), [1, 9])
    pass(Limits.introductionMs)
    assert.strictEqual(answered(madeUp).length, Limits.introductionsPerTopic)
  })

  it("cure 19: ForwardJoins of newcomers whose dials fail at once: `Limits.introductionsPerTopic` are dialed in 10 s", () => {
    const { disconnected, receive, state } = core({ active: [1, 2, 3] })
    let dialed = 0
    for (const id of range(10, 6_000)) {
      if (!receive(1, forwardJoin(id, 0)).includes(`${id} <- Neighbor High`)) continue
      dialed++
      disconnected(id)
    }
    assert.strictEqual(dialed, Limits.introductionsPerTopic)
    assert.strictEqual(state.stats.introductionsRefused, 6_000 - dialed)
    assert.strictEqual(state.passive.length, 30)
  })
})
