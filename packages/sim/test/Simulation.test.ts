import * as Actor from "@effect-live/actor/Actor"
import { assert, describe, it } from "@effect/vitest"
import {
  Cache,
  Cause,
  Clock,
  Context,
  Effect,
  Exit,
  Fiber,
  FiberMap,
  PubSub,
  Queue,
  Random,
  Ref,
  Schedule,
  Scope,
  Semaphore,
  Stream
} from "effect"
import * as Limits from "../src/Limits.ts"
import * as Simulation from "../src/Simulation.ts"

/** Every kind of waiting that Effect has, with chance in between. */
const busy = Effect.gen(function* () {
  const sim = yield* Simulation.Simulation
  const bus = yield* PubSub.bounded<number>(16)
  const queue = yield* Queue.bounded<number>(2)
  yield* Stream.fromPubSub(bus).pipe(
    Stream.runForEach((n) => Effect.sync(() => sim.note(`heard ${n}`))),
    Effect.forkScoped
  )
  yield* Effect.gen(function* () {
    yield* PubSub.publish(bus, yield* Random.nextIntBetween(0, 1000))
    yield* Queue.offer(queue, Math.round(yield* Clock.currentTimeMillis))
    sim.note((yield* Effect.never.pipe(Effect.timeoutOption("37 millis")))._tag)
  }).pipe(Effect.repeat(Schedule.spaced("250 millis").pipe(Schedule.jittered)), Effect.forkScoped)
  yield* Queue.take(queue).pipe(
    Effect.tap((n) => Effect.sync(() => sim.note(`took ${n}`))),
    Effect.forever,
    Effect.forkScoped
  )
  const jitter = sim.rng("jitter")
  for (let i = 0; i < 20; i++) sim.at(sim.nowMs() + jitter.below(5000), () => sim.note(`at ${i}`))
  yield* Effect.sleep("5 seconds")
}).pipe(Effect.scoped)

