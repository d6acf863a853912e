import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { TimerHeap } from "../src/TimerHeap.ts"

describe("TimerHeap", () => {
  it("sets, moves, clears and pops as a sorted list would", () => {
    const key = fc.integer({ min: 0, max: 20 })
    const command = fc.oneof(
      fc.record({ do: fc.constant("set" as const), key, at: fc.integer({ min: 0, max: 30 }) }),
      fc.record({ do: fc.constant("clear" as const), key }),
      fc.record({ do: fc.constant("pop" as const), now: fc.integer({ min: 0, max: 30 }) })
    )
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
        const heap = new TimerHeap<number, number>()
        let model: Array<{ readonly key: number; readonly at: number; readonly turn: number }> = []
        commands.forEach((each, turn) => {
          if (each.do === "set") {
            heap.set(each.key, each.at, turn)
            model = [...model.filter((timer) => timer.key !== each.key), { key: each.key, at: each.at, turn }]
          } else if (each.do === "clear") {
            assert.strictEqual(
              heap.clear(each.key),
              model.some((timer) => timer.key === each.key)
            )
            model = model.filter((timer) => timer.key !== each.key)
          } else {
            const [first] = model.toSorted((a, b) => a.at - b.at || a.turn - b.turn)
            const due = heap.popDue(each.now)
            if (first === undefined || first.at > each.now) assert.isUndefined(due)
            else assert.deepInclude(due, { key: first.key, at: first.at, value: first.turn })
            if (due !== undefined) model = model.filter((timer) => timer !== first)
          }
          assert.strictEqual(heap.size, model.length)
          assert.strictEqual(heap.nextAt, Math.min(Infinity, ...model.map(({ at }) => at)))
        })
      })
    )
  })
})
