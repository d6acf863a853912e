/**
 * A day of a flaky network in some milliseconds, the same on every run, and a race that no ordinary run shows: two callers
 * dial one peer twice. The race finder names a seed that shows it again, and finds the guarded version clean.
 */
import * as Simulation from "@effect-live/sim/Simulation"
import { Effect, Fiber, Schedule, Semaphore } from "effect"
import assert from "node:assert/strict"

const day = Effect.gen(function* () {
  const sim = yield* Simulation.Simulation
  const link = sim.rng("link")
  let lost = 0
  const ping = Effect.gen(function* () {
    yield* Effect.sleep(20 + link.below(30))
    if (link.next() < 0.3) {
      lost++
      return yield* Effect.fail("lost" as const)
    }
  })
  const retrying = Effect.retry(ping, Schedule.exponential("100 millis").pipe(Schedule.jittered))
  yield* Effect.repeat(retrying, Schedule.spaced("1 minute").pipe(Schedule.upTo({ times: 24 * 60 })))
  sim.note(`${lost} lost`)
  return lost
})

const [first, second] = await Effect.runPromise(
  Effect.all([Simulation.runReport(day, { seed: 1 }), Simulation.runReport(day, { seed: 1 })])
)
assert.deepEqual(first, second)
const [, { digest, nowMs, steps }] = first
console.log(`${(nowMs / 3_600_000).toFixed(1)} hours in ${steps} steps, trace ${digest} on both runs`)

const dialTwice = (guarded: boolean) =>
  Effect.gen(function* () {
    const connections = new Map<string, number>()
    const lock = yield* Semaphore.make(1)
    let dials = 0
    const connect = Effect.gen(function* () {
      const known = connections.get("bob")
      if (known !== undefined) return known
      yield* Effect.yieldNow // the handshake
      connections.set("bob", ++dials)
      return dials
    })
    const caller = guarded ? lock.withPermits(1)(connect) : connect
    const one = yield* Effect.forkChild(caller)
    for (let i = 0; i < 3; i++) yield* Effect.yieldNow
    const two = yield* Effect.forkChild(caller)
    yield* Fiber.joinAll([one, two])
    if (dials > 1) return yield* Effect.fail(`dialled ${dials} times`)
  })

await Effect.runPromise(Simulation.run(dialTwice(false), { seed: 0 })) // the usual order shows nothing
const found = await Effect.runPromise(Effect.flip(Simulation.clean(dialTwice(false), { seeds: 1000 })))
console.log(found.message)
await Effect.runPromise(Simulation.clean(dialTwice(true), { seeds: 1000 }))
console.log("the guarded version is clean for 1,000 seeds")
