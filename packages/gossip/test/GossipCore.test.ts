import * as Actor from "@effect-live/actor/Actor"
import * as Recording from "@effect-live/actor/Recording"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { run } from "@effect-live/endpoint/testing/SimNetwork"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Result } from "effect"
import * as Config from "../src/Config.ts"
import { core, type Event, inspect } from "../src/GossipCore.ts"
import * as Limits from "../src/Limits.ts"
import type * as Message from "../src/Message.ts"
import { content, joining, neighbor } from "./support/raw.ts"
import { idOf, Rig, self, topic, words } from "./support/rig.ts"
import { bytes, join, start, topicOf } from "./support/services.ts"

const [peer, other] = [idOf(2), idOf(3)]

describe("the core of the service", () => {
  it("dials a peer once, however much waits for it, and sends that in order", () => {
    const rig = new Rig()
    assert.deepStrictEqual(words(rig.subscribe([peer])), ["Subscribed", "dial 2"])
    assert.deepStrictEqual(words(rig.subscribe([peer], topicOf(2))), ["Subscribed"])
    assert.deepStrictEqual(words(rig.step({ _tag: "Dialed", dial: 0, connection: 5 })), ["send 5 Join", "send 5 Join"])
    assert.deepStrictEqual(words(rig.step({ _tag: "DialFailed", dial: 0 })), [], "it did not fail")
  })

  it("asks a peer that it could not reach again, in pauses that grow to their limit", () => {
    const rig = new Rig()
    rig.subscribe([peer])
    const pauses: Array<number> = []
    for (let attempt = 0; attempt < 12; attempt++) {
      const { byDial } = rig.state.peers
      const [dial] = byDial.keys()
      if (dial === undefined) return assert.fail("nobody is dialed")
      rig.step({ _tag: "DialFailed", dial })
      const before = rig.now
      for (let ms = 0; byDial.size === 0 && ms < 20_000; ms++) rig.pass(1)
      pauses.push(rig.now - before)
    }
    assert.isBelow(pauses[0] ?? Infinity, 600)
    assert.isTrue(pauses.every((pause) => pause <= Limits.redialMaxMs + Limits.seekMaxMs))
    assert.isAbove(pauses.at(-1) ?? 0, 2_000)
    assert.strictEqual(inspect(rig.state).metrics.dialFailures, 12)
  })

  it("asks a peer that does not answer again, within half a second at first, then in pauses that double to their limit", () => {
    const rig = new Rig()
    rig.subscribe([peer])
    rig.step({ _tag: "Dialed", dial: 0, connection: 5 })
    for (let fullMs = Limits.seekMinMs; fullMs < 4 * Limits.seekMaxMs; fullMs *= 2) {
      const pauseMs = (rig.timers.get(`seek/${topic}`)?.at ?? Infinity) - rig.now
      assert.isAtLeast(pauseMs, Math.min(fullMs, Limits.seekMaxMs) / 2)
      assert.isAtMost(pauseMs, Math.min(fullMs, Limits.seekMaxMs))
      rig.pass(pauseMs - 1)
      assert.include(words(rig.pass(1)), "send 5 Join")
    }
  })

  it("stops asking when there is a neighbor, and begins anew when there is none", () => {
    const rig = new Rig()
    rig.subscribe([peer])
    rig.incoming(1, other)
    assert.include(words(rig.receive(1, joining)), "NeighborUp")
    assert.isFalse(rig.timers.has(`seek/${topic}`))
    assert.include(words(rig.step({ _tag: "ConnectionClosed", connection: 1, how: "lost" })), "NeighborDown")
    assert.isTrue(rig.timers.has(`seek/${topic}`))
  })

  it("remembers so many peers to ask again, the latest, and asks so many of them at once", () => {
    const rig = new Rig()
    rig.subscribe(Array.from({ length: 2 * Limits.soughtPeersPerTopic }, (_, n) => idOf(10 + n)))
    for (const dial of rig.state.peers.byDial.keys()) rig.step({ _tag: "DialFailed", dial })
    const asked: Array<EndpointId> = []
    rig.now = Limits.redialMaxMs
    for (let round = 0; round < Limits.soughtPeersPerTopic / Limits.seekAtOnce; round++) {
      const dials = rig
        .step({ _tag: "SeekDue", topic })
        .flatMap((output) => (output._tag === "Dial" ? [output.peer] : []))
      assert.strictEqual(dials.length, Limits.seekAtOnce)
      asked.push(...dials)
    }
    const latest = Array.from({ length: Limits.soughtPeersPerTopic }, (_, n) => idOf(10 + asked.length + n))
    assert.deepStrictEqual(asked.toSorted(), latest)
    // those that are being dialed are not asked twice
    assert.deepStrictEqual(words(rig.step({ _tag: "SeekDue", topic })), [])
  })

  it("sends on the connection that it got to know last, and hangs up the other once the peer writes on that", () => {
    const rig = new Rig()
    rig.subscribe([])
    rig.incoming(1, peer)
    rig.step({ _tag: "StreamOpened", connection: 1 })
    rig.receive(1, joining)
    assert.deepStrictEqual(words(rig.incoming(2, peer)), ["rest 1"])
    assert.deepStrictEqual(words(rig.broadcast("x")), ["send 2 Gossip"])
    rig.step({ _tag: "Rested", connection: 1, rest: [...rig.state.peers.byConnection.values()][0]?.rest?.rest ?? -1 })
    rig.step({ _tag: "StreamEnded", connection: 1 })
    // that may have been written before the peer knew the newer one
    assert.deepStrictEqual(
      words(rig.receive(2, neighbor)).filter((word) => word.startsWith("close")),
      []
    )
    rig.pass(Limits.supersededMs)
    assert.include(words(rig.receive(2, neighbor)), "close 1 0")
    assert.deepStrictEqual(words(rig.step({ _tag: "ConnectionClosed", connection: 1, how: "lost" })), [])
  })

  it("never hangs up the connection that the peer may be sending on", () => {
    const rig = new Rig()
    rig.subscribe([])
    rig.incoming(1, peer)
    rig.step({ _tag: "StreamOpened", connection: 1 })
    rig.receive(1, joining)
    rig.incoming(2, peer)
    rig.step({ _tag: "Rested", connection: 1, rest: [...rig.state.peers.byConnection.values()][0]?.rest?.rest ?? -1 })
    for (let n = 0; n < 10; n++) {
      const outputs = [...rig.pass(10_000), ...rig.receive(1, content(`${n}`))]
      assert.isFalse(words(outputs).some((word) => word.startsWith("close")))
    }
  })

  it("closes what nobody needs when both have ended their streams, or after a while", () => {
    for (const ends of [true, false]) {
      const rig = new Rig()
      rig.subscribe([])
      rig.incoming(1, peer)
      rig.step({ _tag: "StreamOpened", connection: 1 })
      const rested = rig.pass(Limits.idleMs + Limits.tidyMs).find(({ _tag }) => _tag === "Rest")
      if (rested?._tag !== "Rest") return assert.fail("it does not rest")
      assert.deepStrictEqual(words(rig.step({ _tag: "Rested", connection: 1, rest: rested.rest })), [])
      const closed = ends
        ? rig.step({ _tag: "StreamEnded", connection: 1 })
        : rig.pass(Limits.lingerMs + Limits.tidyMs).filter(({ _tag }) => _tag === "CloseConnection")
      assert.deepStrictEqual(words(closed), ["close 1 0"])
      rig.pass(3 * Limits.redialMaxMs)
      assert.strictEqual(inspect(rig.state).peers, 0)
    }
  })

  it("uses a connection that was about to be closed when there is something to say again", () => {
    const rig = new Rig()
    rig.subscribe([])
    rig.incoming(1, peer)
    const rested = rig.pass(Limits.idleMs + Limits.tidyMs).find(({ _tag }) => _tag === "Rest")
    rig.receive(1, joining)
    const late = rig.step({ _tag: "Rested", connection: 1, rest: rested?._tag === "Rest" ? rested.rest : -1 })
    assert.deepStrictEqual(words(late), [])
    assert.deepStrictEqual(words(rig.broadcast("x")), ["send 1 Gossip"])
  })

  it("answers each talk of a topic that it is not in once per connection, but no Join, Disconnect or ShuffleReply", () => {
    const rig = new Rig()
    rig.incoming(1, peer)
    const silent: ReadonlyArray<Message.Message<EndpointId>> = [
      joining,
      { _tag: "Disconnect", alive: true },
      { _tag: "ShuffleReply", nodes: [] }
    ]
    assert.deepStrictEqual(words(rig.receive(1, ...silent)), [])
    assert.deepStrictEqual(words(rig.receive(1, neighbor, content("x"), neighbor)), ["send 1 Disconnect"])
  })

  it("forgets a peer that restarted where it has not joined again, when its old connection falls silent", () => {
    const rig = new Rig()
    for (const each of [topic, topicOf(2)]) rig.subscribe([], each)
    rig.incoming(1, peer)
    for (const each of [topic, topicOf(2)])
      rig.step({ _tag: "Received", connection: 1, topic: each, messages: [joining] })
    rig.incoming(2, peer)
    rig.step({ _tag: "Received", connection: 2, topic: topicOf(2), messages: [joining] })
    const downs = rig.step({ _tag: "ConnectionClosed", connection: 1, how: "lost" })
    assert.deepStrictEqual(
      downs.flatMap((output) => (output._tag === "Emit" ? [output.topic, output.event._tag] : [])),
      [topic, "NeighborDown"]
    )
  })

  it("keeps nothing about a topic that was left on its connections: `heard` does not grow, nor does `refused` outlast a Subscribe", () => {
    const rig = new Rig()
    rig.subscribe([])
    rig.incoming(1, peer)
    rig.receive(1, joining)
    for (let n = 0; n < 100; n++) {
      const each = topicOf(1_000 + n)
      rig.step({ _tag: "Received", connection: 1, topic: each, messages: [neighbor] })
      rig.subscribe([], each)
      rig.step({ _tag: "Received", connection: 1, topic: each, messages: [joining] })
      for (const subscriber of rig.state.joined.get(each)?.subscribers ?? []) {
        rig.step({ _tag: "Unsubscribe", subscriber, topic: each })
      }
    }
    const [link] = rig.state.peers.byConnection.values()
    assert.deepStrictEqual([link?.heard.size, link?.refused.size, rig.state.joined.size], [1, 0, 1])
  })

  it("does not rest while a topic awaits an answer: an asked peer may answer for answerMs", () => {
    const rig = new Rig()
    rig.subscribe([])
    rig.incoming(1, peer)
    const asked = words(rig.receive(1, { _tag: "ForwardJoin", peer: { id: other, data: undefined }, ttl: 0 }))
    assert.include(asked, "dial 3")
    rig.step({ _tag: "Dialed", dial: 0, connection: 2 })
    assert.notInclude(words(rig.pass(Limits.answerMs - 1)), "rest 2")
    assert.include(words(rig.pass(Limits.answerMs)), "rest 2")
  })

  it("treats a connection that was closed with a newer one beside it as lost if anything was queued", () => {
    for (const arrived of [false, true]) {
      const rig = new Rig()
      rig.subscribe([])
      rig.incoming(1, peer)
      rig.receive(1, joining)
      const [rested] = rig.incoming(2, peer)
      if (rested?._tag !== "Rest") return assert.fail("it does not rest")
      if (arrived) rig.step({ _tag: "Rested", connection: 1, rest: rested.rest })
      const told = words(rig.step({ _tag: "ConnectionClosed", connection: 1, how: "closed" }))
      assert.strictEqual(told.includes("NeighborDown"), !arrived)
    }
  })

  it("gives a peer that accepts and closes at once its back-off, until its first message", () => {
    const rig = new Rig()
    rig.subscribe([peer])
    const pauses: Array<number> = []
    for (let attempt = 0; attempt < 8; attempt++) {
      const { byDial } = rig.state.peers
      const [dial] = byDial.keys()
      if (dial === undefined) return assert.fail("nobody is dialed")
      rig.step({ _tag: "Dialed", dial, connection: attempt })
      rig.step({ _tag: "ConnectionClosed", connection: attempt, how: "closed" })
      const { redialAtMs = 0 } = rig.state.peers.peers.get(peer) ?? {}
      pauses.push(redialAtMs - rig.now)
      for (let ms = 0; byDial.size === 0 && ms < 20_000; ms++) rig.pass(1)
    }
    assert.isAtLeast(pauses[0] ?? 0, Limits.redialMinMs / 2)
    assert.isAtLeast(pauses.at(-1) ?? 0, Limits.redialMaxMs / 2)
    rig.incoming(100, peer)
    rig.receive(100, joining)
    assert.strictEqual(rig.state.peers.peers.get(peer)?.failures, 0)
  })

  it("has a limit of peers: whoever connects beyond it is turned away", () => {
    const rig = new Rig()
    for (let n = 0; n < Limits.peers; n++) rig.incoming(n, idOf(10 + n))
    assert.deepStrictEqual(rig.replies.at(-1), Exit.succeed("accept"))
    rig.incoming(Limits.peers, idOf(9))
    assert.deepStrictEqual(rig.replies.at(-1), Exit.succeed({ code: 3, reason: "too many connections" }))
    // and cannot be dialed either: the topic goes on without it
    rig.subscribe([idOf(8)])
    assert.strictEqual(inspect(rig.state).metrics.peersRefused, 1)
  })

  it("keeps one timer for all timers of its topics", () => {
    const rig = new Rig()
    rig.incoming(1, peer)
    rig.subscribe([])
    rig.receive(1, joining, {
      _tag: "IHave",
      messages: Array.from({ length: 100 }, (_, n) => ({ id: content(`${n}`).id, round: 0 }))
    })
    assert.isAbove(inspect(rig.state).timers, 100)
    assert.isAtMost(rig.timers.size, 3)
    assert.strictEqual(words(rig.pass(200)).filter((word) => word === "send 1 Graft").length, 100)
  })

  it.effect("does what a recording of its inbox says that it did", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      let id: EndpointId | undefined
      yield* run(
        Effect.gen(function* () {
          const a = yield* start("a")
          id = a.id
          const ada = yield* join(a, topic)
          const b = yield* start("b")
          const bob = yield* join(b, topic, [a.addr])
          yield* bob.topic.joined
          yield* bob.topic.broadcast(bytes("x"))
          yield* Effect.sleep("2 minutes")
          assert.deepStrictEqual(ada.got, ["x"])
        }).pipe(Effect.provide(Recording.layer((line) => lines.push(line)))),
        { seed: 1 }
      )
      const { events, seed } = Recording.select<Event>(Result.getOrThrow(Recording.read(lines)), "gossip")
      const recorded = { self: id ?? self, config: Config.defaults, data: undefined }
      const again = () => Actor.replay(core({ ...recorded, admit: () => true, validate: () => true }), seed, events)
      const [once, twice] = [again(), again()]
      assert.deepStrictEqual(once.outputs, twice.outputs)
      const emitted = once.outputs.flat().filter(({ _tag }) => _tag === "Emit")
      assert.deepStrictEqual(
        emitted.slice(0, 2).map((output) => output._tag === "Emit" && output.event._tag),
        ["NeighborUp", "Received"]
      )
    })
  )
})
