/** Arguments and flags that several commands share. */
import { Effect } from "effect"
import { Argument, CliError, Flag } from "effect/cli"

/** A ticket as text: it is parsed by the command, so that what is wrong with it is told without printing it. */
export const ticketArgument = Argument.String("TICKET").pipe(
  Argument.withDescription("What `irl publish` printed: iroh-live:…/name")
)

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/** `5s`, `1.5m`, `500ms`, `2h`; a bare number counts seconds. Undefined when it is none of these. */
const parseDurationMs = (text: string): number | undefined => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text)
  if (match === null) return undefined
  const unit = match[2] === "ms" || match[2] === "m" || match[2] === "h" ? match[2] : "s"
  return Number(match[1]) * unitMs[unit]
}

/** A duration in milliseconds. */
export const durationFlag = (name: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("5s"),
    Flag.mapEffect((text) => {
      const ms = parseDurationMs(text)
      return ms === undefined || ms <= 0
        ? Effect.fail(
            new CliError.InvalidValue({
              option: name,
              value: text,
              expected: "a duration such as 5s, 500ms or 2m",
              kind: "flag"
            })
          )
        : Effect.succeed(ms)
    })
  )
