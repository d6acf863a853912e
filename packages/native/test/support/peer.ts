/** Starts `child.ts` in a process of its own and talks to it in lines of JSON. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import type * as Addon from "../../index.cjs"

export interface Child {
  readonly child: ChildProcess
  /** The next line that it says. */
  readonly line: () => Promise<Record<string, unknown>>
  readonly tell: (line: string) => void
  /** How it ended. */
  readonly ended: Promise<{
    readonly code: number | null
    readonly signal: NodeJS.Signals | null
    readonly stderr: string
  }>
}

export const spawnChild = (role: string, ...args: ReadonlyArray<string>): Child => {
  const file = new URL("child.ts", import.meta.url).pathname
  const child = spawn(process.execPath, ["--expose-gc", file, role, ...args], { stdio: ["pipe", "pipe", "pipe"] })
  let stderr = ""
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    child,
    line: async () => {
      const { value, done } = await lines.next()
      if (done === true) throw new Error(`the child ended: ${stderr}`)
      return JSON.parse(value) as Record<string, unknown>
    },
    tell: (line) => child.stdin.write(`${line}\n`),
    ended: once(child, "close").then(([code, signal]) => ({ code, signal, stderr }))
  }
}

/** A child that binds an endpoint and says where. */
export const spawnPeer = async (role: string): Promise<Child & { readonly addr: Addon.Addr }> => {
  const child = spawnChild(role)
  const { addr } = (await child.line()) as { readonly addr: Addon.Addr }
  return { ...child, addr }
}
