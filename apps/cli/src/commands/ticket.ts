import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"

export const ticket = Command.make(
  "ticket",
  {
    ticket: Argument.String("TICKET").pipe(Argument.optional, Argument.withDescription("A ticket to explain")),
    id: Flag.String("id").pipe(Flag.optional, Flag.withDescription("Make a ticket: the endpoint id, 64 hex digits")),
    addr: Flag.String("addr").pipe(
      Flag.atLeast(0),
      Flag.withMetavar("IP:PORT"),
      Flag.withDescription("Make a ticket: where the endpoint listens, or the URL of its relay; may be repeated")
    ),
    name: Flag.String("name").pipe(Flag.optional, Flag.withDescription("Make a ticket: the name of the broadcast"))
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("../run/ticket.ts")),
      (run) => run.ticket(input)
    )
).pipe(
  Command.withDescription("Explain a ticket, or make one."),
  Command.withExamples([
    { command: "irl ticket TICKET", description: "Who, where, which broadcast" },
    { command: "irl ticket --id ID --addr 192.0.2.7:4433 --name hello", description: "Make one" }
  ])
)
