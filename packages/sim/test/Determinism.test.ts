/** What is not to be had from a seed by itself, and is in the simulated world; and what no world can help. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, DateTime, Effect, HashSet, Layer, Logger, Queue, Random } from "effect"
import { TestClock } from "effect/testing"
import * as Simulation from "../src/Simulation.ts"

const twice = <A, E>(program: Effect.Effect<A, E, Simulation.Simulation>) =>
  Effect.all([Simulation.run(program, { seed: 1 }), Simulation.run(program, { seed: 1 })])

const hashed = () => Array.from(HashSet.fromIterable(functions()), ({ i }) => i).join("")
const inserted = () => Array.from(new Set(functions()), ({ i }) => i).join("")
const functions = () => Array.from({ length: 8 }, (_, i) => Object.assign(() => i, { i }))

const taken = (queue: Effect.Effect<Queue.Queue<number>>) =>
  Simulation.run(
    Effect.gen(function* () {
      const numbers = yield* queue
      const taker = yield* Effect.forkChild(Queue.take(numbers), { startImmediately: true })
      Queue.offerUnsafe(numbers, 1)
      yield* Effect.sleep(1000)
      return taker.pollUnsafe() !== undefined
    }),
    { seed: 1 }
  )

const draws = (others: number) =>
  Simulation.run(
    Effect.gen(function* () {
      const { rng } = yield* Simulation.Simulation
      for (let i = 0; i < others; i++) {
        rng(`other ${i}`).next()
        yield* Random.next
      }
      return [
        rng("node").next(),
        yield* Random.next.pipe(Effect.provideService(Random.Random, Simulation.randomOf(rng("node"))))
      ]
    }),
    { seed: 1 }
  )

describe("hidden time and chance", () => {
  it.effect("Random, DateTime and the dates of logs are the world's own", () =>
    Effect.gen(function* () {
      const [a, b] = yield* twice(
        Effect.gen(function* () {
          const dates: Array<number> = []
          const logger = Logger.make(({ date }) => void dates.push(date.getTime()))
          yield* Effect.sleep(1234)
          yield* Effect.log("x").pipe(Effect.provide(Logger.layer([logger])))
          dates.push(DateTime.toEpochMillis(yield* DateTime.now))
          return [yield* Random.next, yield* Random.nextInt, ...dates]
        })
      )
      assert.deepStrictEqual(a, b)
      assert.deepStrictEqual(a.slice(2), [1234, 1234])
    })
  )

  it.effect("TRAP span ids come from Math.random: inside they come from the seed", () =>
    Effect.gen(function* () {
      const ids = Effect.gen(function* () {
        const parent = yield* Effect.currentSpan
        const child = yield* Effect.currentSpan.pipe(Effect.withSpan("child"))
        assert.strictEqual(child.traceId, parent.traceId)
        assert.match(`${parent.traceId} ${child.spanId}`, /^[0-9a-f]{32} [0-9a-f]{16}$/)
        return [parent.spanId, parent.traceId, child.spanId]
      }).pipe(Effect.withSpan("parent"))
      const [a, b] = yield* twice(ids)
      assert.deepStrictEqual(a, b)
      assert.notDeepEqual(a, yield* Simulation.run(ids, { seed: 2 }))
    })
  )

  it.effect("TRAP fiber ids count on through the process: keep them out of traces", () =>
    Effect.gen(function* () {
      const [a, b] = yield* twice(Effect.fiberId)
      assert.notStrictEqual(a, b)
    })
  )

  it.effect("TRAP a queue made outside wakes its takers through the real event loop", () =>
    Effect.gen(function* () {
      const outside = yield* Queue.unbounded<number>()
      assert.isTrue(yield* taken(Queue.unbounded<number>()))
      assert.isFalse(yield* taken(Effect.succeed(outside)))
      assert.isFalse(yield* taken(Effect.sync(() => Effect.runSync(Queue.unbounded<number>()))))
    })
  )

  it.effect("TRAP a bare Effect.run in a callback has the real clock; runForkWith has the world's", () =>
    Effect.gen(function* () {
      const [bare, inside] = yield* Simulation.run(
        Effect.gen(function* () {
          const context = yield* Effect.context<never>()
          yield* Effect.sleep(5)
          return [Effect.runSync(Clock.currentTimeMillis), Effect.runSyncWith(context)(Clock.currentTimeMillis)]
        }),
        { seed: 1 }
      )
      assert.strictEqual(inside, 5)
      assert.notStrictEqual(bare, 5)
    })
  )

  it.effect("TRAP hash collections of functions iterate in random order: use Map and Set", () =>
    Effect.sync(() => {
      assert.isAbove(new Set(Array.from({ length: 20 }, hashed)).size, 1)
      assert.strictEqual(new Set(Array.from({ length: 20 }, inserted)).size, 1)
    })
  )

  it.effect("TRAP one shared Random draws by turns: a generator for each name is disturbed by no other", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* draws(0), yield* draws(5))
    })
  )

  it.effect("TRAP a Layer built outside holds the real clock: inside it is built anew", () =>
    Effect.gen(function* () {
      class Born extends Context.Service<Born, { readonly atMs: number }>()("test/Born") {
        static readonly layer = Layer.effect(
          Born,
          Effect.map(Clock.currentTimeMillis, (atMs) => ({ atMs }))
        )
      }
      const inside = Born.use(({ atMs }) => Effect.succeed(atMs)).pipe(Effect.provide(Born.layer))
      const [outer, inner] = yield* Effect.gen(function* () {
        yield* TestClock.adjust(1000)
        const { atMs } = yield* Born
        return [atMs, yield* Simulation.run(Effect.andThen(Effect.sleep(7), inside), { seed: 1 })]
      }).pipe(Effect.provide(Born.layer))
      assert.deepStrictEqual([outer, inner], [0, 7])
    })
  )

  it.effect("a fiber past its budget of operations yields at the same place every time", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        const lines: Array<string> = []
        const work = (name: string) =>
          Effect.gen(function* () {
            for (let i = 0; i < 5000; i++) {
              yield* Effect.sync(() => {})
              if (i % 500 === 0) lines.push(`${name}${i}`)
            }
          })
        yield* Effect.all([work("a"), work("b"), work("c")], { concurrency: "unbounded" })
        return lines.join()
      })
      const [a, b] = yield* twice(program)
      assert.strictEqual(a, b)
      assert.isAbove(a.indexOf("a4500"), a.indexOf("b0"))
    })
  )
})
