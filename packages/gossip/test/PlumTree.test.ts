import { assert, describe, it } from "@effect/vitest"
import { type Core, core, direct, gossip, graft, ihave, prune } from "./support/broadcast.ts"

const evict = "in 1000 EvictCache"
const dispatch = "in 5 DispatchLazyPush"

describe("PlumTree: links (section 4.4)", () => {
  it("NeighborUp makes a peer eager, also one that was lazy", () => {
    const it = core({ lazy: [1] })
    assert.deepStrictEqual(it.up(2), [])
    assert.strictEqual(it.links(), "eager 2 lazy 1")
    it.up(1)
    assert.strictEqual(it.links(), "eager 2 1 lazy")
  })

  it("NeighborDown takes a peer out of eager, lazy and everything that waits for it", () => {
    const it = core({ eager: [1], lazy: [2, 3] })
    it.broadcast("a")
    it.receive(2, ihave(["b", 1]))
    it.receive(3, ihave(["b", 4]))
    assert.deepStrictEqual(it.down(2), [])
    assert.deepStrictEqual(it.down(7), [])
    assert.strictEqual(it.links(), "eager 1 lazy 3")
    assert.deepStrictEqual(it.dispatch(), ["3 <- IHave a:0"])
    assert.deepStrictEqual(it.graftTimer("b"), ["3 <- Graft b 4", "in 40 SendGraft b"])
  })

  it("Prune makes the sender lazy, Graft makes it eager and gives it the content", () => {
    const it = core({ eager: [1, 2] })
    it.receive(2, gossip("a", 4))
    it.idle(3_000)
    assert.deepStrictEqual(it.receive(1, prune), [])
    assert.strictEqual(it.links(), "eager 2 lazy 1")
    assert.deepStrictEqual(it.receive(1, graft("a")), ["1 <- a round 5"])
    assert.strictEqual(it.links(), "eager 2 1 lazy")
    assert.deepStrictEqual(it.receive(1, graft("unknown")), [])
    assert.deepStrictEqual(it.receive(1, graft(undefined, 2)), [])
  })

  it("is itself never a neighbor", () => {
    const it = core({ eager: [0, 1] })
    assert.strictEqual(it.links(), "eager 1 lazy")
  })
})

describe("PlumTree: contents (section 4.4)", () => {
  it("Broadcast pushes round 0 over eager links and advertises it over lazy ones 5 ms later", () => {
    const it = core({ eager: [1, 2], lazy: [3] })
    assert.deepStrictEqual(it.broadcast("a"), [evict, "1 <- a round 0", "2 <- a round 0", dispatch])
    assert.deepStrictEqual(it.broadcast("b"), ["1 <- b round 0", "2 <- b round 0"])
    assert.deepStrictEqual(it.dispatch(), ["3 <- IHave a:0 b:0"])
    assert.deepStrictEqual(it.dispatch(), [])
  })

  it("Broadcast without neighbors is kept for Grafts but not announced to those who come later", () => {
    const it = core()
    assert.deepStrictEqual(it.broadcast("a"), [evict])
    it.up(1)
    assert.deepStrictEqual(it.dispatch(), [])
    assert.deepStrictEqual(it.receive(1, graft("a")), ["1 <- a round 0"])
  })

  it("a new content is delivered with the round it came with and goes on with the next one, but not back", () => {
    const it = core({ eager: [1, 2], lazy: [3, 4] })
    assert.deepStrictEqual(it.receive(1, gossip("a", 6)), [evict, "2 <- a round 7", dispatch, "got a from 1 round 6"])
    assert.deepStrictEqual(it.dispatch(), ["3 <- IHave a:7", "4 <- IHave a:7"])
    assert.strictEqual(it.state.stats.maxRound, 6)
    const lazySender = core({ eager: [1], lazy: [2] })
    lazySender.receive(2, gossip("a", 0))
    assert.deepStrictEqual(lazySender.dispatch(), [])
  })

  it("a duplicate prunes its sender and is not delivered", () => {
    const it = core({ eager: [1, 2, 3] })
    it.receive(1, gossip("a", 0))
    assert.deepStrictEqual(it.receive(2, gossip("a", 0)), ["2 <- Prune"])
    assert.strictEqual(it.links(), "eager 1 3 lazy 2")
    assert.deepStrictEqual(it.receive(2, gossip("a", 3)), ["2 <- Prune"])
    assert.strictEqual(it.state.stats.duplicates, 2)
    assert.strictEqual(it.state.stats.payloads, 3)
  })

  it("content for neighbors is delivered and goes no further", () => {
    const it = core({ eager: [1, 2], lazy: [3] })
    assert.deepStrictEqual(it.receive(1, direct("a")), ["got a from 1 direct"])
    assert.deepStrictEqual(it.receive(2, graft("a")), [])
  })

  it("forgets contents after 30 s and ids after 90 s, then ticks no more", () => {
    const it = core({ eager: [1, 2] })
    it.receive(1, gossip("a", 0))
    it.idle(29_000)
    assert.deepStrictEqual(it.receive(2, graft("a")), ["2 <- a round 1"])
    it.idle(1_000)
    assert.deepStrictEqual(it.receive(2, graft("a")), [])
    it.idle(59_000)
    assert.deepStrictEqual(it.receive(2, gossip("a", 1)), ["2 <- Prune"])
    it.pass(1_000)
    assert.deepStrictEqual(it.tick(), [])
    assert.deepStrictEqual(it.receive(1, gossip("a", 1)), [evict, dispatch, "got a from 1 round 1"])
  })
})

