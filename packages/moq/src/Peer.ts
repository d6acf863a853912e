/**
 * What `Moq.connect` gives: one peer, for as long as somebody holds it. Connections come and go underneath; tracks and
 * announcements go on over them, and `connectivity` says how it stands.
 */
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection } from "@effect-live/endpoint/Connection"
import type { ConnectError } from "@effect-live/endpoint/Endpoint"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import type { Effect, Stream } from "effect"
import type { BroadcastConsumer } from "./Broadcast.ts"
import type { Probe } from "./Message.ts"
import type { Announcement } from "./Origin.ts"

/** How it stands between us and a peer. */
export type Connectivity =
  | { readonly _tag: "Connected" }
  /**
   * The connection is lost, for the reason `lastError`. Attempt number `attempt` to get another one begins in `nextInMs`
   * milliseconds; 0: it is under way. The peer may also come by itself.
   */
  | {
      readonly _tag: "Reconnecting"
      readonly attempt: number
      readonly nextInMs: number
      readonly lastError: Close | ConnectError
    }
  /** For good. */
  | { readonly _tag: "Closed"; readonly close: Close }

export interface Peer {
  readonly id: EndpointId
  /** The ALPN of the connection, or of the last one: such as `moq-lite-05`. */
  readonly version: string
  /** The connection, or the last one. */
  readonly connection: () => Connection
  readonly connectivity: () => Connectivity
  /** How it stands now, and again whenever that changes; what a slow reader missed is left out. Ends after `Closed`. */
  readonly connectivityChanges: Stream.Stream<Connectivity>
  /**
   * What the peer announces under a prefix: first what is there, then changes. A lost connection ends nothing: what the peer
   * does not announce again on the next one ends then.
   */
  readonly announced: (prefix: string) => Stream.Stream<Announcement>
  /** The paths that the peer has announced and not ended, now. */
  readonly announcedNow: () => ReadonlyArray<string>
  /**
   * A broadcast of the peer, whether it is announced yet or not. All consumers of one track share one subscription on the wire.
   * Its `closed` is the end of the announced broadcast, or of everything.
   */
  readonly consume: (path: string) => BroadcastConsumer
  /**
   * What the peer measures of the way to us, for as long as the stream is read (section 4.5). Peers that measure nothing give
   * nothing. Ends with the session.
   */
  readonly estimates: Stream.Stream<Probe>
  /**
   * How it ended: the peer or somebody here closed it, or the connection was lost and `Limits.resumeMs` brought no other one;
   * then it is that loss.
   */
  readonly closed: Effect.Effect<Close>
  /** Ends it at once, for everybody here who shares it: what is in flight is lost. */
  readonly close: (code: number, reason: string) => void
}
