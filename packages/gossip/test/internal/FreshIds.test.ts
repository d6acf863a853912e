import * as EndpointId from "@effect-live/endpoint/EndpointId"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Result } from "effect"
import { TestClock } from "effect/testing"
import { FreshIds } from "../../src/internal/FreshIds.ts"
import { unknownKey } from "../support/strangers.ts"

const readOne = (fresh: FreshIds, key: string = unknownKey()): void => {
  assert.isTrue(Result.isSuccess(fresh.read(() => EndpointId.parse(key))))
}

describe("fresh ids", () => {
  it.effect("are read up to the limit, and those that are known cost nothing", () =>
    Effect.gen(function* () {
      const fresh = new FreshIds(yield* Clock.Clock, 3, 2)
      const known = Result.getOrThrow(EndpointId.parse(unknownKey()))
      for (let n = 0; n < 10; n++) readOne(fresh, known)
      for (let n = 0; n < 3; n++) {
        assert.isTrue(fresh.left)
        readOne(fresh)
      }
      assert.isFalse(fresh.left)
      // granted again as time passes, and never more than the limit
      yield* TestClock.adjust("1 second")
      assert.isTrue(fresh.left)
      readOne(fresh)
      readOne(fresh)
      assert.isFalse(fresh.left)
      yield* TestClock.adjust("1 minute")
      for (let n = 0; n < 3; n++) {
        assert.isTrue(fresh.left)
        readOne(fresh)
      }
      assert.isFalse(fresh.left)
    })
  )

  it.effect("of everybody have a limit too", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const all = new FreshIds(clock, 3, 1)
      const [one, another] = [new FreshIds(clock, 2, 1, all), new FreshIds(clock, 2, 1, all)]
      readOne(one)
      readOne(one)
      assert.deepStrictEqual([one.left, another.left], [false, true])
      readOne(another)
      assert.deepStrictEqual([one.left, another.left], [false, false])
    })
  )
})
