import { assert, describe, it } from "@effect/vitest"
import { Simulator } from "../src/testing/index.ts"
import { entries, everybodyHears, health, latency, some, swarmOf } from "./testing/swarm.ts"

const minuteMs = 60_000

describe("a swarm under load", { timeout: 600_000 }, () => {
  it("100,000 small messages in a burst over 20 nodes: everybody gets every one of them, once (T3)", () => {
    const [nodes, each] = [20, 5_000]
    const got = Array.from({ length: nodes }, () => new Uint8Array(nodes * each))
    const swarm = new Simulator.Simulator({
      seed: 1,
      latency,
      onEvent: (peer, event) => {
        const mine = got[peer]
        if (event._tag === "Received" && mine !== undefined) mine[Number(event.id)] = (mine[Number(event.id)] ?? 0) + 1
      }
    })
    for (let id = 0; id < nodes; id++) swarm.join(id, id === 0 ? [] : [0])
    swarm.run(1_000)
    for (let n = 0; n < nodes * each; n++) swarm.broadcast(n % nodes, String(n))
    swarm.run(10_000)
    for (const [peer, mine] of got.entries()) {
      const wrong = mine.findIndex((times, n) => times !== (n % nodes === peer ? 0 : 1))
      assert.strictEqual(wrong, -1, `peer ${peer} got message ${wrong} ${mine[wrong]} times`)
    }
  })

  it("24 simulated hours of churn with flat memory: the swarm stays whole, and what its peers remember stays bounded", () => {
    const swarm = swarmOf(40, 2)
    const { rng, simulator } = swarm
    let nextId = 40
    const sizes: Array<number> = []
    for (let minute = 0; minute < 24 * 60; minute++) {
      const [leaver = 0] = some(swarm, 1)
      const how = rng.below(3)
      if (how === 0) simulator.quit(leaver)
      else simulator.kill(leaver, how === 1 ? "closed" : "silent")
      simulator.join(nextId++, some(swarm, 2))
      simulator.broadcast(some(swarm, 1)[0] ?? 0, `minute ${minute}`)
      simulator.run(minuteMs)
      if (minute % 60 === 59) sizes.push(Math.max(...simulator.peers.map((id) => entries(simulator.topic(id)))))
    }
    swarm.simulator.run(minuteMs)
    assert.deepStrictEqual(health(swarm), { peers: 40, isolated: 0, swarms: 1 })
    assert.isTrue(everybodyHears(swarm, nextId - 1))
    const early = Math.max(...sizes.slice(1, 5))
    assert.isAtMost(Math.max(...sizes.slice(-6)), 1.5 * early, `entries per hour: ${sizes.join(", ")}`)
  })
})
