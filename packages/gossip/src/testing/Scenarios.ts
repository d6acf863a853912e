/** The scenarios that a swarm is measured with, and those that it must withstand. */
import type { Scenario, Senders, Step } from "./Scenario.ts"

const latency = { minMs: 10, maxMs: 50 }
const single = { _tag: "Single" } as const

const gossip = (senders: Senders, peers: number, rounds: number): Scenario => ({
  name: `Gossip${senders}-n${peers}-r${rounds}`,
  peers,
  bootstrap: single,
  latency,
  steps: [{ _tag: "Rounds", senders, rounds }]
})

/** Those of the Rust implementation (iroh-gossip section 6.3), with its seeds. */
export const reference: ReadonlyArray<Scenario> = [
  gossip("Single", 20, 30),
  gossip("Single", 100, 30),
  gossip("Single", 1000, 30),
  gossip("Multi", 20, 30),
  gossip("Multi", 100, 30),
  gossip("Multi", 1000, 30),
  gossip("All", 20, 30),
  gossip("All", 100, 5)
]
export const referenceSeeds: ReadonlyArray<number> = [0, 1, 212312388123, 123]

const withstand = (name: string, peers: number, steps: ReadonlyArray<Step>): Scenario => ({
  name,
  peers,
  bootstrap: single,
  latency,
  steps
})

const minuteMs = 60_000
const probe = { _tag: "Rounds", senders: "Multi", rounds: 10 } as const
const kill = (percent: number): Scenario =>
  withstand(`Kill${percent}-n1000`, 1000, [
    { _tag: "Rounds", senders: "Multi", rounds: 10, name: `Kill${percent}-n1000-before` },
    { _tag: "Kill", share: percent / 100, how: "closed" },
    { _tag: "Wait", forMs: 5_000 },
    { ...probe, name: `Kill${percent}-n1000-after` }
  ])

/** What a swarm goes through besides. */
export const withstanding: ReadonlyArray<Scenario> = [
  // The first broadcast right behind GossipAll, and later ones.
  withstand("Burst-n100", 100, [
    { _tag: "Rounds", senders: "All", rounds: 5, name: "Burst-n100-burst" },
    { _tag: "Rounds", senders: "Single", rounds: 1, name: "Burst-n100-first" },
    { _tag: "Rounds", senders: "Single", rounds: 9, name: "Burst-n100-settling" },
    { _tag: "Rounds", senders: "Single", rounds: 20, name: "Burst-n100-warm" }
  ]),
  kill(30),
  kill(50),
  kill(80),
  withstand("Partition-n100", 100, [
    { _tag: "Wait", forMs: minuteMs },
    { _tag: "Partition" },
    { _tag: "Wait", forMs: 10 * minuteMs },
    { _tag: "Heal" },
    { _tag: "Wait", forMs: minuteMs },
    { ...probe, name: "Partition-n100-joined" }
  ]),
  withstand("CreatorGone-n100", 100, [
    { _tag: "Wait", forMs: minuteMs },
    { _tag: "CreatorLeaves" },
    { _tag: "Wait", forMs: minuteMs },
    { _tag: "Newcomers", count: 20, knowing: 3 },
    { _tag: "Wait", forMs: 5_000 },
    probe
  ]),
  withstand("Churn-n100", 100, [
    { _tag: "Churn", forMs: 60 * minuteMs, everyMs: 10_000 },
    { _tag: "Wait", forMs: minuteMs },
    probe
  ])
]

export const all: ReadonlyArray<Scenario> = [...reference, ...withstanding]
