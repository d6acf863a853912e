import { run, SimNetwork, layer as networkLayer } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import * as Broadcast from "../src/Broadcast.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as closes from "../src/internal/closes.ts"
import * as Limits from "../src/Limits.ts"
import { lite03, lite05 } from "../src/Version.ts"
import {
  broadcast,
  connectAnyway,
  connectivityOf,
  framesPerGroup,
  read,
  Seen,
  start,
  watch
} from "./support/services.ts"
import { sessionOn } from "./support/world.ts"

/** No frame twice and none missing from its group; `missing` words are what is no frame. */
const assertOnce = (seen: Seen): void => {
  assert.deepStrictEqual(seen.faults, [])
  assert.strictEqual(new Set(seen.words).size, seen.words.length, "something came twice")
}

describe("a peer", () => {
  it.effect(
    "goes on with its subscriptions over a lost connection, without a frame twice or one out of its order",
    () =>
      run(
        Effect.gen(function* () {
          const network = yield* SimNetwork
          const sim = yield* Simulation.Simulation
          const [a, b] = [yield* start("a"), yield* start("b")]
          const { written } = yield* broadcast(a, "cam", "first")
          const peer = yield* b.moq.connect(network.addr("a"))
          const states = yield* connectivityOf(peer)
          const announced: Array<string> = []
          yield* Effect.forkScoped(
            Stream.runForEach(peer.announced(""), ({ active, path }) =>
              Effect.sync(() => announced.push(`${active ? "+" : "-"}${path}`))
            )
          )
          const seen = new Seen()
          yield* watch(peer, "cam", seen)
          yield* Effect.sleep(5_000)
          network.partition([["a"], ["b"]])
          yield* Effect.sleep(Limits.resumeMs + 5_000)
          const state = peer.connectivity()
          assert.strictEqual(state._tag === "Reconnecting" && state.lastError._tag, "IdleTimeout")
          const before = seen.frames
          network.heal()
          const healedMs = sim.nowMs()
          yield* sim.until(() => peer.connectivity()._tag === "Connected")
          // an attempt may just have begun, or the pause between two
          assert.isAtMost(sim.nowMs() - healedMs, 10_000)
          yield* Effect.sleep(5_000)
          assertOnce(seen)
          assert.isAbove(seen.frames, before + 50)
          assert.isAbove(written.frames, seen.frames)
          assert.deepStrictEqual(states, ["connected", "reconnecting", "connected"])
          assert.deepStrictEqual(announced, ["+cam"])
        }),
        { seed: 1 }
      )
  )

  it.effect("loses nothing over a loss that is shorter than what the publisher keeps", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b] = [yield* start("a"), yield* start("b")]
        const { stop, written } = yield* broadcast(a, "cam", "first")
        const peer = yield* b.moq.connect(network.addr("a"))
        const consumer = yield* peer.consume("cam").subscribe("track", { start: 0 })
        const seen = new Seen()
        const reading = yield* Effect.forkScoped(read(consumer, seen))
        for (let n = 0; n < 5; n++) {
          yield* Effect.sleep(1_000)
          // lost at both ends at once
          peer.connection().close(closes.unused.code, closes.unused.reason)
        }
        yield* Effect.sleep(2_000)
        yield* stop
        yield* Effect.sleep(2_000)
        assert.isDefined(reading.pollUnsafe())
        assertOnce(seen)
        assert.strictEqual(seen.lagged, 0)
        assert.strictEqual(seen.frames, written.frames)
      }),
      { seed: 2 }
    )
  )

  it.effect("ends with the loss when no connection came for resumeMs, and the next caller dials anew", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const sim = yield* Simulation.Simulation
        const [a, b] = [yield* start("a"), yield* start("b")]
        yield* broadcast(a, "cam", "first")
        const scope = yield* Scope.make()
        const peer = yield* Scope.provide(b.moq.connect(network.addr("a")), scope)
        const states = yield* connectivityOf(peer)
        const consumer = yield* Scope.provide(peer.consume("cam").subscribe("track"), scope)
        const seen = new Seen()
        const reading = yield* Effect.forkScoped(read(consumer, seen))
        const ended = yield* Effect.forkScoped(peer.consume("cam").closed)
        yield* Effect.sleep(1_000)
        yield* a.kill
        yield* sim.until(() => peer.connectivity()._tag === "Reconnecting")
        const lostMs = sim.nowMs()
        assert.deepStrictEqual(yield* peer.closed, { _tag: "IdleTimeout" })
        assert.strictEqual(sim.nowMs() - lostMs, Limits.resumeMs)
        assert.deepStrictEqual(states, ["connected", "reconnecting", "closed IdleTimeout"])
        yield* Effect.sleep(10)
        const how = reading.pollUnsafe()
        assert.isTrue(how !== undefined && Exit.isSuccess(how) && typeof how.value !== "symbol")
        assert.deepStrictEqual(ended.pollUnsafe(), Exit.succeed({ _tag: "Aborted", code: ErrorCode.transport }))
        const again = yield* start("a")
        assert.notStrictEqual(yield* b.moq.connect(network.addr("a")), peer)
        yield* Scope.close(scope, Exit.void)
        yield* again.moq.shutdown
      }),
      { seed: 3 }
    )
  )

  it.effect("ends what a publisher had that was restarted, with a reason, and shows what it has now", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b] = [yield* start("a"), yield* start("b")]
        yield* broadcast(a, "cam", "first")
        const peer = yield* b.moq.connect(network.addr("a"))
        const seen = new Seen()
        yield* watch(peer, "cam", seen)
        const ended = yield* Effect.forkScoped(peer.consume("cam").closed)
        yield* Effect.sleep(2_000)
        yield* a.kill
        const again = yield* start("a")
        yield* broadcast(again, "cam", "second")
        yield* Effect.sleep(60_000)
        assert.deepStrictEqual(seen.faults, [])
        assert.isTrue(seen.has("first") && seen.has("second"))
        assert.include(seen.words, `error ${ErrorCode.dropped}`)
        const firstOfSecond = seen.words.findIndex((word) => word.startsWith("second"))
        assert.isFalse(seen.words.slice(firstOfSecond).some((word) => word.startsWith("first")))
        assert.deepStrictEqual(ended.pollUnsafe(), Exit.succeed({ _tag: "Aborted", code: ErrorCode.dropped }))
        assert.strictEqual(peer.connectivity()._tag, "Connected")
      }),
      { seed: 4 }
    )
  )

  it.effect("does not go on with what the same publisher put at the path while the connection was away", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b] = [yield* start("a"), yield* start("b")]
        const { stop } = yield* broadcast(a, "cam", "first")
        const peer = yield* b.moq.connect(network.addr("a"))
        const seen = new Seen()
        yield* watch(peer, "cam", seen)
        yield* Effect.sleep(2_000)
        network.partition([["a"], ["b"]])
        yield* Effect.sleep(10_000)
        yield* stop
        yield* broadcast(a, "cam", "second")
        yield* Effect.sleep(25_000)
        network.heal()
        yield* Effect.sleep(20_000)
        assert.deepStrictEqual(seen.faults, [])
        assert.include(seen.words, `error ${ErrorCode.dropped}`)
        assert.isTrue(seen.has("first") && seen.has("second"))
      }),
      { seed: 9 }
    )
  )

  it.effect("is shared with who was dialed: one connection carries what both ends want", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b] = [yield* start("a"), yield* start("b")]
        yield* broadcast(a, "from-a", "a")
        yield* broadcast(b, "from-b", "b")
        const toB = yield* a.moq.connect(network.addr("b"))
        const [session] = yield* b.moq.sessions.pipe(Stream.take(1), Stream.runCollect)
        const toA = yield* b.moq.connect(network.addr("a"))
        assert.strictEqual(session?.connection(), toA.connection())
        const [here, there] = [new Seen(), new Seen()]
        yield* watch(toB, "from-b", here)
        yield* watch(toA, "from-a", there)
        yield* Effect.sleep(1_000)
        assert.isTrue(here.has("b") && there.has("a"))
      }),
      { seed: 5 }
    )
  )

  it.effect("survives that the other end has no more use for the connection that it dialed", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b] = [yield* start("a"), yield* start("b")]
        yield* broadcast(a, "cam", "a")
        const scope = yield* Scope.make()
        yield* Scope.provide(a.moq.connect(network.addr("b")), scope)
        yield* Effect.sleep(100)
        const peer = yield* b.moq.connect(network.addr("a"))
        const states = yield* connectivityOf(peer)
        const seen = new Seen()
        yield* watch(peer, "cam", seen)
        yield* Effect.sleep(1_000)
        yield* Scope.close(scope, Exit.void)
        yield* Effect.sleep(5_000)
        const before = seen.frames
        yield* Effect.sleep(1_000)
        assertOnce(seen)
        assert.isAbove(seen.frames, before)
        assert.deepStrictEqual(states, ["connected", "reconnecting", "connected"])
      }),
      { seed: 6 }
    )
  )

  it.effect("goes on when an attempt of the other end came through and was given up without a word", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const sim = yield* Simulation.Simulation
        const b = yield* start("b")
        const other = yield* network.bind("other")
        yield* other.setAlpns([lite05.alpn])
        const accept = Effect.flatMap(other.accept, (connection) => sessionOn(connection))
        const accepting = yield* Effect.forkScoped(accept)
        const peer = yield* b.moq.connect(network.addr("other"))
        yield* Fiber.join(accepting)
        const states = yield* connectivityOf(peer)
        const attempt = Effect.gen(function* () {
          peer.connection().close(closes.unused.code, closes.unused.reason)
          yield* Effect.sleep(5)
          const connection = yield* other.connect(network.addr("b"), [lite05.alpn])
          yield* Effect.sleep(5)
          return connection
        })
        ;(yield* attempt).close(0, "")
        yield* accept
        yield* sim.until(() => states.length === 5)
        assert.deepStrictEqual(states, ["connected", "reconnecting", "connected", "reconnecting", "connected"])
        // who has introduced itself ends the session with the same close
        const { session } = yield* Effect.flatMap(attempt, (connection) => sessionOn(connection))
        yield* Effect.sleep(20)
        session.close(0, "")
        assert.deepStrictEqual(yield* peer.closed, { _tag: "Remote", code: 0, reason: "" })
      }),
      { seed: 10 }
    )
  )

  it.effect("that says goodbye is not shared any more: who comes now dials anew", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b] = [yield* start("a"), yield* start("b")]
        const peer = yield* b.moq.connect(network.addr("a"))
        yield* broadcast(a, "cam", "a")
        yield* peer.consume("cam").subscribe("track")
        yield* Effect.sleep(100)
        // somebody still reads, so the goodbye takes its time
        yield* Effect.forkScoped(a.moq.shutdown)
        yield* Effect.sleep(100)
        assert.strictEqual(peer.connectivity()._tag, "Connected")
        const again = yield* b.moq.connect(network.addr("a"))
        assert.notStrictEqual(again, peer)
        assert.deepStrictEqual(yield* peer.closed, { _tag: "Remote", code: 0, reason: "cancelled" })
      }),
      { seed: 7 }
    )
  )

  it.effect("of a version without duplicates shows what it announces on either connection, and ends a path once", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const a = yield* start("a")
        // somebody who speaks lite-03 only, dials and is dialed
        const old = yield* network.bind("old")
        yield* old.setAlpns([lite03.alpn])
        const accepting = yield* Effect.forkScoped(old.accept)
        const peer = yield* a.moq.connect(network.addr("old"))
        const dialed = yield* sessionOn(yield* Fiber.join(accepting))
        const own = yield* sessionOn(yield* old.connect(network.addr("a"), [lite03.alpn]))
        const announced: Array<string> = []
        yield* Effect.forkScoped(
          Stream.runForEach(peer.announced(""), ({ active, path }) =>
            Effect.sync(() => announced.push(`${active ? "+" : "-"}${path}`))
          )
        )
        const [one, other] = [Broadcast.make(), Broadcast.make()]
        dialed.origin.publish("both", one.consume())
        yield* Effect.sleep(50)
        own.origin.publish("both", other.consume())
        own.origin.publish("later", other.consume())
        yield* Effect.sleep(50)
        assert.deepStrictEqual(peer.announcedNow().toSorted(), ["both", "later"])
        dialed.origin.unpublish("both")
        yield* Effect.sleep(50)
        assert.deepStrictEqual(announced, ["+both", "+later"])
        own.origin.unpublish("both")
        yield* Effect.sleep(50)
        assert.deepStrictEqual(announced, ["+both", "+later", "-both"])
        own.session.close(0, "")
        yield* Effect.sleep(50)
        assert.deepStrictEqual(announced, ["+both", "+later", "-both", "-later"])
        assert.strictEqual(peer.connectivity()._tag, "Connected")
      }),
      { seed: 8 }
    )
  )
})

