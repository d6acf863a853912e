import { Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { durationFlag, ticketArgument } from "./arguments.ts"

export const record = Command.make(
  "record",
  {
    ticket: ticketArgument,
    output: Flag.String("output").pipe(
      Flag.withAlias("o"),
      Flag.withMetavar("FILE"),
      Flag.withDescription(
        "File to write; its extension picks the container: mp4, mkv, webm, ogg, or h264, aac, … for one bare stream; - for live Matroska on stdout"
      )
    ),
    duration: durationFlag("duration").pipe(Flag.optional, Flag.withDescription("Stop after so much media")),
    resume: Flag.Boolean("resume").pipe(
      Flag.withDefault(false),
      Flag.withDescription("When the publisher goes away, wait for it and go on in the same file")
    )
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("../run/record.ts")),
      (run) => run.record(input)
    )
).pipe(
  Command.withDescription(
    "Record a broadcast as it is, without transcoding. Ctrl-C ends it; the file plays at any time."
  ),
  Command.withExamples([
    { command: "irl record TICKET -o copy.mp4", description: "Until the broadcast ends or Ctrl-C" },
    { command: "irl record TICKET -o copy.mkv --duration 30s", description: "Half a minute" },
    { command: "irl record TICKET -o night.mkv --resume", description: "Survive restarts of the publisher" },
    { command: "irl record TICKET -o - | mpv -", description: "Watch it" }
  ])
)
