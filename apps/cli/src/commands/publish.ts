import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"

export const publish = Command.make(
  "publish",
  {
    source: Argument.String("SOURCE").pipe(
      Argument.withDescription(
        "A media file (MP4, Matroska, WebM, MPEG-TS, …), or - for Matroska or MPEG-TS from a pipe"
      )
    ),
    name: Flag.String("name").pipe(Flag.withDefault("hello"), Flag.withDescription("Name of the broadcast (hello)")),
    loop: Flag.Boolean("loop").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Begin again at the end of the file")
    ),
    wait: Flag.Boolean("wait").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Start with the first subscriber, so that nobody misses the beginning")
    ),
    noQr: Flag.Boolean("no-qr").pipe(Flag.withDefault(false), Flag.withDescription("No QR code"))
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("../run/publish.ts")),
      (run) => run.publish(input)
    )
).pipe(
  Command.withDescription("Publish a file or a pipe. Prints `publishing at TICKET`; whoever has the ticket can watch."),
  Command.withExamples([
    { command: "irl publish film.mp4", description: "The file once, in real time" },
    { command: "irl publish film.mp4 --name cinema --loop", description: "Under another name, again and again" },
    {
      command: "ffmpeg -f v4l2 -i /dev/video0 -c:v libx264 -tune zerolatency -bf 0 -f matroska - | irl publish -",
      description: "A camera"
    },
    {
      command: "IROH_SECRET=… irl publish film.mp4",
      description: "Under a key that stays, so that the ticket stays valid"
    }
  ])
)
