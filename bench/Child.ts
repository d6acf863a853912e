/** A process of a measurement: starts it, and speaks lines of JSON with it. */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

export interface Child {
  /** The next line that it says. */
  readonly line: <A>() => Promise<A>
  /** Says a line to it. */
  readonly tell: (text: string) => void
  readonly stop: () => void
  readonly pid: number | undefined
}

export const start = (command: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): Child => {
  const [file = "", ...args] = command
  const child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...env } })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async <A>(): Promise<A> => {
    const next = await lines.next()
    if (next.done === true) throw new Error(`${command.join(" ")} ended early`)
    return JSON.parse(next.value)
  }
  return { line, tell: (text) => child.stdin.write(`${text}\n`), stop: () => child.kill(), pid: child.pid }
}

/** A program of this folder, in Node. */
export const program = (name: string, ...args: ReadonlyArray<string | number>): ReadonlyArray<string> => [
  process.execPath,
  "--conditions=@effect-live/source",
  fileURLToPath(new URL(name, import.meta.url)),
  ...args.map(String)
]

export const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
