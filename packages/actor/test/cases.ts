/**
 * What a user of actors may rely on, as programs that run in any world: on the test clock, and under the race finder with a
 * thousand seeds (the tests of `@effect-live/sim` do that).
 */
import { assert } from "@effect/vitest"
import { Cause, Clock, Deferred, Effect, Exit, Fiber, Logger, Queue, Result, Schema, Scope } from "effect"
import * as Actor from "../src/Actor.ts"
import * as Outbox from "../src/Outbox.ts"
import * as Recording from "../src/Recording.ts"
import * as Rng from "../src/Rng.ts"
import * as Watcher from "../src/Watcher.ts"

export interface World {
  /** Lets this much time pass, and everything happen that can happen in it. */
  readonly advance: (ms: number) => Effect.Effect<void>
  /** Lets everything happen that needs no time. */
  readonly settle: Effect.Effect<void>
}

export interface Case {
  readonly name: string
  readonly run: (world: World) => Effect.Effect<void, unknown, Scope.Scope>
}

// ---- the actor that most cases use ----------------------------------------------------------------------------------

type Event =
  | { readonly _tag: "Add"; readonly n: number }
  | { readonly _tag: "Get"; readonly replyTo: Actor.ReplyTo<number, string> }
  | { readonly _tag: "Ignore"; readonly replyTo: Actor.ReplyTo<number> }
  | { readonly _tag: "Arm"; readonly key: string; readonly afterMs: number }
  | { readonly _tag: "Disarm"; readonly key: string }
  | { readonly _tag: "Fired"; readonly key: string }
  | { readonly _tag: "Start"; readonly key: string }
  | { readonly _tag: "Kill"; readonly key: string }
  | { readonly _tag: "Ended"; readonly key: string; readonly how: string }
  | { readonly _tag: "Boom" }
  | { readonly _tag: "Wait" }
  | { readonly _tag: "TellSelf" }
  | { readonly _tag: "AskSelf" }
  | { readonly _tag: "Quit" }
  | { readonly _tag: "WaitAndAnswer"; readonly replyTo: Actor.ReplyTo<number> }

type Output =
  | { readonly _tag: "Sum"; readonly sum: number }
  | { readonly _tag: "Child"; readonly key: string }
  | { readonly _tag: "EndChild"; readonly key: string }
  | { readonly _tag: "Block" }
  | { readonly _tag: "Again" }
  | { readonly _tag: "Question" }

interface State {
  sum: number
  readonly rng: Rng.Rng
  readonly log: Array<string>
}

const core: Actor.Core<State, Event, Output> = {
  initial: (seed) => ({ sum: 0, rng: Rng.make(seed), log: [] }),
  step: (state, event, now) => {
    switch (event._tag) {
      case "Add":
        state.sum += event.n
        return [{ _tag: "Sum", sum: state.sum }]
      case "Get":
        return [state.sum < 0 ? Actor.refuse(event.replyTo, "negative") : Actor.reply(event.replyTo, state.sum)]
      case "Ignore":
        return []
      case "Arm":
        return [Actor.setTimer(event.key, now + event.afterMs, { _tag: "Fired", key: event.key })]
      case "Disarm":
        return [Actor.clearTimer(event.key)]
      case "Fired":
        state.log.push(`${now} ${event.key}`)
        return []
      case "Start":
        return [{ _tag: "Child", key: event.key }]
      case "Kill":
        return [{ _tag: "EndChild", key: event.key }]
      case "Ended":
        state.log.push(`${event.key} ${event.how}`)
        return []
      case "Boom":
        throw new Error("boom")
      case "Wait":
        return [{ _tag: "Block" }]
      case "TellSelf":
        return [{ _tag: "Again" }]
      case "AskSelf":
        return [{ _tag: "Question" }]
      case "Quit":
        return [Actor.stop]
      case "WaitAndAnswer":
        return [{ _tag: "Block" }, Actor.reply(event.replyTo, 1)]
    }
  }
}

const start = (options?: {
  readonly limit?: number
  readonly gate?: Deferred.Deferred<void>
  readonly child?: Effect.Effect<void>
}) =>
  Effect.gen(function* () {
    const state = core.initial(0)
    const outputs: Array<Output> = []
    const actor = yield* Actor.make<State, Event, Output>({
      name: "counter",
      core: { ...core, initial: () => state },
      inboxLimit: options?.limit ?? 4,
      perform: (output, self) => {
        outputs.push(output)
        switch (output._tag) {
          case "Sum":
            return undefined
          case "Child":
            return self.spawn(output.key, options?.child ?? Effect.never, (exit) => ({
              _tag: "Ended",
              key: output.key,
              how: Exit.isSuccess(exit) ? "ok" : Exit.hasInterrupts(exit) ? "killed" : "failed"
            }))
          case "EndChild":
            return self.kill(output.key)
          case "Block":
            return options?.gate ? Deferred.await(options.gate) : Effect.never
          case "Again":
            return Effect.ignore(self.tell({ _tag: "Add", n: 1 }))
          case "Question":
            return Effect.ignore(get(self))
        }
      }
    })
    return { actor, state, outputs }
  })

