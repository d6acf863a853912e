/**
 * From a ticket to the first frame of video, against a bare connect of the endpoint on the same backing; both processes running and
 * warm, on the loopback interface, the two taking turns. Each round has a fresh endpoint, so that nothing is connected before.
 */
import * as Router from "@effect-live/endpoint/Router"
import * as Live from "@effect-live/live/Live"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import * as RemoteBroadcast from "@effect-live/media/RemoteBroadcast"
import { Context, Effect, Layer, Result } from "effect"
import { fileURLToPath } from "node:url"
import { besideBareConnect } from "./BareConnect.ts"
import { program, start } from "./Child.ts"
import { type Backing, endpointOn } from "./Loopback.ts"
import type { Row } from "./Row.ts"

const rounds = 400
const warmUp = 300

const measure = async (backing: Backing): Promise<ReadonlyArray<Row>> => {
  const env = { IROH_BACKING: backing, IROH_RELAY: "disabled", IROH_BIND: "127.0.0.1:0" }
  const sample = fileURLToPath(new URL("../apps/cli/assets/sample.mp4", import.meta.url))
  const publisher = start(program("../apps/cli/src/main.ts", "publish", sample, "--loop", "--no-qr", "--json"), env)
  try {
    const published = await publisher.line<{ readonly ticket: string }>()
    const ticket = Result.getOrThrow(LiveTicket.parse(published.ticket))
    const live = Layer.fresh(Live.layer().pipe(Layer.provide(Router.layer), Layer.provide(endpointOn(backing))))
    const firstFrame = Effect.gen(function* () {
      const { subscribe } = Context.get(yield* Layer.build(live), Live.Live)
      const started = performance.now()
      const { broadcast } = yield* subscribe(ticket)
      const [video] = RemoteBroadcast.ranked(yield* broadcast.ready, "video")
      const rendition = yield* broadcast.rendition(video?.name ?? "")
      yield* rendition.next
      return performance.now() - started
    })
    const { bareMs, ms, ratio } = await besideBareConnect(backing, rounds, warmUp, firstFrame)
    return [
      { what: `ticket to first frame, two warm processes, ${backing}`, value: ms, unit: "ms", reach: "" },
      { what: `a bare connect, ${backing}`, value: bareMs, unit: "ms", reach: "" },
      {
        what: `ticket to first frame / bare connect, ${backing}`,
        value: ratio,
        unit: "",
        reach: backing === "native" ? "below 2.5" : ""
      }
    ]
  } finally {
    publisher.stop()
  }
}

export const run = async (): Promise<ReadonlyArray<Row>> => [
  ...(await measure("native")),
  ...(await measure("number0"))
]

if (import.meta.main) console.table(await run())
