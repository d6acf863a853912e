/** Where the broadcast is to be better than the Rust peers (iroh-gossip section 7.1), by number. */
import { assert, describe, it } from "@effect/vitest"
import * as Contents from "../src/internal/Contents.ts"
import * as References from "../src/internal/References.ts"
import * as Limits from "../src/Limits.ts"
import type * as Message from "../src/Message.ts"
import * as PlumTree from "../src/PlumTree.ts"
import * as Wire from "../src/Wire.ts"
import { core, direct, gossip, graft, ihave, prune } from "./support/broadcast.ts"

const evict = "in 1000 EvictCache"
const dispatch = "in 5 DispatchLazyPush"

describe("content for neighbors", () => {
  it("cure 13: goes to eager and lazy neighbors", () => {
    const it = core({ eager: [1], lazy: [2, 3] })
    assert.deepStrictEqual(it.broadcast("a", "Neighbors").toSorted(), [
      "1 <- a direct",
      "2 <- a direct",
      "3 <- a direct"
    ])
  })

  it("cure 13: is delivered also when the swarm had it, and again when it is sent again, and prunes nobody", () => {
    const it = core({ eager: [1, 2] })
    it.receive(1, gossip("a", 0))
    assert.deepStrictEqual(it.receive(2, direct("a")), ["got a from 2 direct"])
    assert.deepStrictEqual(it.receive(2, direct("a")), ["got a from 2 direct"])
    assert.strictEqual(it.links(), "eager 1 2 lazy")
    const first = core({ eager: [1, 2] })
    first.receive(1, direct("a"))
    assert.include(first.receive(2, gossip("a", 0)), "got a from 2 round 0")
  })
})

describe("known content", () => {
  it("cure 14: is not broadcast again within 90 s, says so, and costs no link", () => {
    const it = core({ eager: [1] })
    assert.isFalse(PlumTree.isKnown(it.state, "own"))
    it.broadcast("own")
    it.receive(1, gossip("theirs", 0))
    for (const id of ["own", "theirs"]) {
      assert.isTrue(PlumTree.isKnown(it.state, id))
      assert.deepStrictEqual(it.broadcast(id), [])
    }
    assert.strictEqual(it.state.stats.repeated, 2)
    it.idle(90_000)
    assert.isFalse(PlumTree.isKnown(it.state, "own"))
    assert.include(it.broadcast("own"), "1 <- own round 0")
  })
})

describe("peers that are not neighbors", () => {
  it("cure 15: deliver what is new, and never become eager or lazy", () => {
    const it = core({ eager: [1], lazy: [2] })
    assert.deepStrictEqual(it.receive(9, gossip("a", 3)), [evict, "1 <- a round 4", dispatch, "got a from 9 round 3"])
    assert.deepStrictEqual(it.receive(9, gossip("a", 3)), [])
    assert.deepStrictEqual(it.receive(9, prune), [])
    assert.deepStrictEqual(it.receive(9, graft("a")), [])
    assert.deepStrictEqual(it.receive(9, ihave(["b", 0])), [])
    assert.strictEqual(it.links(), "eager 1 lazy 2")
    assert.strictEqual(it.state.missing.size, 0)
    assert.strictEqual(it.state.stats.fromStrangers, 5)
  })

  it("deliver nothing that the topic does not admit", () => {
    const it = core({ eager: [1], admit: (peer) => peer !== 9 })
    assert.deepStrictEqual(it.receive(9, gossip("a", 3)), [])
    assert.include(it.receive(8, gossip("a", 3)), "got a from 8 round 3")
  })
})

