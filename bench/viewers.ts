/**
 * What a publisher pays for its viewers: one broadcast of 2.5 Mbit/s, 30 frames a second, and 60 viewers with an endpoint each, in two
 * processes on the loopback interface, on the addon. The processor time is that of the publisher.
 */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import * as Router from "@effect-live/endpoint/Router"
import { Blocked, End } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as Moq from "@effect-live/moq/Moq"
import { Context, Effect, Layer, Result } from "effect"
import { program, start } from "./Child.ts"
import type { Row } from "./Row.ts"

const viewers = 60
const fps = 30
const frameBytes = Math.round(2_500_000 / 8 / fps)
const seconds = 10

const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
const layer = () =>
  Layer.fresh(
    Moq.layer().pipe(
      Layer.provide(Router.layer),
      Layer.provide(Iroh.layerNative({ bindAddrs, relayMode: "disabled" })),
      Layer.provide(AddressBook.layer)
    )
  )

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const publisher = start(program("track-child.ts", "live", 60, frameBytes, fps), { IROH_BACKING: "native" })
  try {
    const target = await publisher.line<{ readonly id: string; readonly addr: string }>()
    const id = Result.getOrThrow(EndpointId.parse(target.id))
    const addr = EndpointAddr.make(id, [Result.getOrThrow(TransportAddr.parseIp(target.addr))])
    let frames = 0
    const viewer = Effect.gen(function* () {
      const moq = Context.get(yield* Layer.build(layer()), Moq.Moq)
      const session = yield* moq.connect(addr)
      const consumer = yield* session.consume("bulk").subscribe("data")
      for (;;) {
        const next = yield* consumer.next
        if (next === End) return
        if ("_tag" in next) continue
        for (;;) {
          const frame = next.tryRead()
          if (frame === End) break
          if (frame === Blocked) yield* next.readable
          else if (frame instanceof Uint8Array) frames++
          else break
        }
      }
    })
    const cpuMs = Effect.promise(async () => {
      publisher.tell("")
      return (await publisher.line<{ readonly cpuMs: number }>()).cpuMs
    })
    const measured = Effect.gen(function* () {
      for (let i = 0; i < viewers; i++) yield* Effect.forkScoped(viewer)
      yield* Effect.sleep("3 seconds") // everybody is there, and the code is warm
      const [before, started, framesBefore] = [yield* cpuMs, performance.now(), frames]
      yield* Effect.sleep(`${seconds} seconds`)
      const ms = performance.now() - started
      return { cpu: ((yield* cpuMs) - before) / ms, fps: ((frames - framesBefore) * 1000) / ms / viewers }
    })
    const { cpu, fps } = await Effect.runPromise(Effect.scoped(measured))
    const what = `viewers: ${viewers} at 2.5 Mbit/s from one publisher`
    return [
      { what: `${what}, of a core`, value: cpu * 100, unit: "%", reach: "below 15" },
      { what: `${what}, frames that each gets`, value: fps, unit: "/s", reach: "30" }
    ]
  } finally {
    publisher.stop()
  }
}

if (import.meta.main) console.table(await run())
