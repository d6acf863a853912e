/**
 * How fast a simulated world goes: 20 nodes flood numbers to each other over links with latency, jitter and loss, through
 * actors, timers, children, outboxes and retries, with a partition and a crash, for 10 virtual seconds. The machine may be
 * busy with other things, so the figure is the best of several runs; their digests must be equal. `npm run bench -- sim`
 */
import * as Actor from "@effect-live/actor/Actor"
import * as Outbox from "@effect-live/actor/Outbox"
import * as Rng from "@effect-live/actor/Rng"
import * as Simulation from "@effect-live/sim/Simulation"
import { Effect, Exit, Fiber, Random, Schedule, Scope } from "effect"
import { pathToFileURL } from "node:url"
import type { Row } from "./Row.ts"

// ---- links ----------------------------------------------------------------------------------------------------------

type Deliver = (from: string, id: number) => void

/** Datagrams between nodes: delayed, jittered, lost, or stopped by a partition. */
const makeNetwork = (sim: Simulation.Simulation["Service"]) => {
  const receivers = new Map<string, Deliver>()
  const links = new Map<string, Rng.Rng>()
  const state = { apart: (_from: string, _to: string): boolean => false, packets: 0 }
  const send = (from: string, to: string, id: number): boolean => {
    const name = `${from}>${to}`
    const rng = links.get(name) ?? sim.rng(name)
    links.set(name, rng)
    state.packets++
    const delayMs = 5 + (Rng.hash(name) % 40) + rng.next() * 10
    if (rng.next() < 0.05 || state.apart(from, to)) return false
    sim.at(sim.nowMs() + delayMs, () => {
      sim.note(`${name} ${id}`)
      receivers.get(to)?.(from, id)
    })
    return true
  }
  return { receivers, send, state }
}
type Network = ReturnType<typeof makeNetwork>

// ---- a node ---------------------------------------------------------------------------------------------------------

type Event =
  | { readonly _tag: "Start" }
  | { readonly _tag: "Tick" }
  | { readonly _tag: "Heard"; readonly from: string; readonly id: number }
  | { readonly _tag: "Ended"; readonly peer: string }
type Output =
  | { readonly _tag: "Dial"; readonly peer: string }
  | { readonly _tag: "Send"; readonly id: number; readonly except: string }

interface State {
  readonly rng: Rng.Rng
  readonly seen: Set<number>
}
const tick: Event = { _tag: "Tick" }
const core = (peers: ReadonlyArray<string>): Actor.Core<State, Event, Output> => ({
  initial: (seed) => ({ rng: Rng.make(seed), seen: new Set() }),
  step: ({ rng, seen }, event, now) => {
    switch (event._tag) {
      case "Start":
        return [
          ...peers.map((peer) => ({ _tag: "Dial", peer }) as const),
          Actor.setTimer("tick", now + rng.below(50), tick)
        ]
      case "Tick": {
        const id = rng.below(1e9)
        seen.add(id)
        return [{ _tag: "Send", id, except: "" }, Actor.setTimer("tick", now + 50 + rng.below(100), tick)]
      }
      case "Heard":
        if (seen.has(event.id)) return []
        seen.add(event.id)
        return [{ _tag: "Send", id: event.id, except: event.from }]
      case "Ended":
        return [{ _tag: "Dial", peer: event.peer }]
    }
  }
})

/** Sends what the outbox holds to one peer; gives up after some lost packets in a row, and the actor dials again. */
const session = (network: Network, outboxes: Map<string, Outbox.Outbox<number>>, name: string, peer: string) =>
  Effect.gen(function* () {
    const deliver = (id: number) =>
      Effect.suspend(() => (network.send(name, peer, id) ? Effect.void : Effect.fail("lost"))).pipe(
        Effect.retry(Schedule.exponential("20 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 3 })))
      )
    const outbox = yield* Outbox.make({ name: `${name}>${peer}`, limit: 32, whenFull: "dropOldest", deliver })
    outboxes.set(peer, { ...outbox, join: Effect.ignore(outbox.join) })
    yield* Effect.ensuring(
      outbox.join,
      Effect.sync(() => outboxes.delete(peer))
    )
  }).pipe(Effect.scoped)

const node = (network: Network, name: string, peers: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const outboxes = new Map<string, Outbox.Outbox<number>>()
    const actor = yield* Actor.make<State, Event, Output>({
      name: `node/${name}`,
      seed: yield* Random.nextIntBetween(0, 2 ** 31),
      core: core(peers),
      perform: (output, self) => {
        if (output._tag === "Dial") {
          const { peer } = output
          return self.spawn(peer, session(network, outboxes, name, peer), () => ({ _tag: "Ended", peer }))
        }
        for (const [peer, outbox] of outboxes) if (peer !== output.except) outbox.push(output.id)
        return undefined
      }
    })
    yield* Effect.acquireRelease(
      Effect.sync(() => network.receivers.set(name, (from, id) => actor.tryTell({ _tag: "Heard", from, id }))),
      () => Effect.sync(() => network.receivers.delete(name))
    )
    yield* actor.tell({ _tag: "Start" })
    return yield* Effect.never
  }).pipe(Effect.scoped)

/** A quarter of the time whole, a quarter in two halves, then one node crashes and comes back. */
export const world = (nodes: number, forMs: number) =>
  Effect.gen(function* () {
    const network = makeNetwork(yield* Simulation.Simulation)
    const names = Array.from({ length: nodes }, (_, i) => `n${i}`)
    const scope = yield* Scope.Scope
    const fibers = yield* Effect.forEach(names, (name, i) => {
      const peers = [1, 7, 13].map((k) => `n${(i + k) % nodes}`)
      return Effect.forkIn(node(network, name, peers), scope)
    })
    const half = (name: string) => names.indexOf(name) < nodes / 2
    yield* Effect.sleep(forMs / 4)
    network.state.apart = (from, to) => half(from) !== half(to)
    yield* Effect.sleep(forMs / 4)
    network.state.apart = () => false
    const crashed = fibers[3]
    if (crashed !== undefined) yield* Fiber.interrupt(crashed)
    yield* Effect.sleep(forMs / 4)
    yield* Effect.forkIn(node(network, "n3", ["n4", "n10", "n16"]), scope)
    yield* Effect.sleep(forMs / 4)
    return network.state.packets
  }).pipe(Effect.scoped)

const rounds = 12

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const rows: Array<Row> = []
  const measure = async (what: string, reach: string, options: Simulation.Options): Promise<void> => {
    let best = 0
    const digests = new Set<string>()
    for (let round = 0; round < rounds; round++) {
      const fromMs = performance.now()
      const [exit, report] = await Effect.runPromise(Simulation.runReport(world(20, 10_000), options))
      const seconds = (performance.now() - fromMs) / 1000
      if (Exit.isFailure(exit)) throw new Error(String(exit.cause))
      digests.add(report.digest)
      best = Math.max(best, report.steps / seconds)
    }
    if (digests.size !== 1) throw new Error(`${what}: the digests differ: ${[...digests].join(", ")}`)
    const [digest] = digests
    rows.push({ what: `${what}, digest ${digest} on ${rounds} runs`, value: best, unit: "steps/s", reach })
  }
  await measure("simulated world of 20 nodes", "above 400,000 steps/s, one digest", { seed: 1 })
  await measure("the same, shuffled and preempted", "one digest", { seed: 1, order: "shuffle", preempt: 0.01 })
  return rows
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) console.table(await run())
