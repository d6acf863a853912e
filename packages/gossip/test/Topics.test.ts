import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Config from "../src/Config.ts"
import * as Limits from "../src/Limits.ts"
import type * as Message from "../src/Message.ts"
import { fromBytes, type TopicId } from "../src/TopicId.ts"
import * as Topics from "../src/Topics.ts"
import { content, gossip, showBroadcast } from "./support/broadcast.ts"
import { bytes, disconnect, joinMessage, neighbor, shuffleReply } from "./support/steps.ts"

const topic = (n: number): TopicId => {
  const id = new Uint8Array(32)
  new DataView(id.buffer).setUint32(28, n)
  return Result.getOrThrow(fromBytes(id))
}
const [a, b] = [topic(10), topic(11)]
const name = (id: TopicId): string => (id === a ? "a" : id === b ? "b" : id.replace(/^0*/, ""))

const peer = (options: { readonly data?: Message.PeerData; readonly seed?: number } = {}) => {
  const state = Topics.make<number>({
    self: 0,
    config: Config.defaults,
    seed: options.seed ?? 1,
    data: options.data,
    bodyBytes: (message) => (message._tag === "Gossip" ? message.content.length : 3)
  })
  let now = 1_000_000
  let last: ReadonlyArray<Topics.Output<number>> = []
  const step = (input: Topics.Input<number>): ReadonlyArray<string> => {
    const out: Array<Topics.Output<number>> = []
    Topics.handle(state, input, now++, out)
    last = out
    return out.filter(({ _tag }) => _tag !== "ScheduleTimer").map(show)
  }
  return {
    state,
    step,
    join: (topic: TopicId, ...peers: ReadonlyArray<number>) => step({ _tag: "Join", topic, peers }),
    receive: (topic: TopicId, from: number, message: Message.Message<number>) =>
      step({ _tag: "RecvMessage", topic, from, message }),
    quit: (topic: TopicId) => step({ _tag: "Quit", topic }),
    disconnected: (peer: number) => step({ _tag: "PeerDisconnected", peer }),
    broadcast: (topic: TopicId, id: string) =>
      step({ _tag: "Broadcast", topic, id, content: content(id), scope: "Swarm" }),
    /** The timers that the last input set. */
    timers: () => last.filter((output) => output._tag === "ScheduleTimer"),
    expire: ({ topic, incarnation, timer }: Extract<Topics.Output<number>, { readonly _tag: "ScheduleTimer" }>) =>
      step({ _tag: "TimerExpired", topic, incarnation, timer })
  }
}

const show = (output: Topics.Output<number>): string => {
  switch (output._tag) {
    case "SendMessage": {
      const { message } = output
      const text =
        message._tag === "Disconnect" ? `Disconnect ${message.alive ? "alive" : "left"}` : showBroadcast(message)
      return `${name(output.topic)}: ${output.peer} <- ${text}`
    }
    case "EmitEvent": {
      const { event } = output
      return `${name(output.topic)}: ${event._tag === "Received" ? `got ${event.id}` : `${event._tag} ${event.peer}`}`
    }
    case "DisconnectPeer":
      return `drop ${output.peer}`
    case "PeerData":
      return `data of ${output.peer}`
    case "Unjoined":
      return `unjoined ${name(output.topic)} from ${output.peer}`
    case "TooManyTopics":
      return `too many for ${name(output.topic)}`
    case "ScheduleTimer":
      return output.timer._tag
  }
}

