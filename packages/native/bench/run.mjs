/**
 * Plain Rust, the bare addon and `@number0/iroh` in turn, server and client in a process each, and the table of
 * `packages/native/README.md` in the end. It needs the addon and `cargo build --release --package bench-rust`.
 *
 *     node packages/native/bench/run.mjs [rounds]
 */
import { spawn } from "node:child_process"
import path from "node:path"
import { createInterface } from "node:readline"

const root = path.join(import.meta.dirname, "../../..")
const rust = path.join(root, "target/release/bench-rust")
const bare = path.join(import.meta.dirname, "bare.mjs")
const commands = {
  rust: [rust],
  native: [process.execPath, bare, "native"],
  number0: [process.execPath, bare, "number0"]
}
// Amounts that take about a second each.
const loads = [
  { mode: "bulk", unit: "MB/s", amounts: { rust: 512, native: 512, number0: 8 } },
  { mode: "groups", unit: "frames/s", amounts: { rust: 4000, native: 4000, number0: 100 } },
  { mode: "frames", unit: "frames/s", amounts: { rust: 60000, native: 60000, number0: 2000 } }
]

// `@number0/iroh` is announced by a warning about its package.
const env = { ...process.env, NODE_NO_WARNINGS: "1" }

const start = (command, args) => {
  const [file, ...first] = command
  const child = spawn(file, [...first, ...args], { stdio: ["ignore", "pipe", "inherit"], env })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`${command.join(" ")} ${args.join(" ")} ended early`)
    return JSON.parse(value)
  }
  return { line }
}

const once = async (command, mode, amount) => {
  const server = start(command, ["server", mode, String(amount)])
  const { id, addr } = await server.line()
  const client = start(command, ["client", mode, String(amount), id, addr])
  const [received, sent] = await Promise.all([server.line(), client.line()])
  const rate = mode === "bulk" ? received.bytes / received.ms / 1000 : (received.frames / received.ms) * 1000
  const perUnit = mode === "bulk" ? 1e9 / received.bytes : 1e6 / received.frames
  return { rate, sendCpu: (sent.cpuMs * perUnit) / 1000, receiveCpu: (received.cpuMs * perUnit) / 1000 }
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]

const rounds = Number(process.argv[2] ?? 5)
for (const { mode, unit, amounts } of loads) {
  const results = {}
  for (let round = 0; round < rounds; round++) {
    for (const [name, command] of Object.entries(commands)) {
      const result = await once(command, mode, amounts[name])
      ;(results[name] ??= []).push(result)
    }
  }
  for (const [name, all] of Object.entries(results)) {
    const of = (key) => median(all.map((result) => result[key]))
    const cpu = mode === "bulk" ? "cpuSecondsPerGB" : "cpuSecondsPerMillionFrames"
    const spread = all.map(({ rate }) => Math.round(rate)).toSorted((a, b) => a - b)
    const line = {
      mode,
      name,
      unit,
      median: of("rate"),
      all: spread,
      [cpu]: { send: of("sendCpu"), receive: of("receiveCpu") }
    }
    process.stdout.write(`${JSON.stringify(line)}\n`)
  }
}
