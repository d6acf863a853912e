/**
 * Runs every program in examples/, one after the other, and fails with the first that does not exit with 0 in time, or when the
 * program that the README shows is not examples/hello.ts.
 */
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"

const limitMs = 60_000
const folder = new URL("../examples/", import.meta.url)
if (
  !readFileSync(new URL("../README.md", folder), "utf8").includes(readFileSync(new URL("hello.ts", folder), "utf8"))
) {
  console.error("README.md does not show examples/hello.ts as it is")
  process.exit(1)
}
const programs = readdirSync(folder)
  .filter((name) => name.endsWith(".ts"))
  .toSorted()
for (const program of programs) {
  const started = performance.now()
  const run = spawnSync(process.execPath, ["--conditions=@effect-live/source", new URL(program, folder).pathname], {
    encoding: "utf8",
    timeout: limitMs
  })
  if (run.status !== 0) {
    console.error(`examples/${program} failed (${run.error?.message ?? `exit ${run.status ?? run.signal}`})`)
    console.error(run.stdout + run.stderr)
    process.exit(1)
  }
  console.log(`examples/${program} ok, ${Math.round(performance.now() - started)} ms`)
}
