/**
 * One moq track over real iroh, end to end: frames of 4 kB in groups of 60 from one process to another on the loopback interface, on
 * both backings, and by the moq-lite crate in Rust on the same path, taking turns. The processor time is that of both processes.
 * The Rust side is `cargo build --release --package interop-peer`; where it is missing, it is left out.
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
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { type Child, median, program, start } from "./Child.ts"
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

const rust = fileURLToPath(new URL("../target/release/interop-peer", import.meta.url))
const rustGroups = 500

/** Processor time of a process so far, in the ticks of 10 ms that Linux tells. Behind its name they are fields 12 and 13. */
const cpuMsOf = ({ pid }: Child): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** The same in Rust: two new processes each time, whose start is in the processor time and not in the rate. */
const rustOnce = async (): Promise<Measured> => {
  const plan = ["--groups", rustGroups, "--frames", framesPerGroup, "--bytes", frameBytes, "--interval-ms", 0].map(
    String
  )
  const publisher = start([rust, "publish", "--wait", "--zeros", ...plan])
  try {
    const { addr } = await publisher.line<{ readonly addr: string }>()
    const reader = start([rust, "--dial", addr, "subscribe", "--count"])
    try {
      for (;;) {
        const said = await reader.line<{ readonly event: string; readonly frames: number; readonly ms: number }>()
        if (said.event !== "counted") continue
        if (said.frames !== rustGroups * framesPerGroup) throw new Error(`${said.frames} frames came`)
        const cpuMs = cpuMsOf(publisher) + cpuMsOf(reader)
        return { rate: (said.frames / said.ms) * 1000, cpuUs: (cpuMs * 1000) / said.frames }
      }
    } finally {
      reader.stop()
    }
  } finally {
    publisher.stop()
  }
}

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const rows: Array<Row> = []
  const tell = (side: string, all: ReadonlyArray<Measured>) => {
    const what = `track: 4 kB frames in groups of 60, two processes, ${side}`
    rows.push({ what, value: median(all.map(({ rate }) => rate)), unit: "frames/s", reach: "" })
    rows.push({ what: `${what}, both`, value: median(all.map(({ cpuUs }) => cpuUs)), unit: "CPU us/frame", reach: "" })
  }
  for (const backing of ["native", "number0"] as const) {
    const { once, stop } = await subscriber(backing)
    const beside = backing === "native" && existsSync(rust)
    const all: Array<Measured> = []
    const theirs: Array<Measured> = []
    for (let round = 0; round <= sides[backing].rounds; round++) {
      const measured = await once()
      if (round === 0) continue // the code is cold
      all.push(measured)
      if (beside) theirs.push(await rustOnce())
    }
    await stop()
    tell(backing, all)
    if (!beside) continue
    tell("moq-lite in Rust", theirs)
    // Of the rounds of one turn: what else the machine does hits both.
    const ratio = (of: (measured: Measured, other: Measured) => number) =>
      median(all.flatMap((measured, round) => theirs.slice(round, round + 1).map((other) => of(measured, other))))
    const what = "track: 4 kB frames in groups of 60, native / moq-lite in Rust"
    rows.push({ what, value: ratio((our, their) => our.rate / their.rate), unit: "", reach: "0.5" })
    rows.push({ what: `${what}, CPU`, value: ratio((our, their) => our.cpuUs / their.cpuUs), unit: "", reach: "" })
  }
  return rows
}

if (import.meta.main) console.table(await run())
