/**
 * The transport on its own, through the Endpoint contract, on both backings, with plain Rust doing the same on the same wire
 * beside it: server and client in a process each, on the loopback interface, all taking turns. The addon must be built
 * (`npm run build:native`), and the Rust side with `cargo build --release --package bench-rust`; what is missing is left out.
 */
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { median, program, start } from "./Child.ts"
import type { Row } from "./Row.ts"

const rounds = 5
const rust = fileURLToPath(new URL("../target/release/bench-rust", import.meta.url))

type Side = "native" | "number0" | "rust"
const commands: { readonly [side in Side]: ReadonlyArray<string> } = {
  native: program("transport-child.ts", "native"),
  number0: program("transport-child.ts", "number0"),
  rust: [rust]
}

interface Load {
  readonly mode: "bulk" | "groups" | "frames"
  readonly what: string
  readonly unit: string
  /** What takes about a second: MiB, streams of 30 frames, streams of one frame. */
  readonly amounts: { readonly [side in Side]: number }
  /** What the addon should reach, by itself and of the other two. */
  readonly reach: { readonly rust: number; readonly number0?: number }
}

const loads: ReadonlyArray<Load> = [
  {
    mode: "bulk",
    what: "one stream, 64 KiB writes",
    unit: "MB/s",
    amounts: { native: 512, number0: 8, rust: 512 },
    reach: { rust: 0.9, number0: 40 }
  },
  {
    mode: "groups",
    what: "frames of 1 to 4 KiB, 30 per stream",
    unit: "frames/s",
    amounts: { native: 3000, number0: 80, rust: 4000 },
    reach: { rust: 0.6 }
  },
  {
    mode: "frames",
    what: "frames of 1 to 4 KiB, one per stream",
    unit: "frames/s",
    amounts: { native: 50_000, number0: 2000, rust: 60_000 },
    reach: { rust: 0.4 }
  }
]

/** What a side says when it is done. */
interface Report {
  readonly frames: number
  readonly bytes: number
  readonly ms: number
  readonly cpuMs: number
}

interface Measured {
  readonly rate: number
  /** Processor seconds for a GB, or for a million frames. */
  readonly sendCpu: number
  readonly receiveCpu: number
}

const once = async (side: Side, { amounts, mode }: Load): Promise<Measured> => {
  const server = start([...commands[side], "server", mode, String(amounts[side])])
  try {
    const { addr, id } = await server.line<{ readonly id: string; readonly addr: string }>()
    const client = start([...commands[side], "client", mode, String(amounts[side]), id, addr])
    try {
      const [received, sent] = await Promise.all([server.line<Report>(), client.line<Report>()])
      const [count, cpuUnit, rateUnit] = mode === "bulk" ? [received.bytes, 1e9, 1e6] : [received.frames, 1e6, 1]
      const cpu = ({ cpuMs }: Report) => ((cpuMs / 1000) * cpuUnit) / count
      return { rate: (count / received.ms) * (1000 / rateUnit), sendCpu: cpu(sent), receiveCpu: cpu(received) }
    } finally {
      client.stop()
    }
  } finally {
    server.stop()
  }
}

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const sides: ReadonlyArray<Side> = existsSync(rust) ? ["native", "number0", "rust"] : ["native", "number0"]
  const rows: Array<Row> = []
  for (const load of loads) {
    const all: { readonly [side in Side]: Array<Measured> } = { native: [], number0: [], rust: [] }
    for (let round = 0; round < rounds; round++) for (const side of sides) all[side].push(await once(side, load))
    const [what, unit] = [`transport: ${load.what}`, load.unit]
    for (const side of sides) {
      const of = (key: keyof Measured) => median(all[side].map((measured) => measured[key]))
      rows.push({ what: `${what}, ${side}`, value: of("rate"), unit, reach: "" })
      const cpuUnit = load.mode === "bulk" ? "CPU s/GB" : "CPU s per million frames"
      rows.push({ what: `${what}, ${side}, sending`, value: of("sendCpu"), unit: cpuUnit, reach: "" })
      rows.push({ what: `${what}, ${side}, receiving`, value: of("receiveCpu"), unit: cpuUnit, reach: "" })
    }
    // Of the rounds of one turn: what else the machine does hits both.
    for (const [other, reach] of Object.entries(load.reach) as ReadonlyArray<["rust" | "number0", number]>) {
      const ratios = all[other].map(({ rate }, round) => (all.native[round]?.rate ?? 0) / rate)
      if (ratios.length > 0) {
        rows.push({ what: `${what}, native / ${other}`, value: median(ratios), unit: "", reach: String(reach) })
      }
    }
  }
  return rows
}

if (import.meta.main) console.table(await run())
