import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { type Event, Subscriber } from "../../src/internal/Subscriber.ts"

const event = (n: number): Event => ({ _tag: "NeighborUp", peer: `${n}` as never })
const words = (events: ReadonlyArray<Event>) =>
  events.map((each) => (each._tag === "Lagged" ? `lagged ${each.count}` : each._tag === "NeighborUp" ? each.peer : ""))

describe("a subscriber", () => {
  it.effect("keeps the newest events in order, and says once how many older ones are lost", () =>
    Effect.gen(function* () {
      const subscriber = new Subscriber(3, { admit: undefined, validate: undefined })
      const take = (count: number) => Stream.runCollect(Stream.take(subscriber.events, count))
      for (let n = 0; n < 3; n++) assert.isFalse(subscriber.push(event(n)))
      assert.deepStrictEqual(words(yield* take(3)), ["0", "1", "2"])
      for (let n = 0; n < 1_000; n++) assert.strictEqual(subscriber.push(event(n)), n >= 3)
      assert.strictEqual(subscriber.depth, 3)
      assert.deepStrictEqual(words(yield* take(4)), ["lagged 997", "997", "998", "999"])
      subscriber.push(event(7))
      subscriber.end()
      assert.isFalse(subscriber.push(event(8)))
      assert.deepStrictEqual(words(yield* Stream.runCollect(subscriber.events)), ["7"])
      assert.deepStrictEqual(words(yield* Stream.runCollect(subscriber.events)), [])
    })
  )
})