describe("Simulation", () => {
  for (const [name, options] of [
    ["first in, first out", {}],
    ["shuffled", { order: "shuffle" }],
    ["shuffled and preempted", { order: "shuffle", preempt: 0.05 }]
  ] as const) {
    it.effect(`the same seed gives the same trace, another seed another one: ${name}`, () =>
      Effect.gen(function* () {
        const report = (seed: number) => Simulation.runReport(busy, { ...options, seed, keepTrace: true })
        const [[, a], [, b], [, c]] = yield* Effect.all([report(1), report(1), report(2)])
        assert.isAbove(a.trace.length, 50)
        assert.deepStrictEqual(a, b)
        assert.notStrictEqual(a.digest, c.digest)
      })
    )
  }

  it.effect("sleeps, schedules, timeouts, caches and permits run on virtual time, at once", () =>
    Effect.gen(function* () {
      const log = yield* Simulation.run(
        Effect.gen(function* () {
          const log: Array<string> = []
          const note = (text: string) => Effect.map(Clock.currentTimeMillis, (now) => void log.push(`${now} ${text}`))
          yield* note("tick").pipe(Effect.repeat(Schedule.spaced("1 hour")), Effect.forkScoped)
          yield* Effect.never.pipe(Effect.timeoutOption("90 minutes"))
          yield* note("timeout")
          const cache = yield* Cache.make({
            capacity: 2,
            timeToLive: "1 minute",
            lookup: (key: string) => Effect.as(note(`lookup ${key}`), key)
          })
          yield* Cache.get(cache, "k")
          yield* Effect.sleep("59 seconds")
          yield* Cache.get(cache, "k")
          yield* Effect.sleep("2 seconds")
          yield* Cache.get(cache, "k")
          const fibers = yield* FiberMap.make<string>()
          const permits = yield* Semaphore.make(1)
          for (const key of ["a", "b"]) {
            yield* FiberMap.run(
              fibers,
              key,
              permits.withPermits(1)(Effect.andThen(Effect.sleep("1 minute"), note(key)))
            )
          }
          yield* FiberMap.awaitEmpty(fibers)
          return log
        }).pipe(Effect.scoped),
        { seed: 1 }
      )
      assert.deepStrictEqual(log, [
        "0 tick",
        "3600000 tick",
        "5400000 timeout",
        "5400000 lookup k",
        "5461000 lookup k",
        "5521000 a",
        "5581000 b"
      ])
    })
  )

  it.effect("until waits for a condition, at takes back what it has not called yet", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const at = yield* Simulation.run(
        Effect.gen(function* () {
          const sim = yield* Simulation.Simulation
          const count = yield* Ref.make(0)
          yield* Effect.forkScoped(
            Effect.repeat(
              Ref.update(count, (n) => n + 1),
              Schedule.spaced("10 millis")
            )
          )
          sim.at(15, () => log.push("called"))
          sim.at(25, () => log.push("taken back"))()
          yield* sim.until(() => Ref.getUnsafe(count) >= 5)
          return sim.nowMs()
        }).pipe(Effect.scoped),
        { seed: 1 }
      )
      assert.strictEqual(at, 40)
      assert.deepStrictEqual(log, ["called"])
    })
  )

  it.effect("a timer that is taken back in its own moment is not called, in any order", () => {
    const program = Effect.gen(function* () {
      const sim = yield* Simulation.Simulation
      const called: Array<string> = []
      const cancels: Array<() => void> = []
      for (const [name, other] of [
        ["a", 1],
        ["b", 0]
      ] as const) {
        cancels.push(
          sim.at(10, () => {
            called.push(name)
            cancels[other]?.()
          })
        )
      }
      yield* Effect.sleep(20)
      assert.strictEqual(called.length, 1)
    })
    return Simulation.clean(program, { seeds: 50 })
  })

  it.effect("a promise from outside may settle, and time stands still meanwhile", () =>
    Effect.gen(function* () {
      const promise = Effect.promise(() => Promise.resolve().then(() => Promise.resolve()))
      const now = yield* Simulation.run(Effect.andThen(promise, Clock.currentTimeMillis), { seed: 1 })
      assert.strictEqual(now, 0)
    })
  )

  it.effect("the failure of a program is its own, and services from outside are there", () =>
    Effect.gen(function* () {
      class Name extends Context.Service<Name, { readonly name: string }>()("test/Name") {}
      const program = Effect.flatMap(Name, ({ name }) => Effect.fail(name))
      const exit = yield* Simulation.run(program, { seed: 1 }).pipe(
        Effect.provideService(Name, { name: "ada" }),
        Effect.exit
      )
      assert.deepStrictEqual(exit, Exit.fail("ada"))
    })
  )

  it.effect("the host's own fibers get turns during a long simulation", () =>
    Effect.gen(function* () {
      let turns = 0
      yield* Effect.sync(() => turns++).pipe(Effect.andThen(Effect.yieldNow), Effect.forever, Effect.forkScoped)
      const steps = 10 * Limits.stepsPerTurn
      yield* Simulation.run(Effect.repeat(Effect.sleep(1), { times: steps }), { seed: 1 })
      assert.isAtLeast(turns, 10)
    })
  )

  it.effect("an interruption of the simulation runs the finalizers inside, in virtual time", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const program = Effect.andThen(
        Effect.promise(() => new Promise<void>(() => {})),
        Effect.never
      ).pipe(
        Effect.ensuring(
          Effect.andThen(
            Effect.sleep("1 hour"),
            Effect.sync(() => log.push("finalized"))
          )
        )
      )
      const fiber = yield* Effect.forkChild(Simulation.run(program, { seed: 1 }), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(log, ["finalized"])
    })
  )
})

describe("Stuck", () => {
  type Event =
    | { readonly _tag: "Ask"; readonly other: Actor.Actor<Event> }
    | { readonly _tag: "Get"; readonly replyTo: Actor.ReplyTo<number> }
  const make = (name: string) =>
    Actor.make<null, Event, Event>({
      name,
      core: {
        initial: () => null,
        step: (_, event) => (event._tag === "Ask" ? [event] : [Actor.reply(event.replyTo, 1)])
      },
      perform: (output) =>
        output._tag === "Ask"
          ? Effect.ignore(output.other.ask<number>((replyTo) => ({ _tag: "Get", replyTo })))
          : undefined
    })

  it.effect(
    "TRAP two actors that ask each other from perform: the deadlock is found and names who waits for what",
    () =>
      Effect.gen(function* () {
        const program = Effect.gen(function* () {
          const a = yield* make("a")
          const b = yield* make("b")
          yield* make("idle")
          yield* a.tell({ _tag: "Ask", other: b })
          yield* b.tell({ _tag: "Ask", other: a })
          return yield* a.ask<number>((replyTo) => ({ _tag: "Get", replyTo }))
        })
        const stuck = yield* Effect.flip(Simulation.run(Effect.scoped(program), { seed: 1 }))
        assert.instanceOf(stuck, Simulation.Stuck)
        assert.strictEqual(stuck.reason, "nothing left to do")
        assert.deepStrictEqual(stuck.actors, [
          "a: depth 2, asks 2, senders 0, performing Ask",
          "b: depth 1, asks 1, senders 0, performing Ask"
        ])
        assert.include(stuck.message, "nothing left to do at 0 ms")
      })
  )

  it.effect("a loop without end stops at the step limit, and its finalizers run in virtual time", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const spin = Effect.forever(Effect.sleep(1)).pipe(
        Effect.ensuring(
          Effect.andThen(
            Effect.sleep(5),
            Effect.sync(() => log.push("finalized"))
          )
        )
      )
      const stuck = yield* Effect.flip(Simulation.run(spin, { seed: 1, stepLimit: 1000 }))
      assert.deepInclude(stuck, { reason: "step limit", steps: 1000 })
      assert.deepStrictEqual(log, ["finalized"])
    })
  )

  it.effect("finalizers that never end, or spin, end the run too", () =>
    Effect.gen(function* () {
      for (const finalizer of [Effect.never, Effect.forever(Effect.sleep(1))]) {
        const [exit, report] = yield* Simulation.runReport(Effect.never.pipe(Effect.ensuring(finalizer)), { seed: 1 })
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof Simulation.Stuck)
        assert.isAtMost(report.steps, Limits.finalizerSteps + 10)
      }
    })
  )
})

