/**
 * A connection to one peer, in the shape of WebTransport: the same for real iroh, a browser's session and the simulator.
 * It belongs to the Scope that opened or accepted it: closing that Scope closes the connection.
 */
import { type Effect, Schema, type Stream } from "effect"
import type { Close } from "./Close.ts"
import type { EndpointId } from "./EndpointId.ts"
import type { BiStream, ConnectionLost, RecvStream, SendStream } from "./Stream.ts"

/** Who is at the other end: a peer proved its key, or somebody without a key asked for a path (a browser). */
export type Remote =
  | { readonly _tag: "Peer"; readonly id: EndpointId }
  | { readonly _tag: "Anonymous"; readonly path: string }

/** One way the packets may take. Counters run since the connection opened. */
export interface Path {
  readonly kind: "direct" | "relay" | "web" | "simulated"
  /** `ip:port`, a relay's URL, or the name of a simulated link. */
  readonly remote: string
  readonly selected: boolean
  readonly rttMs: number
  readonly lostPackets: number
  readonly congestionWindowBytes: number
  readonly sentBytes: number
  readonly receivedBytes: number
}

/** The datagram is larger than `maxDatagramBytes()` right now. */
export class DatagramTooLarge extends Schema.TaggedError<DatagramTooLarge>()("DatagramTooLarge", {
  bytes: Schema.Int,
  maxBytes: Schema.Int
}) {
  override get message(): string {
    return `a datagram of ${this.bytes} bytes is too large: ${this.maxBytes} fit at the moment`
  }
}

export interface Connection {
  readonly alpn: string
  readonly remote: Remote
  /** Waits for the peer's stream credit. The peer hears of the stream with its first byte, end or reset. */
  readonly openUni: Effect.Effect<SendStream, ConnectionLost>
  readonly openBi: Effect.Effect<BiStream, ConnectionLost>
  /**
   * In the order in which the peer's streams became known. One waiter at a time. Read or stop what was accepted: what lies unread
   * in some streams takes its part of what the connection may hold from all others.
   */
  readonly acceptUni: Effect.Effect<RecvStream, ConnectionLost>
  readonly acceptBi: Effect.Effect<BiStream, ConnectionLost>
  /** 0: this transport has no datagrams. Grows and shrinks with the path. */
  readonly maxDatagramBytes: () => number
  /** Sends at once or drops, as datagrams do; what the network or a full buffer loses is not reported. */
  readonly sendDatagram: (datagram: Uint8Array) => Effect.Effect<void, DatagramTooLarge | ConnectionLost>
  /** As `sendDatagram`, but waits where the buffer is full, so that none is pushed out of it. The network may still lose it. */
  readonly writeDatagram: (datagram: Uint8Array) => Effect.Effect<void, DatagramTooLarge | ConnectionLost>
  readonly readDatagram: Effect.Effect<Uint8Array, ConnectionLost>
  /** Every known path. Still answers after the end. */
  readonly paths: () => ReadonlyArray<Path>
  /** The paths now, and again whenever one comes, goes or is selected. Ends with the connection. */
  readonly pathChanges: Stream.Stream<ReadonlyArray<Path>>
  /** Closes at once: streams and datagrams in flight are lost. Idempotent, the first one counts. */
  readonly close: (code: number, reason: string) => void
  /** Always succeeds, with how the connection ended. */
  readonly closed: Effect.Effect<Close>
}
