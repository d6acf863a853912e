/**
 * Runs the measurements and prints one table with the machine they ran on: `npm run bench` for all, `npm run bench -- actors
 * iroh` for some, `--json` for one object per line. Ratios against a peer are taken in the same run, alternating.
 */
import { readdirSync } from "node:fs"
import { cpus, totalmem } from "node:os"
import type { Row } from "./Row.ts"

const names = readdirSync(new URL(".", import.meta.url))
  .filter((name) => /^[a-z].*\.ts$/.test(name) && name !== "main.ts" && !name.endsWith("-child.ts"))
  .map((name) => name.slice(0, -3))
const args = process.argv.slice(2)
const json = args.includes("--json")
const wanted = args.filter((arg) => arg !== "--json")
const chosen = wanted.length > 0 ? wanted : names
const unknown = chosen.filter((name) => !names.includes(name))
if (unknown.length > 0) {
  console.error(`no such measurement: ${unknown.join(", ")}. There are: ${names.join(", ")}`)
  process.exit(2)
}

const cpu = cpus()
const machine = `${cpu.length} x ${cpu[0]?.model ?? "unknown processor"}, ${Math.round(totalmem() / 2 ** 30)} GiB`
const platform = `${process.platform}-${process.arch}, Node ${process.version}`
console.log(
  json
    ? JSON.stringify({ machine, platform })
    : `${machine}\n${platform}\n\n| what | measured | reach |\n| --- | ---: | --- |`
)
for (const name of chosen) {
  const { run } = (await import(`./${name}.ts`)) as { readonly run: () => Promise<ReadonlyArray<Row>> }
  for (const row of await run()) {
    const value = row.value >= 100 ? Math.round(row.value).toLocaleString("en") : row.value.toPrecision(3)
    console.log(json ? JSON.stringify({ name, ...row }) : `| ${row.what} | ${value} ${row.unit} | ${row.reach} |`)
  }
}
