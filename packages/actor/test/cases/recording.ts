/** Recording an actor and replaying what was recorded. */
import { assert } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import * as Actor from "../../src/Actor.ts"
import * as Recording from "../../src/Recording.ts"
import * as Rng from "../../src/Rng.ts"
import type { Case } from "./Case.ts"

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
/** Throws dice, sets a timer and works with bytes, all by its events. */
export const recordedCore: Actor.Core<{ rng: Rng.Rng; sum: number }, RecordedEvent, RecordedOutput> = {
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
