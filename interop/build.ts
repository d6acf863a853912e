/**
 * Builds the foreign peers where they are missing, with cargo and nothing else; it keeps them in `target/`. `npm run interop` runs
 * this first: a minute where only our own Rust has changed, nothing where nothing has.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Tools from "./support/tools.ts"

const fail = (why: string): never => {
  console.error(why)
  process.exit(1)
}

const run = (command: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): void => {
  const startedMs = performance.now()
  console.log(`interop: ${command} ${args.join(" ")}`)
  const { error, signal, status } = spawnSync(command, args, {
    cwd: Tools.root,
    stdio: "inherit",
    env: { ...process.env, ...env }
  })
  if (error !== undefined) fail(`${command} did not run: ${error.message}`)
  if (status !== 0) fail(`${command} failed (${signal ?? status}); it says why above`)
  console.log(`interop: done in ${Math.round((performance.now() - startedMs) / 1000)} s`)
}

const cargo = process.env["CARGO"] ?? "cargo"
const found = spawnSync(cargo, ["--version"], { encoding: "utf8" })
if (found.status !== 0) {
  fail(
    `The foreign peers are Rust programs, and ${cargo} cannot be run: install Rust 1.91 or newer (https://rustup.rs)`
  )
}

if (process.env["IROH_BACKING"] !== "number0" && !Tools.nativeIsBuilt()) run("npm", ["run", "build:native"])

// At once, so that what both stand on is built once.
run(cargo, ["build", "--release", "--locked", "--package", "interop-peer", "--package", "interop-gossip-peer"])

/** Programs of others, as they are on crates.io. They need not be fast, but quickly built. */
const installed = (): string => {
  const list = join(Tools.tools, ".crates.toml")
  return existsSync(list) ? readFileSync(list, "utf8") : ""
}
const quickly = {
  CARGO_PROFILE_RELEASE_OPT_LEVEL: "1",
  CARGO_PROFILE_RELEASE_LTO: "off",
  CARGO_PROFILE_RELEASE_STRIP: "debuginfo"
}
for (const { features, name, version } of Tools.programs) {
  if (installed().includes(`"${name} ${version} (`)) continue
  const where = ["--root", Tools.tools, "--target-dir", join(Tools.tools, "build")]
  run(cargo, ["install", name, "--version", version, ...features, ...where], quickly)
}