describe("the tree", () => {
  it("cure 16: the last eager link is not pruned", () => {
    const it = core({ eager: [1, 2] })
    it.receive(1, prune)
    it.receive(1, gossip("a", 0))
    assert.strictEqual(it.links(), "eager 2 lazy 1")
    assert.deepStrictEqual(it.receive(2, gossip("a", 0)), [])
    assert.strictEqual(it.links(), "eager 2 lazy 1")
  })

  it("cure 16: whoever loses the last eager link grafts the neighbor that was lazy for longest", () => {
    const it = core({ eager: [1], lazy: [2, 3] })
    assert.deepStrictEqual(it.receive(1, prune), ["2 <- Graft - 0"])
    assert.strictEqual(it.links(), "eager 2 lazy 3 1")
    assert.deepStrictEqual(it.down(2), ["3 <- Graft - 0"])
    assert.deepStrictEqual(it.down(3), ["1 <- Graft - 0"])
    assert.deepStrictEqual(it.down(1), [])
    const alone = core({ eager: [1] })
    assert.deepStrictEqual(alone.receive(1, prune), ["1 <- Graft - 0"])
    assert.strictEqual(alone.links(), "eager 1 lazy")
  })

  it("cure 16: the links over which the references came are kept for a while, against duplicates and Prunes", () => {
    const it = core({ eager: [1, 2, 3] })
    it.receive(1, gossip("a", 0))
    it.receive(2, gossip("a", 0))
    assert.strictEqual(it.links(), "eager 1 3 lazy 2")
    it.broadcast("b")
    // "a" was the first content, thus every reference; "b" took over some at most.
    assert.isTrue(it.state.references.some(({ parent }) => parent === 1))
    assert.deepStrictEqual(it.receive(1, gossip("b", 0)), [])
    assert.deepStrictEqual(it.receive(1, prune), ["1 <- Graft - 0"])
    it.pass(References.retentionMs + 1)
    assert.deepStrictEqual(it.receive(1, gossip("b", 0)), ["1 <- Prune"])
    assert.deepStrictEqual(it.receive(1, prune), [])
  })

  it("cure 16: a neighbor that asked for the link without wanting a content keeps it for a while", () => {
    const it = core({ eager: [1, 2, 3] })
    it.receive(1, gossip("a", 0))
    it.receive(2, gossip("a", 0))
    it.receive(2, graft(undefined))
    assert.deepStrictEqual(it.receive(2, gossip("a", 0)), [])
    it.pass(References.retentionMs)
    assert.deepStrictEqual(it.receive(2, gossip("a", 0)), ["2 <- Prune"])
  })

  it("cure 16: a peer that prunes again and again is asked so often in a second and no more", () => {
    const it = core({ eager: [1] })
    for (let i = 0; i < Limits.regraftsPerPeer; i++) assert.deepStrictEqual(it.receive(1, prune), ["1 <- Graft - 0"])
    assert.deepStrictEqual(it.receive(1, prune), [])
    assert.strictEqual(it.state.stats.graftsDropped, 1)
    it.pass(1_000)
    assert.deepStrictEqual(it.receive(1, prune), ["1 <- Graft - 0"])
  })
})

