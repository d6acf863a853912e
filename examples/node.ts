/** Two nodes on real iroh in one process: one publishes the bundled sample, the other watches it for a second. */
import assert from "node:assert"
import { fileURLToPath } from "node:url"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Live from "@effect-live/live/Live"
import * as Import from "@effect-live/media/Import"
import * as LocalBroadcast from "@effect-live/media/LocalBroadcast"
import * as Node from "@effect-live/node/Node"
import { Effect, Layer } from "effect"

const sample = fileURLToPath(new URL("../apps/cli/assets/sample.mp4", import.meta.url))
process.env["IROH_RELAY"] ??= "disabled" // both are on this machine

const program = Effect.gen(function* () {
  const ada = yield* Live.Live
  const film = yield* LocalBroadcast.fromImport(yield* Import.fromFile(sample), { loop: true })
  const ticket = yield* ada.publish("hello", film)

  const bob = Effect.gen(function* () {
    const live = yield* Live.Live
    const { broadcast, paths } = yield* live.subscribe(ticket)
    const video = yield* broadcast.rendition([...broadcast.catalog().catalog.video.keys()][0] ?? "")
    let frames = 0
    while (frames < 30) {
      const event = yield* video.next
      if (typeof event === "symbol") break
      if (event._tag === "Sample") frames++
    }
    console.log(`${frames} frames of ${video.info.codec} over ${paths().find(({ selected }) => selected)?.kind}`)
    return frames
  })
  return yield* Effect.provide(Effect.scoped(bob), Layer.fresh(Node.layer))
})

const frames = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide([Node.layer, NodeServices.layer])))
assert.strictEqual(frames, 30)
