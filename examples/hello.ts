import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Live from "@effect-live/live/Live"
import * as Import from "@effect-live/media/Import"
import * as LocalBroadcast from "@effect-live/media/LocalBroadcast"
import * as Node from "@effect-live/node/Node"
import { Effect, Layer } from "effect"

const publish = Effect.gen(function* () {
  const live = yield* Live.Live
  const film = yield* LocalBroadcast.fromImport(yield* Import.fromFile("apps/cli/assets/sample.mp4"), { loop: true })
  return yield* live.publish("hello", film) // a ticket, good until the Scope closes
})

const watch = Effect.fnUntraced(
  function* (ticket: Effect.Success<typeof publish>) {
    const { broadcast } = yield* Live.Live.use((live) => live.subscribe(ticket))
    const video = yield* broadcast.rendition("video/h264-360p")
    console.log("first frame:", yield* video.next)
  },
  Effect.provide(Layer.fresh(Node.layer))
) // a second endpoint, as if it were another machine

const main = Effect.scoped(Effect.flatMap(publish, watch)).pipe(Effect.provide([Node.layer, NodeServices.layer]))
await Effect.runPromise(main)
