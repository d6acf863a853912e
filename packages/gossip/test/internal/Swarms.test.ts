import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { faults } from "../../src/internal/faults.ts"
import { Subscriber } from "../../src/internal/Subscriber.ts"
import { Swarms } from "../../src/internal/Swarms.ts"
import { topicOf } from "../support/services.ts"

/** Counts how often somebody who waits for its topic is woken. */
class Counting extends Subscriber {
  asked = 0
  override get ended(): boolean {
    this.asked++
    return super.ended
  }
}

describe("whoever waits until a topic is joined", () => {
  it.effect("is not woken by what happens in others", () =>
    run(
      Effect.gen(function* () {
        const peer: EndpointId = (yield* SimNetwork).addr("somebody").id
        const swarms = new Swarms(faults(), () => {})
        const [one, other] = [1, 2].map(() => new Counting(10, { admit: undefined, validate: undefined }))
        if (one === undefined || other === undefined) return assert.fail("no subscribers")
        swarms.enter(topicOf(1), 1, one)
        swarms.enter(topicOf(2), 2, other)
        const [waiting, patient] = [
          yield* Effect.forkScoped(swarms.joined(topicOf(1), one)),
          yield* Effect.forkScoped(swarms.joined(topicOf(2), other))
        ]
        yield* Effect.sleep(1)
        const before = other.asked
        swarms.perform({ _tag: "Emit", topic: topicOf(1), event: { _tag: "NeighborUp", peer } })
        yield* Fiber.join(waiting)
        yield* Effect.sleep(1)
        assert.isUndefined(patient.pollUnsafe())
        assert.strictEqual(other.asked, before)
        swarms.exit(topicOf(2), 2, other)
        yield* Fiber.join(patient)
      }),
      { seed: 1 }
    )
  )
})
