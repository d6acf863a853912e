/**
 * Churn over simulated networks: `npm run soak -- [--seeds A,B,...] [--count N] [--hours H] [--nodes N] [--json]`. Without
 * options 1,000 seeds of eight nodes with thirty virtual seconds of churn each; with `--hours` one run of so many virtual hours
 * over twenty nodes. The first seed that fails is printed with the command that replays it, and ends the run with 1.
 */
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { type Counts, type Options, type Outcome, run } from "../packages/moq/test/soak.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    count: { type: "string", default: "1000" },
    hours: { type: "string" },
    nodes: { type: "string" },
    json: { type: "boolean", default: false }
  }
})

const number = (name: string, text: string): number => {
  const value = Number(text)
  if (Number.isFinite(value) && value >= 0) return value
  console.error(`--${name} ${text}: not a number`)
  process.exit(2)
}

const hours = values.hours === undefined ? undefined : number("hours", values.hours)
const nodes = number("nodes", values.nodes ?? (hours === undefined ? "8" : "20"))
const churnMs = hours === undefined ? 30_000 : hours * 3_600_000
const seeds =
  values.seeds === undefined
    ? Array.from({ length: hours === undefined ? number("count", values.count) : 1 }, (_, seed) => seed)
    : values.seeds.split(",").map((seed) => number("seeds", seed))

const replay = ({ seed }: Options): string =>
  ["npm run soak -- --seeds", seed, ...(hours === undefined ? [] : ["--hours", hours]), "--nodes", nodes].join(" ")

/** Sums of what is counted, and of the maps inside. */
const add = (sums: Record<string, unknown>, counts: Readonly<Record<string, unknown>>): void => {
  for (const [key, value] of Object.entries(counts)) {
    if (typeof value === "number") sums[key] = Number(sums[key] ?? 0) + value
    else if (typeof value === "object" && value !== null)
      add((sums[key] ??= {}) as Record<string, unknown>, { ...value })
  }
}

const sums: Record<string, unknown> = {}
const startMs = performance.now()
let virtualMs = 0
let done = 0

const say = (line: string): void => {
  if (!values.json) console.log(line)
}
const tell = (event: string, fields: Readonly<Record<string, unknown>>): void => {
  if (values.json) console.log(JSON.stringify({ event, ...fields }))
}

/** Of the one long run. */
const progress = (virtualMs: number): void => {
  const minutes = Math.round(virtualMs / 60_000)
  if (hours === undefined || minutes % 10 !== 0) return
  const wallMs = Math.round(performance.now() - startMs)
  tell("progress", { virtualMs, wallMs })
  say(`${minutes} virtual minutes after ${(wallMs / 1000).toFixed(0)} s`)
}

const failed = (outcome: Outcome): void => {
  tell("failed", { ...outcome, replay: replay(outcome.options) })
  say(
    `seed ${outcome.options.seed} fails:\n  ${outcome.faults.join("\n  ")}\nreplay it with ${replay(outcome.options)}`
  )
  process.exitCode = 1
}

for (const seed of seeds) {
  const outcome = await Effect.runPromise(run({ seed, nodes, churnMs, progress }))
  const { counts, digest, faults, steps } = outcome
  done++
  virtualMs += outcome.virtualMs
  add(sums, counts satisfies Counts as unknown as Record<string, unknown>)
  tell("seed", { seed, digest, steps, virtualMs: outcome.virtualMs, counts })
  if (faults.length > 0) {
    failed(outcome)
    break
  }
  if (done % 20 === 0 || done === seeds.length) {
    const seconds = (performance.now() - startMs) / 1000
    say(
      `${done} of ${seeds.length} seeds clean after ${seconds.toFixed(0)} s: ${(virtualMs / 3_600_000).toFixed(1)} virtual hours`
    )
  }
}

const wallMs = Math.round(performance.now() - startMs)
tell("done", { seeds: done, failed: process.exitCode === 1, virtualMs, wallMs, nodes, counts: sums })
say(JSON.stringify(sums))
