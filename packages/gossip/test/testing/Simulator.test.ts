import { assert, describe, it } from "@effect/vitest"
import { Scenario, Scenarios, Simulator } from "../../src/testing/index.ts"
import { health, latency, swarmOf } from "./swarm.ts"

const named = (name: string): Scenario.Scenario => {
  const scenario = Scenarios.all.find((one) => one.name === name)
  if (scenario === undefined) throw new Error(`no scenario ${name}`)
  return scenario
}

describe("Simulator", () => {
  it("a pair has one latency in both directions, between the bounds and spread evenly", () => {
    const simulator = new Simulator.Simulator({ seed: 7, latency })
    const counts = [0, 0, 0, 0]
    for (let a = 0; a < 100; a++) {
      for (let b = 0; b < a; b++) {
        const ms = simulator.latencyMs(a, b)
        assert.strictEqual(simulator.latencyMs(b, a), ms)
        assert.isTrue(ms >= 10 && ms < 50)
        const quarter = Math.floor((ms - 10) / 10)
        counts[quarter] = (counts[quarter] ?? 0) + 1
      }
    }
    for (const count of counts) assert.closeTo(count, 4_950 / 4, 120)
  })

  it("a message takes the latency of its pair, and who leaves is noticed just behind its last word", () => {
    const events: Array<readonly [peer: number, tag: string, atMs: number]> = []
    const simulator = new Simulator.Simulator({
      seed: 1,
      latency,
      onEvent: (peer, event) => events.push([peer, event._tag, simulator.nowMs])
    })
    simulator.join(0, [])
    simulator.join(1, [0])
    const ms = simulator.latencyMs(0, 1)
    simulator.run(1_000)
    simulator.kill(1)
    simulator.run(1_000)
    assert.deepStrictEqual(events, [
      [0, "NeighborUp", ms],
      [1, "NeighborUp", 2 * ms],
      [0, "NeighborDown", 1_000 + (ms + 0.001)]
    ])
  })

  it("what is on its way to a peer that was killed, or to the other part, is lost", () => {
    const swarm = swarmOf(2, 1)
    swarm.simulator.broadcast(0, "late")
    swarm.simulator.partition((id) => id)
    swarm.simulator.run(1_000)
    assert.isUndefined(swarm.received.get("late"))
    swarm.simulator.heal()
    swarm.simulator.broadcast(0, "lost")
    swarm.simulator.kill(1)
    swarm.simulator.run(1_000)
    assert.isUndefined(swarm.received.get("lost"))
  })

  it("peers that cannot reach each other notice after 30 s, and not before", () => {
    const swarm = swarmOf(2, 2)
    const active = () => swarm.simulator.topic(0)?.membership.active.length
    swarm.simulator.kill(1, "silent")
    swarm.simulator.run(29_999)
    assert.strictEqual(active(), 1)
    swarm.simulator.run(2)
    assert.strictEqual(active(), 0)
    assert.deepStrictEqual(health(swarm), { peers: 1, isolated: 1, swarms: 1 })
  })

  it("a short partition that nobody notices leaves the neighbors as they were", () => {
    const swarm = swarmOf(2, 3)
    swarm.simulator.partition((id) => id)
    swarm.simulator.run(20_000)
    swarm.simulator.heal()
    swarm.simulator.run(20_000)
    assert.deepStrictEqual(health(swarm), { peers: 2, isolated: 0, swarms: 1 })
  })

  it("starting a peer that is up is refused", () => {
    const swarm = swarmOf(2, 4)
    assert.throws(() => swarm.simulator.join(1, [0]), /peer 1 is up already/)
  })
})

describe("Scenario", () => {
  it("one seed replays one run exactly; another seed is another run", () => {
    for (const name of ["GossipMulti-n20-r30", "GossipAll-n20-r30", "CreatorGone-n100"]) {
      const first = Scenario.run(named(name), 5)
      assert.deepStrictEqual(Scenario.run(named(name), 5), first)
      assert.notDeepEqual(Scenario.run(named(name), 6), first)
    }
  })

  it("has the scenarios and seeds of the Rust implementation", () => {
    assert.deepStrictEqual(
      Scenarios.reference.map(({ name }) => name),
      [
        "GossipSingle-n20-r30",
        "GossipSingle-n100-r30",
        "GossipSingle-n1000-r30",
        "GossipMulti-n20-r30",
        "GossipMulti-n100-r30",
        "GossipMulti-n1000-r30",
        "GossipAll-n20-r30",
        "GossipAll-n100-r5"
      ]
    )
    assert.deepStrictEqual(Scenarios.referenceSeeds, [0, 1, 212312388123, 123])
  })

  it("counts redundancy, hops, time and what is missed of every round", () => {
    const { health, series } = Scenario.run(named("GossipSingle-n20-r30"), 0)
    const [single] = series
    assert.strictEqual(series.length, 1)
    assert.strictEqual(single?.rounds.length, 30)
    assert.deepStrictEqual(health, { peers: 20, isolated: 0, swarms: 1 })
    for (const { durationMs, ldh, missed, rmr } of single?.rounds ?? []) {
      assert.strictEqual(missed, 0)
      assert.isTrue(ldh >= 1 && ldh <= 10)
      assert.isTrue(durationMs > 10 && durationMs < 1_000)
      // 19 deliveries needed: none redundant is 19 / 18 - 1
      assert.isTrue(rmr >= 19 / 18 - 1 - 1e-9 && rmr < 3)
    }
  })

  it("joins in two waves when a set of peers is there first", () => {
    const scenario = { ...named("GossipMulti-n20-r30"), peers: 100, bootstrap: { _tag: "Set", count: 5 } } as const
    const { health, series } = Scenario.run(scenario, 1)
    assert.deepStrictEqual(health, { peers: 100, isolated: 0, swarms: 1 })
    assert.strictEqual(series[0]?.max.missed, 0)
  })

  it("compares two runs series by series", () => {
    const before = [Scenario.run(named("GossipMulti-n20-r30"), 1), Scenario.run(named("GossipMulti-n20-r30"), 2)]
    assert.deepStrictEqual(Scenario.compare(before, before), [
      { name: "GossipMulti-n20-r30", change: { rmr: 0, ldh: 0, durationMs: 0, missed: 0 } }
    ])
    const after = [Scenario.run(named("GossipMulti-n20-r30"), 3)]
    const [changed] = Scenario.compare(before, after)
    assert.notStrictEqual(changed?.change.rmr, 0)
    assert.isEmpty(Scenario.compare(before, [Scenario.run(named("GossipSingle-n20-r30"), 1)]))
  })
})
