import * as EndpointId from "@effect-live/endpoint/EndpointId"
import { run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import * as Limits from "../src/Limits.ts"
import type * as Message from "../src/Message.ts"
import * as Wire from "../src/Wire.ts"
import { connect, content, joining, neighbor, over, type Raw } from "./support/raw.ts"
import { unknownKey } from "./support/strangers.ts"
import { bytes, join, type Life, type Member, start, swarmOf, topicOf } from "./support/services.ts"

const topic = topicOf(1)
const until = (condition: () => boolean) => Simulation.Simulation.use((simulation) => simulation.until(condition))
const nowMs = Simulation.Simulation.useSync((simulation) => simulation.nowMs())

interface Scene {
  readonly eve: Raw
  /** Whom she attacks. */
  readonly ada: Member
  readonly bob: Member
  readonly life: Life
}

/** Two honest members, and somebody who does what nobody should to one of them. Afterwards both must hear each other at once. */
const abused = (
  attack: (scene: Scene) => Effect.Effect<void, unknown, SimNetwork | Simulation.Simulation | Scope.Scope>,
  seed: number
) =>
  run(
    Effect.gen(function* () {
      const [ada, bob] = yield* swarmOf(2, topic)
      if (ada === undefined || bob === undefined) return assert.fail("no swarm")
      const eve = yield* connect("eve", ada.life.addr)
      yield* attack({ eve, ada, bob, life: ada.life })
      const before = yield* nowMs
      yield* bob.topic.broadcast(bytes("still there?"))
      yield* ada.topic.broadcast(bytes("yes"))
      yield* until(() => ada.got.includes("still there?") && bob.got.includes("yes"))
      assert.isBelow((yield* nowMs) - before, 50)
      assert.isTrue(ada.topic.neighbors().includes(bob.life.id))
      // nothing of it is left when she is gone and forgotten
      eve.connection.close(0, "")
      yield* Effect.sleep("3 minutes")
      const { connections, dialing, queuedMessages, timers, waitingMessages } = ada.life.gossip.inspect()
      assert.isAtMost(connections, 2)
      assert.isAtMost(timers, 10)
      assert.deepStrictEqual([dialing, queuedMessages, waitingMessages], [0, 0, 0])
    }),
    { seed }
  )

/** Of somebody whom nobody has heard of. */
const introduction = (): Message.Message<EndpointId.EndpointId> => ({
  _tag: "ForwardJoin",
  peer: { id: unknownKey() as EndpointId.EndpointId, data: undefined },
  ttl: 0
})

const wrong = (eve: Raw) => {
  const close = eve.close()
  assert.isTrue(close?._tag === "Remote" && close.code === 1, `closed as ${JSON.stringify(close)}`)
}

describe("a peer that breaks the rules", { timeout: 60_000 }, () => {
  it.effect("by unfinished headers stalls none of its other streams and is cut off in time", () =>
    abused(
      Effect.fnUntraced(function* ({ ada, eve, life }) {
        for (let n = 0; n < 30; n++) yield* eve.uni(Wire.header(topic).subarray(0, n % 36))
        yield* eve.say(topic, joining, content("read beside them"))
        yield* until(() => ada.got.includes("read beside them"))
        yield* Effect.sleep(Limits.headerMs + 100)
        wrong(eve)
        assert.strictEqual(life.gossip.inspect().faults.malformed, 1)
      }),
      1
    )
  )

  it.effect("by more unfinished headers than the limit waits, and is cut off in time", () =>
    abused(
      Effect.fnUntraced(function* ({ ada, eve }) {
        for (let n = 0; n < Limits.halfOpenStreams; n++) yield* eve.uni(new Uint8Array(1))
        yield* eve.say(topic, content("behind them"))
        yield* Effect.sleep(1_000)
        assert.notInclude(ada.got, "behind them")
        yield* Effect.sleep(Limits.headerMs)
        wrong(eve)
      }),
      2
    )
  )

  it.effect("by rubbish, headers of the wrong length or frames over the limit is cut off", () =>
    abused(
      Effect.fnUntraced(function* ({ ada, eve, life }) {
        const header = Wire.header(topic)
        const frame = (...body: ReadonlyArray<number>) => Uint8Array.of(0, 0, 0, body.length, ...body)
        const cases: ReadonlyArray<ReadonlyArray<Uint8Array>> = [
          [new Uint8Array(100).fill(255)],
          [Uint8Array.of(0, 0, 0, 31), new Uint8Array(31)],
          [header, frame()],
          [header, frame(2, 0)],
          [header, frame(1, 9)],
          [header, frame(0, 0, 7)],
          [header, Uint8Array.of(0, 0, 16, 1)],
          [header, Uint8Array.of(127, 255, 255, 255)]
        ]
        for (const [index, parts] of cases.entries()) {
          const connection = yield* Effect.orDie(eve.endpoint.connect(life.addr, ["/iroh-gossip/1"]))
          const again = yield* over(eve.endpoint, connection)
          yield* again.uni(...parts)
          yield* Effect.sleep(100)
          wrong(again)
          assert.strictEqual(life.gossip.inspect().faults.malformed, index + 1)
        }
        // what only ends early, and what comes behind a message, does no harm
        const harmless = [
          [header.subarray(0, 7)],
          [header, Uint8Array.of(0, 0, 0, 9, 1)],
          [header, frame(1, 1, 9, 9, 9)]
        ]
        const other = yield* over(
          eve.endpoint,
          yield* Effect.orDie(eve.endpoint.connect(life.addr, ["/iroh-gossip/1"]))
        )
        for (const parts of harmless) (yield* other.uni(...parts)).finish()
        yield* other.say(topic, joining, content("fine"))
        yield* until(() => ada.got.includes("fine"))
      }),
      3
    )
  )

  it.effect("by ten thousand streams takes as many turns as everybody else", () =>
    abused(
      Effect.fnUntraced(function* ({ ada, bob, eve }) {
        const flood = Effect.gen(function* () {
          for (let n = 0; n < 10_000; n++) {
            const send = yield* eve.say(topic)
            send.finish()
          }
        })
        yield* Effect.forkScoped(flood)
        for (let n = 0; n < 20; n++) {
          yield* bob.topic.broadcast(bytes(`beside it ${n}`))
          yield* until(() => ada.got.includes(`beside it ${n}`))
        }
        yield* Effect.sleep("5 seconds")
      }),
      4
    )
  )

  it.effect("by streams that it keeps open beyond the limit waits with the others", () =>
    abused(
      Effect.fnUntraced(function* ({ ada, eve }) {
        const sends = []
        for (let n = 0; n < Limits.incomingStreams; n++) sends.push(yield* eve.say(topic))
        yield* eve.say(topic, joining, content("one more"))
        yield* Effect.sleep(500)
        assert.notInclude(ada.got, "one more")
        sends[0]?.finish()
        yield* until(() => ada.got.includes("one more"))
      }),
      5
    )
  )

  it.effect("by forged ids, which are not those of their contents, is not heard", () =>
    abused(
      Effect.fnUntraced(function* ({ ada, bob, eve, life }) {
        const forged = Array.from({ length: 500 }, (_, n) => ({ ...content(`forged ${n}`), id: content("other").id }))
        yield* eve.say(topic, joining, ...forged)
        yield* Effect.sleep(500)
        assert.isFalse([...ada.got, ...bob.got].some((text) => text.startsWith("forged")))
        assert.strictEqual(life.gossip.inspect().faults.forged, 500)
        // and takes no id away from who speaks the truth
        yield* bob.topic.broadcast(bytes("other"))
        yield* until(() => ada.got.includes("other"))
      }),
      6
    )
  )

  it.effect("by an IHave flood of what it does not have is asked so often and no more", () =>
    abused(
      Effect.fnUntraced(function* ({ eve, life }) {
        const ihave = (n: number): Message.Message<EndpointId.EndpointId> => ({
          _tag: "IHave",
          messages: Array.from({ length: 100 }, (_, k) => ({ id: content(`${n} ${k}`).id, round: 0 }))
        })
        yield* eve.say(topic, joining, ...Array.from({ length: 800 }, (_, n) => ihave(n)))
        yield* Effect.sleep("2 seconds")
        const [gauges] = life.gossip.inspect().topics
        assert.isAtMost(gauges?.missing ?? Infinity, Limits.missingIdsPerTopic)
        assert.isAbove(gauges?.stats.advertisementsDropped ?? 0, 0)
      }),
      7
    )
  )

  it.effect("by a Join flood under many names pushes nobody out for long", () =>
    abused(
      Effect.fnUntraced(function* ({ ada, life }) {
        const network = yield* SimNetwork
        for (let n = 0; n < 60; n++) {
          const one = yield* connect(`eve${n}`, life.addr)
          yield* one.say(topic, ...Array.from({ length: 50 }, () => joining))
          yield* one.say(topic, ...Array.from({ length: 50 }, () => neighbor))
        }
        yield* Effect.sleep("1 second")
        assert.isAtMost(ada.topic.neighbors().length, 5)
        for (let n = 0; n < 60; n++) yield* network.crash(`eve${n}`)
        yield* until(() => ada.topic.neighbors().length === 1)
        yield* Effect.sleep("1 minute")
      }),
      8
    )
  )

  it.effect("by introducing more than the limit is listened to no further there, and to all else it says", () =>
    abused(
      Effect.fnUntraced(function* ({ ada, eve, life }) {
        const before = EndpointId.checks()
        const introduce = (count: number) => Array.from({ length: count }, introduction)
        yield* eve.say(topic, joining, ...introduce(Limits.freshIds + 500), content("behind them"))
        yield* until(() => ada.got.includes("behind them"))
        const { introductionsDropped } = life.gossip.inspect().faults
        assert.isAtLeast(introductionsDropped, 400) // some were granted meanwhile
        assert.isAtMost(EndpointId.checks() - before, Limits.freshIds + 100)
        // nor over new streams
        for (let n = 0; n < 10; n++) (yield* eve.say(topic, ...introduce(5))).finish()
        yield* eve.say(topic, content("behind all of them"))
        yield* until(() => ada.got.includes("behind all of them"))
        assert.isAtLeast(life.gossip.inspect().faults.introductionsDropped, introductionsDropped + 10)
        // and listened to again when it has been quiet for a while
        yield* Effect.sleep("10 seconds")
        const dropped = life.gossip.inspect().faults.introductionsDropped
        yield* eve.say(topic, ...introduce(100), content("later"))
        yield* until(() => ada.got.includes("later"))
        assert.strictEqual(life.gossip.inspect().faults.introductionsDropped, dropped)
      }),
      13
    )
  )

  it.effect("by claims about others never replaces what is known of them from elsewhere", () =>
    abused(
      Effect.fnUntraced(function* ({ bob, eve, life }) {
        life.book.add(bob.life.addr, "ticket")
        const data = Uint8Array.of(0, 1, 0, 203, 0, 113, 9, 1)
        const nodes = [{ id: bob.life.id, data }]
        yield* eve.say(
          topic,
          { _tag: "ShuffleReply", nodes },
          { _tag: "ForwardJoin", peer: { id: bob.life.id, data }, ttl: 65_535 }
        )
        yield* eve.say(topic, { _tag: "ShuffleReply", nodes: [{ id: bob.life.id, data: Uint8Array.of(9, 9) }] })
        yield* eve.say(topic, joining)
        yield* Effect.sleep("1 second")
        const [real] = bob.life.addr.addrs
        if (real === undefined) return assert.fail("no address")
        assert.deepInclude(life.book.lookup(bob.life.id)?.addrs ?? [], real)
        assert.isAbove(life.gossip.inspect().faults.addressesRefused, 0)
      }),
      9
    )
  )

  it.effect("by talking of topics that we are not in is told so, so often and no more", () =>
    abused(
      Effect.fnUntraced(function* ({ eve, life }) {
        for (let n = 0; n < 2 * Limits.refusalsPerConnection; n++) {
          const send = yield* eve.say(topicOf(1_000 + n), neighbor, content("x"), neighbor)
          send.finish()
        }
        yield* Effect.sleep("1 second")
        assert.strictEqual(eve.heard.length, Limits.refusalsPerConnection)
        assert.deepStrictEqual(eve.heard[0], { topic: topicOf(1_000), message: { _tag: "Disconnect", alive: false } })
        assert.strictEqual(life.gossip.inspect().metrics.unjoined, 6 * Limits.refusalsPerConnection)
        assert.isAtMost(life.gossip.inspect().openStreams, Limits.topicStreams + 1)
      }),
      10
    )
  )

  it.effect("by connections without end keeps so many", () =>
    abused(
      Effect.fnUntraced(function* ({ eve, life }) {
        const all = []
        for (let n = 0; n < 100; n++) {
          const connection = yield* Effect.orDie(eve.endpoint.connect(life.addr, ["/iroh-gossip/1"]))
          all.push(yield* over(eve.endpoint, connection))
        }
        yield* Effect.sleep(100)
        assert.isAtMost(all.filter((one) => one.close() === undefined).length, Limits.connectionsPerPeer)
        assert.isAtMost(life.gossip.inspect().connections, 2 + Limits.connectionsPerPeer)
      }),
      11
    )
  )

  it.effect("by never reading is given up when control overflows", () =>
    run(
      Effect.gen(function* () {
        const a = yield* start("a")
        const eve = yield* connect("eve", a.addr, { deaf: true })
        // she joins every topic and reads no stream of ours, of which she grants only so many
        for (let n = 0; n < 1_500; n++) {
          yield* a.gossip.subscribe(topicOf(n))
          const send = yield* eve.say(topicOf(n), joining)
          send.finish()
        }
        yield* Effect.sleep("2 minutes")
        assert.strictEqual(eve.close()?._tag, "Remote")
        const { connections, faults, queuedMessages } = a.gossip.inspect()
        assert.deepStrictEqual([connections, faults.stalled, queuedMessages], [0, 1, 0])
        yield* join(a, topic)
      }),
      { seed: 12 }
    )
  )
})