const get = (actor: Actor.Actor<Event>) => actor.ask<number, string>((replyTo) => ({ _tag: "Get", replyTo }))
const ignored = (actor: Actor.Actor<Event>) => actor.ask<number>((replyTo) => ({ _tag: "Ignore", replyTo }))
const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(Effect.exit(effect), { startImmediately: true })

const isStopped = (exit: Exit.Exit<unknown, unknown>, reason: Actor.Stopped["reason"]): void => {
  assert.isTrue(Exit.isFailure(exit))
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  assert.instanceOf(error, Actor.Stopped)
  assert.strictEqual(error.reason, reason)
}
const defect = (exit: Exit.Exit<unknown, unknown>): string => {
  assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
  return Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : ""
}
const silent = Effect.provide(Logger.layer([]))
const range = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)

// ---- the cases ------------------------------------------------------------------------------------------------------

const inbox: ReadonlyArray<Case> = [
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

const ends: ReadonlyArray<Case> = [
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

const timersAndChildren: ReadonlyArray<Case> = [
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

type Link =
  | { readonly _tag: "Pull"; readonly replyTo: Actor.ReplyTo<number> }
  | { readonly _tag: "Pulled"; readonly n: number }
interface LinkState {
  waiting: Actor.ReplyTo<number> | undefined
}
/** An actor that, asked for a number, has a child ask the next one, and answers one more. */
const link = (name: string, next: Actor.Actor<Link> | undefined) =>
  Actor.make<LinkState, Link, { readonly _tag: "AskNext" }>({
    name,
    inboxLimit: 1,
    core: {
      initial: () => ({ waiting: undefined }),
      step: (state, event) => {
        if (event._tag === "Pull") {
          state.waiting = event.replyTo
          return [{ _tag: "AskNext" }]
        }
        return state.waiting === undefined ? [] : [Actor.reply(state.waiting, event.n + 1)]
      }
    },
    perform: (_, self) =>
      self.spawn(
        "ask",
        next === undefined ? Effect.succeed(0) : next.ask<number>((replyTo): Link => ({ _tag: "Pull", replyTo })),
        (exit) => ({ _tag: "Pulled", n: Exit.isSuccess(exit) ? exit.value : Number.NaN })
      )
  })

type Relay = { readonly _tag: "Item" }
/** An actor whose `perform` waits until the next one has room: what an outbox is for, here to build a chain of waiting loops. */
const relay = (next: Actor.Actor<Relay> | undefined, gate: Deferred.Deferred<void>) =>
  Actor.make<null, Relay, Relay>({
    name: "relay",
    inboxLimit: 1,
    core: { initial: () => null, step: (_, event) => [event] },
    perform: (output) => (next === undefined ? Deferred.await(gate) : Effect.orDie(next.tell(output)))
  })

const chains: ReadonlyArray<Case> = [
  {
    name: "actors that ask each other through children answer along a chain",
    run: () =>
      Effect.gen(function* () {
        let first = yield* link("last", undefined)
        for (const n of range(10)) first = yield* link(`link/${n}`, first)
        assert.strictEqual(yield* first.ask<number>((replyTo) => ({ _tag: "Pull", replyTo })), 11)
      })
  },
  {
    name: "actors that wait for each other's full inboxes go on along the chain when the last one does",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const last = yield* relay(undefined, gate)
        let first = last
        for (let n = 0; n < 5; n++) first = yield* relay(first, gate)
        const senders = yield* Effect.forEach(range(20), () => fork(first.tell({ _tag: "Item" })))
        yield* settle
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.awaitAll(senders)
        yield* settle
        assert.strictEqual(last.inspect().handled, 20)
      })
  }
]

export const outboxCases: ReadonlyArray<Case> = [
  {
    name: "an outbox delivers in order and waits in its forwarder while the receiver is full",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { actor } = yield* start({ limit: 1, gate })
        yield* actor.tell({ _tag: "Wait" })
        yield* settle
        const outbox = yield* Outbox.make({
          name: "to counter",
          limit: 8,
          whenFull: "refuse",
          deliver: (n: number) => actor.tell({ _tag: "Add", n })
        })
        for (let n = 1; n <= 8; n++) assert.strictEqual(outbox.push(n), "accepted")
        yield* settle
        assert.isAbove(outbox.depth(), 4)
        yield* Deferred.succeed(gate, undefined)
        yield* settle
        assert.strictEqual(outbox.depth(), 0)
        assert.strictEqual(yield* get(actor), 36)
      })
  },
  {
    name: "a full outbox that refuses says so, and offer waits for room",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const got: Array<number> = []
        const outbox = yield* Outbox.make({
          name: "slow",
          limit: 2,
          whenFull: "refuse",
          deliver: (n: number) =>
            Effect.andThen(
              Deferred.await(gate),
              Effect.sync(() => got.push(n))
            )
        })
        assert.strictEqual(outbox.push(1), "accepted")
        yield* settle
        for (const n of [2, 3]) assert.strictEqual(outbox.push(n), "accepted")
        assert.strictEqual(outbox.push(9), "full")
        const offered = yield* fork(outbox.offer(4))
        yield* settle
        assert.isUndefined(offered.pollUnsafe())
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(offered)
        yield* settle
        assert.deepStrictEqual(got, [1, 2, 3, 4])
      })
  },
  {
    name: "a full outbox that drops takes the newest, loses the oldest, says and counts it",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const got: Array<number> = []
        const outbox = yield* Outbox.make({
          name: "live",
          limit: 2,
          whenFull: "dropOldest",
          deliver: (n: number) =>
            Effect.andThen(
              Deferred.await(gate),
              Effect.sync(() => got.push(n))
            )
        })
        assert.strictEqual(outbox.push(1), "accepted")
        yield* settle
        assert.deepStrictEqual(
          [2, 3, 4, 5].map((n) => outbox.push(n)),
          ["accepted", "accepted", "dropped", "dropped"]
        )
        yield* outbox.offer(6)
        assert.strictEqual(outbox.dropped(), 3)
        yield* Deferred.succeed(gate, undefined)
        yield* settle
        assert.deepStrictEqual(got, [1, 5, 6])
      })
  },
  {
    name: "an outbox that closes, or cannot deliver, tells whoever waits, and join has the error",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const never = Outbox.make<number, never, never>({
          name: "stuck",
          limit: 1,
          whenFull: "refuse",
          deliver: () => Effect.never
        })
        const outbox = yield* Scope.provide(never, scope)
        outbox.push(1)
        yield* settle
        outbox.push(2)
        const offered = yield* fork(outbox.offer(3))
        yield* settle
        yield* Scope.close(scope, Exit.void)
        const exit = yield* Fiber.join(offered)
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof Outbox.OutboxClosed)
        assert.strictEqual(outbox.push(4), "closed")
        yield* outbox.join
        const broken = yield* Outbox.make<number, "unreachable", never>({
          name: "broken",
          limit: 1,
          whenFull: "dropOldest",
          deliver: () => Effect.fail("unreachable")
        })
        broken.push(1)
        assert.strictEqual(yield* Effect.flip(broken.join), "unreachable")
        assert.strictEqual(broken.push(2), "closed")
        assert.strictEqual((yield* Effect.flip(broken.offer(3)))._tag, "OutboxClosed")
      })
  }
]

