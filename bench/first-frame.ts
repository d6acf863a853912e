/**
 * From a ticket to the first frame of video, against a bare connect of the endpoint on the same backing; both processes running and
 * warm, on the loopback interface, the two taking turns. Each round has a fresh endpoint, so that nothing is connected before.
 */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import * as Router from "@effect-live/endpoint/Router"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as Live from "@effect-live/live/Live"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import * as RemoteBroadcast from "@effect-live/media/RemoteBroadcast"
import { Context, Effect, Layer, Result } from "effect"
import { fileURLToPath } from "node:url"
import { median, program, start } from "./Child.ts"
import type { Row } from "./Row.ts"

const rounds = 400
const warmUp = 300
const alpn = "effect-live/bench"
const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
const layers = { native: Iroh.layerNative, number0: Iroh.layerNumber0 }

const measure = async (backing: keyof typeof layers): Promise<ReadonlyArray<Row>> => {
  const env = { IROH_BACKING: backing, IROH_RELAY: "disabled", IROH_BIND: "127.0.0.1:0" }
  const sample = fileURLToPath(new URL("../apps/cli/assets/sample.mp4", import.meta.url))
  const publisher = start(program("../apps/cli/src/main.ts", "publish", sample, "--loop", "--no-qr", "--json"), env)
  const acceptor = start(program("transport-child.ts", backing, "accept"), env)
  try {
    const published = await publisher.line<{ readonly ticket: string }>()
    const ticket = Result.getOrThrow(LiveTicket.parse(published.ticket))
    const accepting = await acceptor.line<{ readonly id: string; readonly addr: string }>()
    const target = EndpointAddr.make(Result.getOrThrow(EndpointId.parse(accepting.id)), [
      Result.getOrThrow(TransportAddr.parseIp(accepting.addr))
    ])
    const endpoint = Layer.fresh(
      layers[backing]({ bindAddrs, relayMode: "disabled" }).pipe(Layer.provide(AddressBook.layer))
    )
    const live = Layer.fresh(Live.layer().pipe(Layer.provide(Router.layer), Layer.provide(endpoint)))

    const firstFrame = Effect.gen(function* () {
      const { subscribe } = Context.get(yield* Layer.build(live), Live.Live)
      const started = performance.now()
      const { broadcast } = yield* subscribe(ticket)
      const [video] = RemoteBroadcast.ranked(yield* broadcast.ready, "video")
      const rendition = yield* broadcast.rendition(video?.name ?? "")
      yield* rendition.next
      return performance.now() - started
    })
    const connect = Effect.gen(function* () {
      const dialer = Context.get(yield* Layer.build(endpoint), Endpoint)
      const started = performance.now()
      yield* dialer.connect(target, [alpn])
      return performance.now() - started
    })
    const times: Array<readonly [number, number]> = []
    for (let round = 0; round < rounds; round++) {
      const pair = Effect.all([Effect.scoped(firstFrame), Effect.scoped(connect)])
      times.push(await Effect.runPromise(pair))
    }
    const kept = times.slice(warmUp)
    const [frame, bare] = [median(kept.map(([time]) => time)), median(kept.map(([, time]) => time))]
    return [
      { what: `ticket to first frame, two warm processes, ${backing}`, value: frame, unit: "ms", reach: "" },
      { what: `a bare connect, ${backing}`, value: bare, unit: "ms", reach: "" },
      {
        what: `ticket to first frame / bare connect, ${backing}`,
        value: median(kept.map(([time, bare]) => time / bare)),
        unit: "",
        reach: backing === "native" ? "below 2.5" : ""
      }
    ]
  } finally {
    publisher.stop()
    acceptor.stop()
  }
}

export const run = async (): Promise<ReadonlyArray<Row>> => [
  ...(await measure("native")),
  ...(await measure("number0"))
]

if (import.meta.main) console.table(await run())
