import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger } from "effect"
import * as Outbox from "../src/Outbox.ts"
import { outboxCases } from "./cases/outbox.ts"
import { testWorld } from "./testWorld.ts"

describe("Outbox", () => {
  for (const { name, run } of outboxCases) it.effect(name, () => run(testWorld))

  it.effect("a defect of deliver is logged with the name of the outbox and reaches whoever joins", () =>
    Effect.gen(function* () {
      const logs: Array<unknown> = []
      const logger = Logger.make(({ message }) => {
        logs.push(message)
      })
      yield* Effect.gen(function* () {
        const outbox = yield* Outbox.make({
          name: "to bob",
          limit: 1,
          whenFull: "refuse",
          deliver: (n: number) => Effect.die(new Error(`boom ${n}`))
        })
        outbox.push(1)
        const exit = yield* Effect.exit(outbox.join)
        assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "boom 1")
      }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
      assert.include(JSON.stringify(logs), `"outbox":"to bob"`)
    })
  )
})
