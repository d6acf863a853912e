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

/**
 * Subscriptions of one peer to the same track. One would do, but peers of lite-03 change its priority with a second one; each more
 * costs us the sending of every group.
 */
export const subscriptionsPerTrack = 16

/** Announce streams that one peer may have open. */
export const announceStreamsPerSession = 64

/** Groups of one subscription that a peer may send at the same time. For one more, the oldest is given up. */
export const openGroupsPerSubscription = 256

/** Groups of one subscription that we send at the same time. Further ones wait, and are evicted with the track's past. */
export const sendingGroupsPerSubscription = 64

/**
 * Groups of one session that wait for a stream because the peer grants none. From then on a subscription keeps only its newest one
 * waiting.
 */
export const waitingGroupsPerSession = 1_024

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

/**
 * How long a shutdown lets the ends of announcements and what is in flight go out, in milliseconds. It ends early when everything is
 * out.
 */
export const shutdownDrainMs = 1_000

/** Parameters of a SETUP message (moq-lite section 3.5.1). */
export const setupParameters = 64

/** Value of one parameter of a SETUP message, in bytes. */
export const setupValueBytes = 4_096

/** Streams that one peer may have open without their type or first message, uni- and bidirectional each. Further ones wait. */
export const halfOpenStreams = 64

/** How long such a stream keeps its place while others wait for one, in milliseconds. A packet that was lost has come again by then. */
export const halfOpenPatienceMs = 1_000

/**
 * Work that one peer may ask of us, in the long run, per second: requests, updates, announcements, and whatever has to be refused.
 * The groups of our subscriptions are none of it: nobody has too many of those.
 */
export const requestsPerSecond = 500

/**
 * The same at once. With what comes in `overloadMs` it is enough for a whole table of announcements and one of subscriptions, by
 * somebody who does not stop to wait.
 */
export const requestBurst = 4_096

/**
 * Of these, bidirectional streams per second, and so many at once: each costs much more than a message, and a burst of them at full
 * speed would be felt by everybody else.
 */
export const streamsPerSecond = 1_000
export const streamBurst = 128

/**
 * What a connection that a peer opens counts as, in requests: its handshake costs more than many of them. Whoever asked for too much
 * waits with the next connection too, and is turned away while as many wait as a `requestBurst` has room for.
 */
export const requestsPerConnection = 256

/** Peers of which it is remembered how much they have asked for. One more forgets those who asked for nothing lately. */
export const rememberedPeers = 4_096

/** How long a peer may ask for more than `requestsPerSecond` all the time, in milliseconds, before its session is closed. */
export const overloadMs = 10_000

/**
 * How long broadcasts of a connection that was lost stay after the next one was attached, in milliseconds, where the peer does not
 * say when it has announced all that it has.
 */
export const reannounceMs = 2_000

/** How long groups that were cut with a connection wait for their rest after it was asked for again, in milliseconds. */
export const resumeGroupsMs = 2_000

/**
 * How long a track that was asked about counts as used before the subscription to it comes, and one that was subscribed to
 * before the peer asks about it, in milliseconds.
 */
export const trackLingerMs = 1_000

/** Groups of one subscription that are ranked among each other; all older ones come last together. */
export const rankedGroups = 32

/** Groups that one session fetches at the same time. */
export const fetchesPerSession = 256

/** Of these, sessions that one peer may have: those that it opened and lost without our knowing count until they fall silent. */
export const sessionsPerPeer = 16

/** How long a lost connection to a peer that is wanted is dialed again without success, in milliseconds. */
export const resumeMs = 30_000

/** Pause before the first of these attempts, in milliseconds; it doubles with every further one. */
export const redialMinMs = 100

/** Longest pause between two of them. A connection that lived as long counts as a good one: the pauses begin anew. */
export const redialMaxMs = 5_000

/** How long a peer that closed a connection as a duplicate has to show the other one, in milliseconds, before it is dialed. */
export const duplicateGraceMs = 1_000

/** Bytes that all peers of a Moq service together make it hold, beside the newest group of each track. */
export const heldBytes = 512 * 1024 * 1024

/** Bytes that one peer makes us hold, beside the newest group of each of its tracks. */
export const heldBytesPerSession = 128 * 1024 * 1024

/** Groups that a reader in order holds for an older one that is missing or unfinished; for one more, the older one is given up. */
export const reorderGroups = 256

/** Gaps in the numbers of a subscription's groups that are asked for again when its connection is lost right after. */
export const rememberedGaps = 64

/** How long a peer may take to end its half of a request when we have ended ours, in milliseconds. */
export const peerEndMs = 2_000