/** Two callers dial the same peer: looked up, then dialled across a suspension, then stored. */
const doubleDial = (guarded: boolean) =>
  Effect.gen(function* () {
    const connections = new Map<string, number>()
    let dials = 0
    const lock = yield* Semaphore.make(1)
    const get = Effect.fnUntraced(function* (peer: string) {
      const known = connections.get(peer)
      if (known !== undefined) return known
      dials++
      const made = dials
      yield* Effect.yieldNow
      connections.set(peer, made)
      return made
    })
    const dial = guarded ? lock.withPermits(1)(get("bob")) : get("bob")
    const first = yield* Effect.forkChild(dial)
    for (let i = 0; i < 3; i++) yield* Effect.yieldNow // in the usual order the first caller is done by now
    const second = yield* Effect.forkChild(dial)
    yield* Fiber.joinAll([first, second])
    if (dials !== 1) return yield* Effect.die(new Error(`dialled ${dials} times`))
  })

const loop = (uninterruptible: boolean) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    let ended = false
    yield* Effect.never.pipe(
      Effect.interruptible,
      Effect.onExit(() =>
        Effect.sync(() => {
          ended = true
        })
      ),
      Effect.forkIn(scope, { startImmediately: true, uninterruptible })
    )
    yield* Scope.close(scope, Exit.void)
    if (!ended) return yield* Effect.die(new Error("onExit did not run"))
  })

describe("the race finder", () => {
  it.effect(
    "shuffling finds a double dial that first in, first out never shows; its seed repeats it; the fix is clean",
    () =>
      Effect.gen(function* () {
        for (let seed = 0; seed < 200; seed++) yield* Simulation.run(doubleDial(false), { seed })
        const found = yield* Simulation.explore(doubleDial(false), { seeds: 200, preempt: 0 })
        assert.isDefined(found)
        for (let i = 0; i < 3; i++) {
          const again = yield* Effect.exit(
            Simulation.run(doubleDial(false), { seed: found.seed, order: "shuffle", preempt: 0 })
          )
          assert.isTrue(Exit.isFailure(again))
        }
        yield* Simulation.clean(doubleDial(true), { seeds: 1000 })
      })
  )

  it.effect("preempting finds a lost update without any suspension, which shuffling cannot", () =>
    Effect.gen(function* () {
      const lostUpdate = Effect.gen(function* () {
        const balance = yield* Ref.make(0)
        const add = Effect.flatMap(Ref.get(balance), (now) => Ref.set(balance, now + 1))
        yield* Effect.all([add, add, add, add], { concurrency: "unbounded" })
        const sum = yield* Ref.get(balance)
        if (sum !== 4) return yield* Effect.die(new Error(`sum ${sum}`))
      })
      assert.isUndefined(yield* Simulation.explore(lostUpdate, { seeds: 300, preempt: 0 }))
      assert.isDefined(yield* Simulation.explore(lostUpdate, { seeds: 300 }))
    })
  )

  it.effect("clean fails with the seed, how to replay it, and what went wrong", () =>
    Effect.gen(function* () {
      const program = Effect.flatMap(Simulation.Simulation, ({ seed }) =>
        seed === 7 ? Effect.fail("seven") : Effect.void
      )
      const error = yield* Effect.flip(Simulation.clean(program, { seeds: 1000 }))
      assert.strictEqual(error.seed, 7)
      assert.strictEqual(error.replay, `Simulation.run(program, {"order":"shuffle","preempt":0.05,"seed":7})`)
      assert.include(error.message, "seven")
      yield* Simulation.clean(program, { seeds: 7 })
    })
  )

  it.effect("TRAP an onExit behind a plain fork is lost when the fiber is interrupted before its first operation", () =>
    Effect.gen(function* () {
      assert.isDefined(yield* Simulation.explore(loop(false), { seeds: 1000 }))
      assert.isUndefined(yield* Simulation.explore(loop(true), { seeds: 1000 }))
    })
  )
})
