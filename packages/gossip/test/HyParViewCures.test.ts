import { assert, describe, it } from "@effect/vitest"
import * as Config from "../src/Config.ts"
import * as Limits from "../src/Limits.ts"
import { Simulator } from "../src/testing/index.ts"
import {
  bytes,
  type Core,
  core,
  disconnect,
  forwardJoin,
  joinMessage,
  neighbor,
  shuffle,
  shuffleReply
} from "./support/steps.ts"

const probe = { _tag: "ProbeFormer" } as const
const asked = (out: ReadonlyArray<string>): ReadonlyArray<string> => out.filter((text) => text.includes("<- Neighbor"))
const range = (from: number, count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, i) => from + i)

describe("HyParView cures (section 7.1)", () => {
  it("cure 4: a peer is let go only after what was sent to it, and not while it may answer", () => {
    const { receive } = core({ active: [1], config: { activeViewCapacity: 1 } })
    const out = receive(2, joinMessage())
    assert.isBelow(out.indexOf("1 <- Disconnect alive"), out.indexOf("drop 1"))
    const asking = core({ active: [1] })
    asking.receive(1, forwardJoin(5, 0))
    assert.notInclude(asking.receive(5, shuffleReply([])), "drop 5")
  })

  it("cure 4: the late ends of connections of a peer that was evicted, and is a neighbor again, are no loss", () => {
    const { disconnected, pass, receive, state } = core({ active: [1, 2], config: { activeViewCapacity: 2 } })
    receive(3, joinMessage())
    const evicted = [1, 2].find((peer) => !state.active.includes(peer)) ?? 0
    disconnected(evicted)
    receive(evicted, neighbor("High"))
    assert.include(disconnected(evicted), `down ${evicted} evicted`)
    assert.deepStrictEqual(state.former.entries, [])
    receive(evicted, neighbor("High"))
    pass(Limits.answerMs)
    assert.include(disconnected(evicted), `down ${evicted} closed`)
  })

  it("cure 4: the end of a connection is not answered by ending the next one", () => {
    assert.deepStrictEqual(core({ active: [1] }).disconnected(1), ["down 1 closed", "probe soon"])
  })

  it("cure 5: somebody who was asked is still told when it is refused, or when we leave", () => {
    const { receive, step } = core({ active: [1] })
    receive(1, forwardJoin(5, 0))
    assert.include(step({ _tag: "Quit" }), "5 <- Disconnect left")
  })

  it("cure 7: requests to neighbors take no room in the view", () => {
    const { receive, state } = core({ active: [1, 2], passive: [9] })
    receive(5, neighbor("High"))
    receive(6, neighbor("High"))
    assert.deepStrictEqual([...state.pending.keys()], [5, 6])
    // With pending counted, 3 + 2 would fill the view.
    assert.deepStrictEqual(asked(receive(1, disconnect(false))), ["9 <- Neighbor Low"])
  })

  it("cure 7: two peers do not answer each other's Neighbor for ever, however slow the way", () => {
    for (const delayMs of [10, 600, 4_000]) {
      const [a, b] = [core(), core()]
      let messages = 0
      let toB: ReadonlyArray<string> = ["9 <- Neighbor High"]
      while (toB.length > 0 && messages < 100) {
        b.pass(delayMs)
        const toA = asked(b.receive(9, neighbor("High")))
        messages++
        a.pass(delayMs)
        toB = toA.length === 0 ? [] : asked(a.receive(9, neighbor("High")))
        if (toA.length > 0) messages++
      }
      assert.isAtMost(messages, 3)
    }
  })

  it("cure 7: an answer that crosses our Disconnect is not answered, so that evictions do not multiply", () => {
    const { receive } = core({ active: [1], config: { activeViewCapacity: 1 } })
    receive(5, joinMessage())
    receive(6, joinMessage())
    assert.deepStrictEqual(asked(receive(5, neighbor("High"))), [])
    receive(7, joinMessage())
    // The second one is a request.
    assert.deepStrictEqual(asked(receive(5, neighbor("High"))), ["5 <- Neighbor High"])
  })

  it("cure 7: more peers than views have room for: messages do not multiply, and with the default room they end", () => {
    for (const [activeViewCapacity, most] of [
      [1, 1_000],
      [2, 200],
      [5, 0]
    ] as const) {
      const membership = { ...Config.membership, activeViewCapacity }
      const simulator = new Simulator.Simulator({
        seed: 3,
        latency: { minMs: 10, maxMs: 50 },
        config: { ...Config.defaults, membership }
      })
      for (let id = 0; id < 7; id++) simulator.join(id, id === 0 ? [] : [0])
      simulator.run(10_000)
      const before = simulator.counters.messages
      simulator.run(10_000)
      assert.isAtMost(simulator.counters.messages - before, most)
    }
  })

  it("cure 8: a Join is answered always, also while an earlier Neighbor is unanswered", () => {
    const { receive } = core({ active: [1] })
    assert.deepStrictEqual(asked(receive(5, joinMessage())), ["5 <- Neighbor High"])
    assert.deepStrictEqual(asked(receive(5, joinMessage())), ["5 <- Neighbor High"])
    receive(1, forwardJoin(6, 0))
    assert.deepStrictEqual(asked(receive(6, joinMessage())), ["6 <- Neighbor High"])
  })

  it("cure 8: a peer that was started again and asks to be a neighbor is answered once what was sent before is old", () => {
    const { pass, receive } = core({ active: [1] })
    receive(5, joinMessage())
    assert.deepStrictEqual(asked(receive(5, neighbor("High"))), [])
    receive(5, joinMessage())
    pass(Limits.answerMs)
    assert.deepStrictEqual(asked(receive(5, neighbor("High"))), ["5 <- Neighbor High"])
  })

  it("cure 9: a request that failed is followed by the next: not answered, not reached, refused", () => {
    const failures: ReadonlyArray<(peer: Core, asked: number) => ReadonlyArray<string>> = [
      ({ requestTimeout }, peer) => requestTimeout(peer),
      ({ disconnected }, peer) => disconnected(peer),
      ({ receive }, peer) => receive(peer, disconnect(true)),
      ({ receive }, peer) => receive(peer, disconnect(false))
    ]
    for (const fail of failures) {
      const peer = core({ active: [1, 2], passive: [7, 8] })
      const [first] = asked(peer.disconnected(1))
      const second = asked(fail(peer, Number(first?.charAt(0))))
      assert.strictEqual(second.length, 1)
      assert.notStrictEqual(second[0], first)
    }
  })

  it("cure 9: after some refusals in a row nobody is asked for a while, so that full peers are left in peace", () => {
    const { expire, pass, receive, state } = core({ active: [1, 2], passive: range(10, 20) })
    let requests = asked(receive(2, disconnect(true))).length
    for (let pending = [...state.pending.keys()][0]; pending !== undefined && requests < 100;) {
      requests += asked(receive(pending, shuffleReply([requests + 100]))).length
      requests += asked(receive(pending, disconnect(true))).length
      pending = [...state.pending.keys()][0]
    }
    assert.isAtMost(requests, Limits.refusals + 1)
    assert.deepStrictEqual(asked(expire({ _tag: "DoShuffle" })), [])
    pass(Limits.refusalMs)
    assert.strictEqual(asked(expire({ _tag: "DoShuffle" })).length, 1)
  })

  it("cure 9: without any neighbor refusals stop nothing", () => {
    const { disconnected, receive, state } = core({ active: [1], passive: range(10, 20) })
    disconnected(1)
    for (let n = 0; n < 10; n++) {
      const [pending] = state.pending.keys()
      assert.isDefined(pending)
      if (pending !== undefined) receive(pending, disconnect(true))
    }
  })

  it("cure 10: every request to a peer that is not a neighbor has its timer", () => {
    const { receive } = core({ active: [1, 2] })
    assert.include(receive(1, forwardJoin(5, 0)), "in 500 PendingNeighborRequest 5")
    assert.include(core({ active: [1] }).receive(1, shuffleReply([6])), "in 500 PendingNeighborRequest 6")
  })

  it("cure 10: a slow peer may still answer, a silent one is let go", () => {
    const { disconnected, receive, requestTimeout, state } = core({ active: [1], passive: [9, 8] })
    disconnected(1)
    const [first] = state.pending.keys()
    assert.isDefined(first)
    if (first === undefined) return
    assert.notInclude(requestTimeout(first), `drop ${first}`)
    const [second] = state.pending.keys()
    assert.isDefined(second)
    if (second === undefined) return
    requestTimeout(second)
    assert.include(receive(second, neighbor("High")), `up ${second}`)
    assert.notInclude(requestTimeout(second), `drop ${second}`)
    assert.include(requestTimeout(first), `drop ${first}`)
  })

  it("cure 11: oneself is never joined, asked, kept or answered", () => {
    const { expire, join, receive, state } = core({ active: [1] })
    assert.deepStrictEqual(join(0), [])
    assert.deepStrictEqual(receive(1, forwardJoin(0, 0)), [])
    assert.deepStrictEqual(receive(1, forwardJoin(0, 3)), [])
    assert.deepStrictEqual(receive(1, shuffle(0, [0], 0)), [])
    assert.deepStrictEqual(receive(1, shuffleReply([0])), [])
    for (const message of [joinMessage(), neighbor("High"), disconnect(true)])
      assert.deepStrictEqual(receive(0, message), [])
    assert.deepStrictEqual(expire(probe), [])
    assert.deepStrictEqual([state.active, state.passive, [...state.pending.keys()]], [[1], [], []])
  })

  it("cure 19: what is known of peers goes when they go", () => {
    const { disconnected, pass, receive, requestTimeout, state } = core({ active: [1, 2, 3, 4] })
    const nodes = range(100, 500).map((id) => ({ id, data: bytes(20) }))
    for (let i = 0; i < nodes.length; i += 5) receive(1, { _tag: "ShuffleReply", nodes: nodes.slice(i, i + 5) })
    assert.strictEqual(state.passive.length, 30)
    assert.strictEqual(state.reserve.length, Limits.reservedPeersPerTopic)
    assert.strictEqual(state.peerData.size, 30 + Limits.reservedPeersPerTopic)
    for (const peer of [...state.passive, ...range(3_000, 1_000)]) receive(peer, disconnect(true))
    assert.strictEqual(state.aliveDisconnect.size, Limits.endedLinksPerTopic)
    pass(Limits.answerMs)
    for (const peer of state.passive.slice()) disconnected(peer)
    receive(9_999, disconnect(true))
    assert.deepStrictEqual([state.passive.length, state.aliveDisconnect.size], [0, 1])
    assert.sameMembers([...state.peerData.keys()], state.reserve)
    for (let id = 1_000; id < 2_000; id++) receive(1, forwardJoin(id, 0, bytes(20)))
    assert.strictEqual(state.pending.size, Limits.neighborRequestsPerTopic)
    for (let id = 1_000; id < 2_000; id++) requestTimeout(id)
    assert.isAtMost(state.peerData.size, state.passive.length + state.reserve.length + state.pending.size)
    assert.isAtMost(state.silent.size, Limits.silentPeersPerTopic)
  })

  it("cure 19: data beyond `Limits.peerDataBytes` is taken for none", () => {
    const { receive, state } = core({ active: [1] })
    receive(1, neighbor("High", bytes(Limits.peerDataBytes)))
    assert.strictEqual(state.peerData.get(1)?.length, Limits.peerDataBytes)
    receive(5, neighbor("High", bytes(Limits.peerDataBytes + 1)))
    assert.isUndefined(state.peerData.get(5))
  })

  it("cure 20: ttl 65535 goes no further than our own walks", () => {
    const { receive } = core({ active: [1, 2] })
    assert.deepStrictEqual(receive(1, forwardJoin(5, 65_535)), ["2 <- ForwardJoin [5] ttl 5"])
    assert.deepStrictEqual(receive(1, shuffle(9, [9], 65_535)), ["2 <- Shuffle of 9 [9] ttl 5"])
  })

  it("cure 20: of a Shuffle of 120 nodes eight are looked at, passed on and answered", () => {
    const ending = core({ active: [1], passive: range(50, 20) })
    const [reply] = ending.receive(1, shuffle(1, range(100, 120), 0))
    assert.strictEqual(reply?.split(" ").length, 3 + 8)
    assert.strictEqual(ending.state.passive.filter((peer) => peer >= 100).length, 8)
    const walking = core({ active: [1, 2] })
    assert.deepStrictEqual(walking.receive(1, shuffle(9, range(100, 120), 6)), [
      "2 <- Shuffle of 9 [100 101 102 103 104 105 106 107] ttl 5"
    ])
  })

  it("cure 23: nodes are left out until a Shuffle or ShuffleReply fits its frame; a Shuffle always says who it is from", () => {
    for (const maxMessageBytes of [512, 600, 1_024, 4_096]) {
      const { expire, receive, state } = core({ active: [1, 2, 3, 4], maxMessageBytes, data: bytes(100) })
      for (const id of range(10, 20)) receive(1, { _tag: "ShuffleReply", nodes: [{ id, data: bytes(10 * id) }] })
      assert.isAbove(state.passive.length, 0)
      const out = [...expire({ _tag: "DoShuffle" }), ...receive(9, shuffle(9, range(200, 8), 0))]
      let sizes = 0
      for (const text of out) {
        const nodes = /\[(.*)\]/.exec(text)?.[1]?.split(" ")
        if (nodes === undefined) continue
        sizes++
        if (text.includes("Shuffle of")) assert.include(nodes, "0/100")
        const size = nodes.reduce((sum, node) => {
          const data = Number(node.split("/")[1] ?? 0)
          return sum + 33 + (data > 0 ? data + (data < 128 ? 1 : 2) : 0)
        }, 2)
        assert.isBelow(size, maxMessageBytes - (text.includes("Shuffle of") ? 32 + 1 + 1 : 1))
      }
      assert.isAbove(sizes, 0)
    }
  })
})

