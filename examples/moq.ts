/**
 * Two nodes in a simulated network: one publishes a broadcast, the other one subscribes and counts what arrives. On real nodes
 * only the Layers differ. `node --conditions=@effect-live/source examples/moq.ts`
 */
import { layer as router } from "@effect-live/endpoint/Router"
import { End } from "@effect-live/endpoint/Stream"
import { node, run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Broadcast from "@effect-live/moq/Broadcast"
import * as Moq from "@effect-live/moq/Moq"
import { Context, Effect, Layer, Stream } from "effect"
import assert from "node:assert/strict"

const moqOn = (name: string) =>
  Effect.map(
    Layer.build(Moq.layer().pipe(Layer.provideMerge(router), Layer.provideMerge(Layer.fresh(node(name))))),
    (services) => Context.get(services, Moq.Moq)
  )

const program = Effect.gen(function* () {
  const network = yield* SimNetwork
  const ada = yield* moqOn("ada")
  const bob = yield* moqOn("bob")

  const broadcast = Broadcast.make()
  const clock = broadcast.createTrack("clock")
  if (typeof clock === "string") return yield* Effect.die(clock)
  yield* ada.publish("room/ada", broadcast)
  yield* Effect.forkScoped(
    Effect.gen(function* () {
      for (let minute = 0; minute < 3; minute++) {
        const group = clock.appendGroup()
        for (let second = 0; second < 60; second++) {
          group.write(new TextEncoder().encode(`${minute}:${second}`))
          yield* Effect.sleep("1 second")
        }
        group.finish()
      }
      clock.finish()
    })
  )

  const session = yield* bob.connect(network.addr("ada"))
  const first = yield* Stream.runHead(session.announced("room"))
  console.log("announced:", first._tag === "Some" ? first.value.path : "nothing")
  const track = yield* session.consume("room/ada").subscribe("clock")
  let frames = 0
  for (let group = yield* track.next; group !== End; group = yield* track.next) {
    if ("_tag" in group) continue // `Lagged`: we were too slow for so many groups
    let last = ""
    for (let frame = yield* group.read; frame !== End; frame = yield* group.read) {
      frames++
      last = new TextDecoder().decode(frame)
    }
    console.log(`group ${group.sequence} ends with frame ${last}`)
  }
  return frames
})

const frames = await Effect.runPromise(run(program, { seed: 1 }))
assert.equal(frames, 180)
console.log(`${frames} frames in three simulated minutes`)