describe("Topics (section 1.1)", () => {
  it("Join makes a topic once, and sends Join to every peer given", () => {
    const it = peer()
    assert.deepStrictEqual(it.join(a, 1, 2), ["a: 1 <- Join", "a: 2 <- Join"])
    assert.deepStrictEqual(it.join(a), [])
    assert.deepStrictEqual(it.join(b, 1), ["b: 1 <- Join"])
    assert.strictEqual(it.state.topics.size, 2)
  })

  it("messages reach their topic only", () => {
    const it = peer()
    it.join(a)
    it.join(b)
    assert.include(it.receive(a, 1, joinMessage()), "a: NeighborUp 1")
    assert.include(it.receive(b, 1, gossip("x", 0)), "b: got x")
    assert.deepStrictEqual(it.receive(a, 1, gossip("x", 0)), ["a: got x"])
    assert.deepStrictEqual(it.broadcast(a, "y"), ["a: 1 <- y round 0"])
    assert.deepStrictEqual(it.broadcast(b, "y"), [])
    assert.isTrue(Topics.isKnown(it.state, b, "y"))
    assert.isFalse(Topics.isKnown(it.state, topic(12), "y"))
  })

  it("cure 12: a message of a topic that is not joined is told, unless it is somebody's farewell", () => {
    const it = peer()
    assert.deepStrictEqual(it.receive(a, 1, joinMessage()), ["unjoined a from 1"])
    assert.deepStrictEqual(it.receive(a, 1, gossip("x", 0)), ["unjoined a from 1"])
    assert.deepStrictEqual(it.receive(a, 1, shuffleReply([2])), [])
    assert.deepStrictEqual(it.receive(a, 1, disconnect(false)), [])
    assert.strictEqual(it.state.metrics.unjoined, 4)
    assert.deepStrictEqual(it.broadcast(a, "y"), [])
    assert.deepStrictEqual(it.quit(a), [])
  })

  it("Quit tells the neighbors, drops the state and whoever else was needed", () => {
    const it = peer()
    it.join(a, 5)
    it.receive(a, 1, joinMessage())
    const out = it.quit(a)
    assert.include(out, "a: 1 <- Disconnect left")
    assert.deepStrictEqual(out.filter((text) => text.startsWith("drop")).toSorted(), ["drop 1", "drop 5"])
    assert.isFalse(out.some((text) => text.includes("NeighborDown")))
    assert.strictEqual(it.state.topics.size, 0)
    assert.strictEqual(it.state.uses.size, 0)
    assert.deepStrictEqual(it.receive(a, 1, gossip("x", 0)), ["unjoined a from 1"])
  })

  it("PeerDisconnected and UpdatePeerData reach every topic, also those joined later", () => {
    const it = peer()
    for (const each of [a, b]) {
      it.join(each)
      it.receive(each, 1, joinMessage())
    }
    const out = it.disconnected(1)
    assert.include(out, "a: NeighborDown 1")
    assert.include(out, "b: NeighborDown 1")
    assert.notInclude(out, "drop 1")
    assert.strictEqual(it.state.uses.size, 0)
    const data = bytes(3)
    it.step({ _tag: "UpdatePeerData", data })
    it.join(topic(12))
    for (const { state } of it.state.topics.values()) assert.strictEqual(state.membership.myData, data)
  })
})

describe("Topics: connections", () => {
  it("cure 4: a peer is dropped when the last topic that needs it has let it go, not before", () => {
    const it = peer()
    for (const each of [a, b]) {
      it.join(each)
      it.receive(each, 1, joinMessage())
    }
    const left = it.receive(a, 1, disconnect(false))
    assert.include(left, "a: NeighborDown 1")
    assert.notInclude(left, "drop 1")
    assert.include(it.broadcast(b, "x"), "b: 1 <- x round 0")
    assert.include(it.receive(b, 1, disconnect(false)), "drop 1")
    assert.strictEqual(it.state.uses.size, 0)
  })

  it("cure 4: a topic that never talked to a peer does not take it from another one", () => {
    const it = peer()
    it.join(a)
    it.join(b)
    it.receive(a, 1, joinMessage())
    assert.notInclude(it.receive(b, 1, shuffleReply([])), "drop 1")
    assert.include(it.receive(b, 2, shuffleReply([])), "drop 2")
  })

  it("cure 4: what is sent goes before the drop", () => {
    const it = peer()
    it.join(a)
    it.receive(a, 1, joinMessage())
    const out = it.quit(a)
    assert.isBelow(out.indexOf("a: 1 <- Disconnect left"), out.indexOf("drop 1"))
  })

  it("cure 19: a topic that asks many gives up those who say nothing, but no neighbor", () => {
    const it = peer()
    it.join(a)
    it.receive(a, 1, joinMessage())
    const peers = Array.from({ length: Limits.silentPeersPerTopic + 1 }, (_, i) => i + 10)
    assert.include(it.join(a, ...peers), "drop 10")
    assert.strictEqual(it.state.uses.size, 1 + Limits.silentPeersPerTopic)
    assert.isTrue(it.state.uses.has(1))
  })
})

