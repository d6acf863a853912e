import { run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Fiber, Scope, Stream } from "effect"
import * as Config from "../src/Config.ts"
import * as Gossip from "../src/Gossip.ts"
import * as Limits from "../src/Limits.ts"
import { bytes, join, start, swarmOf, topicOf } from "./support/services.ts"

const topic = topicOf(1)
const short = (id: string): string => id.slice(0, 4)
const until = (condition: () => boolean) => Simulation.Simulation.use((simulation) => simulation.until(condition))
const reasonOf = (error: Gossip.BroadcastError | Gossip.SubscribeError): string => error.reason._tag

describe("a topic", () => {
  it.effect("lets two nodes join and hear each other", () =>
    run(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const [ada, bob] = [yield* join(a, topic), yield* join(b, topic, [a.addr])]
        yield* Effect.all([ada.topic.joined, bob.topic.joined])
        yield* ada.topic.broadcast(bytes("from ada"))
        yield* bob.topic.broadcast(bytes("from bob"))
        yield* until(() => ada.got.length > 0 && bob.got.length > 0)
        assert.deepStrictEqual(ada.words, [`up ${short(b.id)}`, "got from bob"])
        assert.deepStrictEqual(bob.words, [`up ${short(a.id)}`, "got from ada"])
        assert.deepStrictEqual(ada.topic.neighbors(), [b.id])
      }),
      { seed: 1 }
    )
  )

  it.effect("brings a content to everybody once, whoever they joined over", () =>
    run(
      Effect.gen(function* () {
        const members = yield* swarmOf(12, topic)
        for (const [index, member] of members.entries()) yield* member.topic.broadcast(bytes(`from ${index}`))
        yield* until(() => members.every(({ got }) => got.length === members.length - 1))
        for (const [index, { got }] of members.entries()) {
          const others = [...members.keys()].filter((other) => other !== index)
          assert.deepStrictEqual(got.toSorted(), others.map((other) => `from ${other}`).toSorted())
        }
      }),
      { seed: 2 }
    )
  )

  it.effect("says who sent a content, over how many hops it came, and that one for neighbors goes no further", () =>
    run(
      Effect.gen(function* () {
        // a line: the one in the middle has the only address of both
        const [a, b, c] = [yield* start("a"), yield* start("b"), yield* start("c")]
        const admit = (peer: string): boolean => peer === b.id
        const ada = yield* join(a, topic, [], { admit })
        const bob = yield* join(b, topic, [a.addr])
        const cat = yield* join(c, topic, [b.addr], { admit })
        yield* until(() => bob.topic.neighbors().length === 2 && cat.topic.neighbors().length === 1)
        const heard = yield* Effect.forkScoped(
          c.gossip.subscribe(topic).pipe(Effect.flatMap(({ events }) => Stream.runCollect(Stream.take(events, 3))))
        )
        yield* Effect.sleep(10)
        yield* ada.topic.broadcastNeighbors(bytes("near"))
        yield* ada.topic.broadcast(bytes("far"))
        yield* until(() => cat.got.length === 1)
        yield* bob.topic.broadcastNeighbors(bytes("nearer"))
        const [up, far, near] = yield* Fiber.join(heard)
        assert.deepStrictEqual(up, { _tag: "NeighborUp", peer: b.id })
        assert.isTrue(far?._tag === "Received" && far.deliveredFrom === b.id && far.scope._tag === "Swarm")
        assert.deepStrictEqual(far?._tag === "Received" && far.scope, { _tag: "Swarm", round: 1 })
        assert.deepStrictEqual(near?._tag === "Received" && near.scope, { _tag: "Neighbors" })
        assert.deepStrictEqual(bob.got, ["near", "far"])
        assert.deepStrictEqual(cat.got, ["far", "nearer"])
      }),
      { seed: 3 }
    )
  )

  it.effect("is left when the last subscriber's Scope closes, and neighbors are told that it was", () =>
    run(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const ada = yield* join(a, topic)
        const [first, second] = [yield* join(b, topic, [a.addr]), yield* join(b, topic)]
        yield* Effect.all([ada.topic.joined, second.topic.joined])
        yield* first.leave
        yield* Effect.sleep(1_000)
        assert.deepStrictEqual(ada.topic.neighbors(), [b.id])
        yield* ada.topic.broadcast(bytes("still there"))
        yield* until(() => second.got.length > 0)
        assert.deepStrictEqual(first.got, [])
        yield* second.leave
        yield* until(() => ada.topic.neighbors().length === 0)
        assert.deepStrictEqual(ada.words, [`up ${short(b.id)}`, `down ${short(b.id)} left`])
        assert.deepStrictEqual(b.gossip.inspect().topics, [])
        // and can be joined again
        const again = yield* join(b, topic, [a.addr])
        yield* Effect.all([ada.topic.joined, again.topic.joined])
      }),
      { seed: 4 }
    )
  )

  it.effect("tells a new subscriber of the neighbors that there are", () =>
    run(
      Effect.gen(function* () {
        const [ada, bob] = yield* swarmOf(2, topic)
        if (ada === undefined || bob === undefined) return assert.fail("no swarm")
        const late = yield* join(ada.life, topic)
        yield* late.topic.joined
        yield* Effect.sleep(1)
        assert.deepStrictEqual(late.words, [`up ${short(bob.life.id)}`])
      }),
      { seed: 5 }
    )
  )

  it.effect("waiting until it is joined takes no event from anybody", () =>
    run(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const subscription = yield* a.gossip.subscribe(topic)
        const bob = yield* join(b, topic, [a.addr])
        yield* subscription.joined
        yield* bob.topic.joined
        yield* bob.topic.broadcast(bytes("x"))
        const events = yield* subscription.events.pipe(Stream.take(2), Stream.runCollect)
        assert.deepStrictEqual(
          events.map(({ _tag }) => _tag),
          ["NeighborUp", "Received"]
        )
      }),
      { seed: 6 }
    )
  )

  it.effect("drops the oldest events of a subscriber that does not read, says how many, and delays nobody", () =>
    run(
      Effect.gen(function* () {
        const [ada, bob] = yield* swarmOf(2, topic)
        if (ada === undefined || bob === undefined) return assert.fail("no swarm")
        const lazy = yield* bob.life.gossip.subscribe(topic, [], { capacity: 3 })
        for (let n = 0; n < 10; n++) yield* ada.topic.broadcast(bytes(`${n}`))
        yield* until(() => bob.got.length === 10)
        const events = yield* lazy.events.pipe(Stream.take(4), Stream.runCollect)
        assert.deepStrictEqual(events[0], { _tag: "Lagged", count: 8 })
        assert.strictEqual(bob.life.gossip.inspect().faults.eventsLost, 8)
        assert.deepStrictEqual(
          events.slice(1).map((event) => event._tag === "Received" && new TextDecoder().decode(event.content)),
          ["7", "8", "9"]
        )
        assert.isFalse(bob.words.some((word) => word.startsWith("lagged")))
      }),
      { seed: 7 }
    )
  )

  it.effect("keeps so many events for a subscriber that does not say how many, and counts all others", () =>
    run(
      Effect.gen(function* () {
        const [ada, bob] = yield* swarmOf(2, topic)
        if (ada === undefined || bob === undefined) return assert.fail("no swarm")
        const lazy = yield* bob.life.gossip.subscribe(topic)
        const count = Limits.subscriberEvents + 5
        for (let n = 0; n < count; n++) yield* ada.topic.broadcast(bytes(`${n}`))
        yield* until(() => bob.got.length === count)
        assert.strictEqual(bob.life.gossip.inspect().queuedEvents, Limits.subscriberEvents)
        const events = yield* lazy.events.pipe(Stream.take(1 + Limits.subscriberEvents), Stream.runCollect)
        // with the NeighborUp before them
        assert.deepStrictEqual(events[0], { _tag: "Lagged", count: 6 })
        assert.strictEqual(bob.life.gossip.inspect().faults.eventsLost, 6)
        assert.isTrue(events.slice(1).every(({ _tag }) => _tag === "Received"))
      }),
      { seed: 15 }
    )
  )

  it.effect("takes more broadcasts at once than its inbox holds: those wait for room, and none is lost", () =>
    run(
      Effect.gen(function* () {
        const [ada, bob] = yield* swarmOf(2, topic)
        if (ada === undefined || bob === undefined) return assert.fail("no swarm")
        const count = 3 * Limits.inboxEvents
        let [deepest, waiting] = [0, 0]
        const one = (n: number) =>
          Effect.suspend(() => {
            const { depth, waitingSenders } = ada.life.gossip.inspect().actor
            deepest = Math.max(deepest, depth)
            waiting = Math.max(waiting, waitingSenders)
            return ada.topic.broadcast(bytes(`${n}`))
          })
        const all = Array.from({ length: count }, (_, n) => n)
        yield* Effect.forEach(all, one, { concurrency: "unbounded", discard: true })
        yield* until(() => bob.got.length === count)
        assert.strictEqual(new Set(bob.got).size, count)
        assert.isAbove(waiting, 0)
        assert.isAtLeast(deepest, Limits.inboxEvents)
        assert.isAtMost(deepest, 2 * Limits.inboxEvents, "the inbox, and as many that were taken from it")
      }),
      { seed: 16 }
    )
  )

  it.effect(
    "T2: a content over the limit is refused with the limit; alone, said already or after leaving, one is refused as that",
    () =>
      run(
        Effect.gen(function* () {
          const [a, b] = [yield* start("a"), yield* start("b")]
          const ada = yield* join(a, topic)
          const { broadcast, broadcastNeighbors } = ada.topic
          const refused = (effect: Effect.Effect<void, Gossip.BroadcastError>) =>
            Effect.map(Effect.flip(effect), reasonOf)
          assert.strictEqual(a.gossip.maxContentBytes, 4_057)
          assert.strictEqual(yield* refused(broadcast(bytes("alone"))), "NoNeighbors")
          const bob = yield* join(b, topic, [a.addr])
          yield* Effect.all([ada.topic.joined, bob.topic.joined])
          const { reason } = yield* Effect.flip(broadcast(new Uint8Array(4_058)))
          assert.isTrue(reason._tag === "TooLarge" && reason.bytes === 4_058 && reason.maxBytes === 4_057)
          yield* broadcast(new Uint8Array(4_057))
          yield* broadcastNeighbors(new Uint8Array(4_058))
          assert.strictEqual(yield* refused(broadcastNeighbors(new Uint8Array(4_059))), "TooLarge")
          yield* until(() => bob.got.length === 2)
          // what was said, by whomever, is not said again
          yield* bob.topic.broadcast(bytes("hello"))
          assert.strictEqual(yield* refused(bob.topic.broadcast(bytes("hello"))), "Known")
          yield* until(() => ada.got.length === 1)
          assert.strictEqual(yield* refused(broadcast(bytes("hello"))), "Known")
          yield* Effect.sleep("120 seconds")
          yield* broadcast(bytes("hello"))
          yield* ada.leave
          assert.strictEqual(yield* refused(broadcast(bytes("gone"))), "Stopped")
          assert.strictEqual((yield* Effect.flip(ada.topic.joined))._tag, "Stopped")
          assert.strictEqual((yield* Effect.flip(ada.topic.joinPeers([])))._tag, "Stopped")
        }),
        { seed: 8 }
      )
  )

  it.effect(
    "keeps whoever one of its subscribers does not admit out, and contents that one does not validate to itself",
    () =>
      run(
        Effect.gen(function* () {
          const [a, b, c] = [yield* start("a"), yield* start("b"), yield* start("c")]
          const validate = (content: Uint8Array): boolean => content.length < 5
          const ada = yield* join(a, topic, [], { admit: (peer) => peer !== c.id })
          const picky = yield* join(a, topic, [], { validate })
          const [bob, cat] = [yield* join(b, topic, [a.addr]), yield* join(c, topic, [a.addr])]
          yield* bob.topic.joined
          yield* bob.topic.broadcast(bytes("good"))
          yield* bob.topic.broadcast(bytes("too long"))
          yield* Effect.sleep("20 seconds")
          assert.deepStrictEqual(ada.got, ["good"])
          assert.deepStrictEqual(picky.got, ["good"])
          assert.deepStrictEqual([ada.topic.neighbors(), cat.topic.neighbors()], [[b.id], []])
        }),
        { seed: 9 }
      )
  )
})