describe("bounds", () => {
  it("cure 19: ids that are remembered", () => {
    const it = core({ eager: [1] })
    const { content } = gossip("a", 0)
    for (let i = 0; i <= Limits.idsPerTopic; i++) {
      const message = { _tag: "Gossip", id: `${i}`, content, scope: { _tag: "Swarm", round: 0 } } as const
      PlumTree.handle(it.state, { _tag: "RecvMessage", from: 1, message }, 0, [])
    }
    const { contents, stats } = it.state
    const forgotten = Limits.idsPerTopic / 16
    assert.strictEqual(stats.idsEvicted, forgotten + 1)
    assert.strictEqual(contents.received.size, Limits.idsPerTopic - forgotten)
    assert.isFalse(PlumTree.isKnown(it.state, `${forgotten}`))
    assert.isTrue(PlumTree.isKnown(it.state, `${forgotten + 1}`))
    assert.isAtMost(contents.cache.size, Limits.cachedMessagesPerTopic)
    assert.strictEqual(contents.cache.size + stats.contentsEvicted, Limits.idsPerTopic + 1)
  })

  it("cure 19: bytes of contents that are kept", () => {
    const it = core({ eager: [1], maxMessageBytes: 8_192 })
    const content = new Uint8Array(4_096)
    const fit = Limits.cachedBytesPerTopic / content.length
    for (let i = 0; i <= fit; i++) it.step({ _tag: "Broadcast", id: `${i}`, content, scope: "Swarm" })
    const { contents, stats } = it.state
    assert.strictEqual(stats.contentsEvicted, fit / 16 + 1)
    assert.strictEqual(contents.cache.bytes, Limits.cachedBytesPerTopic - Limits.cachedBytesPerTopic / 16)
    assert.deepStrictEqual(it.receive(1, graft(`${fit / 16}`)), [])
    assert.deepStrictEqual(it.receive(1, graft(`${fit}`)), [`1 <- ${fit} round 0`])
    it.idle(30_000)
    assert.strictEqual(it.state.contents.cache.bytes, 0)
  })

  it("cure 19: ids that one peer advertises, and those of all, and who is asked for one", () => {
    const it = core({ eager: [1, 2, 3, 4] })
    const flood = (peer: number): void => {
      for (let i = 0; i < Limits.advertisedIdsPerPeer + 5; i++) it.receive(peer, ihave([`${peer}/${i}`, 0]))
    }
    flood(1)
    assert.strictEqual(it.state.missing.size, Limits.advertisedIdsPerPeer)
    assert.strictEqual(it.state.stats.advertisementsDropped, 5)
    flood(2)
    flood(3)
    assert.strictEqual(it.state.missing.size, Limits.missingIdsPerTopic)
    // Nobody is crowded out of what others advertise, nor is anybody asked twice.
    it.receive(4, ihave(["2/0", 0], ["2/0", 0]))
    assert.strictEqual(it.state.missing.get("2/0")?.advertisers.length, 2)
    // What a peer does not have after all is forgotten, as fast as it may be asked.
    const seconds = Limits.advertisedIdsPerPeer / Limits.unansweredGraftsPerPeer
    for (let second = 0; second < seconds; second++) {
      for (const id of [...it.state.missing.keys()].filter((id) => id.startsWith("1/"))) {
        it.graftTimer(id)
        if (it.state.missing.get(id)?.next === 1) it.graftTimer(id)
      }
      it.pass(1_000)
    }
    assert.strictEqual(it.state.missing.size, Limits.missingIdsPerTopic - Limits.advertisedIdsPerPeer)
    const crowd = core({ eager: Array.from({ length: Limits.advertisersPerId + 1 }, (_, i) => i + 1) })
    for (const peer of crowd.state.eager) crowd.receive(peer, ihave(["a", 0]))
    assert.strictEqual(crowd.state.missing.get("a")?.advertisers.length, Limits.advertisersPerId)
    assert.strictEqual(crowd.state.stats.advertisementsDropped, 1)
  })

  it("cure 19: Grafts that a peer leaves unanswered in a second; others are asked instead, or the same one later", () => {
    const it = core({ eager: [1], lazy: [2, 3] })
    for (let i = 0; i < Limits.unansweredGraftsPerPeer; i++) {
      it.receive(2, ihave([`${i}`, 0]))
      assert.include(it.graftTimer(`${i}`), `2 <- Graft ${i} 0`)
    }
    it.receive(2, ihave(["a", 0], ["b", 0]))
    it.receive(3, ihave(["b", 0]))
    assert.deepStrictEqual(it.graftTimer("a"), ["in 1000 SendGraft a"])
    assert.deepStrictEqual(it.graftTimer("b"), ["3 <- Graft b 0", "in 40 SendGraft b"])
    assert.strictEqual(it.state.stats.graftsDropped, 2)
    it.pass(1_000)
    assert.deepStrictEqual(it.graftTimer("a"), ["2 <- Graft a 0", "in 40 SendGraft a"])
  })

  it("cure 19: a peer that answers is asked for all that it advertised", () => {
    const it = core({ eager: [1], lazy: [2] })
    for (let i = 0; i <= Limits.unansweredGraftsPerPeer; i++) {
      it.receive(2, ihave([`${i}`, 0]))
      assert.include(it.graftTimer(`${i}`), `2 <- Graft ${i} 0`)
      it.receive(2, gossip(`${i}`, 0))
    }
    assert.strictEqual(it.state.stats.graftsDropped, 0)
  })

  it("cure 19: contents that a peer is given for its Grafts in a second", () => {
    const it = core({ eager: [1] })
    it.broadcast("a")
    for (let i = 0; i < Limits.graftedContentsPerPeer; i++) it.receive(1, graft("a"))
    assert.deepStrictEqual(it.receive(1, graft("a")), [])
    assert.strictEqual(it.state.stats.graftsIgnored, 1)
    it.pass(1_000)
    assert.deepStrictEqual(it.receive(1, graft("a")), ["1 <- a round 0"])
  })

  it("cure 19: nothing is queued for a peer that is gone", () => {
    const it = core({ lazy: [1] })
    it.broadcast("a")
    it.down(1)
    it.up(1)
    assert.deepStrictEqual(it.dispatch(), [])
  })

  it("cure 20: rounds saturate", () => {
    const it = core({ eager: [1, 2], lazy: [3] })
    assert.include(it.receive(1, gossip("a", Limits.maxRound - 1)), "2 <- a round 65535")
    assert.include(it.receive(1, gossip("b", Limits.maxRound)), "2 <- b round 65535")
    assert.deepStrictEqual(it.dispatch(), ["3 <- IHave a:65535 b:65535"])
  })
})

