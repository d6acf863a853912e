/** Timers, and children whose ends are events. */
import { assert } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Scope } from "effect"
import type { Case } from "./Case.ts"
import { get, range, start } from "./counter.ts"

export const timersAndChildren: ReadonlyArray<Case> = [
  {
    name: "timers come back as events: keyed, moved, cleared, in order of their deadlines, and gone after the end",
    run: ({ advance }) =>
      Effect.gen(function* () {
        const { actor, state } = yield* start({ limit: 100 })
        const from = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        const arm = (key: string, afterMs: number) => actor.tell({ _tag: "Arm", key, afterMs })
        yield* Effect.all([arm("a", 10), arm("b", 5), arm("c", 20), arm("a", 30), arm("d", 20)])
        yield* actor.tell({ _tag: "Disarm", key: "b" })
        yield* get(actor)
        assert.strictEqual(actor.inspect().timers, 3)
        yield* advance(15)
        assert.deepStrictEqual(state.log, [])
        yield* advance(1000)
        const fired = state.log.map((line) => line.split(" "))
        assert.deepStrictEqual(
          fired.map(([at, key]) => `${Math.round(Number(at) - from)} ${key}`),
          ["20 c", "20 d", "30 a"]
        )
        yield* arm("z", 5)
        yield* actor.stop
        yield* advance(1000)
        assert.strictEqual(state.log.length, 3)
      })
  },
  {
    name: "TRAP a timer at any fraction of a millisecond costs one sleep, is never early, and is not lost",
    run: ({ advance }) =>
      Effect.gen(function* () {
        const clock = yield* Clock.Clock
        let sleeps = 0
        const counting: Clock.Clock = {
          currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
          currentTimeMillis: clock.currentTimeMillis,
          currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
          currentTimeNanos: clock.currentTimeNanos,
          monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
          monotonicTimeNanos: clock.monotonicTimeNanos,
          sleep: (duration) => {
            assert.isBelow(sleeps++, 100, "the loop spins")
            return clock.sleep(duration)
          }
        }
        const { actor, state } = yield* Effect.provideService(start(), Clock.Clock, counting)
        // no whole number of nanoseconds, and less than one: a sleep drops such fractions
        for (const afterMs of [1 / 3, 1e-7, 0.5, 4 + 1e-7]) {
          const due = (yield* Clock.currentTimeMillis) + afterMs
          sleeps = 0
          yield* actor.tell({ _tag: "Arm", key: "t", afterMs })
          yield* advance(10)
          const [at = "", ...more] = state.log.splice(0)
          assert.deepStrictEqual(more, [])
          assert.isAtLeast(Number.parseFloat(at), due)
          assert.isBelow(Number.parseFloat(at), due + 0.01)
          assert.strictEqual(sleeps, 1)
        }
      })
  },
  {
    name: "a timer fires while the inbox is full and the actor is busy with other events",
    run: ({ advance, settle }) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { actor, state } = yield* start({ limit: 1, gate })
        yield* actor.tell({ _tag: "Arm", key: "t", afterMs: 5 })
        yield* settle
        yield* actor.tell({ _tag: "Wait" })
        yield* settle
        actor.tryTell({ _tag: "Add", n: 1 })
        yield* advance(10)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(yield* get(actor), 1)
        assert.strictEqual(state.log.length, 1)
      })
  },
  {
    name: "the end of a child is an event that needs no room in the inbox",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const done = yield* Deferred.make<void>()
        const { actor, state } = yield* start({ limit: 2, gate, child: Deferred.await(done) })
        yield* actor.tell({ _tag: "Start", key: "a" })
        yield* actor.tell({ _tag: "Wait" })
        yield* settle
        assert.strictEqual(actor.tryTell({ _tag: "Add", n: 1 }), "accepted")
        assert.strictEqual(actor.tryTell({ _tag: "Add", n: 1 }), "accepted")
        yield* Deferred.succeed(done, undefined)
        yield* settle
        yield* Deferred.succeed(gate, undefined)
        yield* settle
        assert.deepStrictEqual(state.log, ["a ok"])
      })
  },
  {
    name: "many children that end at once are as many events, also with an inbox of one",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const { actor, state } = yield* start({ limit: 1, child: Effect.yieldNow })
        for (const key of range(10)) yield* actor.tell({ _tag: "Start", key: String(key) })
        yield* settle
        assert.strictEqual(state.log.length, 10)
        assert.strictEqual(actor.inspect().children, 0)
      })
  },
  {
    name: "kill interrupts a child, also before it has begun; its end is an event and its key is free again",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const { actor, state } = yield* start({ limit: 10 })
        for (const key of ["a", "b"]) yield* actor.tell({ _tag: "Start", key })
        yield* actor.tell({ _tag: "Kill", key: "b" })
        yield* settle
        yield* actor.tell({ _tag: "Kill", key: "a" })
        yield* actor.tell({ _tag: "Kill", key: "nobody" })
        yield* settle
        assert.deepStrictEqual(state.log, ["b killed", "a killed"])
        yield* actor.tell({ _tag: "Start", key: "a" })
        yield* settle
        assert.strictEqual(actor.inspect().children, 1)
      })
  },
  {
    name: "the end of an actor interrupts its children and waits for their finalizers",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const log: Array<string> = []
        const child = Effect.never.pipe(
          Effect.onInterrupt(() =>
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => log.push("finalized"))
            )
          )
        )
        const { actor, state } = yield* start({ child })
        yield* actor.tell({ _tag: "Start", key: "a" })
        yield* settle
        yield* actor.stop
        assert.deepStrictEqual(log, ["finalized"])
        assert.deepStrictEqual(state.log, [])
      })
  },
  {
    name: "a child that ends in the moment of the close hangs nobody",
    run: () =>
      Effect.gen(function* () {
        for (const yields of range(5)) {
          const scope = yield* Scope.make()
          const done = yield* Deferred.make<void>()
          const { actor } = yield* Scope.provide(start({ child: Deferred.await(done) }), scope)
          yield* actor.tell({ _tag: "Start", key: "a" })
          for (let i = 0; i < yields; i++) yield* Effect.yieldNow
          yield* Effect.all([Deferred.succeed(done, undefined), Scope.close(scope, Exit.void)], {
            concurrency: "unbounded"
          })
          yield* actor.join
        }
      })
  }
]
