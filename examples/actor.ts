/**
 * Who is present: peers say hello, and are gone when they were silent for a while. The core is pure, the actor around it has
 * the inbox, the timers and the answers; what reached it is recorded and replayed.
 */
import * as Actor from "@effect-live/actor/Actor"
import * as Recording from "@effect-live/actor/Recording"
import { Effect, Result } from "effect"
import assert from "node:assert/strict"

type Event =
  | { readonly _tag: "Hello"; readonly peer: string }
  | { readonly _tag: "Silent"; readonly peer: string }
  | { readonly _tag: "Who"; readonly replyTo: Actor.ReplyTo<ReadonlyArray<string>> }
type Output = { readonly _tag: "Joined" | "Left"; readonly peer: string }

const silentAfterMs = 50
const core: Actor.Core<Set<string>, Event, Output> = {
  initial: () => new Set(),
  step: (present, event, now) => {
    switch (event._tag) {
      case "Hello": {
        const rearm = Actor.setTimer(event.peer, now + silentAfterMs, { _tag: "Silent", peer: event.peer } as const)
        if (present.has(event.peer)) return [rearm]
        present.add(event.peer)
        return [rearm, { _tag: "Joined", peer: event.peer }]
      }
      case "Silent":
        present.delete(event.peer)
        return [{ _tag: "Left", peer: event.peer }]
      case "Who":
        return [Actor.reply(event.replyTo, [...present])]
    }
  }
}

const tape: Array<string> = []
const program = Effect.gen(function* () {
  const presence = yield* Actor.make({
    name: "presence",
    core,
    perform: (output: Output) => Effect.sync(() => console.log(`${output.peer} has ${output._tag.toLowerCase()}`))
  })
  const who = presence.ask<ReadonlyArray<string>>((replyTo) => ({ _tag: "Who", replyTo }))

  yield* presence.tell({ _tag: "Hello", peer: "ada" })
  yield* presence.tell({ _tag: "Hello", peer: "bob" })
  assert.deepEqual(yield* who, ["ada", "bob"])
  yield* Effect.sleep(2 * silentAfterMs)
  assert.deepEqual(yield* who, [])

  yield* presence.stop
  console.log((yield* Effect.flip(who)).message)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Recording.layer((line) => tape.push(line)))))

const { seed, events } = Recording.select<Event>(Result.getOrThrow(Recording.read(tape)), "presence")
const { outputs } = Actor.replay(core, seed, events)
const tags = outputs.flat().map(({ _tag }) => _tag)
assert.deepEqual(
  tags.filter((tag) => !tag.startsWith("Actor.")),
  ["Joined", "Joined", "Left", "Left"]
)
console.log(`replayed ${events.length} events, ${tags.length} outputs`)
