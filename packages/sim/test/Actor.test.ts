/** Everything that actors promise, under the race finder: a thousand seeds each, shuffled and preempted. */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { cases } from "../../actor/test/cases.ts"
import * as Simulation from "../src/Simulation.ts"

const world = { advance: (ms: number) => Effect.sleep(ms), settle: Effect.sleep(0.001) }

describe("Actor under the race finder, 1,000 seeds", () => {
  for (const { name, run } of cases) {
    it.effect(name, () => Simulation.clean(Effect.scoped(run(world)), { seeds: 1000 }), 60_000)
  }
})
