import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { EventQueue } from "../../src/testing/EventQueue.ts"

describe("EventQueue", () => {
  it("gives events by time, and those of one instant in the order in which they were added", () => {
    const times = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 200 })
    fc.assert(
      fc.property(times, (atMs) => {
        const queue = new EventQueue<number>()
        atMs.forEach((at, index) => queue.push(at, index))
        assert.strictEqual(queue.size, atMs.length)
        const wanted = atMs.map((at, index) => [at, index]).toSorted(([a = 0, i = 0], [b = 0, j = 0]) => a - b || i - j)
        const popped = atMs.map(() => {
          const next = queue.nextMs
          const event = queue.pop()
          assert.strictEqual(event?.atMs, next)
          return [event?.atMs, event?.what]
        })
        assert.deepStrictEqual(popped, wanted)
        assert.strictEqual(queue.nextMs, Infinity)
        assert.isUndefined(queue.pop())
      })
    )
  })

  it("stays in order when events are added while others are taken", () => {
    const steps = fc.array(fc.option(fc.nat(50)), { maxLength: 300 })
    fc.assert(
      fc.property(steps, (delays) => {
        const queue = new EventQueue<null>()
        let nowMs = 0
        for (const delay of delays) {
          if (delay !== null) queue.push(nowMs + delay, null)
          else nowMs = queue.pop()?.atMs ?? nowMs
          assert.isAtLeast(queue.nextMs, nowMs)
        }
      })
    )
  })
})