const RecordedEvent = Schema.Union([
  Schema.TaggedStruct("Roll", { sides: Schema.Int }),
  Schema.TaggedStruct("Later", { afterMs: Schema.Number }),
  Schema.TaggedStruct("Bytes", { bytes: Schema.Uint8Array, count: Schema.BigInt }),
  Schema.TaggedStruct("Ask", { replyTo: Schema.Int }),
  Schema.TaggedStruct("Done", { how: Schema.String })
])
type RecordedEvent = typeof RecordedEvent.Type
type RecordedOutput =
  | { readonly _tag: "Rolled"; readonly value: number }
  | { readonly _tag: "Work"; readonly bytes: Uint8Array }
const recordedCore: Actor.Core<{ rng: Rng.Rng; sum: number }, RecordedEvent, RecordedOutput> = {
  initial: (seed) => ({ rng: Rng.make(seed, "dice"), sum: 0 }),
  step: (state, event, now) => {
    switch (event._tag) {
      case "Roll":
        state.sum += state.rng.below(event.sides)
        return [{ _tag: "Rolled", value: state.sum }]
      case "Later":
        return [Actor.setTimer("later", now + event.afterMs, { _tag: "Roll", sides: 20 })]
      case "Bytes":
        return [{ _tag: "Work", bytes: event.bytes.map((byte) => byte ^ Number(event.count % 256n)) }]
      case "Ask":
        return [Actor.reply(event.replyTo, state.sum)]
      case "Done":
        return [{ _tag: "Rolled", value: -1 }]
    }
  }
}

const roll = (sides: number) =>
  Effect.gen(function* () {
    const actor = yield* Actor.make({ name: "dice", core: recordedCore, perform: () => {} })
    if (sides > 0) yield* actor.tell({ _tag: "Roll", sides })
    yield* actor.ask<number>((replyTo) => ({ _tag: "Ask", replyTo }))
    yield* actor.stop
  })

