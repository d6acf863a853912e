import { Effect } from "effect"
import { Command, Flag } from "effect/cli"

export const demo = Command.make(
  "demo",
  {
    once: Flag.Boolean("once").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Stop after five seconds of media; exit code 0 only if all of it arrived, in order")
    )
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("../run/demo.ts")),
      (run) => run.demo(input)
    )
).pipe(
  Command.withDescription("A video travels between two processes that found each other by public key."),
  Command.withExamples([
    { command: "irl demo", description: "Until Ctrl-C" },
    { command: "irl demo --once", description: "As a check" }
  ])
)
