import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger, Queue } from "effect"
import * as Actor from "../src/Actor.ts"
import * as Limits from "../src/Limits.ts"
import { actorCases } from "./cases.ts"
import { testWorld } from "./testWorld.ts"

describe("Actor", () => {
  for (const { name, run } of actorCases) it.effect(name, () => run(testWorld))
})

describe("deep chains", () => {
  const links = 1500 // without a guard some hundreds overflow the stack
  type Ask = { readonly _tag: "Ask"; readonly replyTo: Actor.ReplyTo<number> }
  type Forward = { readonly _tag: "Forward"; readonly replyTo: Actor.ReplyTo<number> }
  type Answer = { readonly _tag: "Answer"; readonly replyTo: Actor.ReplyTo<number>; readonly n: number }

  it.effect("TRAP fibers that resume each other in one stack: 1,500 waiting askers all get their answer", () =>
    Effect.gen(function* () {
      /** Answers the asker, in whose stack the next actor is told to answer the next asker, and so on. */
      const gates: Array<Actor.Actor<Ask | Answer>> = []
      for (let i = 0; i < links; i++) {
        gates.push(
          yield* Actor.make<{ replyTo: Actor.ReplyTo<number> }, Ask | Answer, Forward>({
            name: `gate/${i}`,
            inboxLimit: 1,
            core: {
              initial: () => ({ replyTo: 0 }),
              step: (state, event) => {
                if (event._tag === "Answer") return [Actor.reply(event.replyTo, event.n)]
                state.replyTo = event.replyTo
                return [{ _tag: "Forward", replyTo: event.replyTo }]
              }
            },
            // waits for another actor's answer in its loop, which nobody should do: so the answers nest
            perform: ({ replyTo }, self) => {
              const next = gates[i + 1]
              if (next === undefined) return undefined
              return next
                .ask<number>((to) => ({ _tag: "Ask", replyTo: to }))
                .pipe(
                  Effect.orDie,
                  Effect.map((n) => self.tryTell({ _tag: "Answer", replyTo, n: n + 1 }))
                )
            }
          })
        )
      }
      const [first] = gates
      const last = gates.at(-1)
      assert.isDefined(first)
      assert.isDefined(last)
      const asked = yield* Effect.forkChild(first.ask<number>((replyTo) => ({ _tag: "Ask", replyTo })))
      yield* Effect.repeat(Effect.yieldNow, { until: () => last.inspect().handled === 1 })
      assert.strictEqual(last.tryTell({ _tag: "Answer", replyTo: 1 as Actor.ReplyTo<number>, n: 0 }), "accepted")
      assert.strictEqual(yield* Fiber.join(asked), links - 1)
    })
  )

  it.effect("TRAP fibers that resume each other in one stack: 1,500 loops that wait for room all go on", () =>
    Effect.gen(function* () {
      type Item = { readonly _tag: "Item" }
      const permits = yield* Queue.unbounded<void>()
      const relay = (next: Actor.Actor<Item> | undefined) =>
        Actor.make<null, Item, Item>({
          name: "relay",
          inboxLimit: 1,
          core: { initial: () => null, step: (_, event) => [event] },
          perform: (output) => (next === undefined ? Queue.take(permits) : Effect.orDie(next.tell(output)))
        })
      const relays: Array<Actor.Actor<Item>> = []
      for (let i = 0; i < links; i++) {
        const actor = yield* relay(relays.at(-1))
        relays.push(actor)
        actor.tryTell({ _tag: "Item" }) // this one waits for room in the relay before
        yield* Effect.repeat(Effect.yieldNow, { until: () => actor.inspect().handled === 1 })
        actor.tryTell({ _tag: "Item" }) // and this one fills the inbox
      }
      yield* Queue.offer(permits, undefined)
      yield* Effect.repeat(Effect.yieldNow, { until: () => relays.every((actor) => actor.inspect().handled === 2) })
    }).pipe(Effect.scoped)
  )
})

describe("limits", () => {
  type Event =
    | { readonly _tag: "Timers"; readonly count: number }
    | { readonly _tag: "Children"; readonly count: number }
    | { readonly _tag: "Ended" }
  type Output = { readonly _tag: "Spawn"; readonly count: number }
  const greedy = Actor.make<null, Event, Output>({
    name: "greedy",
    core: {
      initial: () => null,
      step: (_, event, now) => {
        switch (event._tag) {
          case "Timers":
            return Array.from({ length: event.count }, (__, i) =>
              Actor.setTimer(`${i}`, now + 1000, { _tag: "Ended" } as const)
            )
          case "Children":
            return [{ _tag: "Spawn", count: event.count }]
          case "Ended":
            return []
        }
      }
    },
    perform: ({ count }, self) => {
      for (let i = 0; i < count; i++) self.spawn(`${i}`, Effect.never, () => ({ _tag: "Ended" }))
    }
  })
  const crash = (event: Event) =>
    Effect.gen(function* () {
      const actor = yield* greedy
      yield* actor.tell(event)
      const exit = yield* Effect.exit(actor.join)
      return Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "no crash"
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))

  it.effect("an inbox takes 256 events unless the actor says otherwise", () =>
    Effect.gen(function* () {
      const actor = yield* greedy
      for (let i = 0; i < Limits.inboxEvents; i++) assert.strictEqual(actor.tryTell({ _tag: "Ended" }), "accepted")
      assert.strictEqual(actor.tryTell({ _tag: "Ended" }), "full")
    })
  )
  it.effect("more timers than an actor may have are a defect with its name", () =>
    Effect.gen(function* () {
      assert.include(
        yield* crash({ _tag: "Timers", count: Limits.timers + 1 }),
        "actor greedy has more than 65536 timers"
      )
    })
  )
  it.effect(
    "more children than an actor may have are a defect with its name, and all of them end",
    () =>
      Effect.gen(function* () {
        assert.include(
          yield* crash({ _tag: "Children", count: Limits.children + 1 }),
          "actor greedy has more than 65536 children"
        )
      }),
    30_000
  )
})
