/**
 * Three nodes in a simulated network talk in a topic; two of them know only the first one. On real nodes only the Layers differ.
 * `node --conditions=@effect-live/source examples/gossip.ts`
 */
import { layer as router } from "@effect-live/endpoint/Router"
import { node, run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Gossip from "@effect-live/gossip/Gossip"
import * as TopicId from "@effect-live/gossip/TopicId"
import { Context, Effect, Layer, Stream } from "effect"
import assert from "node:assert/strict"

const gossipOn = (name: string) =>
  Effect.map(
    Layer.build(Gossip.layer().pipe(Layer.provideMerge(router), Layer.provideMerge(Layer.fresh(node(name))))),
    (services) => Context.get(services, Gossip.Gossip)
  )

const program = Effect.gen(function* () {
  const network = yield* SimNetwork
  const topicId = yield* TopicId.random
  const ada = yield* (yield* gossipOn("ada")).subscribe(topicId)
  const bob = yield* (yield* gossipOn("bob")).subscribe(topicId, [network.addr("ada")])
  const eve = yield* (yield* gossipOn("eve")).subscribe(topicId, [network.addr("ada")])
  yield* Effect.all([ada.joined, bob.joined, eve.joined])

  yield* bob.broadcast(new TextEncoder().encode("hello, whoever is there"))

  const first = (topic: Gossip.Topic) =>
    topic.events.pipe(
      Stream.filter((event) => event._tag === "Received"),
      Stream.map(({ content }) => new TextDecoder().decode(content)),
      Stream.runHead
    )
  for (const [name, topic] of [
    ["ada", ada],
    ["eve", eve]
  ] as const) {
    const text = yield* Effect.flatMap(first(topic), Effect.fromOption)
    console.log(`${name} heard: ${text}`)
    assert.equal(text, "hello, whoever is there")
  }

  const again = yield* Effect.flip(ada.broadcast(new TextEncoder().encode("hello, whoever is there")))
  console.log(`ada says the same: ${again.reason._tag}`)
})

await Effect.runPromise(run(program, { seed: 1 }))
