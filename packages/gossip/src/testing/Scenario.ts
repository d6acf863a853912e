/** What a simulated swarm goes through, as data, and what came of it (iroh-gossip sections 6.2 and 6.3). */
import * as Rng from "@effect-live/actor/Rng"
import type * as Config from "../Config.ts"
import type * as Topic from "../Topic.ts"
import * as Metrics from "./Metrics.ts"
import { type Latency, Simulator } from "./Simulator.ts"

/** Who broadcasts in a round: the same random peer in all of them, another one in each, or everybody at once. */
export type Senders = "Single" | "Multi" | "All"

/** Everybody joins peer 0 at once; or `count` peers do, and after a while the others each join a random one of these. */
export type Bootstrap = { readonly _tag: "Single" } | { readonly _tag: "Set"; readonly count: number }

export type Step =
  /** Rounds of broadcasts, one behind the other without a pause. `name` tells their results from those of other steps. */
  | { readonly _tag: "Rounds"; readonly senders: Senders; readonly rounds: number; readonly name?: string }
  | { readonly _tag: "Wait"; readonly forMs: number }
  /** This share of the peers, chosen at random, ends at one instant. */
  | { readonly _tag: "Kill"; readonly share: number; readonly how: "closed" | "silent" }
  /** Peer 0, the one that all others joined, leaves. */
  | { readonly _tag: "CreatorLeaves" }
  /** So many newcomers each join the same few random members. */
  | { readonly _tag: "Newcomers"; readonly count: number; readonly knowing: number }
  /** Two halves do not reach each other any more. */
  | { readonly _tag: "Partition" }
  | { readonly _tag: "Heal" }
  /** Again and again one random peer is killed, or leaves, and a newcomer joins a random member. */
  | { readonly _tag: "Churn"; readonly forMs: number; readonly everyMs: number }

export interface Scenario {
  readonly name: string
  readonly peers: number
  readonly bootstrap: Bootstrap
  readonly latency: Latency
  readonly config?: Config.Config
  readonly steps: ReadonlyArray<Step>
}

/** How long a round may take, in simulated milliseconds: what has not arrived by then is missed. */
export const roundTimeoutMs = 5_000

/** The rounds of one step. */
export interface Series extends Metrics.Summary {
  readonly name: string
  readonly rounds: ReadonlyArray<Metrics.Round>
}

export interface Result {
  readonly scenario: string
  readonly seed: number
  readonly series: ReadonlyArray<Series>
  /** How the swarm hung together at the end. */
  readonly health: Health
  /** Messages handled from the start to the end. */
  readonly messages: number
  readonly simulatedMs: number
}

export interface Health {
  readonly peers: number
  /** Peers without a neighbor. */
  readonly isolated: number
  /** Groups of peers that neighbors join together; 1 when the swarm is whole. */
  readonly swarms: number
}

/** Runs a scenario. The same scenario and seed give the same result, always. */
export const run = (scenario: Scenario, seed: number): Result => {
  const world = makeWorld(scenario, seed)
  const { simulator } = world
  bootstrap(world, scenario)
  const series: Array<Series> = []
  for (const step of scenario.steps) {
    if (step._tag !== "Rounds") {
      perform(world, step)
      continue
    }
    const rounds = runRounds(world, step)
    series.push({ name: step.name ?? scenario.name, rounds, ...Metrics.summarize(rounds) })
  }
  const { messages } = simulator.counters
  return { scenario: scenario.name, seed, series, health: health(simulator), messages, simulatedMs: simulator.nowMs }
}

interface World {
  readonly simulator: Simulator
  readonly rng: Rng.Rng
  /** Texts of the round that is going on. */
  readonly texts: Set<string>
  received: number
  lastHop: number
  /** Of the next newcomer. */
  nextId: number
  round: number
}

const makeWorld = (scenario: Scenario, seed: number): World => {
  const texts = new Set<string>()
  const onEvent = (_peer: number, event: Topic.Event<number>): void => {
    if (event._tag !== "Received" || event.scope._tag !== "Swarm") return
    world.lastHop = Math.max(world.lastHop, event.scope.round)
    if (texts.has(event.id)) world.received++
  }
  const { config, latency } = scenario
  const simulator = new Simulator({ seed, latency, onEvent, ...(config === undefined ? {} : { config }) })
  const rng = Rng.make(seed, "scenario")
  const world: World = { simulator, rng, texts, received: 0, lastHop: 0, nextId: 0, round: 0 }
  return world
}

const bootstrap = (world: World, { bootstrap, latency, peers }: Scenario): void => {
  const { rng, simulator } = world
  const first = bootstrap._tag === "Single" ? peers : Math.min(bootstrap.count, peers)
  world.nextId = peers
  simulator.join(0, [])
  for (let id = 1; id < first; id++) simulator.join(id, [0])
  if (bootstrap._tag === "Set") {
    simulator.run(7 * latency.maxMs)
    for (let id = first; id < peers; id++) simulator.join(id, [rng.below(first)])
  }
  simulator.run(20 * latency.maxMs)
}

