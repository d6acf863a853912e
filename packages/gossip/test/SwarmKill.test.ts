import { assert, describe, it } from "@effect/vitest"
import { everybodyHears, health, some, swarmOf } from "./testing/swarm.ts"

describe("a swarm", { timeout: 120_000 }, () => {
  const cases: ReadonlyArray<readonly [percent: number, seed: number, how: "closed" | "silent"]> = [
    [30, 1, "closed"],
    [50, 2, "closed"],
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

  // In a swarm of a second, some know nobody who survives but by the reserve: two each of seeds 2 and 6. In one of two minutes, views
  // are full, and it takes a while until those in them who are dead have been tried.
  const ages: ReadonlyArray<readonly [ageMs: number, seeds: ReadonlyArray<number>]> = [
    [1_000, [2, 3, 6, 14, 15]],
    [120_000, [2, 3, 6, 15, 16]]
  ]
  for (const [ageMs, seeds] of ages) {
    it(`80 % of 1,000 peers killed at one instant, when the swarm is ${ageMs / 1_000} s old: 5 s later at most one is isolated, 30 s later the swarm is one and everybody hears everybody`, () => {
      for (const seed of seeds) {
        const swarm = swarmOf(1_000, seed)
        swarm.simulator.run(ageMs - swarm.simulator.nowMs)
        for (const id of some(swarm, 800)) swarm.simulator.kill(id)
        swarm.simulator.run(5_000)
        assert.isAtMost(health(swarm).isolated, 1, `seed ${seed}`)
        swarm.simulator.run(25_000)
        assert.deepStrictEqual(health(swarm), { peers: 200, isolated: 0, swarms: 1 }, `seed ${seed}`)
        for (const from of some(swarm, 3)) assert.isTrue(everybodyHears(swarm, from))
      }
    })
  }
})
