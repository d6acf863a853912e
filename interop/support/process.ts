/**
 * A foreign process that tells what happens as JSON lines on stdout and takes commands as lines on stdin. It is killed with its
 * Scope; whatever waits for it in vain fails with all that it said.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { Effect, Schema, type Scope } from "effect"

/** A line, or what is expected of one. */
export interface Event {
  readonly event: string
  readonly [field: string]: unknown
}

/** The process did not do what was waited for. */
export class ProcessError extends Schema.TaggedError<ProcessError>()("ProcessError", { message: Schema.String }) {}

export interface Options {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

export interface Process {
  /** All events so far. */
  readonly events: ReadonlyArray<Event>
  /** Waits until so many events, past or new, have the fields of the pattern, and gives the last of these. */
  readonly sees: (pattern: Event, times?: number) => Effect.Effect<Event, ProcessError>
  /** Waits until stdout or stderr has a text like this. */
  readonly says: (pattern: RegExp) => Effect.Effect<RegExpExecArray, ProcessError>
  /** A command of one line. */
  readonly tell: (command: string) => void
  readonly kill: (signal: NodeJS.Signals) => void
  /** Ends its stdin, and with it any peer. Whoever has not ended within a second is killed. */
  readonly stop: Effect.Effect<void>
  /** Waits for its end: the exit code, or the signal. */
  readonly ended: Effect.Effect<number | string, ProcessError>
}

/** Waiting for one event. The idle timeout of a connection is 30 s. */
const patienceMs = 45_000

export const start = (options: Options): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new Child(options)),
    (child) => child.stop
  )

class Child implements Process {
  readonly #child: ChildProcess
  readonly #options: Options
  readonly events: Array<Event> = []
  #stdout = ""
  #unread = ""
  #stderr = ""
  #end: number | string | undefined
  readonly #watchers = new Set<() => void>()

  constructor(options: Options) {
    this.#options = options
    const env = { ...process.env, ...options.env }
    const child = spawn(options.command, options.args, { env, stdio: ["pipe", "pipe", "pipe"] })
    this.#child = child
    child.stdout.setEncoding("utf8").on("data", (text: string) => this.#heard(text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text
      this.#changed()
    })
    child.stdin.on("error", () => {}) // it ended first: `ended` tells
    child.on("error", (error) => this.#ended(error.message))
    child.on("close", (code, signal) => this.#ended(code ?? signal ?? "unknown"))
  }

  sees(pattern: Event, times = 1): Effect.Effect<Event, ProcessError> {
    const matching = () => this.events.filter((event) => matches(event, pattern))[times - 1]
    return this.#wait(matching, `${JSON.stringify(pattern)}${times === 1 ? "" : `, ${times} times`}`)
  }

  says(pattern: RegExp): Effect.Effect<RegExpExecArray, ProcessError> {
    return this.#wait(() => pattern.exec(this.#stdout) ?? pattern.exec(this.#stderr) ?? undefined, String(pattern))
  }

  tell(command: string): void {
    this.#child.stdin?.write(`${command}\n`)
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  get ended(): Effect.Effect<number | string, ProcessError> {
    return this.#wait(() => this.#end, "its end")
  }

  get stop(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#child.stdin?.end()
      const killed = Effect.sync(() => this.#child.kill("SIGKILL"))
      const gone = this.#until(() => this.#end !== undefined)
      return Effect.timeoutOrElse(gone, { duration: 1000, orElse: () => Effect.andThen(killed, gone) })
    })
  }

  #heard(text: string): void {
    this.#stdout += text
    const lines = `${this.#unread}${text}`.split("\n")
    this.#unread = lines.pop() ?? ""
    for (const line of lines) if (line.startsWith("{")) this.events.push(JSON.parse(line))
    this.#changed()
  }

  #ended(how: number | string): void {
    this.#end ??= how
    this.#changed()
  }

  #changed(): void {
    for (const look of this.#watchers) look()
  }

  #until(ready: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const look = (): void => {
        if (!ready()) return
        this.#watchers.delete(look)
        resume(Effect.void)
      }
      this.#watchers.add(look)
      look()
      return Effect.sync(() => this.#watchers.delete(look))
    })
  }

  #wait<A>(look: () => A | undefined, what: string): Effect.Effect<A, ProcessError> {
    return Effect.suspend(() => {
      const arrived = this.#until(() => look() !== undefined || this.#end !== undefined)
      return Effect.timeoutOrElse(arrived, { duration: patienceMs, orElse: () => Effect.void })
    }).pipe(
      Effect.flatMap(() => {
        const found = look()
        return found === undefined ? Effect.fail(this.#failure(what)) : Effect.succeed(found)
      })
    )
  }

  #failure(what: string): ProcessError {
    const { args, command } = this.#options
    const how =
      this.#end === undefined ? `did not show ${what} in ${patienceMs} ms` : `ended (${this.#end}) before ${what}`
    const tail = (text: string) => text.slice(-6000)
    return new ProcessError({
      message: `${command} ${args.join(" ")} ${how}\nstdout: ${tail(this.#stdout)}\nstderr: ${tail(this.#stderr)}`
    })
  }
}

const matches = (event: Event, pattern: Event): boolean =>
  Object.entries(pattern).every(([field, value]) => event[field] === value)