const pick = <A>(rng: Rng.Rng, from: ReadonlyArray<A>): A => {
  const one = from[rng.below(from.length)]
  if (one === undefined) throw new Error("nobody is left in the swarm")
  return one
}

const runRounds = (world: World, step: Extract<Step, { readonly _tag: "Rounds" }>): ReadonlyArray<Metrics.Round> => {
  const { rng, simulator } = world
  const single = pick(rng, simulator.peers)
  return Array.from({ length: step.rounds }, () => {
    const { peers } = simulator
    switch (step.senders) {
      case "Single":
        return runRound(world, peers, [single])
      case "Multi":
        return runRound(world, peers, [pick(rng, peers)])
      case "All":
        return runRound(world, peers, peers)
    }
  })
}

const runRound = (world: World, peers: ReadonlyArray<number>, senders: ReadonlyArray<number>): Metrics.Round => {
  const { simulator, texts } = world
  const fromMs = simulator.nowMs
  const before = simulator.counters
  const round = world.round++
  const expected = senders.length * (peers.length - 1)
  world.received = 0
  world.lastHop = 0
  texts.clear()
  for (const sender of senders) {
    const text = `${round}:${sender}`
    texts.add(text)
    simulator.broadcast(sender, text)
  }
  simulator.runWhile(() => world.received < expected, roundTimeoutMs)
  const missed = expected - world.received
  const after = simulator.counters
  return {
    rmr: (after.contents - before.contents) / (expected - missed - 1) - 1,
    ldh: world.lastHop,
    durationMs: simulator.nowMs - fromMs,
    missed,
    control: after.control - before.control
  }
}

const perform = (world: World, step: Exclude<Step, { readonly _tag: "Rounds" }>): void => {
  const { rng, simulator } = world
  switch (step._tag) {
    case "Wait":
      return simulator.run(step.forMs)
    case "Kill": {
      const victims = shuffled(rng, simulator.peers)
      victims.length = Math.round(victims.length * step.share)
      for (const id of victims) simulator.kill(id, step.how)
      return
    }
    case "CreatorLeaves":
      return simulator.quit(0)
    case "Newcomers": {
      const members = shuffled(rng, simulator.peers).slice(0, step.knowing)
      for (let n = 0; n < step.count; n++) simulator.join(world.nextId++, members)
      return
    }
    case "Partition": {
      const half = new Set(shuffled(rng, simulator.peers).slice(0, simulator.peers.length >>> 1))
      return simulator.partition((id) => (half.has(id) ? 1 : 0))
    }
    case "Heal":
      return simulator.heal()
    case "Churn":
      for (const endMs = simulator.nowMs + step.forMs; simulator.nowMs < endMs; simulator.run(step.everyMs)) {
        const leaver = pick(rng, simulator.peers)
        if (rng.next() < 0.5) simulator.kill(leaver, "silent")
        else simulator.quit(leaver)
        simulator.join(world.nextId++, [pick(rng, simulator.peers)])
      }
  }
}

const shuffled = (rng: Rng.Rng, ids: ReadonlyArray<number>): Array<number> => {
  const all = [...ids]
  for (let i = all.length - 1; i > 0; i--) {
    const j = rng.below(i + 1)
    const [a, b] = [all[i], all[j]]
    if (a === undefined || b === undefined) break
    all[i] = b
    all[j] = a
  }
  return all
}

/** How a swarm hangs together: two peers do when either has the other in its active view. */
export const health = (simulator: Simulator): Health => {
  const group = new Map(simulator.peers.map((id) => [id, id]))
  const find = (id: number): number => {
    const above = group.get(id)
    if (above === undefined || above === id) return id
    const root = find(above)
    group.set(id, root)
    return root
  }
  let isolated = 0
  for (const id of simulator.peers) {
    const neighbors = (simulator.topic(id)?.membership.active ?? []).filter((neighbor) => group.has(neighbor))
    if (neighbors.length === 0) isolated++
    for (const neighbor of neighbors) group.set(find(neighbor), find(id))
  }
  const swarms = new Set(simulator.peers.map(find)).size
  return { peers: simulator.peers.length, isolated, swarms }
}

/** Two runs of one scenario, or of its seeds: how each series changed, as shares of the first (section 6.2). */
export const compare = (
  before: ReadonlyArray<Result>,
  after: ReadonlyArray<Result>
): ReadonlyArray<{ readonly name: string; readonly change: Metrics.Metrics }> => {
  const [then, now] = [before, after].map(bySeries)
  return [...(then ?? [])].flatMap(([name, runs]) => {
    const others = now?.get(name)
    if (others === undefined) return []
    return [{ name, change: Metrics.change(Metrics.acrossSeeds(runs).mean, Metrics.acrossSeeds(others).mean) }]
  })
}

/** The runs of each series, over all seeds. */
export const bySeries = (results: ReadonlyArray<Result>): ReadonlyMap<string, ReadonlyArray<Metrics.Summary>> => {
  const all = new Map<string, Array<Metrics.Summary>>()
  for (const { series } of results) {
    for (const one of series) {
      const runs = all.get(one.name)
      if (runs === undefined) all.set(one.name, [one])
      else runs.push(one)
    }
  }
  return all
}