type Act = "kill publisher" | "start publisher" | "kill subscriber" | "start subscriber"

/** Every order in which both are killed once and started once. */
const orders = (left: ReadonlyArray<ReadonlyArray<Act>>): ReadonlyArray<ReadonlyArray<Act>> => {
  const begun = left.filter(({ length }) => length > 0)
  if (begun.length === 0) return [[]]
  return begun.flatMap((acts) => {
    const [first, ...rest] = acts
    const others = left.map((other) => (other === acts ? rest : other))
    return first === undefined ? [] : orders(others).map((order) => [first, ...order])
  })
}

describe("publisher and subscriber killed and restarted in every order", () => {
  const all = orders([
    ["kill publisher", "start publisher"],
    ["kill subscriber", "start subscriber"]
  ])
  const pausesMs = [20, 3_000, 45_000]

  for (const [index, order] of all.entries()) {
    for (const pauseMs of pausesMs) {
      it.effect(`${order.join(", ")}, ${pauseMs} ms apart`, () =>
        run(
          Effect.gen(function* () {
            const network = yield* SimNetwork
            const sim = yield* Simulation.Simulation
            const seens: Array<Seen> = []
            let lives = 0
            const startPublisher = Effect.gen(function* () {
              const life = yield* start("publisher")
              yield* Scope.provide(broadcast(life, "cam", `life${++lives}`), life.scope)
              return life
            })
            const startSubscriber = Effect.gen(function* () {
              const life = yield* start("subscriber")
              const seen = new Seen()
              seens.push(seen)
              const following = Effect.flatMap(connectAnyway(life, network.addr("publisher")), (peer) =>
                watch(peer, "cam", seen)
              )
              yield* Effect.forkIn(Scope.provide(following, life.scope), life.scope)
              return life
            })
            let [publisher, subscriber] = [yield* startPublisher, yield* startSubscriber]
            yield* Effect.sleep(2_000)
            for (const act of order) {
              if (act === "kill publisher") yield* publisher.kill
              else if (act === "start publisher") publisher = yield* startPublisher
              else if (act === "kill subscriber") yield* subscriber.kill
              else subscriber = yield* startSubscriber
              yield* Effect.sleep(pauseMs)
            }
            const wholeMs = sim.nowMs()
            const seen = seens.at(-1)
            yield* sim.until(() => seen?.has(`life${lives}`) === true)
            // silence is noticed after 30 seconds, and then it is dialed; a dial under way takes up to ten
            assert.isAtMost(sim.nowMs() - wholeMs, 45_000)
            yield* Effect.sleep(2_000)
            for (const { faults } of seens) assert.deepStrictEqual(faults, [])
            yield* Effect.all([publisher.kill, subscriber.kill])
          }),
          { seed: 100 + index }
        )
      )
    }
  }
})

