import { run } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { bytes, join, start, topicOf } from "./support/services.ts"

const topic = topicOf(1)
const until = (condition: () => boolean) => Simulation.Simulation.use((simulation) => simulation.until(condition))
const hourMs = 3_600_000

/** Runs a program whose clock may be set; sleeping is by the other clock that computers have. */
const withClock = <A, E, R>(program: (set: (byMs: number) => void) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    let skewMs = 0
    const millis = () => clock.currentTimeMillisUnsafe() + skewMs
    const skewed: Clock.Clock = {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: () => BigInt(Math.round(millis() * 1e6)),
      currentTimeNanos: Effect.sync(() => BigInt(Math.round(millis() * 1e6))),
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) => clock.sleep(duration)
    }
    const set = (byMs: number): void => {
      skewMs += byMs
    }
    return yield* Effect.provideService(program(set), Clock.Clock, skewed)
  })

describe("clock jumps", () => {
  for (const byMs of [-hourMs, hourMs]) {
    it.effect(`${byMs < 0 ? "back" : "forward"} by an hour stop nothing: peers are found, heard and asked again`, () =>
      run(
        withClock((set) =>
          Effect.gen(function* () {
            const [a, b] = [yield* start("a"), yield* start("b")]
            const ada = yield* join(a, topic)
            const bob = yield* join(b, topic, [a.addr])
            yield* Effect.all([ada.topic.joined, bob.topic.joined])
            yield* Effect.sleep("10 seconds")
            yield* bob.topic.broadcast(bytes("before"))
            set(byMs)
            yield* bob.topic.broadcast(bytes("after"))
            yield* until(() => ada.got.length === 2)
            yield* ada.leave
            yield* until(() => bob.topic.neighbors().length === 0)
            // in the middle of a pause before the next attempt
            yield* Effect.sleep(700)
            set(byMs)
            yield* Effect.sleep("10 seconds")
            const again = yield* join(a, topic)
            yield* Effect.sleep("10 seconds")
            assert.deepStrictEqual([again.topic.neighbors(), bob.topic.neighbors()], [[b.id], [a.id]])
            set(-byMs)
            yield* Effect.sleep("3 minutes")
            assert.deepStrictEqual([again.words.length, again.topic.neighbors()], [1, [b.id]])
          })
        ),
        { seed: 1 }
      )
    )
  }
})
