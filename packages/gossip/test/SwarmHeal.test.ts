import { assert, describe, it } from "@effect/vitest"
import { empty, everybodyHears, health, some, swarmOf } from "./testing/swarm.ts"

const minuteMs = 60_000

describe("a swarm heals", { timeout: 120_000 }, () => {
  for (const peers of [20, 200]) {
    it(`two halves of ${peers} peers partitioned for ten minutes and joined again are one swarm within 60 s`, () => {
      const swarm = swarmOf(peers, peers)
      swarm.simulator.run(minuteMs)
      const half = new Set(some(swarm, peers / 2))
      swarm.simulator.partition((id) => (half.has(id) ? 1 : 0))
      swarm.simulator.run(10 * minuteMs)
      assert.deepStrictEqual(health(swarm), { peers, isolated: 0, swarms: 2 })
      swarm.simulator.heal()
      swarm.simulator.run(minuteMs)
      assert.deepStrictEqual(health(swarm), { peers, isolated: 0, swarms: 1 })
      assert.isTrue(everybodyHears(swarm, some(swarm, 1)[0] ?? 0))
    })
  }

  // The second is longer than those who were lost are looked for.
  for (const [minutes, seeds] of [
    [10, 5],
    [90, 1]
  ] as const) {
    it(`everybody loses everybody for ${minutes} minutes, a third of them for ever, the creator too: the others are one swarm within 60 s of when they can be`, () => {
      for (let seed = 0; seed < seeds; seed++) {
        const swarm = swarmOf(100, seed)
        swarm.simulator.run(minuteMs)
        swarm.simulator.partition((id) => id)
        swarm.simulator.run((minutes * minuteMs) / 2)
        assert.strictEqual(health(swarm).isolated, 100)
        swarm.simulator.kill(0)
        for (const id of some(swarm, 33)) swarm.simulator.kill(id)
        swarm.simulator.run((minutes * minuteMs) / 2)
        swarm.simulator.heal()
        swarm.simulator.run(minuteMs)
        assert.deepStrictEqual(health(swarm), { peers: 66, isolated: 0, swarms: 1 })
        assert.isTrue(everybodyHears(swarm, some(swarm, 1)[0] ?? 0))
      }
    })
  }

  it("a bootstrap peer that starts last: everybody who waits for it is in one swarm within 60 s", () => {
    const swarm = empty(1)
    for (let id = 1; id < 50; id++) swarm.simulator.join(id, [0])
    swarm.simulator.run(5 * minuteMs)
    assert.strictEqual(health(swarm).isolated, 49)
    swarm.simulator.join(0, [])
    swarm.simulator.run(minuteMs)
    assert.deepStrictEqual(health(swarm), { peers: 50, isolated: 0, swarms: 1 })
    assert.isTrue(everybodyHears(swarm, 49))
  })

  it("the creator of the topic is gone: newcomers with its ticket, which names several members, get in (T4)", () => {
    const swarm = swarmOf(50, 2)
    swarm.simulator.run(minuteMs)
    swarm.simulator.quit(0)
    swarm.simulator.run(minuteMs)
    assert.deepStrictEqual(health(swarm), { peers: 49, isolated: 0, swarms: 1 })
    for (let id = 50; id < 60; id++) swarm.simulator.join(id, [0, 7, 23])
    swarm.simulator.run(minuteMs)
    assert.deepStrictEqual(health(swarm), { peers: 59, isolated: 0, swarms: 1 })
    assert.isTrue(everybodyHears(swarm, 59))
  })

  it("the creator is killed while everybody still joins it: those who got in stay one swarm (T4)", () => {
    const swarm = empty(3)
    for (let id = 0; id < 50; id++) swarm.simulator.join(id, id === 0 ? [] : [0])
    swarm.simulator.run(500)
    swarm.simulator.kill(0)
    swarm.simulator.run(minuteMs)
    assert.deepStrictEqual(health(swarm), { peers: 49, isolated: 0, swarms: 1 })
  })

  it("clock jumps: peers whose clocks go an hour forward, or a day back, stay in the swarm and hear everything", () => {
    const swarm = swarmOf(50, 4)
    for (const id of some(swarm, 10)) swarm.simulator.setClock(id, 60 * minuteMs)
    for (const id of some(swarm, 10)) swarm.simulator.setClock(id, -24 * 60 * minuteMs)
    for (let n = 0; n < 20; n++) {
      assert.isTrue(everybodyHears(swarm, some(swarm, 1)[0] ?? 0))
      if (n === 10) for (const id of swarm.simulator.peers) swarm.simulator.setClock(id, (id - 25) * minuteMs)
    }
    assert.deepStrictEqual(health(swarm), { peers: 50, isolated: 0, swarms: 1 })
    assert.strictEqual(swarm.again.count, 0)
  })
})
