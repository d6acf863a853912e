/** The world of the cases on Effect's test clock, with the real scheduler. */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { World } from "./cases/Case.ts"

const settle = Effect.repeat(Effect.yieldNow, { times: 100 })

export const testWorld: World = {
  settle,
  advance: (ms) => Effect.andThen(Effect.andThen(settle, TestClock.adjust(ms)), settle)
}
