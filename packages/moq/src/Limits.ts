/** What can grow in this package, and how far. */

/** Largest payload of a frame, sent or received. A length above it is refused before anything is allocated. */
export const maxFrameBytes = 32 * 1024 * 1024

/** What a kept frame is counted with beyond its bytes, so that a limit of bytes holds for empty frames too. */
export const frameOverheadBytes = 128

/** Largest group: its frames with their size prefixes and `frameOverheadBytes` each. The newest frame may exceed it. */
export const maxGroupBytes = 32 * 1024 * 1024

/** What a track keeps for consumers that are behind, unless its maker says otherwise. The newest group always stays. */
export const retention = {
  /** Groups. */
  groups: 1_024,
  /** Bytes of all kept groups; the newest may exceed it by `maxGroupBytes`. */
  bytes: 32 * 1024 * 1024,
  /** Milliseconds since a group was begun; looked at when the next one begins. */
  ageMs: 30_000
}

/** Tracks of one broadcast. */
export const tracksPerBroadcast = 4_096

/** Broadcasts in one Origin: published here, or announced by one peer. */
export const broadcastsPerOrigin = 4_096

/** Bytes of a path or a track name in UTF-8. */
export const nameBytes = 4_096

/** Segments of a path. */
export const pathSegments = 32

/** Relays that an announcement may have passed (moq-lite section 3.3). */
export const hops = 32

/** Body of a control message, in bytes (moq-lite section 7). */
export const maxMessageBytes = 65_536

/** Subscriptions of one session, in each direction. */
export const subscriptionsPerSession = 4_096

/** Announce streams that one peer may have open. */
export const announceStreamsPerSession = 64

/** Groups of one subscription that a peer may send at the same time. */
export const openGroupsPerSubscription = 256

/** Groups of one subscription that we send at the same time. Further ones wait, and are evicted with the track's past. */
export const sendingGroupsPerSubscription = 64

/** Groups of one subscription that we sent and that have not arrived. For one more, the oldest is given up. */
export const undeliveredGroupsPerSubscription = 512

/** How long a group waits for a place in sending, in milliseconds, before the oldest group in sending is given up for it. */
export const sendingPatienceMs = 1_000

/** How long a peer has for the first message of a stream, and for its answer to a subscription, in milliseconds. */
export const answerTimeoutMs = 10_000

/**
 * How long late groups of a track are still accepted after its publisher ended the subscription, in milliseconds: streams
 * overtake each other.
 */
export const lateGroupsMs = 1_000

/** How long a session stays open after the last one who connected is gone, in milliseconds. */
export const sessionLingerMs = 1_000

/** Reason of a session's close, in bytes of UTF-8. */
export const closeReasonBytes = 1_024

/** Sessions of one Moq service, dialed and incoming each. */
export const sessions = 4_096

/** How long a shutdown lets the ends of announcements and what is in flight go out, in milliseconds. */
export const shutdownDrainMs = 100
