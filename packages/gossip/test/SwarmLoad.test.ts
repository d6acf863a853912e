import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Simulator } from "../src/testing/index.ts"
import type { Churned } from "./support/churn.ts"
import { latency } from "./testing/swarm.ts"

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

  it("24 simulated hours of churn with flat memory: the swarm stays whole, what its peers remember stays bounded, and so does the heap", () => {
    const program = fileURLToPath(new URL("./support/churn.ts", import.meta.url))
    // Compiled code lives on the heap too, and there is more and more of it unless all of it is compiled at once, and never better.
    const flags = [
      "--no-opt",
      "--no-maglev",
      "--always-sparkplug",
      "--no-lazy-feedback-allocation",
      "--no-flush-bytecode"
    ]
    const args = [...flags, "--expose-gc", "--conditions=@effect-live/source", program]
    const { health, heard, hours }: Churned = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }))
    assert.deepStrictEqual(health, { peers: 24, isolated: 0, swarms: 1 })
    assert.isTrue(heard)
    const most = (from: number, to: number): number => Math.max(...hours.slice(from, to).map(({ entries }) => entries))
    assert.isAtMost(most(18, 24), 1.5 * most(1, 5), `the most entries of a peer: ${JSON.stringify(hours)}`)
    const mean = (from: number, to: number): number =>
      hours.slice(from, to).reduce((sum, { bytes }) => sum + bytes, 0) / (to - from)
    assert.isAtMost(mean(18, 24), 1.1 * mean(1, 7), `bytes on the heap: ${JSON.stringify(hours)}`)
  })
})
