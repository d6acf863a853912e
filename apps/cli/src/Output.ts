/**
 * Where a command speaks. Results go to stdout: text for people, or with `--json` one object per line with `event` first.
 * Progress and hints for people go to stderr and fall silent with `--json`.
 */
import { Context, Effect, Layer } from "effect"
import { Flag, GlobalFlag } from "effect/cli"

export type Field =
  | string
  | number
  | boolean
  | null
  | undefined
  | ReadonlyArray<unknown>
  | { readonly [key: string]: unknown }

export class Output extends Context.Service<
  Output,
  {
    readonly json: boolean
    /** Whether stderr is a terminal on which a line may be drawn again. */
    readonly live: boolean
    /** A result: `text` for people, the event and its fields for programs. No text: programs alone are told. */
    readonly event: (event: string, fields: { readonly [key: string]: Field }, text?: string) => Effect.Effect<void>
    /** Lines for people, on stdout. */
    readonly text: (text: string) => Effect.Effect<void>
    /** Lines for people, on stderr. */
    readonly hint: (text: string) => Effect.Effect<void>
    /** A line on stderr that replaces the one before it where it can. `done` lets the last one stand. */
    readonly status: (line: string) => Effect.Effect<void>
    readonly statusDone: Effect.Effect<void>
  }
>()("@effect-live/cli/Output") {
  /** `stdoutTaken`: stdout carries media (`-o -`), so events go to stderr. */
  static readonly layer = (options: { readonly json: boolean; readonly stdoutTaken: boolean }) =>
    Layer.sync(Output, () => {
      const live = process.stderr.isTTY && !options.json
      const out = options.stdoutTaken ? process.stderr : process.stdout
      let drawn = false
      const clear = () => {
        if (drawn) process.stderr.write("\r\u001B[2K")
        drawn = false
      }
      const write = (stream: NodeJS.WriteStream, text: string) => {
        clear()
        stream.write(`${text}\n`)
      }
      return Output.of({
        json: options.json,
        live,
        event: (event, fields, text) =>
          Effect.sync(() => {
            if (options.json) write(out, JSON.stringify({ event, ...fields }))
            else if (text !== undefined) write(out, text)
          }),
        text: (text) => Effect.sync(() => options.json || write(out, text)),
        hint: (text) => Effect.sync(() => options.json || write(process.stderr, text)),
        status: (line) =>
          Effect.sync(() => {
            if (options.json) return
            if (!live) return write(process.stderr, line)
            const width = process.stderr.columns - 1
            process.stderr.write(`\r\u001B[2K${line.slice(0, width)}`)
            drawn = true
          }),
        statusDone: Effect.sync(() => {
          if (drawn) process.stderr.write("\n")
          drawn = false
        })
      })
    })
}

/** `--json` on every command. Its value reaches the commands through `Output`. */
export const jsonFlag = GlobalFlag.Setting("json")({
  flag: Flag.Boolean("json").pipe(
    Flag.withDefault(false),
    Flag.withDescription("One JSON object per line on stdout, its `event` first; for programs")
  )
})
