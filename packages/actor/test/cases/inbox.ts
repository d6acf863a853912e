/** Telling and asking. */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import type * as Actor from "../../src/Actor.ts"
import type { Case } from "./Case.ts"
import { fork, get, isStopped, range, start } from "./counter.ts"

export const inbox: ReadonlyArray<Case> = [
  {
    name: "tell and ask: events in order, answers typed, a refusal is a typed error",
    run: () =>
      Effect.gen(function* () {
        const { actor } = yield* start()
        yield* actor.tell({ _tag: "Add", n: 2 })
        assert.strictEqual(yield* get(actor), 2)
        yield* actor.tell({ _tag: "Add", n: -3 })
        assert.strictEqual(yield* Effect.flip(get(actor)), "negative")
        assert.strictEqual(actor.inspect().handled, 4)
      })
  },
  {
    name: "a full inbox makes tell and ask wait, tryTell says full, nothing is lost and the order is kept",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { actor, outputs } = yield* start({ gate })
        yield* actor.tell({ _tag: "Wait" })
        yield* settle
        for (let n = 1; n <= 4; n++) assert.strictEqual(actor.tryTell({ _tag: "Add", n: 10 ** n }), "accepted")
        assert.strictEqual(actor.tryTell({ _tag: "Add", n: 7 }), "full")
        const told = yield* fork(actor.tell({ _tag: "Add", n: 10 ** 5 }))
        yield* settle
        const asked = yield* fork(get(actor))
        yield* settle
        assert.isUndefined(told.pollUnsafe())
        assert.deepInclude(actor.inspect(), { depth: 4, waitingSenders: 2, pendingAsks: 1, performing: "Block" })
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(yield* Fiber.join(asked), Exit.succeed(111_110))
        const sums = outputs.flatMap((output) => (output._tag === "Sum" ? [output.sum] : []))
        assert.deepStrictEqual(sums, [10, 110, 1110, 11_110, 111_110])
        assert.deepInclude(actor.inspect(), { depth: 0, waitingSenders: 0, pendingAsks: 0, performing: undefined })
      })
  },
  {
    name: "TRAP check, then register: senders at a full inbox against a slow actor all get through",
    run: () =>
      Effect.gen(function* () {
        const { actor } = yield* start({ limit: 1 })
        yield* Effect.forEach(range(20), () => actor.tell({ _tag: "Add", n: 1 }), {
          concurrency: "unbounded",
          discard: true
        })
        const answers = yield* Effect.forEach(range(5), () => get(actor), { concurrency: "unbounded" })
        assert.deepStrictEqual(answers, [20, 20, 20, 20, 20])
      })
  },
  {
    name: "TRAP check, then register: senders and askers at a full inbox against a stop never hang",
    run: () =>
      Effect.gen(function* () {
        const { actor } = yield* start({ limit: 1 })
        const senders = yield* Effect.forEach(range(6), () =>
          Effect.forkChild(Effect.exit(actor.tell({ _tag: "Add", n: 1 })))
        )
        const askers = yield* Effect.forEach(range(6), () => Effect.forkChild(Effect.exit(get(actor))))
        yield* Effect.forkChild(actor.stop)
        for (const fiber of [...senders, ...askers]) {
          const exit = yield* Fiber.join<Exit.Exit<number | void, string | Actor.Stopped>, never>(fiber)
          if (Exit.isFailure(exit)) isStopped(exit, "closed")
        }
        yield* actor.join
        assert.deepInclude(actor.inspect(), { depth: 0, waitingSenders: 0, pendingAsks: 0 })
      })
  },
  {
    name: "TRAP a batch taken at once is in flight: it counts as depth",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { actor } = yield* start({ limit: 4, gate })
        for (const event of [{ _tag: "Wait" }, { _tag: "Add", n: 1 }, { _tag: "Add", n: 1 }] as const) {
          assert.strictEqual(actor.tryTell(event), "accepted")
        }
        yield* settle
        assert.deepInclude(actor.inspect(), { depth: 2, performing: "Block" })
        for (let n = 0; n < 4; n++) assert.strictEqual(actor.tryTell({ _tag: "Add", n: 1 }), "accepted")
        assert.strictEqual(actor.tryTell({ _tag: "Add", n: 1 }), "full")
        assert.strictEqual(actor.inspect().depth, 6)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(yield* get(actor), 6)
      })
  },
  {
    name: "an interrupted ask or tell leaves nothing behind",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { actor } = yield* start({ gate })
        yield* actor.tell({ _tag: "Wait" })
        yield* settle
        const pending = yield* fork(get(actor))
        yield* settle
        for (let n = 0; n < 3; n++) actor.tryTell({ _tag: "Add", n: 1 })
        const full = yield* fork(get(actor))
        const told = yield* fork(actor.tell({ _tag: "Boom" }))
        yield* settle
        yield* Fiber.interruptAll([pending, full, told])
        assert.deepInclude(actor.inspect(), { waitingSenders: 0, pendingAsks: 0, depth: 4 })
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(yield* get(actor), 3)
      })
  },
  {
    name: "a burst longer than a turn is handled whole, and other fibers get turns in between",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const { actor } = yield* start({ limit: 1100 })
        for (let n = 0; n < 1100; n++) actor.tryTell({ _tag: "Add", n: 1 })
        yield* settle
        assert.strictEqual(yield* get(actor), 1100)
      })
  }
]
