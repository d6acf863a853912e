import { assert, describe, it } from "@effect/vitest"
import * as Config from "../src/Config.ts"
import type * as Message from "../src/Message.ts"
import { entries, everybodyHears, health, swarmOf, type Swarm } from "./testing/swarm.ts"

/** A member of the swarm that also sends what its core never would, to one of its neighbors. */
const attackerOf = ({ simulator }: Swarm): readonly [attacker: number, victim: number] => {
  const attacker = 13
  const [victim] = simulator.topic(attacker)?.membership.active ?? []
  if (victim === undefined) throw new Error("the attacker has no neighbor")
  return [attacker, victim]
}

const info = (id: number): Message.PeerInfo<number> => ({ id, data: undefined })

/** Messages that are handled until the swarm is quiet again. */
const handledAfter = ({ simulator }: Swarm, act: () => void): number => {
  const before = simulator.counters.messages
  act()
  simulator.run(2_000)
  return simulator.counters.messages - before
}

describe("a swarm with a hostile peer", { timeout: 120_000 }, () => {
  it("IHave flood: 250,000 ids that nobody has cost the victim bounded memory, and everybody still hears everybody", () => {
    const swarm = swarmOf(30, 1)
    const [attacker, victim] = attackerOf(swarm)
    const quiet = entries(swarm.simulator.topic(victim))
    for (let frame = 0; frame < 2_500; frame++) {
      const messages = Array.from({ length: 100 }, (_, n) => ({ id: `nothing ${frame} ${n}`, round: 1 }))
      swarm.simulator.send(attacker, victim, { _tag: "IHave", messages })
    }
    swarm.simulator.run(60)
    const flooded = entries(swarm.simulator.topic(victim))
    assert.isAtMost(flooded - quiet, 10 * 65_536)
    assert.isTrue(everybodyHears(swarm, 3))
    swarm.simulator.run(60_000)
    assert.isAtMost(entries(swarm.simulator.topic(victim)), 2 * quiet)
    assert.deepStrictEqual(health(swarm), { peers: 30, isolated: 0, swarms: 1 })
  })

  it("Join flood: 10,000 ids that join one peer leave bounded views, and everybody still hears everybody", () => {
    const swarm = swarmOf(30, 2)
    const [, victim] = attackerOf(swarm)
    for (let id = 1_000; id < 11_000; id++) {
      swarm.simulator.send(id, victim, { _tag: "Join", data: undefined })
      swarm.simulator.run(1)
    }
    for (const peer of swarm.simulator.peers) {
      const membership = swarm.simulator.topic(peer)?.membership
      assert.isAtMost(membership?.active.length ?? 0, Config.membership.activeViewCapacity)
      assert.isAtMost(membership?.passive.length ?? 0, Config.membership.passiveViewCapacity)
    }
    assert.isAtMost(entries(swarm.simulator.topic(victim)), 10_000)
    swarm.simulator.run(60_000)
    assert.deepStrictEqual(health(swarm), { peers: 30, isolated: 0, swarms: 1 })
    assert.isTrue(everybodyHears(swarm, 3))
  })

  it("Join flood of one peer: its 10,000 Joins disturb nobody", () => {
    const swarm = swarmOf(30, 3)
    const [attacker, victim] = attackerOf(swarm)
    for (let n = 0; n < 10_000; n++) swarm.simulator.send(attacker, victim, { _tag: "Join", data: undefined })
    swarm.simulator.run(10_000)
    assert.deepStrictEqual(health(swarm), { peers: 30, isolated: 0, swarms: 1 })
    assert.isTrue(everybodyHears(swarm, 3))
  })

  it("ttl 65535: a ForwardJoin and a Shuffle go no further than our own walks would", () => {
    const swarm = swarmOf(100, 4)
    swarm.simulator.run(5_000)
    const [attacker, victim] = attackerOf(swarm)
    const forwarded = handledAfter(swarm, () =>
      swarm.simulator.send(attacker, victim, { _tag: "ForwardJoin", peer: info(777), ttl: 65_535 })
    )
    assert.isAtMost(forwarded, 30)
    const shuffled = handledAfter(swarm, () =>
      swarm.simulator.send(attacker, victim, { _tag: "Shuffle", origin: attacker, nodes: [info(3)], ttl: 65_535 })
    )
    assert.isAtMost(shuffled, 30)
  })

  it("a Shuffle of 10,000 nodes leaves a bounded passive view and a small answer", () => {
    const swarm = swarmOf(30, 5)
    const [attacker, victim] = attackerOf(swarm)
    const nodes = Array.from({ length: 10_000 }, (_, n) => info(5_000 + n))
    swarm.simulator.send(attacker, victim, { _tag: "Shuffle", origin: attacker, nodes, ttl: 0 })
    swarm.simulator.send(attacker, victim, { _tag: "ShuffleReply", nodes })
    swarm.simulator.run(1_000)
    const passive = swarm.simulator.topic(victim)?.membership.passive.length ?? 0
    assert.isAtMost(passive, Config.membership.passiveViewCapacity)
    swarm.simulator.run(60_000)
    assert.deepStrictEqual(health(swarm), { peers: 30, isolated: 0, swarms: 1 })
  })

  it("Prune, Graft and Disconnect floods: the victim stays in the swarm and hears everybody", () => {
    const swarm = swarmOf(30, 6)
    const [attacker, victim] = attackerOf(swarm)
    for (let n = 0; n < 1_000; n++) {
      swarm.simulator.send(attacker, victim, { _tag: "Prune" })
      swarm.simulator.send(attacker, victim, { _tag: "Graft", id: `nothing ${n}`, round: 65_535 })
      swarm.simulator.send(attacker, victim, { _tag: "Disconnect", alive: n % 2 === 0 })
      swarm.simulator.send(attacker, victim, { _tag: "Neighbor", priority: "High", data: undefined })
      swarm.simulator.run(1)
    }
    swarm.simulator.run(10_000)
    assert.deepStrictEqual(health(swarm), { peers: 30, isolated: 0, swarms: 1 })
    assert.isTrue(everybodyHears(swarm, victim))
  })

  it("a content with round 65535 reaches everybody", () => {
    const swarm = swarmOf(30, 7)
    const [attacker, victim] = attackerOf(swarm)
    const scope = { _tag: "Swarm", round: 65_535 } as const
    swarm.simulator.send(attacker, victim, { _tag: "Gossip", id: "far", content: new Uint8Array(3), scope })
    swarm.simulator.run(5_000)
    assert.strictEqual(swarm.received.get("far")?.size, 30)
  })
})
