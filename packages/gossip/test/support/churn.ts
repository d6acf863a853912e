/**
 * 24 simulated hours of churn: every minute one peer of 24 goes, one comes, one says something. In a process of its own, since the heap
 * is measured: `node --expose-gc --conditions=@effect-live/source`. What came of it is printed as JSON.
 */
import type * as Scenario from "../../src/testing/Scenario.ts"
import { entries, everybodyHears, health, some, swarmOf } from "../testing/swarm.ts"

export interface Churned {
  /** After each hour: what lives on the heap, in bytes more than without a swarm, and what the peer remembers that remembers the most. */
  readonly hours: ReadonlyArray<{ readonly bytes: number; readonly entries: number }>
  readonly health: Scenario.Health
  /** Whether the last newcomer reaches everybody. */
  readonly heard: boolean
}

const peers = 24
const minuteMs = 60_000

const liveBytes = (): number => {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc")
  for (let round = 0; round < 4; round++) globalThis.gc()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const churn = (hours: number, before: number): Churned => {
  const swarm = swarmOf(peers, 2)
  const { received, rng, simulator } = swarm
  const measured: Array<Churned["hours"][number]> = []
  let nextId = peers
  for (let minute = 0; minute < hours * 60; minute++) {
    const [leaver = 0] = some(swarm, 1)
    const how = rng.below(3)
    if (how === 0) simulator.quit(leaver)
    else simulator.kill(leaver, how === 1 ? "closed" : "silent")
    simulator.join(nextId++, some(swarm, 2))
    simulator.broadcast(some(swarm, 1)[0] ?? 0, `minute ${minute}`)
    simulator.run(minuteMs)
    // That is the test's own.
    received.clear()
    if (minute % 60 !== 59) continue
    const most = Math.max(...simulator.peers.map((id) => entries(simulator.topic(id))))
    measured.push({ bytes: liveBytes() - before, entries: most })
  }
  simulator.run(minuteMs)
  return { hours: measured, health: health(swarm), heard: everybodyHears(swarm, nextId - 1) }
}

// What the process itself needs for this is there before it is measured.
churn(1, 0)
process.stdout.write(JSON.stringify(churn(24, liveBytes())))
