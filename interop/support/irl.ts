/** `irl`, as users run it. */
import { fileURLToPath } from "node:url"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import { Effect, Result, type Scope } from "effect"
import * as Address from "./address.ts"
import { type Process, type ProcessError, start } from "./process.ts"

const main = fileURLToPath(new URL("../../apps/cli/src/main.ts", import.meta.url))

/** Ten seconds or so of video and sound. */
export const sample = fileURLToPath(new URL("../../apps/cli/assets/sample.mp4", import.meta.url))

export const irl = (...args: ReadonlyArray<string>): Effect.Effect<Process, never, Scope.Scope> =>
  start({
    command: process.execPath,
    args: ["--conditions=@effect-live/source", main, ...args],
    env: { IROH_RELAY: "disabled", IROH_BIND: "127.0.0.1:0", NO_COLOR: "1" }
  })

/** `irl publish`, once there is a ticket: `at` is the publisher, and the broadcast is named `hello`. */
export const publish = (
  ...args: ReadonlyArray<string>
): Effect.Effect<Process & { at: string; ticket: string }, ProcessError, Scope.Scope> =>
  Effect.gen(function* () {
    const publisher = yield* irl("publish", sample, ...args, "--json")
    const ticket = String((yield* publisher.sees({ event: "publishing" }))["ticket"])
    const { addr } = Result.getOrThrow(LiveTicket.parse(ticket))
    return Object.assign(publisher, { at: Address.format(addr), ticket })
  })

/** A ticket for the broadcast `hello` of whoever is at `ID@IP:PORT`. */
export const ticketFor = (at: string): string =>
  LiveTicket.format(Result.getOrThrow(LiveTicket.make(Address.parse(at), "hello")))