describe("HyParView admission (section 7.3)", () => {
  const admit = (peer: number) => peer < 100

  it("who is not admitted is refused, told nothing, and told to nobody", () => {
    const { receive, state } = core({ active: [1, 2], passive: [9], admit })
    for (const message of [
      joinMessage(bytes(3)),
      neighbor("High"),
      neighbor("Low"),
      shuffle(100, [9], 0),
      forwardJoin(9, 0)
    ])
      assert.deepStrictEqual(receive(100, message), ["100 <- Disconnect left", "drop 100"])
    assert.deepStrictEqual(receive(1, forwardJoin(100, 0)), [])
    assert.deepStrictEqual(receive(1, forwardJoin(100, 6)), [])
    assert.deepStrictEqual(receive(1, shuffle(100, [9], 0)), [])
    receive(1, shuffleReply([100, 8]))
    assert.deepStrictEqual([state.active, state.passive, state.peerData.size], [[1, 2], [9, 8], 0])
  })

  it("a neighbor that is admitted no more goes with its next message", () => {
    const banned = new Set<number>()
    const { receive, state } = core({ active: [1, 2], admit: (peer) => !banned.has(peer) })
    banned.add(1)
    assert.deepStrictEqual(receive(1, neighbor("High")), ["down 1 refused", "1 <- Disconnect left", "drop 1"])
    assert.deepStrictEqual([state.active, state.passive], [[2], []])
  })
})

