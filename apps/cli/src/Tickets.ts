/** Tickets on the command line: a ticket that cannot be read is misuse, and is never printed. */
import * as LiveTicket from "@effect-live/live/LiveTicket"
import { Effect, Result } from "effect"
import * as Failure from "./Failure.ts"

export const parse = (text: string): Effect.Effect<LiveTicket.LiveTicket, Failure.Failure> =>
  Result.match(LiveTicket.parse(text), {
    onSuccess: Effect.succeed,
    onFailure: (error) =>
      Effect.fail(
        Failure.misuse(
          "TicketError",
          `${error.message}. A ticket looks like iroh-live:…/name; copy all of what \`irl publish\` printed, in quotes.`
        )
      )
  })
