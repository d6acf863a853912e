/**
 * One moq track over real iroh against the bare binding moving the same bytes, two processes on the loopback interface, the two
 * taking turns.
 */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import * as Router from "@effect-live/endpoint/Router"
import { Blocked, End } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as Moq from "@effect-live/moq/Moq"
import * as binding from "@number0/iroh"
import { Effect, Layer, Result } from "effect"
import type { Row } from "./Row.ts"

const rounds = 11
const groups = 64
const framesPerGroup = 60
const frameBytes = 4096
const totalBytes = groups * framesPerGroup * frameBytes
const chunkBytes = 65_536

const start = async (program: string, args: ReadonlyArray<string>) => {
  const file = fileURLToPath(new URL(program, import.meta.url))
  const child = spawn(process.execPath, ["--conditions=@effect-live/source", file, ...args], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const first = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
  if (first.done === true) throw new Error(`${program} did not start`)
  const target: { readonly id: string; readonly addr: string } = JSON.parse(first.value)
  return { child, target }
}

const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
const layer = Moq.layer().pipe(
  Layer.provideMerge(Router.layer),
  Layer.provide(Iroh.layer({ bindAddrs, relayMode: "disabled" })),
  Layer.provide(AddressBook.layer)
)

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const publisher = await start("track-child.ts", [groups, framesPerGroup, frameBytes].map(String))
  const receiver = await start("iroh-child.ts", ["bare"])
  const builder = binding.Endpoint.builder()
  binding.presetMinimal(builder)
  builder.relayMode(binding.RelayMode.disabled())
  builder.bindAddr("127.0.0.1:0")
  const endpoint = await builder.bind()
  try {
    const connection = await endpoint.connect(
      new binding.EndpointAddr(binding.EndpointId.fromString(receiver.target.id), null, [receiver.target.addr]),
      [...new TextEncoder().encode("effect-live/bench")]
    )
    // Made beforehand: what the binding does is measured, not what a caller pays to prepare for it.
    const chunk = Array.from<number>({ length: chunkBytes }).fill(7)
    const bare = async () => {
      const started = performance.now()
      const stream = await connection.openUni()
      for (let sent = 0; sent < totalBytes; sent += chunkBytes) await stream.writeAll(chunk)
      await stream.finish()
      await (await connection.acceptUni()).read(1)
      return totalBytes / 1000 / (performance.now() - started)
    }
    const measured = Effect.gen(function* () {
      const moq = yield* Moq.Moq
      const id = Result.getOrThrow(EndpointId.parse(publisher.target.id))
      const addr = EndpointAddr.make(id, [Result.getOrThrow(TransportAddr.parseIp(publisher.target.addr))])
      const session = yield* moq.connect(addr)
      const track = Effect.gen(function* () {
        const started = performance.now()
        const consumer = yield* session.consume("bulk").subscribe("data", { start: 0 })
        let bytes = 0
        while (bytes < totalBytes) {
          const next = yield* consumer.next
          if (next === End || "_tag" in next) return yield* Effect.die(new Error("a group was lost"))
          for (;;) {
            const frame = next.tryRead()
            if (frame === End) break
            if (frame === Blocked) yield* next.readable
            else if (frame instanceof Uint8Array) bytes += frame.length
            else return yield* frame
          }
        }
        return totalBytes / 1000 / (performance.now() - started)
      })
      const rates: Array<readonly [number, number]> = []
      for (let round = 0; round <= rounds; round++) {
        const pair = [yield* Effect.scoped(track), yield* Effect.promise(bare)] as const
        if (round > 0) rates.push(pair)
      }
      return rates
    })
    const rates = await Effect.runPromise(Effect.scoped(measured).pipe(Effect.provide(layer)))
    const [ours, theirs] = [median(rates.map(([rate]) => rate)), median(rates.map(([, rate]) => rate))]
    return [
      { what: "one track over iroh, two processes", value: ours, unit: "MB/s", reach: "" },
      { what: "the bare binding, same bytes", value: theirs, unit: "MB/s", reach: "" },
      {
        what: "track / bare binding",
        value: median(rates.map(([rate, other]) => rate / other)),
        unit: "",
        reach: "0.9"
      }
    ]
  } finally {
    await endpoint.close()
    publisher.child.kill()
    receiver.child.kill()
  }
}

if (import.meta.main) console.table(await run())
