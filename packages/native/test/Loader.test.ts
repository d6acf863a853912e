import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { assert, describe, it } from "vitest"
import { suite } from "./support/suite.ts"

const here = path.join(import.meta.dirname, "..")

/** What a fresh process prints and how it ends. */
const run = (args: ReadonlyArray<string>, env: Record<string, string> = {}) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    env: { ...process.env, ...env },
    encoding: "utf8"
  })
  return { status, stdout: stdout.trim(), stderr }
}
const requiring = (file: string, what: string) => ["-e", `const native = require(${JSON.stringify(file)}); ${what}`]
const tellError = (file: string) => [
  "-e",
  `try { require(${JSON.stringify(file)}) } catch (error) { console.log(error.code + " " + error.message) }`
]

describe("the loader", () => {
  it("says what it looked for, where, and what to do, when there is no binary", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "effect-live-native-"))
    try {
      for (const file of ["index.cjs", "platform.cjs"]) cpSync(path.join(here, file), path.join(folder, file))
      const { stdout } = run(tellError(path.join(folder, "index.cjs")), { EFFECT_LIVE_NATIVE: "" })
      assert.match(stdout, /^EFFECT_LIVE_NATIVE_MISSING There is no native endpoint for \w+-\w+/)
      assert.include(stdout, path.join(folder, "effect_live_native."))
      assert.include(stdout, "@effect-live/native-")
      assert.include(stdout, "npm run build:native")
      assert.include(stdout, "@number0/iroh")
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("takes EFFECT_LIVE_NATIVE at its word, and says why that does not load", () => {
    const { stdout } = run(tellError(path.join(here, "index.cjs")), { EFFECT_LIVE_NATIVE: "/nonexistent.node" })
    assert.match(stdout, /^EFFECT_LIVE_NATIVE_MISSING The native endpoint \/nonexistent\.node does not load: /)
  })

  it("refuses a binary that was built from other sources, and says what to do", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "effect-live-native-"))
    try {
      const other = path.join(folder, "other.cjs")
      writeFileSync(other, "exports.abi = () => 0")
      const { stdout } = run(tellError(path.join(here, "index.cjs")), { EFFECT_LIVE_NATIVE: other })
      assert.match(
        stdout,
        /^EFFECT_LIVE_NATIVE_MISSING .* was built from other sources than these\..*npm run build:native/
      )
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("the build says so where there is no cargo", () => {
    const { status, stderr } = run([path.join(here, "build.mjs")], { CARGO: "/nonexistent/cargo" })
    assert.strictEqual(status, 1)
    assert.match(stderr, /there is none in PATH/)
  })
})

suite("the addon", ({ binary, versions }) => {
  it("loads in a process of its own, which then ends", () => {
    const { status, stdout } = run(requiring(path.join(here, "index.cjs"), "console.log(native.versions.iroh)"))
    assert.deepStrictEqual({ status, stdout }, { status: 0, stdout: versions.iroh })
  })

  it("is found in its package for this platform, as npm installs it", { timeout: 60_000 }, () => {
    const folder = mkdtempSync(path.join(tmpdir(), "effect-live-native-"))
    const npm = (...args: ReadonlyArray<string>) =>
      execFileSync("npm", [...args, "--offline", "--loglevel=error"], { cwd: folder, encoding: "utf8" })
    try {
      const { status, stdout, stderr } = run([path.join(here, "pack.mjs"), folder])
      assert.strictEqual(status, 0, stderr)
      npm("pack", here, stdout)
      writeFileSync(path.join(folder, "package.json"), "{}")
      const tarballs = readdirSync(folder).filter((name) => name.endsWith(".tgz"))
      assert.lengthOf(tarballs, 2)
      npm("install", ...tarballs.map((name) => `./${name}`))
      const what = "const { binary, versions } = require('@effect-live/native'); console.log(binary, versions.iroh)"
      const loaded = spawnSync(process.execPath, ["-e", what], {
        cwd: folder,
        env: { ...process.env, EFFECT_LIVE_NATIVE: "" },
        encoding: "utf8"
      })
      const found = path.join(realpathSync(folder), "node_modules", "@effect-live", path.basename(stdout))
      assert.strictEqual(
        loaded.stdout.trim(),
        `${path.join(found, path.basename(binary))} ${versions.iroh}`,
        loaded.stderr
      )
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("makes an Error of a panic, and goes on", () => {
    const what =
      "try { native.panicForTest() } catch (error) { console.log(String(error)) }; console.log(native.versions().iroh)"
    const { status, stdout } = run(requiring(binary, what))
    assert.strictEqual(status, 0)
    assert.match(stdout, /^Error: .*panicked for a test\n1\./)
  })

  it("loaded by a worker alone, leaves the process well when that ends in the middle of its work", () => {
    const work = `const { bind } = require(${JSON.stringify(path.join(here, "index.cjs"))}); bind(); bind(); process.exit()`
    const what = `const { Worker } = require("node:worker_threads")
      let left = 10
      const next = () => left-- > 0 ? new Worker(${JSON.stringify(work)}, { eval: true }).once("exit", next) : console.log("well")
      next()`
    const { status, stdout } = run(["-e", what])
    assert.deepStrictEqual({ status, stdout }, { status: 0, stdout: "well" })
  })
})
