import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as Config from "../src/Config.ts"
import * as Limits from "../src/Limits.ts"
import { Simulator } from "../src/testing/index.ts"
import { type Core, core, disconnect, forwardJoin, joinMessage, neighbor, shuffleReply } from "./support/steps.ts"

const neighbors = (out: ReadonlyArray<string>): ReadonlyArray<string> =>
  out.filter((text) => text.includes("<- Neighbor"))

/** Room for one neighbor, so that every new one evicts the old one. */
const single = () => core({ active: [1], config: { activeViewCapacity: 1 } })

describe("HyParView: what a Neighbor means (section 3.7)", () => {
  const rows: ReadonlyArray<{
    readonly name: string
    readonly from: () => Core
    readonly before: ReadonlyArray<(core: Core) => unknown>
    readonly out: ReadonlyArray<string>
    readonly active: ReadonlyArray<number>
  }> = [
    {
      name: "a request: it is answered",
      from: () => core({ active: [1] }),
      before: [],
      out: ["5 <- Neighbor High"],
      active: [1, 5]
    },
    {
      name: "an answer: it is not",
      from: () => core({ active: [1] }),
      before: [({ receive }) => receive(1, forwardJoin(5, 0))],
      out: [],
      active: [1, 5]
    },
    {
      name: "a late answer, when the request has failed already: it is not either",
      from: () => core({ active: [1] }),
      before: [
        ({ receive }) => receive(1, forwardJoin(5, 0)),
        ({ pass }) => pass(500),
        ({ requestTimeout }) => requestTimeout(5)
      ],
      out: [],
      active: [1, 5]
    },
    {
      name: "the answer to a Join: it is answered",
      from: () => core({ active: [1] }),
      before: [({ join }) => join(5)],
      out: ["5 <- Neighbor High"],
      active: [1, 5]
    },
    {
      name: "an answer that crosses our Disconnect: a request",
      from: () => core({ active: [1, 2], config: { activeViewCapacity: 2 }, seed: 3 }),
      before: [({ receive }) => receive(5, joinMessage()), ({ receive }) => receive(6, joinMessage())],
      out: ["5 <- Neighbor High"],
      active: [5, 6]
    },
    {
      name: "the same with room for one only: the peer hears our Disconnect next, and is no neighbor",
      from: single,
      before: [({ receive }) => receive(5, joinMessage()), ({ receive }) => receive(6, joinMessage())],
      out: [],
      active: [6]
    },
    {
      name: "the one behind that: a request",
      from: single,
      before: [
        ({ receive }) => receive(5, joinMessage()),
        ({ receive }) => receive(6, joinMessage()),
        ({ receive }) => receive(5, neighbor("High"))
      ],
      out: ["5 <- Neighbor High"],
      active: [5]
    },
    {
      name: "of somebody whom we answered and evicted, who owes no answer: a request",
      from: single,
      before: [({ receive }) => receive(5, neighbor("High")), ({ receive }) => receive(6, joinMessage())],
      out: ["5 <- Neighbor High"],
      active: [5]
    },
    {
      name: "the answer to what we asked before the end of an earlier connection was noticed: an answer",
      from: () => core({ active: [1, 5] }),
      before: [
        ({ receive }) => receive(5, disconnect(true)),
        ({ receive }) => receive(1, forwardJoin(5, 0)),
        ({ disconnected }) => disconnected(5)
      ],
      out: [],
      active: [1, 5]
    }
  ]
  for (const { active, before, from, name, out } of rows) {
    it(`${name}`, () => {
      const under = from()
      for (const step of before) step(under)
      assert.deepStrictEqual(neighbors(under.receive(5, neighbor("High"))), out)
      assert.deepStrictEqual(under.state.active.toSorted(), active)
    })
  }

  it("the timer of a request does not end a later one to the same peer, nor the silence behind it", () => {
    const { expire, pass, receive, requestTimeout, state } = core({ active: [1, 2] })
    const expireOf = (request: number) => expire({ _tag: "PendingNeighborRequest", peer: 5, request })
    receive(1, forwardJoin(5, 0))
    const first = state.pending.get(5)?.request ?? 0
    pass(400)
    receive(5, disconnect(true))
    receive(1, forwardJoin(5, 0))
    const second = state.pending.get(5)?.request ?? 0
    assert.notStrictEqual(second, first)
    pass(100)
    assert.deepStrictEqual(expireOf(first), [])
    assert.isTrue(state.pending.has(5), "it has 400 ms left")
    pass(400)
    assert.deepStrictEqual(expireOf(second), ["in 10000 PendingNeighborRequest 5"])
    assert.deepStrictEqual([expireOf(first), expireOf(second)], [[], []])
    assert.isTrue(state.silent.has(5))
    assert.deepStrictEqual(requestTimeout(5), ["drop 5"])
  })
})