describe("a rule of a subscriber that throws", () => {
  it.effect("is a no, counted, and everything else goes on", () =>
    run(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const validate = (content: Uint8Array): boolean => {
          if (content.length === 4) throw new Error("boom")
          return true
        }
        const ada = yield* join(a, topic, [], { validate })
        const bob = yield* join(b, topic, [a.addr])
        yield* Effect.all([ada.topic.joined, bob.topic.joined])
        yield* bob.topic.broadcast(bytes("boom"))
        yield* bob.topic.broadcast(bytes("fine"))
        yield* bob.topic.broadcast(bytes("good day"))
        yield* until(() => ada.got.length === 1)
        assert.deepStrictEqual(ada.got, ["good day"])
        assert.strictEqual(a.gossip.inspect().faults.rulesFailed, 2)
      }),
      { seed: 17 }
    )
  )
})

describe("the service", () => {
  it.effect("that crashes ends all subscriptions and connections, so that nobody waits for ever", () =>
    run(
      Effect.gen(function* () {
        let broken = false
        const broadcast: Config.Broadcast = {
          ...Config.broadcast,
          get messageCacheRetentionMs() {
            if (broken) throw new Error("a defect in the core")
            return Config.broadcast.messageCacheRetentionMs
          }
        }
        const [a, b] = [yield* start("a", { config: { broadcast } }), yield* start("b")]
        const [ada, bob] = [yield* join(a, topic), yield* join(b, topic, [a.addr])]
        const other = yield* a.gossip.subscribe(topicOf(2))
        yield* Effect.all([ada.topic.joined, bob.topic.joined])
        const events = yield* Effect.forkScoped(Stream.runDrain(other.events))
        const joined = yield* Effect.forkScoped(Effect.flip(other.joined))
        broken = true
        assert.strictEqual(reasonOf(yield* Effect.flip(ada.topic.broadcast(bytes("x")))), "Stopped")
        yield* Fiber.join(events)
        assert.strictEqual((yield* Fiber.join(joined))._tag, "Stopped")
        assert.deepStrictEqual(ada.topic.neighbors(), [])
        yield* until(() => bob.topic.neighbors().length === 0 && a.gossip.inspect().connections === 0)
      }),
      { seed: 18 }
    )
  )

  it.effect("takes no maxMessageBytes for which there is no room", () =>
    run(
      Effect.gen(function* () {
        const settings = (maxMessageBytes: number) => ({ config: { ...Config.defaults, maxMessageBytes } })
        for (const bytes of [Limits.minMessageBytes - 1, Limits.maxMessageBytes + 1, Number.NaN]) {
          const exit = yield* Effect.exit(start("a", settings(bytes)))
          assert.include(Exit.isFailure(exit) ? String(exit.cause) : "", `maxMessageBytes is ${bytes}`)
        }
        const env = ConfigProvider.fromUnknown({ GOSSIP: { MAX_MESSAGE_BYTES: `${Limits.maxMessageBytes + 1}` } })
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Gossip.config.parse(env))))
        const largest = settings(Limits.maxMessageBytes)
        const [a, b] = [yield* start("b", largest), yield* start("c", largest)]
        const [ada, bob] = [yield* join(a, topic), yield* join(b, topic, [a.addr])]
        yield* Effect.all([ada.topic.joined, bob.topic.joined])
        yield* ada.topic.broadcast(new Uint8Array(a.gossip.maxContentBytes))
        yield* until(() => bob.got.length === 1)
      }),
      { seed: 19 }
    )
  )

  it.effect("learns addresses from peers, and gives its own away only if it may", () =>
    run(
      Effect.gen(function* () {
        const [a, c] = [yield* start("a"), yield* start("c")]
        const b = yield* start("b", { publishAddrs: false })
        const members = [yield* join(a, topic), yield* join(b, topic, [a.addr]), yield* join(c, topic, [a.addr])]
        yield* until(() => members.every((member) => member.topic.neighbors().length === 2))
        const hidden = yield* start("d")
        const dan = yield* join(hidden, topic, [a.addr])
        yield* dan.topic.joined
        yield* Effect.sleep("5 minutes")
        // b dialed whom it heard of; whoever heard of b could not
        assert.isTrue(dan.topic.neighbors().includes(c.id))
      }),
      { seed: 10 }
    )
  )

  it.effect("says goodbye in every topic when it is shut down, ends all events, and refuses what comes then", () =>
    run(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const topics = [topicOf(1), topicOf(2), topicOf(3)]
        const adas = yield* Effect.forEach(topics, (each) => join(a, each))
        const bobs = yield* Effect.forEach(topics, (each) => join(b, each, [a.addr]))
        yield* Effect.forEach([...adas, ...bobs], (member) => member.topic.joined)
        const events = yield* Effect.forkScoped(
          Effect.flatMap(b.gossip.subscribe(topic), (each) => Stream.runCollect(each.events))
        )
        yield* Effect.sleep(1)
        const before = (yield* Simulation.Simulation).nowMs()
        yield* b.gossip.shutdown
        assert.isBelow((yield* Simulation.Simulation).nowMs() - before, 100, "as long as the goodbyes need")
        yield* Effect.sleep(10)
        for (const ada of adas) assert.deepStrictEqual(ada.words.at(-1), `down ${short(b.id)} left`)
        assert.deepStrictEqual(
          (yield* Fiber.join(events)).map(({ _tag }) => _tag),
          ["NeighborUp"]
        )
        assert.strictEqual(reasonOf(yield* Effect.flip(b.gossip.subscribe(topic))), "Stopped")
        assert.deepStrictEqual(
          [a, b].map(({ gossip }) => gossip.inspect().connections),
          [0, 0]
        )
        yield* b.gossip.shutdown
      }).pipe(Effect.scoped),
      { seed: 11 }
    )
  )

  it.effect("flushes its goodbyes also over a slow link, and gives up on a dead one", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b, c] = [yield* start("a"), yield* start("b"), yield* start("c")]
        const [ada, bob] = [yield* join(a, topic), yield* join(b, topic, [a.addr])]
        const cat = yield* join(c, topic, [b.addr])
        yield* until(() => bob.topic.neighbors().length === 2)
        network.setLink("b", "a", { latencyMs: 400 })
        network.partition([["b"], ["c"]])
        const { nowMs } = yield* Simulation.Simulation
        const before = nowMs()
        yield* b.stop
        assert.approximately(nowMs() - before, Limits.shutdownMs, 1)
        yield* Effect.sleep(500)
        assert.strictEqual(
          ada.words.findLast((word) => word.startsWith(`down ${short(b.id)}`)),
          `down ${short(b.id)} left`
        )
        yield* until(() => !cat.topic.neighbors().includes(b.id))
      }),
      { seed: 12 }
    )
  )

  it.effect("has a limit of subscribers, and forgets those whose Scope has closed", () =>
    run(
      Effect.gen(function* () {
        const a = yield* start("a")
        const scope = yield* Scope.fork(yield* Effect.scope)
        const subscribe = a.gossip.subscribe(topic)
        for (let n = 0; n < Limits.subscribersPerTopic; n++) yield* Scope.provide(subscribe, scope)
        assert.strictEqual(reasonOf(yield* Effect.flip(Effect.scoped(subscribe))), "TooManySubscribers")
        // the rules of one who was refused do not count, however long its Scope stays open
        const refusing = a.gossip.subscribe(topic, [], { admit: () => false })
        assert.include((yield* Effect.flip(refusing)).message, "end one first")
        const b = yield* start("b")
        const bob = yield* join(b, topic, [a.addr])
        yield* bob.topic.joined
        yield* bob.leave
        yield* Scope.close(scope, Exit.void)
        yield* Effect.scoped(subscribe)
        yield* Effect.sleep(1)
        assert.deepStrictEqual(a.gossip.inspect().topics, [])
      }),
      { seed: 13 }
    )
  )

  it.effect("has a limit of topics", () =>
    run(
      Effect.gen(function* () {
        const a = yield* start("a")
        for (let n = 0; n < Limits.topics; n++) yield* a.gossip.subscribe(topicOf(n))
        assert.strictEqual(reasonOf(yield* Effect.flip(a.gossip.subscribe(topicOf(Limits.topics)))), "TooManyTopics")
        yield* a.gossip.subscribe(topicOf(0))
      }),
      { seed: 14 }
    )
  )
})
