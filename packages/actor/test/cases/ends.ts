/** How an actor ends, and what becomes of those who wait for it. */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Logger, Scope } from "effect"
import * as Actor from "../../src/Actor.ts"
import type { Case } from "./Case.ts"
import { defect, fork, get, ignored, isStopped, silent, start } from "./counter.ts"

export const ends: ReadonlyArray<Case> = [
  {
    name: "the end reaches a waiting tell, a pending ask, and everything that comes later",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { actor } = yield* Scope.provide(start(), scope)
        yield* actor.tell({ _tag: "Wait" })
        yield* settle
        const pending = yield* fork(ignored(actor))
        yield* settle
        for (let n = 0; n < 3; n++) actor.tryTell({ _tag: "Add", n })
        const told = yield* fork(actor.tell({ _tag: "Add", n: 1 }))
        const late = yield* fork(get(actor))
        yield* settle
        yield* Scope.close(scope, Exit.void)
        isStopped(yield* Fiber.join(pending), "closed")
        isStopped(yield* Fiber.join(told), "closed")
        isStopped(yield* Fiber.join(late), "closed")
        isStopped(yield* Effect.exit(get(actor)), "closed")
        isStopped(yield* Effect.exit(actor.tell({ _tag: "Boom" })), "closed")
        assert.strictEqual(actor.tryTell({ _tag: "Boom" }), "stopped")
        yield* actor.join
      })
  },
  {
    name: "TRAP a fork that is interrupted before its first operation: the end still runs and no ask hangs",
    run: () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { actor } = yield* Scope.provide(start(), scope)
        const asked = yield* fork(ignored(actor))
        yield* Scope.close(scope, Exit.void)
        isStopped(yield* Fiber.join(asked), "closed")
        yield* actor.join
      })
  },
  {
    name: "a crash is logged once with name and last event, and reaches askers, senders and whoever joins",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const logs: Array<unknown> = []
        const logger = Logger.make(({ message }) => {
          logs.push(message)
        })
        yield* Effect.gen(function* () {
          const { actor } = yield* start()
          const waiter = yield* fork(ignored(actor))
          yield* settle
          yield* actor.tell({ _tag: "Boom" })
          assert.include(defect(yield* Effect.exit(actor.join)), "boom")
          isStopped(yield* Fiber.join(waiter), "crashed")
          isStopped(yield* Effect.exit(get(actor)), "crashed")
        }).pipe(Effect.provide(Logger.layer([logger])))
        assert.strictEqual(logs.length, 1)
        assert.include(JSON.stringify(logs), `"actor":"counter","while":"step","lastEvent":{"_tag":"Boom"}`)
      })
  },
  {
    name: "a defect of perform crashes the actor too, and its children end with it",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const { actor } = yield* start().pipe(silent)
        yield* actor.tell({ _tag: "Start", key: "a" })
        yield* actor.tell({ _tag: "Start", key: "a" }) // the key is in use
        yield* settle
        assert.include(defect(yield* Effect.exit(actor.join)), "actor counter already has a child a")
        assert.strictEqual(actor.inspect().children, 0)
      }).pipe(silent)
  },
  {
    name: "a defect while the end of a child becomes an event crashes the actor and nobody else",
    run: () =>
      Effect.gen(function* () {
        const actor = yield* Actor.make<null, { readonly _tag: "Go" }, { readonly _tag: "Go" }>({
          name: "parent",
          core: { initial: () => null, step: (_, event) => [event] },
          perform: (_, self) =>
            self.spawn("child", Effect.void, () => {
              throw new Error("no event for this")
            })
        })
        yield* actor.tell({ _tag: "Go" })
        assert.include(defect(yield* Effect.exit(actor.join)), "no event for this")
      }).pipe(silent)
  },
  {
    name: "TRAP an actor that tells itself with a full inbox, or asks itself, is a defect with its name, not a deadlock",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const { actor } = yield* start({ limit: 1 })
        yield* actor.tell({ _tag: "TellSelf" })
        yield* settle
        assert.strictEqual(yield* get(actor), 1) // with room it is fine
        const gate = yield* Deferred.make<void>()
        const full = (yield* start({ limit: 1, gate })).actor
        full.tryTell({ _tag: "Wait" })
        yield* settle
        full.tryTell({ _tag: "TellSelf" })
        const senders = yield* Effect.forEach([1, 2, 3], () => fork(full.tell({ _tag: "Add", n: 1 })))
        yield* settle
        yield* Deferred.succeed(gate, undefined)
        assert.include(defect(yield* Effect.exit(full.join)), "deadlock: actor counter tells itself with a full inbox")
        yield* Fiber.awaitAll(senders)
        const asking = (yield* start()).actor
        yield* asking.tell({ _tag: "AskSelf" })
        assert.include(defect(yield* Effect.exit(asking.join)), "deadlock: actor counter asks itself")
      }).pipe(silent)
  },
  {
    name: "TRAP an interruption during perform drops the other outputs and the inbox; asks among them fail with Stopped",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { actor, outputs } = yield* Scope.provide(start(), scope)
        const among = yield* fork(actor.ask<number>((replyTo) => ({ _tag: "WaitAndAnswer", replyTo })))
        yield* settle
        yield* actor.tell({ _tag: "Add", n: 1 })
        const behind = yield* fork(get(actor))
        yield* settle
        yield* Scope.close(scope, Exit.void)
        isStopped(yield* Fiber.join(among), "closed")
        isStopped(yield* Fiber.join(behind), "closed")
        assert.deepStrictEqual(outputs, [{ _tag: "Block" }])
      })
  },
  {
    name: "an actor ends by its own Stop after the outputs beside it, by stop in perform, and by a child",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const { actor } = yield* start()
        const asked = yield* fork(ignored(actor))
        yield* settle
        yield* actor.tell({ _tag: "Quit" })
        yield* actor.join
        isStopped(yield* Fiber.join(asked), "closed")
        type How = { readonly _tag: "Perform" } | { readonly _tag: "Child" } | { readonly _tag: "Both" }
        const done: Array<string> = []
        const make = Actor.make<null, How, How>({
          name: "quitter",
          core: {
            initial: () => null,
            step: (_, event) => (event._tag === "Both" ? [Actor.stop, event] : [event])
          },
          perform: (output, self) => {
            switch (output._tag) {
              case "Perform":
                return self.stop
              case "Child":
                return self.spawn("child", self.stop, () => ({ _tag: "Child" }))
              case "Both":
                return Effect.andThen(
                  Effect.yieldNow,
                  Effect.sync(() => done.push("performed"))
                )
            }
          }
        })
        for (const _tag of ["Perform", "Child", "Both"] as const) {
          const quitter = yield* make
          yield* quitter.tell({ _tag })
          yield* quitter.join
        }
        assert.deepStrictEqual(done, ["performed"])
      })
  }
]
