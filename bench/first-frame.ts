/**
 * From a ticket to the first frame of video, against a bare connect of the binding; both processes running and warm, on the
 * loopback interface, the two taking turns. Each round has a fresh endpoint, so that nothing is connected before.
 */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import * as Router from "@effect-live/endpoint/Router"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as Live from "@effect-live/live/Live"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import * as RemoteBroadcast from "@effect-live/media/RemoteBroadcast"
import * as binding from "@number0/iroh"
import { Context, Effect, Layer, Result } from "effect"
import type { Row } from "./Row.ts"

const rounds = 400
const warmUp = 300

const start = async (program: string, args: ReadonlyArray<string>) => {
  const file = fileURLToPath(new URL(program, import.meta.url))
  const child = spawn(process.execPath, ["--conditions=@effect-live/source", file, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, IROH_RELAY: "disabled", IROH_BIND: "127.0.0.1:0" }
  })
  const first = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
  if (first.done === true) throw new Error(`${program} did not start`)
  const line: { readonly ticket: string; readonly id: string; readonly addr: string } = JSON.parse(first.value)
  return { child, line }
}

const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
const layer = Layer.fresh(
  Live.layer().pipe(
    Layer.provide(Router.layer),
    Layer.provide(Iroh.layer({ bindAddrs, relayMode: "disabled" })),
    Layer.provide(AddressBook.layer)
  )
)

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const sample = fileURLToPath(new URL("../apps/cli/assets/sample.mp4", import.meta.url))
  const publisher = await start("../apps/cli/src/main.ts", ["publish", sample, "--loop", "--no-qr", "--json"])
  const acceptor = await start("iroh-child.ts", ["bare"])
  try {
    const ticket = Result.getOrThrow(LiveTicket.parse(publisher.line.ticket))
    const protocol = [...new TextEncoder().encode("effect-live/bench")]

    const firstFrame = Effect.scoped(
      Effect.gen(function* () {
        const live = Context.get(yield* Layer.build(layer), Live.Live)
        const started = performance.now()
        const { broadcast } = yield* live.subscribe(ticket)
        const [video] = RemoteBroadcast.ranked(yield* broadcast.ready, "video")
        const rendition = yield* broadcast.rendition(video?.name ?? "")
        yield* rendition.next
        return performance.now() - started
      })
    )
    const bareConnect = async () => {
      const builder = binding.Endpoint.builder()
      binding.presetMinimal(builder)
      builder.relayMode(binding.RelayMode.disabled())
      builder.bindAddr("127.0.0.1:0")
      const endpoint = await builder.bind()
      const addr = new binding.EndpointAddr(binding.EndpointId.fromString(acceptor.line.id), null, [acceptor.line.addr])
      const started = performance.now()
      await endpoint.connect(addr, protocol)
      const took = performance.now() - started
      await endpoint.close()
      return took
    }
    const times: Array<readonly [number, number]> = []
    for (let round = 0; round < rounds; round++) times.push([await Effect.runPromise(firstFrame), await bareConnect()])
    const kept = times.slice(warmUp)
    const [ours, bare] = [median(kept.map(([time]) => time)), median(kept.map(([, time]) => time))]
    return [
      { what: "ticket to first frame, two warm processes", value: ours, unit: "ms", reach: "" },
      { what: "a bare connect of the binding", value: bare, unit: "ms", reach: "" },
      { what: "ticket to first frame / bare connect", value: ours / bare, unit: "", reach: "at most 4" }
    ]
  } finally {
    publisher.child.kill()
    acceptor.child.kill()
  }
}

if (import.meta.main) console.table(await run())
