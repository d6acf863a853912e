/**
 * What an event and an ask cost. The machine may be busy with other things, so every figure is the best of several runs.
 * `npm run bench -- actors`
 */
import * as Actor from "@effect-live/actor/Actor"
import { Effect, Exit, Scope } from "effect"
import { pathToFileURL } from "node:url"
import type { Row } from "./Row.ts"

type Event =
  | { readonly _tag: "Add"; readonly n: number }
  | { readonly _tag: "Get"; readonly replyTo: Actor.ReplyTo<number> }

const none: ReadonlyArray<never> = []
const core: Actor.Core<{ sum: number }, Event, never> = {
  initial: () => ({ sum: 0 }),
  step: (state, event) => {
    if (event._tag === "Get") return [Actor.reply(event.replyTo, state.sum)]
    state.sum += event.n
    return none
  }
}
const counter = (inboxLimit: number) => Actor.make({ name: "counter", core, perform: () => {}, inboxLimit, seed: 0 })
const get = (actor: Actor.Actor<Event>) => actor.ask<number>((replyTo) => ({ _tag: "Get", replyTo }))

const rounds = 25
/** Nanoseconds per item, best of several rounds. */
const best = async (items: number, program: Effect.Effect<unknown, Actor.Stopped>): Promise<number> => {
  let least = Infinity
  for (let round = 0; round < rounds; round++) {
    const fromMs = performance.now()
    await Effect.runPromise(program)
    least = Math.min(least, ((performance.now() - fromMs) * 1e6) / items)
  }
  return least
}

const events = 100_000
const perTurn = 512
const asks = 20_000
const many = 10_000

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const scope = await Effect.runPromise(Scope.make())
  const actor = await Effect.runPromise(Scope.provide(counter(1024), scope))
  const told = await best(
    events,
    Effect.gen(function* () {
      for (let n = 0; n < events; n++) yield* actor.tell({ _tag: "Add", n })
      yield* get(actor)
    })
  )
  const fromCallbacks = await best(
    events,
    Effect.gen(function* () {
      for (let n = 0; n < events; n += perTurn) {
        for (let k = 0; k < perTurn; k++) actor.tryTell({ _tag: "Add", n: k })
        yield* Effect.yieldNow
      }
      yield* get(actor)
    })
  )
  const asked = await best(
    asks,
    Effect.gen(function* () {
      for (let n = 0; n < asks; n++) yield* get(actor)
    })
  )
  const hundred = Array.from({ length: 100 }, () => 0)
  const askedByMany = await best(
    asks,
    Effect.forEach(
      hundred,
      () =>
        Effect.gen(function* () {
          for (let n = 0; n < asks / 100; n++) yield* get(actor)
        }),
      { concurrency: "unbounded", discard: true }
    )
  )
  await Effect.runPromise(Scope.close(scope, Exit.void))

  const all = await Effect.runPromise(Scope.make())
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  const actors = await Effect.runPromise(
    Scope.provide(
      Effect.forEach(Array.from({ length: many }), () => counter(256)),
      all
    )
  )
  globalThis.gc?.()
  const bytes = (process.memoryUsage().heapUsed - before) / many
  const wakeFromMs = performance.now()
  for (const each of actors) each.tryTell({ _tag: "Add", n: 1 })
  await Effect.runPromise(Effect.forEach(actors, get, { concurrency: "unbounded", discard: true }))
  const wakeMs = performance.now() - wakeFromMs
  const stopFromMs = performance.now()
  await Effect.runPromise(Scope.close(all, Exit.void))
  const stopMs = performance.now() - stopFromMs

  return [
    { what: "event told from a fiber", value: told, unit: "ns", reach: "below 300 ns" },
    { what: "event told from callbacks, in batches", value: fromCallbacks, unit: "ns", reach: "below 60 ns" },
    { what: "ask and answer, one caller", value: asked, unit: "ns", reach: "below 1,500 ns" },
    { what: "ask and answer, 100 callers", value: askedByMany, unit: "ns", reach: "below 1,500 ns" },
    { what: "memory of an idle actor", value: bytes, unit: "bytes", reach: "" },
    { what: "waking 10,000 actors and asking each", value: wakeMs, unit: "ms", reach: "" },
    { what: "stopping 10,000 actors", value: stopMs, unit: "ms", reach: "" }
  ]
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) console.table(await run())
