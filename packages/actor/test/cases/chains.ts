/** Actors that ask, or wait for, one another. */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import * as Actor from "../../src/Actor.ts"
import type { Case } from "./Case.ts"
import { fork, range } from "./counter.ts"

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

export const chains: ReadonlyArray<Case> = [
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