describe("HyParView looks for lost peers (section 7.3)", () => {
  it("a bootstrap peer that cannot be reached is joined again and again, at most some seconds apart", () => {
    const { disconnected, expire, join, pass } = core()
    join(7, 8)
    disconnected(7)
    disconnected(8)
    for (let n = 0; n < 50; n++) {
      pass(Limits.probeAloneMaxMs)
      const out = expire(probe)
      assert.deepStrictEqual(
        out.filter((text) => text.includes("Join")),
        ["7 <- Join", "8 <- Join"]
      )
      assert.include(out, "probe soon")
    }
  })

  it("a neighbor whose connection was lost is asked again, at most half a minute apart, until it is one again", () => {
    const { disconnected, expire, pass, receive } = core({ active: [1, 2], data: bytes(3) })
    receive(1, neighbor("High", bytes(2)))
    disconnected(1)
    let requests = 0
    for (let ms = 0; ms < 600_000; ms += 8_000) {
      pass(8_000)
      const out = expire(probe)
      if (asked(out).length === 0) continue
      requests++
      // With what it published, or it could not be dialed.
      assert.deepStrictEqual(out.slice(0, 2), ["data 1 2", "1 <- Neighbor High /3"])
      disconnected(1)
    }
    assert.isAtLeast(requests, 600 / 38 - 1)
    assert.isAtMost(requests, 600 / 30 + 6)
    receive(1, neighbor("High"))
    pass(60_000)
    assert.deepStrictEqual(expire(probe), [])
  })

  it("with few neighbors whom we lost is asked a second later, and in pauses that double", () => {
    const { disconnected, expire, pass } = core({ active: [1, 2] })
    disconnected(1)
    for (let pauseMs = Limits.probeMinMs; pauseMs < Limits.probeMaxMs; pauseMs *= 2) {
      pass(pauseMs - 1)
      assert.deepStrictEqual(asked(expire(probe)), [])
      pass(1)
      assert.deepStrictEqual(asked(expire(probe)), ["1 <- Neighbor High"])
      disconnected(1)
    }
  })

  it("with neighbors enough nobody is evicted for a probe within the first half minute", () => {
    const { disconnected, expire, pass } = core({ active: [1, 2, 3, 4, 5] })
    disconnected(5)
    pass(Limits.probeMaxMs - 1)
    assert.deepStrictEqual(asked(expire(probe)), [])
    pass(1)
    assert.deepStrictEqual(asked(expire(probe)), ["5 <- Neighbor High"])
  })

  it("who was evicted, or left, is not looked for; a bootstrap peer that left is", () => {
    const { join, receive, state } = core({ active: [1, 2, 3] })
    join(3)
    receive(1, disconnect(true))
    receive(2, disconnect(false))
    assert.deepStrictEqual(state.former.entries, [])
    receive(3, disconnect(false))
    assert.deepStrictEqual(
      state.former.entries.map(({ peer }) => peer),
      [3]
    )
  })

  it("the lists of former and of bootstrap peers are bounded, in number and in time", () => {
    const { disconnected, expire, join, pass, receive, state } = core()
    join(...range(1_000, 500))
    assert.strictEqual(state.former.bootstrap.length, Limits.bootstrapPeersPerTopic)
    for (let id = 1; id < 500; id++) {
      receive(id, neighbor("High", bytes(2)))
      disconnected(id)
    }
    assert.isAtMost(state.former.entries.length, Limits.formerPeersPerTopic + Limits.bootstrapPeersPerTopic)
    assert.isAtMost(state.peerData.size, state.former.entries.length)
    for (let ms = 0; ms <= Limits.formerRetentionMs; ms += 60_000) {
      pass(60_000)
      expire(probe)
    }
    assert.strictEqual(state.former.entries.length, Limits.bootstrapPeersPerTopic)
    assert.strictEqual(state.peerData.size, 0)
  })
})
