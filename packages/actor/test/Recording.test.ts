import * as Actor from "../src/Actor.ts"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import fc from "fast-check"
import * as Recording from "../src/Recording.ts"
import { recordingCases } from "./cases/recording.ts"
import { testWorld } from "./testWorld.ts"

/** What a recording of one event looks like. */
const record = (event: unknown): Effect.Effect<string> =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    yield* Effect.gen(function* () {
      const actor = yield* Actor.make<null, { readonly _tag: "It"; readonly event: unknown }, never>({
        name: "a",
        seed: 3,
        core: { initial: () => null, step: () => [Actor.stop] },
        perform: () => {}
      })
      yield* actor.tell({ _tag: "It", event })
      yield* actor.join
    }).pipe(Effect.scoped, Effect.provide(Recording.layer((line) => lines.push(line))), Effect.orDie)
    return lines.join("\n")
  })
const read = (line: string) => Result.map(Recording.read([line]), (entries) => entries[0]?.event)

describe("Recording", () => {
  for (const { name, run } of recordingCases) it.effect(name, () => run(testWorld))

  it("plain data of any shape, with bytes, bigints, special numbers and keys that look like them, comes back equal", () =>
    fc.assert(
      fc.asyncProperty(
        fc.anything({
          withBigInt: true,
          withTypedArray: false,
          withNullPrototype: false,
          values: [
            fc.string(),
            fc.double(),
            fc.boolean(),
            fc.bigInt(),
            fc.uint8Array(),
            fc.constantFrom(null, undefined, NaN, -0, Infinity)
          ],
          key: fc.oneof(fc.string(), fc.constantFrom("$bytes", "$bigint", "$special", "$object", "__proto__"))
        }),
        async (event) => {
          const back = read(await Effect.runPromise(record(event)))
          assert.deepStrictEqual(back, Result.succeed({ _tag: "It", event }))
        }
      ),
      { numRuns: 500 }
    ))

  it.effect("an event that is not plain data does not disturb the actor: its line says what and where", () =>
    Effect.gen(function* () {
      const circle: { self?: unknown } = {}
      circle.self = circle
      for (const [event, detail] of [
        [{ peers: [new Map()] }, "a Map at event.event.peers[0]"],
        [() => 1, "a function at event.event"],
        [circle, "nesting below 64 levels, or a cycle"]
      ] as const) {
        const error = Result.flip(read(yield* record(event)))
        assert.isTrue(Result.isSuccess(error))
        if (Result.isFailure(error)) return
        assert.deepInclude(error.success, { line: 1, reason: "unrecordable event" })
        assert.include(error.success.message, detail)
      }
    })
  )

  it("a damaged recording is refused with the line and what is wrong", () => {
    const good = `{"actor":"a","life":1,"seed":0,"now":5,"event":{"_tag":"It"}}`
    assert.isTrue(Result.isSuccess(Recording.read([good, "", good])))
    for (const [line, reason] of [
      [good.slice(0, 20), "not JSON"],
      [`{"actor":"a"}`, "not an entry"],
      [good.replace(`{"_tag":"It"}`, `{"$bytes":"zz"}`), "not an entry"],
      [good.replace(`{"_tag":"It"}`, `{"$else":1}`), "not an entry"]
    ] as const) {
      const result = Recording.read([good, line])
      assert.isTrue(Result.isFailure(result))
      if (Result.isFailure(result)) assert.deepInclude(result.failure, { line: 2, reason })
    }
  })
})
