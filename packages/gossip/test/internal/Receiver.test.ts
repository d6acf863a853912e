import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { alpn } from "../../src/Gossip.ts"
import { contentId } from "../../src/internal/contentId.ts"
import { FreshIds } from "../../src/internal/FreshIds.ts"
import * as Receiver from "../../src/internal/Receiver.ts"
import * as Limits from "../../src/Limits.ts"
import type * as Message from "../../src/Message.ts"
import { connect, content } from "../support/raw.ts"
import { topicOf } from "../support/services.ts"

const topic = topicOf(1)

describe("what comes on a stream", () => {
  it.effect(
    "is handed on together, in its order, up to so many bytes, and not beyond a Graft that asks for a content",
    () =>
      run(
        Effect.gen(function* () {
          const network = yield* SimNetwork
          const endpoint = yield* network.bind("ada")
          yield* endpoint.setAlpns([alpn])
          const batches: Array<ReadonlyArray<Message.Message<EndpointId>>> = []
          const sink: Receiver.Sink = {
            opened: Effect.void,
            ended: Effect.void,
            forged: () => assert.fail("forged"),
            introductionDropped: () => assert.fail("no introduction"),
            // while it waits for the first ones, all the others arrive
            messages: (_topic, messages) => (batches.push(messages) === 1 ? Effect.sleep("1 second") : undefined)
          }
          const freshIds = new FreshIds(yield* Clock.Clock, 1, 1)
          const accepted = Effect.flatMap(endpoint.accept, (connection) =>
            Receiver.run({ connection, maxMessageBytes: 4_096, freshIds, sink })
          )
          yield* Effect.forkScoped(accepted)
          const eve = yield* connect("eve", endpoint.addr())
          const many = Array.from({ length: 60 }, (_, n) => content(`${n}`.padEnd(4_000, ".")))
          const graft: Message.Message<EndpointId> = { _tag: "Graft", id: contentId(new Uint8Array(1)), round: 0 }
          const said = [...many, graft, graft, { _tag: "Prune" } as const, graft]
          yield* eve.say(topic, ...said)
          const { until } = yield* Simulation.Simulation
          yield* until(() => batches.flat().length === said.length)
          assert.deepStrictEqual(batches.flat(), said)
          const bytesOf = (message: Message.Message<EndpointId>) =>
            message._tag === "Gossip" ? message.content.length : 0
          const bytes = batches.map((batch) => batch.reduce((sum, message) => sum + bytesOf(message), 0))
          assert.isAbove(Math.max(...bytes), Limits.receivedBytes - 4_096)
          assert.isAtMost(Math.max(...bytes), Limits.receivedBytes + 4_096)
          for (const batch of batches) assert.isFalse(batch.slice(0, -1).some(Receiver.asksForContent))
        }),
        { seed: 1 }
      )
  )
})
