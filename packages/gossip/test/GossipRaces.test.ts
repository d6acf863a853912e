import { layer as networkLayer, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import type { TopicId } from "../src/TopicId.ts"
import { bytes, join, type Life, type Member, start, topicOf } from "./support/services.ts"

const topic = topicOf(1)
const until = (condition: () => boolean) => Simulation.Simulation.use((simulation) => simulation.until(condition))

/** Under every seed, with ready fibers in any order. */
const always = <E>(
  program: Effect.Effect<void, E, SimNetwork | Simulation.Simulation | Scope.Scope>,
  seeds: number
): Effect.Effect<void, Simulation.SeedFailed> =>
  Simulation.clean(Effect.scoped(Effect.provide(program, networkLayer({ link: { latencyMs: 5, jitterMs: 5 } }))), {
    seeds
  })

const names = ["a", "b", "c", "d", "e"]
const topics = [topicOf(1), topicOf(2)]

/** What is there of a node: its life and what it is subscribed to. */
interface Running {
  readonly life: Life
  readonly members: Map<TopicId, Member>
}

const areMutual = (members: ReadonlyArray<Member>): boolean => {
  const neighborsOf = new Map(members.map((member) => [member.life.id, member.topic.neighbors()]))
  return members.every(({ life, topic }) =>
    topic.neighbors().every((other) => neighborsOf.get(other)?.includes(life.id) === true)
  )
}

const turmoil = Effect.gen(function* () {
  const { rng } = yield* Simulation.Simulation
  const network = yield* SimNetwork
  const chance = rng("turmoil")
  const running = new Map<string, Running>()
  const pick = <A>(items: ReadonlyArray<A>): A | undefined => items[chance.below(items.length)]

  /** The nodes know each other's addresses from elsewhere, but join over two of them at most. */
  const enter = Effect.fnUntraced(function* (name: string, each: TopicId) {
    const there = running.get(name) ?? { life: yield* start(name), members: new Map<TopicId, Member>() }
    running.set(name, there)
    if (there.members.has(each)) return
    const over = [network.addr("a"), network.addr(pick(names) ?? "a")]
    there.members.set(each, yield* join(there.life, each, over))
  })
  const leave = Effect.fnUntraced(function* (name: string, each: TopicId) {
    const member = running.get(name)?.members.get(each)
    running.get(name)?.members.delete(each)
    if (member !== undefined) yield* member.leave
  })
  const end = Effect.fnUntraced(function* (name: string, how: "kill" | "stop") {
    const there = running.get(name)
    running.delete(name)
    if (there !== undefined) yield* there.life[how]
  })

  for (let step = 0; step < 30; step++) {
    const name = pick(names) ?? "a"
    const each = pick(topics) ?? topic
    const what = chance.below(10)
    if (what < 4) yield* enter(name, each)
    else if (what < 6) yield* leave(name, each)
    else if (what < 7) yield* end(name, "kill")
    else if (what < 8) yield* end(name, "stop")
    else if (what < 9) network.partition([names.slice(0, 1 + chance.below(4)), names.slice(4)])
    else network.heal()
    const [speaker] = [...(running.get(name)?.members.values() ?? [])]
    if (speaker !== undefined) yield* Effect.ignore(speaker.topic.broadcast(bytes(`step ${step}`)))
    yield* Effect.sleep(chance.below(3) === 0 ? chance.below(20_000) : chance.below(50))
  }

  network.heal()
  for (const name of names) for (const each of topics) yield* enter(name, each)
  yield* Effect.sleep("2 minutes")
  for (const each of topics) {
    const members = [...running.values()].flatMap((there) => there.members.get(each) ?? [])
    for (const member of members) yield* member.topic.broadcast(bytes(`end ${member.life.id}`))
    yield* Effect.sleep("5 seconds")
    for (const { got } of members) {
      const ends = got.filter((text) => text.startsWith("end"))
      assert.deepStrictEqual([ends.length, new Set(ends).size], [members.length - 1, members.length - 1])
    }
    // what is one-sided shows when somebody speaks, and a new pair may still wait for its answer
    yield* Effect.timeout(
      until(() => areMutual(members)),
      "20 seconds"
    )
  }
  yield* Effect.sleep("30 seconds")
  for (const { life, members } of running.values()) {
    const peers = new Set([...members.values()].flatMap((member) => member.topic.neighbors()))
    const { connections, faults } = life.gossip.inspect()
    assert.isAtMost(connections, 2 * peers.size)
    assert.deepStrictEqual([faults.malformed, faults.stalled, faults.forged, faults.payloadsDropped], [0, 0, 0, 0])
  }
  for (const name of names) yield* end(name, "stop")
})

describe("in any order of events", { timeout: 120_000 }, () => {
  it.effect("two join, speak, leave and shut down", () =>
    always(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const [ada, bob] = [yield* join(a, topic), yield* join(b, topic, [a.addr])]
        yield* Effect.all([ada.topic.joined, bob.topic.joined], { concurrency: 2 })
        yield* Effect.all([ada.topic.broadcast(bytes("x")), bob.topic.broadcast(bytes("y"))], { concurrency: 2 })
        yield* until(() => ada.got.length === 1 && bob.got.length === 1)
        yield* Effect.all([bob.leave, a.gossip.shutdown], { concurrency: 2 })
        yield* Effect.all([a.stop, b.stop], { concurrency: 2 })
      }),
      1_000
    )
  )

  it.effect("two dial each other at once, and both stay joined", () =>
    always(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const [ada, bob] = yield* Effect.all([join(a, topic, [b.addr]), join(b, topic, [a.addr])], { concurrency: 2 })
        yield* Effect.all([ada.topic.joined, bob.topic.joined], { concurrency: 2 })
        yield* Effect.sleep("60 seconds")
        assert.deepStrictEqual([ada.words.length, bob.words.length], [1, 1])
        yield* ada.topic.broadcast(bytes("x"))
        yield* bob.topic.broadcast(bytes("y"))
        yield* until(() => ada.got.length === 1 && bob.got.length === 1)
      }),
      1_000
    )
  )

  it.effect("one leaves and joins again at once, over and over, and is heard at the end", () =>
    always(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const ada = yield* join(a, topic)
        for (let time = 0; time < 3; time++) {
          const bob = yield* join(b, topic, [a.addr])
          yield* bob.topic.joined
          yield* bob.leave
        }
        const bob = yield* join(b, topic, [a.addr])
        yield* Effect.sleep("20 seconds")
        assert.deepStrictEqual([ada.topic.neighbors(), bob.topic.neighbors()], [[b.id], [a.id]])
        yield* bob.topic.broadcast(bytes("x"))
        yield* until(() => ada.got.length === 1)
      }),
      1_000
    )
  )

  it.effect("several subscribers of one topic come and go, and whoever is left is told of the neighbors", () =>
    always(
      Effect.gen(function* () {
        const [a, b] = [yield* start("a"), yield* start("b")]
        const ada = yield* join(a, topic)
        const brief = Effect.scoped(Effect.andThen(b.gossip.subscribe(topic, [a.addr]), Effect.sleep(7)))
        const later = Effect.andThen(Effect.sleep(7), join(b, topic, [a.addr]))
        const [, bob] = yield* Effect.all([brief, later, brief], { concurrency: 3 })
        yield* Effect.sleep("5 seconds")
        assert.deepStrictEqual([ada.topic.neighbors(), bob.topic.neighbors()], [[b.id], [a.id]])
        const ups = bob.words.filter((word) => word.startsWith("up")).length
        assert.strictEqual(ups - bob.words.filter((word) => word.startsWith("down")).length, 1)
        yield* ada.topic.broadcast(bytes("x"))
        yield* until(() => bob.got.length === 1)
        yield* bob.leave
        yield* until(() => b.gossip.inspect().topics.length === 0)
      }),
      1_000
    )
  )

  it.effect("one is killed and comes back, and both find each other again", () =>
    always(
      Effect.gen(function* () {
        const a = yield* start("a")
        const ada = yield* join(a, topic)
        for (let life = 0; life < 2; life++) {
          const b = yield* start("b")
          const bob = yield* join(b, topic, [a.addr])
          yield* Effect.all([bob.topic.joined, ada.topic.joined], { concurrency: 2 })
          yield* bob.topic.broadcast(bytes(`life ${life}`))
          yield* until(() => ada.got.length === life + 1)
          yield* b.kill
        }
      }),
      1_000
    )
  )

  it.effect("nodes that come, go, die, split and meet in two topics are one swarm in each when it is over", () =>
    always(turmoil, 100)
  )

  it.effect("three meet over one while the network splits and heals", () =>
    always(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b, c] = [yield* start("a"), yield* start("b"), yield* start("c")]
        const members = yield* Effect.all([join(a, topic), join(b, topic, [a.addr]), join(c, topic, [a.addr])], {
          concurrency: 3
        })
        yield* Effect.sleep(30)
        network.partition([["a"], ["b", "c"]])
        yield* Effect.sleep("40 seconds")
        network.heal()
        yield* Effect.sleep("60 seconds")
        yield* Effect.forEach(members, (member) => member.topic.broadcast(bytes(member.life.id)))
        yield* until(() => members.every(({ got }) => got.length === 2))
      }),
      500
    )
  )
})
