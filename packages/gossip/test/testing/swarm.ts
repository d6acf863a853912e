/** Swarms for tests: peers 0 to n-1 that joined peer 0, a second ago; and what is asked of them. */
import * as Rng from "@effect-live/actor/Rng"
import { Scenario, Simulator } from "../../src/testing/index.ts"
import type * as Topic from "../../src/Topic.ts"

export const latency = { minMs: 10, maxMs: 50 }

export interface Swarm {
  readonly simulator: Simulator.Simulator
  readonly rng: Rng.Rng
  /** Contents that peers have got, by text. */
  readonly received: Map<string, Set<number>>
  /** Times that a peer got a content that it had already. */
  readonly again: { count: number }
}

export const empty = (seed: number, onEvent?: (peer: number, event: Topic.Event<number>) => void): Swarm => {
  const received: Swarm["received"] = new Map()
  const again = { count: 0 }
  const hear = (peer: number, event: Topic.Event<number>): void => {
    onEvent?.(peer, event)
    if (event._tag !== "Received") return
    const peers = received.get(event.id) ?? new Set()
    received.set(event.id, peers)
    if (peers.has(peer)) again.count++
    peers.add(peer)
  }
  const simulator = new Simulator.Simulator({ seed, latency, onEvent: hear })
  return { simulator, rng: Rng.make(seed, "test"), received, again }
}

export const swarmOf = (
  peers: number,
  seed: number,
  onEvent?: (peer: number, event: Topic.Event<number>) => void
): Swarm => {
  const swarm = empty(seed, onEvent)
  for (let id = 0; id < peers; id++) swarm.simulator.join(id, id === 0 ? [] : [0])
  swarm.simulator.run(1_000)
  return swarm
}

export const health = ({ simulator }: Swarm): Scenario.Health => Scenario.health(simulator)

/** Peers chosen at random. */
export const some = ({ rng, simulator }: Swarm, count: number): ReadonlyArray<number> => {
  const left = [...simulator.peers]
  return Array.from({ length: count }, () => left.splice(rng.below(left.length), 1)).flat()
}

let texts = 0

/** Whether everybody who is up gets a broadcast of `from` within `forMs`. */
export const everybodyHears = ({ received, simulator }: Swarm, from: number, forMs = 5_000): boolean => {
  const text = `everybody ${texts++}`
  simulator.broadcast(from, text)
  simulator.run(forMs)
  const heard = received.get(text)
  return simulator.peers.every((peer) => peer === from || heard?.has(peer) === true)
}

/** Entries of all collections of a state, however deep; texts and bytes count as one. */
export const entries = (state: unknown): number => {
  const seen = new Set<object>()
  const waiting: Array<unknown> = [state]
  let count = -1
  while (waiting.length > 0) {
    const value = waiting.pop()
    count++
    if (typeof value !== "object" || value === null || value instanceof Uint8Array || seen.has(value)) continue
    seen.add(value)
    if (value instanceof Map) for (const [key, one] of value) waiting.push(key, one)
    else if (value instanceof Set) for (const one of value) waiting.push(one)
    else for (const one of Object.values(value)) waiting.push(one)
  }
  return count
}
