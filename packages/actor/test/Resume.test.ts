import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Resume from "../src/Resume.ts"

describe("Resume", () => {
  it.effect("a waiting fiber goes on within the call", () =>
    Effect.gen(function* () {
      let resume: ((effect: Effect.Effect<number>) => void) | undefined
      const waiter = yield* Effect.forkChild(
        Effect.callback<number>((given) => {
          resume = given
        }),
        { startImmediately: true }
      )
      assert.isDefined(resume)
      Resume.now(resume, Effect.succeed(5))
      assert.strictEqual(yield* Fiber.join(waiter), 5)
    })
  )

  it.effect("20,000 fibers that each resume the next one in their own stack all go on", () =>
    Effect.gen(function* () {
      const links = 20_000
      const resumes: Array<(effect: Effect.Effect<void>) => void> = []
      const fibers: Array<Fiber.Fiber<void>> = []
      for (let i = 0; i < links; i++) {
        const wait = Effect.callback<void>((resume) => {
          resumes[i] = resume
        })
        const wakeNext = Effect.sync(() => {
          const next = resumes[i + 1]
          if (next !== undefined) Resume.now(next, Effect.void)
        })
        fibers.push(yield* Effect.forkChild(Effect.andThen(wait, wakeNext), { startImmediately: true }))
      }
      const [first] = resumes
      assert.isDefined(first)
      Resume.now(first, Effect.void)
      yield* Effect.forEach(fibers, Fiber.join, { discard: true })
    })
  )
})