export const recordingCases: ReadonlyArray<Case> = [
  {
    name: "a running actor is recorded, written as JSON, read back, and its replay gives equal outputs",
    run: ({ advance }) =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        const outputs: Array<unknown> = []
        yield* Effect.gen(function* () {
          const actor = yield* Actor.make<{ rng: Rng.Rng; sum: number }, RecordedEvent, RecordedOutput>({
            name: "dice",
            core: {
              ...recordedCore,
              step: (state, event, now) => {
                const answer = recordedCore.step(state, event, now)
                outputs.push(answer)
                return answer
              }
            },
            perform: (output, self) =>
              output._tag === "Work"
                ? self.spawn("work", Effect.sleep(3), () => ({ _tag: "Done", how: "worked" }))
                : undefined
          })
          yield* actor.tell({ _tag: "Roll", sides: 6 })
          yield* actor.tell({ _tag: "Later", afterMs: 7 })
          yield* actor.tell({ _tag: "Bytes", bytes: Uint8Array.of(1, 2, 255), count: 2n ** 70n + 3n })
          yield* advance(10)
          yield* actor.ask<number>((replyTo) => ({ _tag: "Ask", replyTo }))
          yield* actor.stop
        }).pipe(Effect.provide(Recording.layer((line) => lines.push(line))))
        const entries = yield* Effect.fromResult(Recording.read(lines.join("\n").split("\n")))
        const events = yield* Schema.decodeUnknownEffect(Schema.toType(Schema.Array(RecordedEvent)))(
          entries.map(({ event }) => event)
        )
        assert.deepStrictEqual(
          events.map(({ _tag }) => _tag),
          ["Roll", "Later", "Bytes", "Done", "Roll", "Ask"]
        )
        const { seed, events: recorded } = Recording.select<RecordedEvent>(entries, "dice")
        assert.deepStrictEqual(Actor.replay(recordedCore, seed, recorded).outputs, outputs as never)
      })
  },
  {
    name: "actors of one name are told apart by their life; an actor without events leaves no line",
    run: () =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        yield* Effect.andThen(roll(6), roll(20)).pipe(Effect.provide(Recording.layer((line) => lines.push(line))))
        const entries = Result.getOrThrow(Recording.read(lines))
        const lives = [1, 2].map((life) => Recording.select<RecordedEvent>(entries, "dice", life))
        assert.deepStrictEqual(
          lives.map(({ events }) => events.map(({ event }) => (event._tag === "Roll" ? event.sides : event._tag))),
          [
            [6, "Ask"],
            [20, "Ask"]
          ]
        )
        assert.deepStrictEqual(Recording.select(entries, "nobody"), { seed: 0, events: [] })
      })
  }
]

export const watcherCases: ReadonlyArray<Case> = [
  {
    name: "a watcher sees every actor that starts, every event in order, and the end",
    run: () =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        const watcher: Watcher.Watcher = ({ name }, seed) => {
          seen.push(`${name} starts with ${seed}`)
          return {
            event: (_, event) => {
              seen.push(JSON.stringify(event))
            },
            ended: (reason) => {
              seen.push(reason)
            }
          }
        }
        yield* Effect.gen(function* () {
          const actor = yield* Actor.make({ name: "dice", core: recordedCore, perform: () => {}, seed: 5 })
          yield* actor.tell({ _tag: "Done", how: "x" })
          yield* actor.tell({ _tag: "Done", how: "y" })
          yield* actor.ask<number>((replyTo) => ({ _tag: "Ask", replyTo }))
          yield* actor.stop
        }).pipe(Effect.provide(Watcher.layer(Effect.succeed(watcher))))
        assert.deepStrictEqual(seen, [
          "dice starts with 5",
          `{"_tag":"Done","how":"x"}`,
          `{"_tag":"Done","how":"y"}`,
          `{"_tag":"Ask","replyTo":1}`,
          "closed"
        ])
      })
  },
  {
    name: "two forwarders merge two queues into one inbox and lose nothing",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const { actor } = yield* start({ limit: 2 })
        const sources = [yield* Queue.unbounded<number>(), yield* Queue.unbounded<number>()]
        for (const source of sources) {
          yield* Queue.take(source).pipe(
            Effect.flatMap((n) => actor.tell({ _tag: "Add", n })),
            Effect.forever,
            Effect.forkScoped
          )
        }
        for (const source of sources) for (const n of range(50)) yield* Queue.offer(source, n)
        yield* settle
        assert.strictEqual(yield* get(actor), 2450)
      })
  }
]

export const actorCases: ReadonlyArray<Case> = [...inbox, ...ends, ...timersAndChildren, ...chains]

export const cases: ReadonlyArray<Case> = [...actorCases, ...outboxCases, ...recordingCases, ...watcherCases]
