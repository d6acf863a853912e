import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as Router from "@effect-live/endpoint/Router"
import { lan, node, run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Config from "../src/Config.ts"
import * as Gossip from "../src/Gossip.ts"
import * as Limits from "../src/Limits.ts"
import * as Wire from "../src/Wire.ts"
import { connect, content, joining, neighbor, over } from "./support/raw.ts"
import { bytes, join, type Life, start, swarmOf, topicOf } from "./support/services.ts"

const topic = topicOf(1)
const until = (condition: () => boolean) => Simulation.Simulation.use((simulation) => simulation.until(condition))
const connectionsOf = ({ gossip }: Life): number => gossip.inspect().connections

describe("to a peer that closes nothing and ends no stream, as those in Rust", () => {
  it.effect("the answer to a Join comes on a stream of ours, and leaving closes the connection in time", () =>
    run(
      Effect.gen(function* () {
        const a = yield* start("a")
        const ada = yield* join(a, topic)
        const rust = yield* connect("rust", a.addr)
        yield* rust.say(topic, joining)
        yield* ada.topic.joined
        yield* Effect.sleep(10)
        const [answer] = rust.heard
        assert.isTrue(answer?.message._tag === "Neighbor" && answer.message.priority === "High")
        yield* ada.topic.broadcast(bytes("x"))
        yield* Effect.sleep("3 minutes")
        assert.isUndefined(rust.close())
        yield* ada.leave
        yield* Effect.sleep(10)
        assert.deepStrictEqual(rust.heard.at(-1), { topic, message: { _tag: "Disconnect", alive: false } })
        yield* Effect.sleep(Limits.lingerMs + 2 * Limits.tidyMs)
        assert.deepStrictEqual(rust.close(), { _tag: "Remote", code: 0, reason: "unused" })
        assert.strictEqual(connectionsOf(a), 0)
      }),
      { seed: 20 }
    )
  )

  it.effect("a short exchange with somebody who is no neighbor does not leave a connection", () =>
    run(
      Effect.gen(function* () {
        const a = yield* start("a", { config: { membership: { ...Config.membership, activeViewCapacity: 1 } } })
        const ada = yield* join(a, topic)
        const [first, second] = [yield* connect("first", a.addr), yield* connect("second", a.addr)]
        yield* first.say(topic, neighbor)
        yield* ada.topic.joined
        // there is no room for a second one
        yield* second.say(topic, { _tag: "Neighbor", priority: "Low", data: undefined })
        yield* Effect.sleep(50)
        assert.deepStrictEqual(
          second.heard.map(({ message }) => message._tag),
          ["ShuffleReply", "Disconnect"]
        )
        yield* Effect.sleep(Limits.idleMs + Limits.lingerMs + 2 * Limits.tidyMs)
        assert.strictEqual(second.close()?._tag, "Remote")
        assert.isUndefined(first.close())
        assert.strictEqual(connectionsOf(a), 1)
      }),
      { seed: 21 }
    )
  )

  it.effect("a second connection takes over what we send, and the first one stays while the peer writes on it", () =>
    run(
      Effect.gen(function* () {
        const a = yield* start("a")
        const ada = yield* join(a, topic)
        const old = yield* connect("rust", a.addr)
        const send = yield* old.say(topic, joining)
        yield* ada.topic.joined
        const young = yield* over(old.endpoint, yield* Effect.orDie(old.endpoint.connect(a.addr, [Gossip.alpn])))
        yield* Effect.sleep(10)
        yield* ada.topic.broadcast(bytes("x"))
        yield* Effect.sleep(10)
        assert.strictEqual(young.heard.at(-1)?.message._tag, "Gossip")
        yield* Effect.orDie(send.write(Wire.encode(content("from the old one"))))
        yield* until(() => ada.got.length === 1)
        yield* Effect.sleep("3 minutes")
        assert.isUndefined(old.close())
        yield* young.say(topic, content("from the new one"))
        send.finish()
        yield* Effect.sleep(50)
        assert.deepStrictEqual(old.close(), { _tag: "Remote", code: 0, reason: "unused" })
        assert.deepStrictEqual([ada.words.length, young.close()], [3, undefined])
      }),
      { seed: 22 }
    )
  )
})

describe("connections", () => {
  it.effect("are shared by all topics of a peer, and leaving one leaves the others", () =>
    run(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const topics = Array.from({ length: 20 }, (_, n) => topicOf(n))
        const adas = yield* Effect.forEach(topics, (each) => join(a, each))
        const bobs = yield* Effect.forEach(topics, (each) => join(b, each, [a.addr]))
        yield* Effect.forEach([...adas, ...bobs], (member) => member.topic.joined)
        assert.deepStrictEqual([connectionsOf(a), connectionsOf(b)], [1, 1])
        for (const ada of adas.slice(1)) yield* ada.leave
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual([connectionsOf(a), connectionsOf(b)], [1, 1])
        yield* Effect.forEach([...adas.slice(0, 1), ...bobs.slice(0, 1)], (member) =>
          member.topic.broadcast(bytes(member.life.id))
        )
        yield* until(() => adas[0]?.got.length === 1 && bobs[0]?.got.length === 1)
        assert.deepStrictEqual(adas[0]?.words.length, 2)
      }),
      { seed: 1 }
    )
  )

  it.effect("do not add up over cycles of joining and leaving", () =>
    run(
      Effect.gen(function* () {
        const members = yield* swarmOf(8, topic)
        const [first] = members
        if (first === undefined) return assert.fail("no swarm")
        for (let cycle = 0; cycle < 10; cycle++) {
          for (const member of members.slice(1)) {
            const again = yield* join(member.life, topicOf(2), [first.life.addr])
            yield* Effect.sleep(200)
            yield* again.leave
          }
        }
        yield* Effect.sleep(Limits.idleMs + Limits.lingerMs + 2 * Limits.tidyMs)
        for (const { life, topic } of members) {
          const { connections, dialing } = life.gossip.inspect()
          assert.isAtMost(connections, 2 * topic.neighbors().length + dialing)
        }
        for (const { life } of members) yield* life.gossip.shutdown
        assert.deepStrictEqual(
          members.map(({ life }) => connectionsOf(life)),
          members.map(() => 0)
        )
      }),
      { seed: 2 }
    )
  )

  it.effect("that nobody needs are closed, and a shuffle does not leave any", () =>
    run(
      Effect.gen(function* () {
        const members = yield* swarmOf(14, topic)
        yield* Effect.sleep("10 minutes")
        for (const { life, topic } of members) {
          const { connections, openStreams, peers } = life.gossip.inspect()
          const neighbors = topic.neighbors().length
          assert.isAtLeast(neighbors, 2)
          assert.isAtMost(connections, neighbors + 6, "neighbors, and short exchanges under way")
          assert.isAtMost(openStreams, connections)
          assert.isAtMost(peers, 13)
        }
      }),
      { seed: 3 }
    )
  )

  it.effect("of two peers that dial each other at once join them, and neither loses the other", () =>
    run(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const [ada, bob] = [yield* join(a, topic, [b.addr]), yield* join(b, topic, [a.addr])]
        yield* Effect.all([ada.topic.joined, bob.topic.joined])
        yield* Effect.sleep("60 seconds")
        assert.deepStrictEqual([ada.words.length, bob.words.length], [1, 1])
        yield* ada.topic.broadcast(bytes("x"))
        yield* bob.topic.broadcast(bytes("y"))
        yield* until(() => ada.got.length + bob.got.length === 2)
        assert.isAtMost(connectionsOf(a), 2)
      }),
      { seed: 4 }
    )
  )

  it.effect("come up within one pause after a peer that was down is there", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const { nowMs } = yield* Simulation.Simulation
        const a = yield* start("a")
        const ada = yield* join(a, topic, [network.addr("b")])
        yield* Effect.sleep("47 seconds")
        assert.isAbove(a.gossip.inspect().metrics.dialFailures, 0)
        const b = yield* start("b")
        yield* join(b, topic)
        const before = nowMs()
        yield* ada.topic.joined
        assert.isBelow(nowMs() - before, Limits.redialMaxMs)
      }),
      { seed: 5 }
    )
  )

  it.effect("that a transport neither opens nor refuses are given up in time, counted, and tried again", () =>
    run(
      Effect.gen(function* () {
        const { addr } = yield* SimNetwork
        let attempts = 0
        const hanging = Layer.effect(
          Endpoint,
          Endpoint.useSync((endpoint) => ({
            ...endpoint,
            connect: () =>
              Effect.andThen(
                Effect.sync(() => attempts++),
                Effect.never
              )
          }))
        ).pipe(Layer.provideMerge(Layer.fresh(node("a"))))
        const program = Effect.gen(function* () {
          const gossip = yield* Gossip.Gossip
          yield* gossip.subscribe(topic, [addr("b")])
          yield* Effect.sleep(Limits.dialTimeoutMs - 1)
          assert.deepStrictEqual([attempts, gossip.inspect().metrics.dialFailures], [1, 0])
          yield* Effect.sleep(2)
          assert.strictEqual(gossip.inspect().metrics.dialFailures, 1)
          yield* until(() => attempts === 2)
        })
        const services = Gossip.layer().pipe(Layer.provide(Router.layer), Layer.provide(hanging))
        yield* Effect.scoped(Effect.provide(program, services))
      }),
      { seed: 11 }
    )
  )

  it.effect("come up although a peer that was there joined the topic later", () =>
    run(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const ada = yield* join(a, topic, [b.addr])
        yield* Effect.sleep("30 seconds")
        const bob = yield* join(b, topic)
        const { nowMs } = yield* Simulation.Simulation
        const before = nowMs()
        yield* Effect.all([ada.topic.joined, bob.topic.joined])
        assert.isBelow(nowMs() - before, Limits.seekMaxMs + 100)
      }),
      { seed: 6 }
    )
  )

  it.effect("of a peer that restarts with the same key are replaced within 2 seconds", () =>
    run(
      Effect.gen(function* () {
        const members = yield* swarmOf(3, topic)
        const [ada, bob, cat] = members
        if (ada === undefined || bob === undefined || cat === undefined) return assert.fail("no swarm")
        for (let restart = 0; restart < 8; restart++) {
          yield* cat.life.kill
          yield* Effect.sleep(100)
          const { nowMs } = yield* Simulation.Simulation
          const before = nowMs()
          const life = yield* start("n2")
          const again = yield* join(life, topic, [ada.life.addr])
          yield* again.topic.joined
          yield* again.topic.broadcast(bytes(`life ${restart}`))
          yield* until(() => [ada, bob].every(({ got }) => got.includes(`life ${restart}`)))
          assert.isBelow(nowMs() - before, 2_000)
          assert.isAtMost(connectionsOf(ada.life), 1 + Limits.connectionsPerPeer)
          yield* life.kill
        }
        yield* Effect.sleep("40 seconds")
        assert.deepStrictEqual(ada.topic.neighbors(), [bob.life.id])
      }),
      { seed: 7 }
    )
  )

  it.effect("that are lost end a neighbor, and the swarm heals when the network does", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const members = yield* swarmOf(6, topic)
        const names = members.map((_, index) => `n${index}`)
        network.partition([names.slice(0, 3), names.slice(3)])
        yield* Effect.sleep("2 minutes")
        assert.isTrue(members.every(({ words }) => words.some((word) => word.endsWith("closed"))))
        network.heal()
        yield* Effect.sleep("60 seconds")
        for (const [index, member] of members.entries()) yield* member.topic.broadcast(bytes(`from ${index}`))
        yield* Effect.sleep("5 seconds")
        assert.deepStrictEqual(
          members.map(({ got }) => new Set(got).size),
          members.map(() => 5)
        )
      }),
      { seed: 8 }
    )
  )

  it.effect("carry 150 topics without a stall, though the peer grants fewer streams", () =>
    run(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const topics = Array.from({ length: 150 }, (_, n) => topicOf(n))
        const adas = yield* Effect.forEach(topics, (each) => join(a, each))
        const bobs = yield* Effect.forEach(topics, (each) => join(b, each, [a.addr]))
        yield* Effect.forEach([...adas, ...bobs], (member) => member.topic.joined)
        for (let round = 0; round < 3; round++) {
          for (const ada of adas) yield* ada.topic.broadcast(bytes(`${ada.topic.id} ${round}`))
          yield* until(() => bobs.every(({ got }) => got.length === round + 1))
          assert.isAtMost(a.gossip.inspect().openStreams, Limits.topicStreams)
        }
        assert.isTrue(bobs.every(({ got, topic }) => got.every((content) => content.startsWith(topic.id))))
        assert.deepStrictEqual([connectionsOf(a), connectionsOf(b)], [1, 1])
      }),
      { seed: 9, link: { ...lan, latencyMs: 20 } }
    )
  )

  it.effect("are gone with their service: no actor, timer or fiber is left", () =>
    Effect.gen(function* () {
      let stoppedMs = 0
      const program = Effect.gen(function* () {
        const members = yield* swarmOf(5, topic)
        yield* members[0]?.topic.joinPeers([(yield* SimNetwork).addr("nobody")]) ?? Effect.void
        yield* Effect.sleep("1 minute")
        for (const { life } of members) yield* life.stop
        stoppedMs = (yield* Simulation.Simulation).nowMs()
        return yield* Effect.never
      })
      const stuck = yield* Effect.flip(run(program, { seed: 10 }))
      assert.isTrue(stuck._tag === "Stuck" && stuck.reason === "nothing left to do")
      assert.deepStrictEqual(stuck._tag === "Stuck" && stuck.actors, [])
      assert.isBelow((stuck._tag === "Stuck" ? stuck.atMs : Infinity) - stoppedMs, 1_000)
    })
  )
})
