/**
 * How fast simulated swarms go, and how much memory they need. What comes out of them, beside the Rust implementation, is printed by
 * `irl sim gossip --scenario reference --seeds 0-19`. `npm run bench -- gossip-sim`
 */
import { Scenario, Scenarios, Simulator } from "@effect-live/gossip/testing"
import { Effect } from "effect"
import { pathToFileURL } from "node:url"
import { liveBytes } from "./Heap.ts"
import type { Row } from "./Row.ts"

const rounds = 10
const name = "GossipMulti-n1000-r30"
const many = 10_000

/** Messages handled per second of CPU, the best of ten runs: the first ones also compile, and the machine may be busy with other things. */
const speed = (): Row => {
  const scenario = Scenarios.reference.find((one) => one.name === name)
  if (scenario === undefined) throw new Error(`no scenario ${name}`)
  let best = 0
  for (let round = 0; round < rounds; round++) {
    const from = process.cpuUsage()
    const { messages } = Scenario.run(scenario, round)
    const { system, user } = process.cpuUsage(from)
    best = Math.max(best, (messages / (system + user)) * 1e6)
  }
  return { what: `${name}, messages handled per second of CPU`, value: best, unit: "/s", reach: "above 200,000" }
}

/** What 10,000 peers hold after everybody has joined one of them and ten broadcasts have reached all. */
const memory = Effect.gen(function* () {
  const before = yield* liveBytes
  let received = 0
  const simulator = new Simulator.Simulator({
    seed: 1,
    latency: { minMs: 10, maxMs: 50 },
    onEvent: (_peer, { _tag }) => {
      if (_tag === "Received") received++
    }
  })
  for (let id = 0; id < many; id++) simulator.join(id, id === 0 ? [] : [0])
  simulator.run(1_000)
  for (let n = 0; n < 10; n++) {
    simulator.broadcast(n * 997, `message ${n}`)
    simulator.run(2_000)
  }
  const wanted = 10 * (many - 1)
  if (received !== wanted) throw new Error(`${received} of ${wanted} deliveries`)
  const bytes = (yield* liveBytes) - before
  const what = `${many.toLocaleString("en")} peers after ten broadcasts, ${Math.round(bytes / many).toLocaleString("en")} bytes each`
  const row: Row = { what, value: bytes / 2 ** 20, unit: "MiB", reach: "below 2 GB" }
  // Alive up to here: it is what was measured.
  return simulator.peers.length === many ? row : yield* Effect.die("peers are missing")
})

export const run = async (): Promise<ReadonlyArray<Row>> => [speed(), await Effect.runPromise(memory)]

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) console.table(await run())