describe("PlumTree: repair (section 4.4)", () => {
  it("an unknown id is grafted 80 ms later from its first advertiser, then every 40 ms from the next one", () => {
    const it = core({ eager: [1], lazy: [2, 3] })
    assert.deepStrictEqual(it.receive(2, ihave(["a", 3])), ["in 80 SendGraft a"])
    assert.deepStrictEqual(it.receive(3, ihave(["a", 1])), [])
    assert.deepStrictEqual(it.graftTimer("a"), ["2 <- Graft a 3", "in 40 SendGraft a"])
    assert.strictEqual(it.links(), "eager 1 2 lazy 3")
    assert.deepStrictEqual(it.graftTimer("a"), ["3 <- Graft a 1", "in 40 SendGraft a"])
    assert.deepStrictEqual(it.graftTimer("a"), [])
    assert.strictEqual(it.state.missing.size, 0)
    assert.deepStrictEqual(it.receive(3, ihave(["a", 1])), ["in 80 SendGraft a"])
  })

  it("nothing is grafted that came meanwhile, or that is known", () => {
    const it = core({ eager: [1, 2] })
    it.receive(2, ihave(["a", 0]))
    it.receive(1, gossip("a", 0))
    assert.deepStrictEqual(it.graftTimer("a"), [])
    assert.deepStrictEqual(it.receive(2, ihave(["a", 0])), [])
  })

  it("nobody is sent what it advertised", () => {
    const it = core({ eager: [1, 2], lazy: [3, 4] })
    it.receive(2, ihave(["a", 1]))
    it.receive(3, ihave(["a", 1]))
    assert.deepStrictEqual(it.receive(1, gossip("a", 1)), [evict, dispatch, "got a from 1 round 1"])
    assert.deepStrictEqual(it.dispatch(), ["4 <- IHave a:2"])
  })

  it("the next advertiser is asked no sooner than the answer of the one before can be there", () => {
    const it = core({ eager: [1], lazy: [2, 3] })
    it.receive(2, ihave(["a", 0]))
    it.graftTimer("a")
    it.pass(100)
    it.receive(2, gossip("a", 0))
    it.receive(2, ihave(["b", 0]))
    assert.deepStrictEqual(it.graftTimer("b"), ["2 <- Graft b 0", "in 125 SendGraft b"])
    it.pass(1_000)
    it.receive(2, gossip("b", 0))
    it.receive(2, ihave(["c", 0]))
    assert.deepStrictEqual(it.graftTimer("c"), ["2 <- Graft c 0", "in 160 SendGraft c"])
  })

  it("advertises at most as many ids in a frame as fit, and does not wait when a frame is full", () => {
    const it = core({ lazy: [1], maxMessageBytes: 512 })
    const outputs = Array.from({ length: 14 }, (_, i) => it.broadcast(`m${i}`)).flat()
    assert.deepStrictEqual(
      outputs.filter((text) => text.startsWith("1 <-")),
      ["1 <- IHave m0:0 m1:0 m2:0 m3:0 m4:0 m5:0 m6:0 m7:0 m8:0 m9:0 m10:0 m11:0 m12:0"]
    )
    assert.deepStrictEqual(it.dispatch(), ["1 <- IHave m13:0"])
  })
})

describe("PlumTree: optimisation (section 4.5)", () => {
  const advertised = (round: number, arrived: number): readonly [Core, ReadonlyArray<string>] => {
    const it = core({ eager: [1, 2], lazy: [3, 4] })
    it.receive(3, ihave(["a", round]))
    it.receive(4, ihave(["a", round]))
    return [it, it.receive(1, gossip("a", arrived))]
  }

  it("a content of round 7 changes nothing beside an IHave of round 2", () => {
    const [it, out] = advertised(2, 7)
    assert.deepStrictEqual(out, [evict, "2 <- a round 8", "got a from 1 round 7"])
    assert.strictEqual(it.links(), "eager 1 2 lazy 3 4")
  })

  it("one of round 8 grafts the first best advertiser", () => {
    const [it, out] = advertised(2, 8)
    assert.deepStrictEqual(out.slice(0, 3), [evict, "2 <- a round 9", "3 <- Graft - 2"])
    assert.isTrue(it.state.eager.includes(3))
  })

  it("and prunes who brought it, unless the tree of a reference needs that link", () => {
    const it = core({ eager: [1, 2], lazy: [3] })
    for (let i = 0; it.state.references.some(({ rank }) => rank > 0x10000000); i++) it.receive(2, gossip(`r${i}`, 0))
    it.receive(3, ihave(["last", 0]))
    assert.deepStrictEqual(it.receive(1, gossip("last", 9)), [
      "2 <- last round 10",
      "3 <- Graft - 0",
      "1 <- Prune",
      "got last from 1 round 9"
    ])
    assert.strictEqual(it.links(), "eager 2 3 lazy 1")
  })

  it("an eager best advertiser is not grafted again", () => {
    const it = core({ eager: [1, 2] })
    it.receive(2, ihave(["a", 0]))
    assert.deepStrictEqual(it.receive(1, gossip("a", 9)), [evict, "got a from 1 round 9"])
  })
})
