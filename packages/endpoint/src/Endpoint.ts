/**
 * An endpoint: one key, reachable at some addresses, dialing and accepting connections. This is the contract; the Layers that
 * fulfil it are in `@effect-live/endpoint-iroh` (real) and `@effect-live/endpoint/testing` (simulated), and one case table
 * runs against all of them.
 */
import { Context, type Effect, Schema, type Scope, type Stream } from "effect"
import type { Connection } from "./Connection.ts"
import type { EndpointAddr } from "./EndpointAddr.ts"
import { EndpointId, fmtShort } from "./EndpointId.ts"

/** Dialing the own id. */
export class SelfDial extends Schema.TaggedError<SelfDial>()("SelfDial", {}) {}
/** Neither the call nor the address book nor a discovery service knows where the peer lives. */
export class NoAddress extends Schema.TaggedError<NoAddress>()("NoAddress", {}) {}
/** The peer answered and speaks none of the protocols offered. */
export class WrongAlpn extends Schema.TaggedError<WrongAlpn>()("WrongAlpn", { offered: Schema.Array(Schema.String) }) {}
/** Somebody else answered at that address: the key does not match the id. */
export class WrongId extends Schema.TaggedError<WrongId>()("WrongId", {}) {}
/** The peer refused the connection. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}
/** The peer answered, and closed the connection before it was ours. */
export class ClosedByPeer extends Schema.TaggedError<ClosedByPeer>()("ClosedByPeer", {
  code: Schema.Int,
  reason: Schema.String
}) {}
/** Nobody answered in time. */
export class ConnectTimeout extends Schema.TaggedError<ConnectTimeout>()("ConnectTimeout", { timeoutMs: Schema.Int }) {}
/** This endpoint is closed. */
export class EndpointClosed extends Schema.TaggedError<EndpointClosed>()("EndpointClosed", {}) {}
/** Anything else the transport reported. */
export class TransportFailure extends Schema.TaggedError<TransportFailure>()("TransportFailure", {
  message: Schema.String
}) {}

export class ConnectError extends Schema.TaggedError<ConnectError>()("ConnectError", {
  peer: EndpointId,
  reason: Schema.Union([
    SelfDial,
    NoAddress,
    WrongAlpn,
    WrongId,
    Refused,
    ClosedByPeer,
    ConnectTimeout,
    EndpointClosed,
    TransportFailure
  ])
}) {
  override get message(): string {
    return `cannot connect to ${fmtShort(this.peer)}: ${explain(this.reason)}`
  }
}

const explain = (reason: ConnectError["reason"]): string => {
  switch (reason._tag) {
    case "SelfDial":
      return "that is this endpoint itself"
    case "NoAddress":
      return "nobody knows where it lives; dial it with an address, or tell the address book"
    case "WrongAlpn":
      return `it speaks none of ${reason.offered.join(", ")}; another version of the program may run there`
    case "WrongId":
      return "somebody else answered at its address, which may be out of date"
    case "Refused":
      return "it refused; it may have no room, try again later"
    case "ClosedByPeer":
      return `it closed the connection at once (code ${reason.code}${reason.reason === "" ? "" : `, ${reason.reason}`})`
    case "ConnectTimeout":
      return `nobody answered within ${reason.timeoutMs} ms; it may be gone, or no way leads to it`
    case "EndpointClosed":
      return "this endpoint is closed"
    case "TransportFailure":
      return reason.message
  }
}

/** What carries this endpoint and what that can do. */
export interface Backing {
  readonly name: string
  readonly version: string
  /** One handshake offers several protocols; otherwise they are tried one after the other. */
  readonly severalAlpns: boolean
}

export class Endpoint extends Context.Service<
  Endpoint,
  {
    readonly id: EndpointId
    readonly backing: Backing
    /** Where others reach us, as far as we know now. */
    readonly addr: () => EndpointAddr
    /** The address now, and again whenever it changes. Ends when the endpoint closes. */
    readonly addrChanges: Stream.Stream<EndpointAddr>
    /** Which protocols we accept from now on, in order of preference. The Router owns this: use `Router.handle`. */
    readonly setAlpns: (alpns: ReadonlyArray<string>) => Effect.Effect<void>
    /**
     * Dials a peer. `alpns` in order of preference, at least one; of several that the peer speaks as well, its own first one
     * is taken where one handshake offers all of them (RFC 7301 section 3.2), else ours. By id alone the address book is
     * asked. Interrupting gives the attempt up. The connection belongs to the Scope.
     */
    readonly connect: (
      peer: EndpointAddr | EndpointId,
      alpns: readonly [string, ...Array<string>]
    ) => Effect.Effect<Connection, ConnectError, Scope.Scope>
    /** The next connection whose handshake is done. It belongs to the Scope. One waiter at a time. */
    readonly accept: Effect.Effect<Connection, EndpointClosed, Scope.Scope>
    /** Closes every connection with code 0 and stops listening. Idempotent; the Layer's Scope does it too. */
    readonly close: Effect.Effect<void>
  }
>()("@effect-live/endpoint/Endpoint") {}