describe("HyParView: links have two sides", { timeout: 60_000 }, () => {
  type Happening = readonly ["join" | "kill" | "silent" | "quit" | "pass", number]
  const happening: fc.Arbitrary<Happening> = fc.tuple(
    fc.constantFrom("join", "join", "kill", "silent", "quit", "pass"),
    fc.nat(1_000)
  )

  it("whatever happens: nobody counts a peer among its neighbors for long that does not think so too", () => {
    const swarm = fc.record({
      activeViewCapacity: fc.integer({ min: 1, max: 5 }),
      maxMs: fc.constantFrom(50, 200, 600),
      seed: fc.nat(),
      happenings: fc.array(happening, { minLength: 10, maxLength: 60 })
    })
    fc.assert(
      fc.property(swarm, ({ activeViewCapacity, happenings, maxMs, seed }) => {
        const membership = { ...Config.membership, activeViewCapacity }
        const simulator = new Simulator.Simulator({
          seed,
          latency: { minMs: maxMs / 5, maxMs },
          config: { ...Config.defaults, membership }
        })
        simulator.join(0, [])
        let next = 1
        for (const [what, n] of happenings) {
          const peer = simulator.peers[n % simulator.peers.length]
          if (what === "pass" || peer === undefined) simulator.run(n)
          else if (what === "join") simulator.join(next++, [peer])
          else if (simulator.peers.length > 1) {
            if (what === "quit") simulator.quit(peer)
            else simulator.kill(peer, what === "kill" ? "closed" : "silent")
          }
        }
        // Silence is noticed after 30 s; a peer for which there is never room goes on looking.
        const isTwoSided = () => oneSided(simulator) === 0
        simulator.run(Simulator.silenceMs + Limits.answerMs)
        assert.isTrue(isTwoSided() || simulator.runWhile(() => !isTwoSided(), 60_000), `${oneSided(simulator)} links`)
      }),
      { numRuns: 100, seed: 1 }
    )
  })

  for (const activeViewCapacity of [2, 3, 5]) {
    it(`a hundred peers that all join one at once, with room for ${activeViewCapacity}: 2 s later all links have two sides`, () => {
      for (let seed = 0; seed < 5; seed++) {
        const membership = { ...Config.membership, activeViewCapacity }
        const simulator = new Simulator.Simulator({
          seed,
          latency: { minMs: 10, maxMs: 50 },
          config: { ...Config.defaults, membership }
        })
        for (let id = 0; id < 100; id++) simulator.join(id, id === 0 ? [] : [0])
        simulator.run(2_000)
        assert.strictEqual(oneSided(simulator), 0, `seed ${seed}`)
      }
    })
  }
})

/** Links of which only one side knows. */
const oneSided = (simulator: Simulator.Simulator): number => {
  let count = 0
  for (const peer of simulator.peers) {
    for (const other of simulator.topic(peer)?.membership.active ?? []) {
      if (simulator.topic(other)?.membership.active.includes(peer) !== true) count++
    }
  }
  return count
}

describe("HyParView: when nobody is left to ask", () => {
  const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i)
  const small = { activeViewCapacity: 5, passiveViewCapacity: 2 }

  /** All who are asked now fail. */
  const fail = ({ disconnected, requestTimeout, state }: Core, how: "silent" | "unreachable"): void => {
    for (const id of Array.from(state.pending.keys()))
      if (how === "silent") requestTimeout(id)
      else disconnected(id)
  }

  it("those for whom the passive view had no room are asked, some of them between two probes", () => {
    const under = core({ active: [1], config: small })
    const { disconnected, expire, receive, state } = under
    for (const id of range(10, 12)) receive(1, shuffleReply([id]))
    assert.strictEqual(state.reserve.length, 10)
    disconnected(1)
    while (state.pending.size > 0) fail(under, "silent")
    assert.deepStrictEqual(state.passive, [])
    const kept = state.reserve.slice(0, 2)
    assert.lengthOf(neighbors(expire({ _tag: "ProbeFormer" })), 1)
    assert.sameMembers([...state.passive], kept)
  })

  it("without any neighbor those who do not answer are kept, since the fault may be ours; with one they are dead", () => {
    for (const [active, kept] of [
      [[1], [7, 8]],
      [[1, 2], []]
    ] as const) {
      const under = core({ active, passive: [7, 8] })
      under.disconnected(1)
      fail(under, "silent")
      fail(under, "unreachable")
      assert.sameMembers([...under.state.reserve], [...kept])
    }
  })

  it("they are asked also by who joined nobody, when those who were lost are looked for no longer", () => {
    const under = core({ active: [1], config: small })
    for (const id of range(10, 4)) under.receive(1, shuffleReply([id]))
    under.disconnected(1)
    while (under.state.pending.size > 0) fail(under, "silent")
    // Time is believed in steps of a Shuffle.
    for (let n = 0; n <= Limits.formerRetentionMs / Config.membership.shuffleIntervalMs; n++) {
      under.pass(Config.membership.shuffleIntervalMs)
      under.expire({ _tag: "DoShuffle" })
    }
    const asked = new Set<string>()
    for (let n = 0; n < 6; n++) {
      assert.isTrue(under.state.former.scheduled)
      for (const text of neighbors(under.expire({ _tag: "ProbeFormer" }))) asked.add(text)
      fail(under, "silent")
      fail(under, "silent")
    }
    assert.deepStrictEqual(under.state.former.entries, [])
    assert.isAbove(asked.size, 1)
  })

  it("who left the topic is not kept, and the list is bounded", () => {
    const { receive, state } = core({ active: [1], config: small })
    for (const id of range(10, 500)) receive(1, shuffleReply([id]))
    assert.lengthOf(state.reserve, Limits.reservedPeersPerTopic)
    const [leaver = 0] = state.reserve
    receive(leaver, disconnect(false))
    assert.notInclude(state.reserve, leaver)
  })
})
