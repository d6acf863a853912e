/** Watchers: every actor of a program, from its start to its end. */
import { assert } from "@effect/vitest"
import { Effect, Queue } from "effect"
import * as Actor from "../../src/Actor.ts"
import * as Watcher from "../../src/Watcher.ts"
import type { Case } from "./Case.ts"
import { get, range, start } from "./counter.ts"
import { recordedCore } from "./recording.ts"

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
