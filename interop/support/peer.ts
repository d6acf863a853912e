/** The Rust peer: moq-lite as iroh-live has it. */
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import { Effect, type Scope } from "effect"
import * as Address from "./address.ts"
import { type Process, type ProcessError, start } from "./process.ts"
import * as Tools from "./tools.ts"

export interface Peer extends Process {
  /** `ID@IP:PORT`. */
  readonly at: string
  readonly addr: EndpointAddr
}

/** `interop-peer FIRST ARGS`, once it is bound. `--help` lists what there is. */
export const rustPeer =
  (...first: ReadonlyArray<string>) =>
  (...args: ReadonlyArray<string>): Effect.Effect<Peer, ProcessError, Scope.Scope> =>
    Effect.gen(function* () {
      const process = yield* start({ command: Tools.peer, args: [...first, ...args] })
      const at = String((yield* process.sees({ event: "ready" }))["addr"])
      return Object.assign(process, { at, addr: Address.parse(at) })
    })

/** One that speaks what iroh-live speaks: moq-lite-03. */
export const peer = rustPeer()
