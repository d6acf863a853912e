/** A broadcast of somebody else, open for reading. It belongs to the Scope that subscribed. */
import { Close } from "@effect-live/endpoint/Close"
import type { Path } from "@effect-live/endpoint/Connection"
import type { RemoteBroadcast } from "@effect-live/media/RemoteBroadcast"
import type { Session } from "@effect-live/moq/Session"
import { type Effect, Schema } from "effect"

/** The publisher ended the broadcast, as it should. */
export const Finished = Schema.TaggedStruct("Finished", {})
/** The publisher gave the broadcast up, with the code of moq-lite. */
export const Aborted = Schema.TaggedStruct("Aborted", { code: Schema.Int })
/** The connection to the publisher ended first. */
export const Lost = Schema.TaggedStruct("Lost", { close: Close })

/** How a subscription ended. */
export const Closed = Schema.Union([Finished, Aborted, Lost])
export type Closed = typeof Closed.Type

/** Counted since the subscription began; the connection may carry other subscriptions too. */
export interface Statistics {
  /** Since the subscription began, in milliseconds. */
  readonly ageMs: number
  /** Round trip on the selected path, in milliseconds; undefined when the connection has none. */
  readonly rttMs: number | undefined
  /** Bytes that the connection received on all paths, of every subscription that shares it. */
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly lostPackets: number
}

export interface Subscription {
  /** The path of the broadcast, normalised. */
  readonly name: string
  /** The catalog and the renditions. */
  readonly broadcast: RemoteBroadcast
  /** The session that carries it, shared by all subscriptions to one peer. */
  readonly session: Session
  /** Every known path to the publisher, now. */
  readonly paths: () => ReadonlyArray<Path>
  readonly statistics: Effect.Effect<Statistics>
  /** Succeeds with how the broadcast ended. What arrived before can still be read. */
  readonly closed: Effect.Effect<Closed>
}
