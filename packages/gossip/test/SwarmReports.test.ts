/** What users of the Rust implementation report (iroh-gossip section 8), as far as it is about the cores; T2 is in Gossip, T3 and T4 are in SwarmLoad and SwarmHeal. */
import { assert, describe, it } from "@effect/vitest"
import type * as Topic from "../src/Topic.ts"
import { empty, everybodyHears, health, latency, some, swarmOf } from "./testing/swarm.ts"

describe("reports of users", { timeout: 120_000 }, () => {
  it("T1: connections of peers that were rotated out of the views are closed", () => {
    const swarm = swarmOf(100, 1)
    const { simulator } = swarm
    for (let round = 0; round < 200; round++) {
      const [joiner = 0, other = 0] = some(swarm, 2)
      simulator.input(joiner, { _tag: "Join", peers: [other] })
      simulator.run(500)
    }
    simulator.run(70_000)
    simulator.run(3 * latency.maxMs)
    const connections = simulator.peers.map((peer) => simulator.connections(peer))
    const active = simulator.peers.map((peer) => simulator.topic(peer)?.membership.active.length ?? 0)
    const sum = (values: ReadonlyArray<number>) => values.reduce((a, b) => a + b, 0)
    assert.isAtMost(sum(connections), 1.2 * sum(active), `${connections.join(" ")}\n${active.join(" ")}`)
  })

  it("T5: NeighborDown says why: closed, left or evicted", () => {
    const reasons = new Map<number, Set<Topic.DownReason>>()
    const swarm = empty(5, (_, event) => {
      if (event._tag !== "NeighborDown") return
      reasons.set(event.peer, (reasons.get(event.peer) ?? new Set()).add(event.reason))
    })
    const { simulator } = swarm
    for (const id of [0, 1, 2]) simulator.join(id, id === 0 ? [] : [0])
    simulator.run(1_000)
    simulator.quit(1)
    simulator.kill(2)
    simulator.run(1_000)
    assert.deepStrictEqual([...(reasons.get(1) ?? [])], ["left"])
    assert.deepStrictEqual([...(reasons.get(2) ?? [])], ["closed"])
    for (let id = 10; id < 30; id++) simulator.join(id, [0])
    simulator.run(1_000)
    const others = [...reasons].flatMap(([peer, why]) => (peer < 10 ? [] : [...why]))
    assert.deepStrictEqual([...new Set(others)], ["evicted"])
  })

  it("T5: an application that joins again whatever it lost but was not evicted by settles", () => {
    const lost: Array<readonly [peer: number, other: number]> = []
    const swarm = swarmOf(50, 6, (peer, event) => {
      if (event._tag === "NeighborDown" && event.reason !== "evicted") lost.push([peer, event.peer])
    })
    const { simulator } = swarm
    const rejoin = (): number => {
      const now = lost.splice(0)
      for (const [peer, other] of now) simulator.input(peer, { _tag: "Join", peers: [other] })
      return now.length
    }
    for (let n = 0; n < 60; n++) {
      rejoin()
      simulator.run(1_000)
    }
    assert.strictEqual(rejoin(), 0)
    assert.deepStrictEqual(health(swarm), { peers: 50, isolated: 0, swarms: 1 })
  })

  it("T6: joining again and again those who are neighbors already changes no view", () => {
    const changes: Array<string> = []
    let listening = false
    const swarm = swarmOf(20, 7, (peer, event) => {
      if (listening && event._tag !== "Received") changes.push(`${peer} ${event._tag} ${event.peer}`)
    })
    const { simulator } = swarm
    listening = true
    for (let n = 0; n < 20; n++) {
      for (const peer of simulator.peers) {
        const peers = [...(simulator.topic(peer)?.membership.active ?? [])]
        simulator.input(peer, { _tag: "Join", peers })
      }
      simulator.run(500)
    }
    const downs = changes.filter((change) => change.includes("NeighborDown"))
    assert.deepStrictEqual(downs, [])
    assert.isTrue(everybodyHears(swarm, 3))
  })

  it("T6: a peer that was killed and comes back at once, before anybody noticed, is a neighbor again within 2 s", () => {
    const swarm = swarmOf(20, 8)
    swarm.simulator.kill(7, "silent")
    swarm.simulator.join(7, [0, 1])
    swarm.simulator.run(2_000)
    assert.isAtLeast(swarm.simulator.topic(7)?.membership.active.length ?? 0, 1)
    assert.isTrue(everybodyHears(swarm, 0))
    assert.isTrue(everybodyHears(swarm, 7))
  })

  it("T7: whom nobody admits gets no neighbor, learns it, and disturbs nobody; the others form one swarm", () => {
    const swarm = empty(9)
    const { simulator } = swarm
    const banned = 13
    const admit = (peer: number): boolean => peer !== banned
    for (let id = 0; id < 30; id++) simulator.join(id, id === 0 ? [] : [0], id === banned ? {} : { admit })
    simulator.run(10_000)
    for (const id of simulator.peers) {
      const active = simulator.topic(id)?.membership.active ?? []
      if (id === banned) assert.isEmpty(active)
      else assert.notInclude(active, banned)
    }
    assert.deepStrictEqual(health(swarm), { peers: 30, isolated: 1, swarms: 2 })
    simulator.quit(banned)
    assert.isTrue(everybodyHears(swarm, 3))
  })

  it("T8: a content that is broadcast again while it is remembered is not sent, and costs no tree; later it is", () => {
    const swarm = swarmOf(50, 10)
    const { received, simulator } = swarm
    for (let n = 0; n < 20; n++) assert.isTrue(everybodyHears(swarm, 3, 500))
    const before = simulator.counters
    const text = "the same again"
    simulator.broadcast(3, text)
    simulator.run(1_000)
    const once = simulator.counters.contents - before.contents
    for (let n = 0; n < 20; n++) simulator.broadcast(3, text)
    for (const other of [7, 11]) simulator.broadcast(other, text)
    simulator.run(1_000)
    assert.strictEqual(simulator.counters.contents - before.contents, once)
    assert.strictEqual(swarm.again.count, 0)
    received.clear()
    simulator.run(100_000)
    simulator.broadcast(3, text)
    simulator.run(1_000)
    assert.strictEqual(received.get(text)?.size, 49)
  })
})
