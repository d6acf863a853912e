import { run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { contentId } from "../src/internal/contentId.ts"
import * as Limits from "../src/Limits.ts"
import * as Wire from "../src/Wire.ts"
import { connect, content, joining } from "./support/raw.ts"
import { bytes, join, type Member, start, swarmOf, topicOf } from "./support/services.ts"

const topic = topicOf(1)
const until = (condition: () => boolean) => Simulation.Simulation.use((simulation) => simulation.until(condition))
const nowMs = Simulation.Simulation.useSync((simulation) => simulation.nowMs())

/** Contents of 4,000 bytes that begin with a number. */
const speak = (member: Member, from: number, to: number) =>
  Effect.gen(function* () {
    for (let n = from; n < to; n++) yield* member.topic.broadcast(bytes(`${n}`.padEnd(4_000, ".")))
  })

describe("a slow peer", { timeout: 60_000 }, () => {
  it.effect("delays nobody by more than the limit, loses contents that are counted, and stays in the swarm", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [ada, bob, cat] = yield* swarmOf(3, topic)
        if (ada === undefined || bob === undefined || cat === undefined) return assert.fail("no swarm")
        // n2 hears everybody at 20 kB a second; 12 MB are said
        for (const from of ["n0", "n1"]) network.setLink(from, "n2", { bytesPerSecond: 20_000 })
        const count = 3_000
        const before = yield* nowMs
        yield* speak(ada, 0, count)
        yield* until(() => bob.got.length === count)
        assert.isBelow((yield* nowMs) - before, 2 * Limits.pressureMs + 100)
        const { faults, queuedPayloadBytes } = ada.life.gossip.inspect()
        assert.isAbove(faults.payloadsDropped, 0)
        assert.isAtMost(queuedPayloadBytes, 2 * Limits.queuedPayloadBytes)
        assert.isTrue(ada.topic.neighbors().includes(cat.life.id))
        // what was not dropped arrives, and control with it
        yield* cat.leave
        yield* until(() => !ada.topic.neighbors().includes(cat.life.id))
        assert.isAbove(cat.got.length, 0)
      }),
      { seed: 1 }
    )
  )

  it.effect("that takes nothing at all is given up", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [ada, bob] = yield* swarmOf(2, topic)
        if (ada === undefined || bob === undefined) return assert.fail("no swarm")
        // packets pass, but so slowly that no content does
        network.setLink("n0", "n1", { bytesPerSecond: 1 })
        const { nowMs } = yield* Simulation.Simulation
        const before = nowMs()
        yield* speak(ada, 0, 4_000)
        yield* until(() => ada.topic.neighbors().length === 0)
        assert.isBelow(nowMs() - before, Limits.stallMs + 2_000)
        assert.strictEqual(ada.life.gossip.inspect().faults.stalled, 1)
        assert.match(ada.words.at(-1) ?? "", /^down .* closed$/)
      }),
      { seed: 2 }
    )
  )

  it.effect("makes a burst go at its pace without loss as long as it keeps up", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [ada, bob] = yield* swarmOf(2, topic)
        if (ada === undefined || bob === undefined) return assert.fail("no swarm")
        network.setLink("n0", "n1", { bytesPerSecond: 10_000_000 })
        yield* speak(ada, 0, 3_000)
        yield* until(() => bob.got.length === 3_000)
        assert.strictEqual(ada.life.gossip.inspect().faults.payloadsDropped, 0)
      }),
      { seed: 3 }
    )
  )

  it.effect("is nobody in a burst of everybody: 20 nodes hear all of it", () =>
    run(
      Effect.gen(function* () {
        const members = yield* swarmOf(20, topic)
        const each = 50
        yield* Effect.forEach(
          members.entries(),
          ([index, member]) =>
            Effect.gen(function* () {
              for (let n = 0; n < each; n++) yield* member.topic.broadcast(bytes(`${index}/${n}`))
            }),
          { concurrency: "unbounded" }
        )
        yield* until(() => members.every(({ got }) => got.length === each * (members.length - 1)))
        yield* Effect.sleep("1 second")
        for (const { life } of members) {
          const { connections, faults, queuedMessages } = life.gossip.inspect()
          assert.deepStrictEqual([faults.payloadsDropped, faults.stalled, queuedMessages], [0, 0, 0])
          assert.isAtMost(connections, 30)
        }
      }),
      { seed: 4 }
    )
  )

  it.effect(
    "that asks for more than it takes is answered when it has taken that, up to a limit; what it leaves is counted",
    () =>
      run(
        Effect.gen(function* () {
          const a = yield* start("a")
          const ada = yield* join(a, topic)
          const raw = yield* connect("raw", a.addr, { deaf: true })
          const stream = yield* raw.say(topic, joining)
          yield* ada.topic.joined
          yield* speak(ada, 0, 1_000)
          const { queuedMessages } = a.gossip.inspect()
          assert.isAbove(queuedMessages, 0)
          const id = contentId(bytes("0".padEnd(4_000, ".")))
          const graft = Wire.encode({ _tag: "Graft", id, round: 0 })
          for (let n = 0; n < Limits.waitingGrafts + 10; n++) yield* Effect.orDie(stream.write(graft))
          yield* Effect.sleep(100)
          const inspection = a.gossip.inspect()
          assert.strictEqual(inspection.faults.graftsDropped, 10)
          assert.deepStrictEqual([inspection.queuedMessages, inspection.faults.payloadsDropped], [queuedMessages, 0])
          // and what is no Graft is read
          yield* Effect.orDie(stream.write(Wire.encode(content("beside them"))))
          yield* until(() => ada.got.length === 1)
          raw.connection.close(0, "")
          yield* Effect.sleep(100)
          assert.isAtLeast(a.gossip.inspect().faults.lostWithConnection, queuedMessages)
        }),
        { seed: 6 }
      )
  )

  const each = 3_000
  /** Everybody says 12 MB at once. */
  const allSpeak = (members: ReadonlyArray<Member>) =>
    Effect.forEach(
      members.entries(),
      ([index, { topic }]) =>
        Effect.gen(function* () {
          for (let n = 0; n < each; n++) yield* topic.broadcast(bytes(`${index}/${n}`.padEnd(4_000, ".")))
        }),
      { concurrency: "unbounded" }
    )

  for (const count of [2, 3]) {
    it.effect(`is nobody of ${count} that all say 12 MB at once: nobody stands still, and all of it arrives`, () =>
      run(
        Effect.gen(function* () {
          const members = yield* swarmOf(count, topic)
          const before = yield* nowMs
          yield* allSpeak(members)
          assert.isBelow((yield* nowMs) - before, Limits.pressureMs / 2)
          yield* until(() => members.every(({ got }) => got.length === each * (count - 1)))
          assert.isBelow((yield* nowMs) - before, Limits.pressureMs / 2)
          for (const { life } of members) {
            const { payloadsDropped, graftsDropped } = life.gossip.inspect().faults
            assert.deepStrictEqual([payloadsDropped, graftsDropped], [0, 0])
          }
        }),
        { seed: 1 }
      )
    )
  }

  it.effect(
    "is nobody of 5 that all say 12 MB at once: what there is no room for at first is asked for, and arrives",
    () =>
      run(
        Effect.gen(function* () {
          const members = yield* swarmOf(5, topic)
          yield* allSpeak(members)
          yield* until(() => members.every(({ got }) => got.length === each * 4))
          const dropped = members.map(({ life }) => life.gossip.inspect().faults.payloadsDropped)
          assert.isAbove(Math.max(...dropped), 0)
        }),
        { seed: 1 }
      )
  )

  it.effect("in one topic is one in all that it shares with us, and in no other", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b, c] = [yield* start("a"), yield* start("b"), yield* start("c")]
        const [ada, other] = [yield* join(a, topicOf(1)), yield* join(a, topicOf(2))]
        const bob = yield* join(b, topicOf(1), [a.addr])
        const cat = yield* join(c, topicOf(2), [a.addr])
        yield* Effect.forEach([ada, other, bob, cat], (member) => member.topic.joined)
        network.setLink("a", "b", { bytesPerSecond: 10_000 })
        yield* speak(ada, 0, 2_000)
        const before = yield* nowMs
        yield* speak(other, 0, 100)
        yield* until(() => cat.got.length === 100)
        assert.isBelow((yield* nowMs) - before, 100)
      }),
      { seed: 5 }
    )
  )
})
