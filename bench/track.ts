/**
 * One moq track over real iroh, end to end: frames of 4 kB in groups of 60 from one process to another on the loopback interface, on
 * both backings in turn. The processor time is that of both processes.
 */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import * as Router from "@effect-live/endpoint/Router"
import { Blocked, End } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as Moq from "@effect-live/moq/Moq"
import { Context, Effect, Exit, Layer, Result, Scope } from "effect"
import { median, program, start } from "./Child.ts"
import type { Row } from "./Row.ts"

/** All groups fit into what a track keeps, or the first would be gone before they are asked for. */
const framesPerGroup = 60
const frameBytes = 4096
const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
const sides = {
  native: { layer: Iroh.layerNative, groups: 100, rounds: 7 },
  number0: { layer: Iroh.layerNumber0, groups: 20, rounds: 3 }
} as const

interface Measured {
  readonly rate: number
  readonly cpuUs: number
}

/** A subscriber in this process, and how it measures one subscription. */
const subscriber = async (backing: keyof typeof sides) => {
  const { groups, layer } = sides[backing]
  const total = groups * framesPerGroup
  const publisher = start(program("track-child.ts", "stored", groups, framesPerGroup, frameBytes), {
    IROH_BACKING: backing
  })
  const target = await publisher.line<{ readonly id: string; readonly addr: string }>()
  const scope = await Effect.runPromise(Scope.make())
  const services = Layer.fresh(
    Moq.layer().pipe(
      Layer.provide(Router.layer),
      Layer.provide(layer({ bindAddrs, relayMode: "disabled" })),
      Layer.provide(AddressBook.layer)
    )
  )
  const moq = Context.get(await Effect.runPromise(Layer.buildWithScope(services, scope)), Moq.Moq)
  const id = Result.getOrThrow(EndpointId.parse(target.id))
  const addr = EndpointAddr.make(id, [Result.getOrThrow(TransportAddr.parseIp(target.addr))])
  const session = await Effect.runPromise(Scope.provide(moq.connect(addr), scope))

  const cpuMs = async () => {
    publisher.tell("")
    const theirs = await publisher.line<{ readonly cpuMs: number }>()
    const { system, user } = process.cpuUsage()
    return theirs.cpuMs + (user + system) / 1000
  }
  const read = Effect.gen(function* () {
    const consumer = yield* session.consume("bulk").subscribe("data", { start: 0 })
    let frames = 0
    while (frames < total) {
      const next = yield* consumer.next
      if (next === End || "_tag" in next) return yield* Effect.die(new Error("a group was lost"))
      for (;;) {
        const frame = next.tryRead()
        if (frame === End) break
        if (frame === Blocked) yield* next.readable
        else if (frame instanceof Uint8Array) frames++
        else return yield* frame
      }
    }
  })
  const once = async (): Promise<Measured> => {
    const before = await cpuMs()
    const started = performance.now()
    await Effect.runPromise(Effect.scoped(read))
    const ms = performance.now() - started
    return { rate: (total / ms) * 1000, cpuUs: (((await cpuMs()) - before) * 1000) / total }
  }
  const stop = async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    publisher.stop()
  }
  return { once, stop }
}

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const rows: Array<Row> = []
  for (const backing of ["native", "number0"] as const) {
    const { once, stop } = await subscriber(backing)
    const all: Array<Measured> = []
    for (let round = 0; round <= sides[backing].rounds; round++) {
      const measured = await once()
      if (round > 0) all.push(measured)
    }
    await stop()
    const what = `track: 4 kB frames in groups of 60, two processes, ${backing}`
    rows.push({ what, value: median(all.map(({ rate }) => rate)), unit: "frames/s", reach: "" })
    rows.push({ what: `${what}, both`, value: median(all.map(({ cpuUs }) => cpuUs)), unit: "CPU us/frame", reach: "" })
  }
  return rows
}

if (import.meta.main) console.table(await run())
