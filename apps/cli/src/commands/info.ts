import { Effect } from "effect"
import { Command } from "effect/cli"
import { ticketArgument } from "./arguments.ts"

export const info = Command.make("info", { ticket: ticketArgument }, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../run/info.ts")),
    (run) => run.info(input)
  )
).pipe(
  Command.withDescription("What a publisher announces, the catalog of the broadcast, and the path that leads there."),
  Command.withExamples([
    { command: "irl info TICKET", description: "For people" },
    { command: "irl info TICKET --json", description: "For programs" }
  ])
)
