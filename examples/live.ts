/** One node publishes, another one watches by the ticket: the program of a real network, here in a simulated one. */
import assert from "node:assert"
import * as Router from "@effect-live/endpoint/Router"
import { End } from "@effect-live/endpoint/Stream"
import { run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Live from "@effect-live/live/Live"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import type { Import } from "@effect-live/media/Import"
import * as LocalBroadcast from "@effect-live/media/LocalBroadcast"
import { Deferred, Effect, Fiber, Layer, Result, Stream } from "effect"

/** Ten packets of audio, 40 ms each. A file would be `Import.fromFile("film.mp4")`. */
const source: Import = {
  source: "ten packets",
  rewindable: true,
  skipped: [],
  tracks: [{ kind: "audio", name: "audio/opus", codec: "opus", sampleRate: 48_000, numberOfChannels: 2 }],
  samples: Stream.map(Stream.range(0, 9), (index) => ({
    track: "audio/opus",
    ptsUs: index * 40_000,
    key: true,
    data: new Uint8Array([index]),
    durationUs: 40_000
  }))
}

/** Publishes, hands the ticket out as text, and stays until everybody has everything. */
const publisher = (handOut: (text: string) => Effect.Effect<unknown>) =>
  Effect.gen(function* () {
    const live = yield* Live.Live
    const broadcast = yield* LocalBroadcast.fromImport(source, { wait: true })
    const ticket = yield* live.publish("concert", broadcast)
    yield* handOut(LiveTicket.format(ticket))
    yield* broadcast.ended
  })

const viewer = Effect.fnUntraced(function* (text: string) {
  const live = yield* Live.Live
  const { broadcast, paths } = yield* live.subscribe(yield* Effect.fromResult(LiveTicket.parse(text)))
  const rendition = yield* broadcast.rendition("audio/opus")
  const received: Array<number> = []
  for (;;) {
    const event = yield* rendition.next
    if (event === End) break
    if (event._tag === "Sample") received.push(...event.sample.data)
  }
  console.log(`received packets ${received.join(" ")} over a path of ${paths()[0]?.rttMs} ms`)
  return received
})

/** What `Node.layer` is on a real machine. The network gives each node its Endpoint. */
const onNode = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.provide(Effect.scoped(program), Live.layer().pipe(Layer.provide(Router.layer)))

const received = await Effect.runPromise(
  run(
    Effect.gen(function* () {
      const network = yield* SimNetwork
      const ticket = yield* Deferred.make<string>()
      yield* network.spawn("ada", onNode(publisher((text) => Deferred.succeed(ticket, text))))
      const watching = yield* network.spawn("bob", onNode(viewer(yield* Deferred.await(ticket))))
      return yield* Fiber.join(watching)
    }),
    { seed: 7, link: { latencyMs: 25, loss: 0.02 } }
  )
)
assert.deepStrictEqual(received, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
assert.ok(Result.isFailure(LiveTicket.parse("concert")), "a name alone is no ticket")
