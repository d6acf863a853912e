/** A broadcast of somebody else, open for reading. It belongs to the Scope that subscribed. */
import { Close } from "@effect-live/endpoint/Close"
import type { Path } from "@effect-live/endpoint/Connection"
import type { RemoteBroadcast } from "@effect-live/media/RemoteBroadcast"
import type { Peer } from "@effect-live/moq/Peer"
import { type Effect, Schema } from "effect"

/** The publisher ended the broadcast, as it should. */
export const Finished = Schema.TaggedStruct("Finished", {})
/**
 * The publisher gave the broadcast up, with the code of moq-lite. 24 (`ErrorCode.dropped`): the connection was lost, and who answers
 * now does not have this broadcast any more, or another one under its name. The publisher was restarted.
 */
export const Aborted = Schema.TaggedStruct("Aborted", { code: Schema.Int })
/** The publisher closed the session, or its connection was lost and no other one came within `resumeMs` of moq. */
export const Lost = Schema.TaggedStruct("Lost", { close: Close })

/** How a subscription ended, for good: a lost connection alone is not the end. */
export const Closed = Schema.Union([Finished, Aborted, Lost])
export type Closed = typeof Closed.Type

/** Counted since the subscription began, over all its connections; they may carry other subscriptions too. */
export interface Statistics {
  /** Since the subscription began, in milliseconds. */
  readonly ageMs: number
  /** Round trip on the selected path of the present connection, in milliseconds; undefined when it has none. */
  readonly rttMs: number | undefined
  /** Bytes that were received on all paths, of every subscription that shares the connection. */
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly lostPackets: number
}

export interface Subscription {
  /** The path of the broadcast, normalised. */
  readonly name: string
  /** The catalog and the renditions. */
  readonly broadcast: RemoteBroadcast
  /** The publisher, shared by all subscriptions to it. Its `connectivity` says whether the connection is there. */
  readonly peer: Peer
  /** Every known path to the publisher, now; of the last connection while there is none. */
  readonly paths: () => ReadonlyArray<Path>
  readonly statistics: Effect.Effect<Statistics>
  /** Succeeds with how the broadcast ended, for good. What arrived before can still be read. */
  readonly closed: Effect.Effect<Closed>
}
