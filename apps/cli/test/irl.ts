/** Runs `irl` as users do: in a process of its own, over real sockets of the loopback device. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))
export const sample = fileURLToPath(new URL("../assets/sample.mp4", import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Irl {
  readonly pid: number
  readonly child: ChildProcess
  readonly stdout: () => string
  readonly stderr: () => string
  /** Waits until the text that was written so far, behind its first `from` letters, matches; fails when the process ends first. */
  readonly sees: (stream: "stdout" | "stderr", pattern: RegExp, from?: number) => Promise<RegExpExecArray>
  readonly ended: Promise<Ended>
  readonly kill: (signal: NodeJS.Signals) => void
  /** Ctrl-C, and its end. */
  readonly interrupt: () => Promise<Ended>
}

const running = new Set<ChildProcess>()

export interface Options {
  readonly env?: Readonly<Record<string, string>>
  /** Run by this shell command line, in which "$@" is irl. */
  readonly shell?: string
  readonly stdout?: number
  /** For Node.js itself. */
  readonly nodeFlags?: ReadonlyArray<string>
}

/** Starts `irl args`. Whatever still runs when the tests end is killed by `stopAll`. */
export const irl = (args: ReadonlyArray<string>, options: Options = {}): Irl => {
  const command = [process.execPath, ...(options.nodeFlags ?? []), "--conditions=@effect-live/source", main, ...args]
  const [file = "", ...rest] =
    options.shell === undefined ? command : ["/bin/sh", "-c", options.shell, "irl", ...command]
  const child = spawn(file, rest, {
    env: { ...process.env, IROH_RELAY: "disabled", IROH_BIND: "127.0.0.1:0", NO_COLOR: "1", ...options.env },
    stdio: ["pipe", options.stdout ?? "pipe", "pipe"]
  })
  running.add(child)
  let stdout = ""
  let stderr = ""
  const watchers = new Set<() => void>()
  const wake = () => watchers.forEach((watcher) => watcher())
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text
    wake()
  })
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
    wake()
  })
  let end: Ended | undefined
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code, signal) => {
      running.delete(child)
      end = { code, signal, stdout, stderr }
      wake()
      resolve(end)
    })
  })
  const sees = (stream: "stdout" | "stderr", pattern: RegExp, from = 0) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const match = pattern.exec((stream === "stdout" ? stdout : stderr).slice(from))
        if (match === null && end === undefined) return
        watchers.delete(look)
        if (match !== null) resolve(match)
        else {
          const how = `irl ${args[0]} ended (${end?.code ?? end?.signal}) without ${pattern} on ${stream}`
          reject(new Error(`${how}\nstdout: ${stdout}\nstderr: ${stderr}`))
        }
      }
      watchers.add(look)
      look()
    })
  return {
    pid: child.pid ?? 0,
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    sees,
    ended,
    kill: (signal) => child.kill(signal),
    interrupt: () => {
      child.kill("SIGINT")
      return ended
    }
  }
}

/** Runs to the end. */
export const run = (args: ReadonlyArray<string>, options?: Options): Promise<Ended> => {
  const process = irl(args, options)
  process.child.stdin?.end()
  return process.ended
}

/** Publishes and waits for the ticket. */
export const publish = async (args: ReadonlyArray<string>, options?: Options) => {
  const publisher = irl(["publish", ...args, "--no-qr"], options)
  const [, ticket = ""] = await publisher.sees("stdout", /^publishing at (.+)$/m)
  return { publisher, ticket }
}

export const stopAll = (): void => {
  for (const child of running) child.kill("SIGKILL")
}

/** The JSON objects of a stdout, one per line. */
export const events = (stdout: string): ReadonlyArray<{ readonly event: string; readonly [key: string]: unknown }> =>
  stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))

/** A folder that is gone after the tests. */
export const folder = (): { readonly path: (name: string) => string; readonly remove: () => void } => {
  const root = mkdtempSync(join(tmpdir(), "irl-test-"))
  return { path: (name) => join(root, name), remove: () => rmSync(root, { recursive: true, force: true }) }
}
