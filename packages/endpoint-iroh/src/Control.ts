/**
 * What only iroh knows of an endpoint, and can be told while it runs, beside the contract that all transports share. Every Layer
 * of `Iroh` gives it together with its Endpoint.
 */
import type * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import { Context, type Effect, type Stream } from "effect"
import type { IrohError } from "./internal/failure.ts"
import type { AdmissionRule } from "./internal/options.ts"

/** A relay that this endpoint uses as its home, or tries to. */
export interface RelayStatus {
  readonly url: RelayUrl.RelayUrl
  readonly connected: boolean
  /** Why it is not connected, for people, where that is known. */
  readonly error: string | undefined
}

/** Incoming connections since the endpoint was bound, and those in between right now. */
export interface Incoming {
  /** In their handshake. */
  readonly pending: number
  /** Done, and nobody took them yet. */
  readonly waiting: number
  readonly accepted: number
  /** Told to come again with proof of their address, beyond `Limits.unvalidatedHandshakes`; who does is counted once more. */
  readonly retried: number
  /** By rule, or beyond `Limits.handshakes` or `Limits.acceptBacklog`. */
  readonly refused: number
  readonly ignored: number
  /** The handshake failed: no common protocol, no proof of a key, timed out, gone. */
  readonly failed: number
}

export class Control extends Context.Service<
  Control,
  {
    /** The home relays, in no order. Online: one of them is connected. `@number0/iroh` knows only of the connected one. */
    readonly relays: () => ReadonlyArray<RelayStatus>
    /** The home relays now, and again whenever that changes. Ends when the endpoint closes. */
    readonly relayChanges: Stream.Stream<ReadonlyArray<RelayStatus>>
    /** Whose connections are taken from now on. Errors: `InvalidOptions`, and on `@number0/iroh` `Unsupported`. */
    readonly setAdmission: (rules: ReadonlyArray<AdmissionRule>) => Effect.Effect<void, IrohError>
    readonly incoming: () => Incoming
    /** Counters of iroh and its sockets by name, since the endpoint was bound; `@number0/iroh` tells none. */
    readonly metrics: () => Readonly<Record<string, number>>
  }
>()("@effect-live/endpoint-iroh/Control") {}
