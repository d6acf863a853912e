import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Signal } from "../src/Signal.ts"

describe("Signal", () => {
  it.effect("wakes who waits once the state is as wanted, and nobody before", () =>
    Effect.gen(function* () {
      const signal = new Signal()
      let level = 0
      const waiting = yield* Effect.forkChild(
        Effect.forEach(
          [1, 2],
          (wanted) =>
            Effect.as(
              signal.wait(() => level >= wanted),
              wanted
            ),
          {
            concurrency: "unbounded"
          }
        ),
        { startImmediately: true }
      )
      signal.notify()
      assert.isUndefined(waiting.pollUnsafe())
      level = 1
      signal.notify()
      assert.isUndefined(waiting.pollUnsafe())
      level = 2
      signal.notify()
      assert.deepStrictEqual(yield* Fiber.join(waiting), [1, 2])
      yield* signal.wait(() => true)
    })
  )

  it.effect("forgets a waiter that is interrupted, and one that takes its watch back", () =>
    Effect.gen(function* () {
      const signal = new Signal()
      let asked = 0
      const waiting = yield* Effect.forkChild(
        signal.wait(() => ++asked > 10),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(waiting)
      let changes = 0
      signal.watch(() => changes++)()
      signal.watch(() => changes++)
      signal.notify()
      signal.notify()
      assert.strictEqual(asked, 1)
      assert.strictEqual(changes, 1, "a watch hears of one change")
    })
  )
})
