import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { type Beginning, HalfOpen } from "../../src/internal/HalfOpen.ts"
import * as Limits from "../../src/Limits.ts"

const scene = <A>(
  program: (made: {
    readonly half: HalfOpen
    readonly enter: (n: number) => void
    readonly log: Array<string>
    readonly entered: Map<number, Beginning>
  }) => Effect.Effect<A>
) =>
  Simulation.run(
    Effect.scoped(
      Effect.gen(function* () {
        const clock = yield* Clock.Clock
        const half = new HalfOpen(clock)
        yield* Effect.forkScoped(half.run)
        const log: Array<string> = []
        const entered = new Map<number, Beginning>()
        const enter = (n: number): void => {
          const beginning = half.enter(() => log.push(`${n} at ${clock.currentTimeMillisUnsafe()}`))
          entered.set(n, beginning)
        }
        return yield* program({ half, enter, log, entered })
      })
    ),
    { seed: 1 }
  )

const full = Array.from({ length: Limits.halfOpenStreams }, (_, n) => n)

describe("half-open streams", () => {
  it.effect("each is given up after the deadline, and those that began are not", () =>
    scene(({ enter, entered, log }) =>
      Effect.gen(function* () {
        enter(1)
        yield* Effect.sleep(10)
        enter(2)
        enter(3)
        yield* Effect.sleep(5_000)
        entered.get(2)?.over()
        yield* Effect.sleep(60_000)
        assert.deepStrictEqual(log, [`1 at ${Limits.answerTimeoutMs}`, `3 at ${Limits.answerTimeoutMs + 10}`])
        assert.deepStrictEqual(
          [...entered.values()].map(({ givenUp }) => givenUp),
          [true, false, true]
        )
      })
    )
  )

  it.effect("there is room until the limit; one that begins makes room at once", () =>
    scene(({ enter, entered, half, log }) =>
      Effect.gen(function* () {
        for (const n of full) {
          yield* half.room
          enter(n)
        }
        const waiting = yield* Effect.forkChild(Effect.andThen(half.room, Clock.currentTimeMillis))
        yield* Effect.sleep(100)
        entered.get(7)?.over()
        assert.strictEqual(yield* Fiber.join(waiting), 100)
        assert.deepStrictEqual(log, [])
      })
    )
  )

  it.effect(
    "whoever waits for room gets the place of the oldest, once that had its second; a later one that of the next",
    () =>
      scene(({ enter, half, log }) =>
        Effect.gen(function* () {
          enter(0)
          yield* Effect.sleep(300)
          for (const n of full.slice(1)) enter(n)
          yield* half.room
          enter(100)
          assert.deepStrictEqual(log, [`0 at ${Limits.halfOpenPatienceMs}`])
          yield* half.room
          enter(101)
          yield* half.room
          assert.deepStrictEqual(
            log.slice(1),
            [1, 2].map((n) => `${n} at ${Limits.halfOpenPatienceMs + 300}`)
          )
        })
      )
  )
})