describe("a validator", () => {
  it("keeps what it refuses from being delivered, forwarded, kept and advertised, and is asked once", () => {
    const asked: Array<string> = []
    const it = core({
      eager: [1, 2],
      lazy: [3],
      validate: (_content, from, id) => {
        asked.push(`${id} ${from}`)
        return id !== "bad"
      }
    })
    it.receive(3, ihave(["bad", 0]))
    assert.deepStrictEqual(it.receive(1, gossip("bad", 0)), [evict])
    assert.deepStrictEqual(it.graftTimer("bad"), [])
    assert.deepStrictEqual(it.receive(2, gossip("bad", 0)), [])
    assert.deepStrictEqual(it.receive(2, direct("bad")), [])
    assert.deepStrictEqual(it.receive(3, ihave(["bad", 0])), [])
    assert.deepStrictEqual(it.receive(3, graft("bad")), [])
    assert.deepStrictEqual(it.dispatch(), [])
    assert.include(it.receive(1, gossip("good", 0)), "got good from 1 round 0")
    it.receive(2, gossip("good", 0))
    assert.deepStrictEqual(asked, ["bad 1", "good 1"])
    assert.strictEqual(it.state.stats.refused, 3)
  })

  it("that refuses everything does not make us remember for ever", () => {
    const it = core({ eager: [1], validate: () => false })
    for (let i = 0; i < Limits.refusedIdsPerTopic + 2; i++) it.receive(1, gossip(`${i}`, 0))
    const { contents, stats } = it.state
    assert.isAtMost(contents.refused.size, Limits.refusedIdsPerTopic)
    assert.strictEqual(contents.refused.size + stats.idsEvicted, Limits.refusedIdsPerTopic + 2)
    it.idle(90_000)
    assert.strictEqual(it.state.contents.refused.size, 0)
  })
})

