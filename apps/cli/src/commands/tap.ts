import { Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { durationFlag, ticketArgument } from "./arguments.ts"

export const tap = Command.make(
  "tap",
  {
    ticket: ticketArgument,
    track: Flag.String("track").pipe(
      Flag.optional,
      Flag.withDescription("Name of the track (the best video track of the catalog, or else audio track)")
    ),
    duration: durationFlag("duration").pipe(Flag.optional, Flag.withDescription("Stop after this time"))
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("../run/tap.ts")),
      (run) => run.tap(input)
    )
).pipe(
  Command.withDescription(
    "Every frame of a track as it arrives: group, index in the group, bytes, SHA-256. For debugging and tests."
  ),
  Command.withExamples([
    { command: "irl tap TICKET", description: "The best video track" },
    { command: "irl tap TICKET --track catalog.json", description: "Changes of the catalog" }
  ])
)
