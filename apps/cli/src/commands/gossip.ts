import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"

export const gossip = Command.make(
  "gossip",
  {
    topic: Argument.String("TOPIC").pipe(
      Argument.optional,
      Argument.withDescription("64 hex digits, the same for everybody; a new topic is made when it is left out")
    ),
    bootstrap: Flag.String("bootstrap").pipe(
      Flag.atLeast(0),
      Flag.withMetavar("ID@IP:PORT"),
      Flag.withDescription(
        "Somebody who is in the topic, as `irl gossip` prints it there; a relay such as https://… instead of IP:PORT, or the ID alone, do as well; may be repeated"
      )
    ),
    untilEof: Flag.Boolean("until-eof").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Leave when stdin ends and its last line is sent; otherwise it goes on until Ctrl-C")
    )
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("../run/gossip.ts")),
      (run) => run.gossip(input)
    )
).pipe(
  Command.withShortDescription("Join a gossip topic, and chat with everybody in it."),
  Command.withDescription(
    "Join a gossip topic: each line of stdin goes to everybody in it, and what others say is printed. With --bootstrap, lines wait for the first neighbor. A line that was said within the last 90 seconds, by whomever, does not go out again. The sender that is printed is the neighbor that passed a line on, which need not have written it."
  ),
  Command.withExamples([
    { command: "irl gossip", description: "Begin a topic; prints the command with which others join" },
    { command: "irl gossip TOPIC --bootstrap ID@192.0.2.7:4433", description: "Join it in another terminal" },
    {
      command: "uptime | irl gossip TOPIC --bootstrap ID@192.0.2.7:4433 --until-eof",
      description: "Say one line and leave"
    },
    { command: "irl gossip TOPIC --bootstrap ID@192.0.2.7:4433 --json", description: "For programs" }
  ])
)