describe("what leaves no room for one more hop", () => {
  const large = (bytes: number, round: number): Message.Gossip => ({
    _tag: "Gossip",
    id: "large",
    content: new Uint8Array(bytes),
    scope: { _tag: "Swarm", round }
  })
  const sent = (out: ReadonlyArray<string>) => out.filter((text) => text.includes(" <- "))

  it("cure 3: is delivered, but not sent in a frame that others refuse, nor advertised or given to who grafts it", () => {
    for (const [bytes, round] of [
      [4_058, 0],
      [4_058, 126],
      [4_057, 127],
      [4_057, 16_382],
      [4_056, 16_383],
      [4_056, 65_535]
    ] as const) {
      const it = core({ eager: [1, 2], lazy: [3] })
      const out = it.receive(1, large(bytes, round))
      assert.include(out, `got large from 1 round ${round}`)
      assert.deepStrictEqual(sent([...out, ...it.dispatch(), ...it.receive(2, graft("large"))]), [])
      assert.strictEqual(it.state.contents.cache.size, 0)
      assert.strictEqual(it.state.stats.tooFar, 1)
    }
  })

  it("cure 3: goes as far as its frame is below the limit", () => {
    for (const [bytes, round] of [
      [4_057, 126],
      [4_056, 16_382],
      [4_055, 65_535]
    ] as const) {
      const it = core({ eager: [1, 2], lazy: [3] })
      const next = Math.min(round + 1, 65_535)
      assert.include(it.receive(1, large(bytes, round)), `2 <- large round ${next}`)
      assert.deepStrictEqual(it.dispatch(), [`3 <- IHave large:${next}`])
      assert.strictEqual(it.state.stats.tooFar, 0)
    }
  })

  it("cure 3: its size is that of the wire", () => {
    for (const bytes of [0, 127, 128, 4_057, 16_384]) {
      for (const round of [0, 127, 128, 16_383, 16_384, 65_535]) {
        const message = { ...large(bytes, round), id: "0".repeat(64) }
        assert.strictEqual(Contents.bodyBytes(message.content, round), Wire.bodyBytes(message))
      }
    }
  })
})

describe("what is lost is counted", () => {
  it("cure 19: advertisements that wait for a neighbor that goes", () => {
    const it = core({ eager: [1], lazy: [2, 3] })
    it.broadcast("a")
    it.broadcast("b")
    it.down(2)
    assert.strictEqual(it.state.stats.advertisementsLost, 2)
    it.dispatch()
    it.down(3)
    assert.strictEqual(it.state.stats.advertisementsLost, 2)
  })

  it("cure 19: contents that nobody sent who had advertised them", () => {
    const it = core({ eager: [1], lazy: [2, 3] })
    it.receive(2, ihave(["a", 0], ["b", 0], ["c", 0]))
    it.receive(3, ihave(["a", 0]))
    for (const id of ["a", "b", "c"]) it.graftTimer(id)
    it.receive(2, gossip("b", 0))
    it.graftTimer("b")
    assert.strictEqual(it.state.stats.contentsMissed, 0)
    it.graftTimer("c")
    assert.strictEqual(it.state.stats.contentsMissed, 1)
    it.graftTimer("a")
    it.graftTimer("a")
    assert.strictEqual(it.state.stats.contentsMissed, 2)
    assert.strictEqual(it.state.missing.size, 0)
  })
})

describe("a clock that is set", () => {
  it("backwards by an hour forgets ids after their retention all the same", () => {
    const it = core({ eager: [1, 2] })
    it.receive(1, gossip("before", 0))
    it.pass(-3_600_000)
    it.receive(1, gossip("after", 0))
    it.idle(90_000)
    assert.strictEqual(it.state.contents.received.size, 0)
    assert.strictEqual(it.state.contents.cache.size, 0)
  })

  it("forwards by a day forgets no id while others may still send it", () => {
    const it = core({ eager: [1, 2] })
    it.receive(1, gossip("a", 0))
    it.pass(86_400_000)
    it.tick()
    assert.deepStrictEqual(it.receive(2, gossip("a", 0)), ["2 <- Prune"])
    assert.deepStrictEqual(it.receive(1, graft("a")), ["1 <- a round 1"])
  })
})
