/**
 * Builds the addon for this machine and puts it beside `index.cjs`: `npm run build:native`. It needs cargo and nothing else;
 * cargo keeps what it has built in `target/` at the root of the repository.
 */
import { spawnSync } from "node:child_process"
import { copyFileSync, renameSync } from "node:fs"
import path from "node:path"
import platform from "./platform.cjs"

const here = import.meta.dirname
const root = path.join(here, "../..")
const cargo = process.env.CARGO ?? "cargo"

const fail = (why) => {
  process.stderr.write(`${why}\n`)
  process.exit(1)
}

const args = [
  "build",
  "--release",
  "--locked",
  "--package",
  "effect-live-native",
  "--message-format",
  "json-render-diagnostics"
]
const build = spawnSync(cargo, args, {
  cwd: root,
  stdio: ["ignore", "pipe", "inherit"],
  maxBuffer: 2 ** 30,
  encoding: "utf8"
})
if (build.error?.code === "ENOENT") {
  fail(
    "The native endpoint is built with cargo, and there is none in PATH: install Rust 1.91 or newer (https://rustup.rs)"
  )
}
if (build.error !== undefined) fail(`cargo did not run: ${build.error.message}`)
if (build.status !== 0) fail(`cargo failed (${build.signal ?? build.status}); it says why above`)

const library = build.stdout
  .split("\n")
  .filter((line) => line.startsWith("{"))
  .map((line) => JSON.parse(line))
  .filter((message) => message.reason === "compiler-artifact" && message.target.name === "effect_live_native")
  .flatMap((message) => message.filenames)
  .find((file) => /\.(so|dylib|dll)$/.test(file))
if (library === undefined) fail("cargo built no library: look at [lib] in packages/native/Cargo.toml")

const target = path.join(here, `effect_live_native.${platform}.node`)
// In one step: a process that has the old file mapped keeps it.
copyFileSync(library, `${target}.new`)
renameSync(`${target}.new`, target)
process.stdout.write(`built ${path.relative(process.cwd(), target)}\n`)
