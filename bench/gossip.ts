/**
 * Gossip over real connections on the loopback interface, on the addon, which must be built (`npm run build:native`): how long it takes
 * to join, against a bare connect; and messages through a chain of three processes, against three Rust peers in the same run
 * (`cargo build --release --package interop-gossip-peer`; left out where they are missing).
 */
import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Router from "@effect-live/endpoint/Router"
import * as Gossip from "@effect-live/gossip/Gossip"
import * as TopicId from "@effect-live/gossip/TopicId"
import { Context, Effect, Layer, Result } from "effect"
import { besideBareConnect } from "./BareConnect.ts"
import { type Child, median, program, start } from "./Child.ts"
import { addrOf, endpointOn } from "./Loopback.ts"
import type { Row } from "./Row.ts"

const rust = fileURLToPath(new URL("../target/release/interop-gossip-peer", import.meta.url))

type Side = "native" | "rust"
const commands: { readonly [side in Side]: ReadonlyArray<string> } = {
  native: program("../interop/gossip-member.ts"),
  rust: [rust]
}
const env = { IROH_BACKING: "native" }

/** What both kinds of member say: `interop/gossip-member.ts` and `interop/gossip-peer`. */
interface Line {
  readonly event: string
  readonly id: string
  readonly addrs: ReadonlyArray<string>
  readonly peer: string
  readonly ms: number
  readonly cpuMs: number
}

const until = async (child: Child, event: string): Promise<Line> => {
  for (;;) {
    const line = await child.line<Line>()
    if (line.event === event) return line
    if (line.event === "lagged") throw new Error("messages were lost")
  }
}

const newTopic = (): TopicId.TopicId => Result.getOrThrow(TopicId.fromBytes(randomBytes(32)))

// ---- joining

const joins = 200
const warmUp = 150

const joining = async (): Promise<ReadonlyArray<Row>> => {
  const topic = newTopic()
  const host = start([...commands.native, "--topic", topic], env)
  try {
    const { addrs, id } = await until(host, "ready")
    const bootstrap = addrOf({ id, addr: addrs[0]?.split("@")[1] ?? "" })
    const gossip = Layer.fresh(Gossip.layer().pipe(Layer.provide(Router.layer), Layer.provide(endpointOn("native"))))
    const join = Effect.gen(function* () {
      const { subscribe } = Context.get(yield* Layer.build(gossip), Gossip.Gossip)
      const started = performance.now()
      const { joined } = yield* subscribe(topic, [bootstrap])
      yield* joined
      return performance.now() - started
    })
    const { bareMs, ms, ratio } = await besideBareConnect("native", joins, warmUp, join)
    return [
      { what: "gossip: join to first neighbor", value: ms, unit: "ms", reach: "" },
      { what: "gossip: a bare connect", value: bareMs, unit: "ms", reach: "" },
      { what: "gossip: join to first neighbor / bare connect", value: ratio, unit: "", reach: "below 3" }
    ]
  } finally {
    host.stop()
  }
}

// ---- a chain

const rounds = 3
const messages = 100_000
const contentBytes = 200

interface Measured {
  readonly rate: number
  /** Of the last one in the chain. */
  readonly cpu: number
}

/**
 * From the first through the second to the third. The first one is on IPv4 only and the third on IPv6 only, so that they cannot be
 * neighbors, although they hear of each other.
 */
const chain = async (side: Side): Promise<Measured> => {
  const topic = newTopic()
  const children: Array<Child> = []
  const join = async (...args: ReadonlyArray<string>): Promise<{ readonly child: Child; readonly ready: Line }> => {
    const child = start([...commands[side], "--topic", topic, ...args], env)
    children.push(child)
    return { child, ready: await until(child, "ready") }
  }
  try {
    const counting = ["--count", String(messages)]
    const middle = await join("--bind", "127.0.0.1:0", "--bind", "[::1]:0", ...counting)
    const [v4 = "", v6 = ""] = middle.ready.addrs.toSorted((a, b) => Number(a.includes("[")) - Number(b.includes("[")))
    const first = await join("--bind", "127.0.0.1:0", "--bootstrap", v4)
    await until(first.child, "neighborUp")
    const last = await join("--bind", "[::1]:0", "--bootstrap", v6, ...counting)
    await until(last.child, "neighborUp")
    first.child.tell(`burst ${messages} ${contentBytes}`)
    const [{ cpuMs, ms }] = await Promise.all([until(last.child, "counted"), until(middle.child, "counted")])
    return { rate: (messages / ms) * 1000, cpu: cpuMs / 1000 / (messages / 1e6) }
  } finally {
    for (const child of children) child.stop()
  }
}

const chains = async (): Promise<ReadonlyArray<Row>> => {
  const sides: ReadonlyArray<Side> = existsSync(rust) ? ["native", "rust"] : ["native"]
  const all: { readonly [side in Side]: Array<Measured> } = { native: [], rust: [] }
  for (let round = 0; round < rounds; round++) for (const side of sides) all[side].push(await chain(side))
  const what = `gossip: ${contentBytes} bytes through three processes`
  const rows: Array<Row> = []
  for (const side of sides) {
    const of = (key: keyof Measured) => median(all[side].map((measured) => measured[key]))
    rows.push({ what: `${what}, ${side}`, value: of("rate"), unit: "messages/s", reach: "" })
    rows.push({ what: `${what}, ${side}, the last`, value: of("cpu"), unit: "CPU s per million messages", reach: "" })
  }
  // Of the rounds of one turn: what else the machine does hits both.
  const ratios = all.rust.map(({ rate }, round) => (all.native[round]?.rate ?? 0) / rate)
  if (ratios.length > 0) rows.push({ what: `${what}, native / rust`, value: median(ratios), unit: "", reach: "0.5" })
  return rows
}

export const run = async (): Promise<ReadonlyArray<Row>> => [...(await joining()), ...(await chains())]

if (import.meta.main) console.table(await run())