/** The connection flaps while both ends dial and share it. */
const flapping = Effect.gen(function* () {
  const network = yield* SimNetwork
  const [a, b] = [yield* start("a"), yield* start("b")]
  const { stop, written } = yield* broadcast(a, "cam", "a", 5)
  const [peer] = yield* Effect.all([b.moq.connect(network.addr("a")), a.moq.connect(network.addr("b"))], {
    concurrency: "unbounded"
  })
  const consumer = yield* peer.consume("cam").subscribe("track", { start: 0 })
  const seen = new Seen()
  const reading = yield* Effect.forkScoped(read(consumer, seen))
  for (let n = 0; n < 3; n++) {
    yield* Effect.sleep(40)
    peer.connection().close(closes.unused.code, closes.unused.reason)
  }
  // a publisher that ends while nobody can hear it takes the rest along
  yield* Effect.sleep(1_000)
  yield* stop
  yield* Fiber.join(reading)
  assertOnce(seen)
  // a group whose stream was cut before anybody saw it may be overtaken by its successor: then it is counted
  assert.strictEqual(seen.frames + seen.lagged * framesPerGroup, written.frames)
  yield* Effect.all([a.moq.shutdown, b.moq.shutdown], { concurrency: 2 })
})

describe("under the race finder", () => {
  it.effect(
    "a connection that flaps while both ends dial loses nothing without a word in 1,000 seeds",
    () => Simulation.clean(Effect.scoped(Effect.provide(flapping, networkLayer())), { seeds: 1_000 }),
    120_000
  )
})