describe("Topics: timers", () => {
  it("cure 18: timers of a topic that was left do nothing, also when it was joined again", () => {
    const it = peer()
    it.join(a, 1)
    const old = it.timers()
    assert.isAbove(old.length, 0)
    it.quit(a)
    for (const timer of old) it.expire(timer)
    it.join(a, 1)
    const current = it.timers()
    for (const timer of old) {
      it.expire(timer)
      assert.deepStrictEqual(it.timers(), [])
    }
    assert.strictEqual(it.state.metrics.staleTimers, 2 * old.length)
    for (const timer of current) {
      it.expire(timer)
      assert.isTrue(it.timers().every(({ incarnation }) => incarnation === timer.incarnation))
    }
    assert.strictEqual(it.state.metrics.staleTimers, 2 * old.length)
  })
})

describe("Topics: bounds and numbers", () => {
  it("cure 19: no more topics than the limit are joined, and it is told", () => {
    const it = peer()
    for (let i = 0; i < Limits.topics; i++) assert.deepStrictEqual(it.join(topic(100 + i)), [])
    assert.deepStrictEqual(it.join(a, 1), ["too many for a"])
    assert.deepStrictEqual(it.join(topic(100), 1).length, 1)
    it.quit(topic(100))
    assert.deepStrictEqual(it.join(a, 1), ["a: 1 <- Join"])
  })

  it("counts messages by kind with 32 bytes for the topic, and neighbors", () => {
    const it = peer()
    it.join(a, 1)
    it.receive(a, 1, neighbor("High"))
    it.receive(a, 1, gossip("hello", 0))
    it.broadcast(a, "hi")
    it.receive(b, 1, gossip("elsewhere", 0))
    it.receive(a, 1, disconnect(true))
    const { metrics } = it.state
    const { topicIdBytes } = Limits
    assert.strictEqual(metrics.msgsDataRecv, 2)
    assert.strictEqual(metrics.msgsDataRecvSize, 5 + 9 + 2 * topicIdBytes)
    assert.strictEqual(metrics.msgsDataSent, 1)
    assert.strictEqual(metrics.msgsDataSentSize, 2 + topicIdBytes)
    assert.strictEqual(metrics.msgsCtrlRecv, 2)
    assert.strictEqual(metrics.msgsCtrlRecvSize, 2 * (3 + topicIdBytes))
    assert.strictEqual(metrics.msgsCtrlSentSize, metrics.msgsCtrlSent * (3 + topicIdBytes))
    assert.strictEqual(metrics.neighborUp, 1)
    assert.strictEqual(metrics.neighborDown, 1)
  })

  it("shows for every topic its views, links, duplicates and Grafts", () => {
    const it = peer()
    it.join(a)
    for (const from of [1, 2, 3]) it.receive(a, from, joinMessage())
    it.receive(a, 1, gossip("x", 0))
    it.receive(a, 2, gossip("x", 0))
    it.join(b)
    const [row, other] = Topics.gauges(it.state)
    assert.strictEqual(row?.topic, a)
    assert.deepStrictEqual([row?.active, row?.eager, row?.lazy, row?.passive], [3, 2, 1, 0])
    assert.strictEqual(row?.duplicateRatio, 0.5)
    assert.deepStrictEqual([row?.ids, row?.cached, row?.cachedBytes, row?.missing, row?.grafts], [1, 1, 1, 0, 0])
    assert.strictEqual(other?.duplicateRatio, 0)
  })

  it("hands the predicates of the first Join to the topic", () => {
    const it = peer()
    it.step({
      _tag: "Join",
      topic: a,
      peers: [],
      admit: (id) => id === 1,
      validate: (_content, _from, id) => id !== "bad"
    })
    assert.notInclude(it.receive(a, 2, joinMessage()), "a: NeighborUp 2")
    assert.include(it.receive(a, 1, joinMessage()), "a: NeighborUp 1")
    assert.deepStrictEqual(it.receive(a, 1, gossip("bad", 0)), [])
    assert.deepStrictEqual(it.receive(a, 1, gossip("good", 0)), ["a: got good"])
  })
})
