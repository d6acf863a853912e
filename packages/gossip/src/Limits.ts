/** What is bounded, with its unit. */

/** The least that `maxMessageBytes` may be, in bytes. */
export const minMessageBytes = 512

/** The most that it may be, in bytes: several have to fit the queue of a connection (`queuedPayloadBytes`). */
export const maxMessageBytes = 1024 * 1024

/** Hops of a content are counted so far and no further: the largest round of the wire (section 4.3). */
export const maxRound = 65_535

/** Ids of contents that a topic remembers to know duplicates. One more makes it forget the oldest sixteenth. */
export const idsPerTopic = 262_144

/** Ids of contents that the validator of a topic refused. One more makes it forget the oldest sixteenth. */
export const refusedIdsPerTopic = 16_384

/** Contents that a topic keeps to answer Grafts. One more makes it drop the oldest sixteenth. */
export const cachedMessagesPerTopic = 131_072

/** Bytes of the contents that a topic keeps to answer Grafts. One more makes it drop the oldest sixteenth. */
export const cachedBytesPerTopic = 64 * 1024 * 1024

/** These lie together in blocks of so many bytes at most: who holds on to a content that was delivered holds its block. */
export const cacheBlockBytes = 65_536

/** Advertised ids of a topic whose contents are awaited. Further ones are not looked at. */
export const missingIdsPerTopic = 65_536

/** Of them, those that one peer advertised. Its further ones are not looked at. */
export const advertisedIdsPerPeer = 32_768

/** Peers that are asked for one content, at most. Further advertisers of it are not looked at. */
export const advertisersPerId = 64

/** Grafts that a peer may leave unanswered in one `cacheEvictIntervalMs`; then others are asked instead, and if there are none, it is later. */
export const unansweredGraftsPerPeer = 8_192

/** Contents that a peer is given in one `cacheEvictIntervalMs` because it grafts them. Further Grafts of it bring it none. */
export const graftedContentsPerPeer = 16_384

/** Prunes of a peer that are answered with a Graft in one `cacheEvictIntervalMs`, at most. Then a Prune is a Prune. */
export const regraftsPerPeer = 256

/** Socket addresses that an AddrInfo of ours has at most, and that are believed of somebody else's. */
export const addressesPerPeer = 16

/** Bytes of a topic id, which count with every message in the metrics (section 2.8). */
export const topicIdBytes = 32

// ---- the actor and its connections

/** Events that wait in the actor's inbox; whoever reads from a peer waits for room. */
export const inboxEvents = 256

/** Bytes of messages that one stream hands to the actor in one event. The message that makes it more is the last one of its event. */
export const receivedBytes = 65_536

/** Topics that one Gossip service is in at the same time. */
export const topics = 4_096

/** Subscribers of one topic. */
export const subscribersPerTopic = 1_024

/** Events that wait for a subscriber unless it says otherwise. One more loses the oldest, and `Lagged` says how many were. */
export const subscriberEvents = 2_048

/** Peers that are dialed, connected or in a pause before the next attempt. A message to one more is counted and dropped. */
export const peers = 4_096

/** Connections of one peer. One more closes the oldest: a peer that restarts cannot tell us that its old ones are dead. */
export const connectionsPerPeer = 4

/** Contents that wait for the connection to one peer. One more is dropped and counted. */
export const waitingPayloads = 64

/** All else that waits for it, in messages. One more gives the peer up, with all that waits. */
export const waitingControls = 4_096

/** How long an attempt to connect may take, in milliseconds. */
export const dialTimeoutMs = 10_000

/** Pause after the first failed attempt to connect, in milliseconds; it doubles with every further one. */
export const redialMinMs = 250

/** Longest pause between two of them. */
export const redialMaxMs = 5_000

/** How long a topic without neighbors waits before it asks the peers that it was given again, in milliseconds; it doubles. */
export const seekMinMs = 500

/** Longest pause between two of these. */
export const seekMaxMs = 5_000

/** Peers given by the application that a topic remembers to ask again. */
export const soughtPeersPerTopic = 64

/** Of these, how many are asked at once. */
export const seekAtOnce = 8

/** How long a connection to a peer that is nobody's neighbor is kept after the last message to it, in milliseconds. */
export const idleMs = 5_000

/** How long we wait for the peer to end its streams on a connection that we want to close, in milliseconds. */
export const lingerMs = 5_000

/**
 * How long the end of a stream may take to be acknowledged before its connection is closed anyway, or the next stream of its topic is
 * opened, in milliseconds.
 */
export const flushMs = 5_000

/**
 * From when on after a connection opened its peer must know of it, in milliseconds: whoever writes on another one then does not
 * want it.
 */
export const supersededMs = 1_000

/** How often connections and peers that nobody needs are looked for, in milliseconds. */
export const tidyMs = 1_000

/** How long a shutdown gives its goodbyes to arrive, in milliseconds. */
export const shutdownMs = 2_000

/** Topics of one connection that a peer is told we are not in. */
export const refusalsPerConnection = 256

/** Contents that wait to be sent to one peer, in bytes of their frames. One more is dropped and counted. */
export const queuedPayloadBytes = 4 * 1024 * 1024

/** From so many of these bytes on, a peer holds up whoever has more contents for it, until half of them are sent. */
export const pressureBytes = 1024 * 1024

/** How long it may do so, in milliseconds. Then it is slow, and nobody waits for it until that half is sent. */
export const pressureMs = 1_000

/** Nor does anybody wait for one that was slow for so long from then on, in milliseconds, however often it catches up. */
export const slowMs = 30_000

/** All else that waits to be sent to one peer, in messages. One more closes the connection: the peer takes nothing. */
export const queuedControls = 4_096

/** Grafts of one peer that wait until it has taken what it was sent. One more is dropped and counted. */
export const waitingGrafts = 16_384

/** Bytes that are written at once. */
export const writeBytes = 65_536

/** How long a peer may take nothing of what we write, in milliseconds, before its connection is closed. */
export const stallMs = 30_000

/**
 * Streams that we keep open on one connection; of more topics, the one that was used least recently ends its stream and gets a new
 * one with its next message. Rust peers grant 100, and give credit back once 13 of them are over: with more than 87 open ones we
 * would wait for ever.
 */
export const topicStreams = 80

/** How long we wait for the peer to grant a stream, in milliseconds, before its connection is closed. */
export const openStreamMs = 10_000

/** Streams of one connection that a peer may have open. Further ones wait. */
export const incomingStreams = 512

/** Of these, streams whose header has not come. Further ones wait. */
export const halfOpenStreams = 64

/** How long the header of a stream may take, in milliseconds, before its connection is closed. */
export const headerMs = 10_000

/** Requests to become a neighbor that a topic waits for, apart from those of its own views. Further candidates go to the passive view. */
export const neighborRequestsPerTopic = 64

/** Bytes of what a peer published about itself, to be kept and passed on. More is taken for none. */
export const peerDataBytes = 1_024

/**
 * Peers that a topic has heard of but has no room for in its passive view, or that did not answer while it had no neighbor: asked when
 * nobody else is left. One more makes it forget the oldest.
 */
export const reservedPeersPerTopic = 128

/** Of these, how many are asked between two probes. */
export const restockedPeers = 8

/** Ids that a topic joins again while it has no neighbor. One more makes it forget the oldest. */
export const bootstrapPeersPerTopic = 32

/** Neighbors whose connection was lost that a topic looks for. One more makes it forget the one lost the longest. */
export const formerPeersPerTopic = 32

/** Milliseconds for which a lost neighbor is looked for; bootstrap peers are looked for as long as the topic lives. */
export const formerRetentionMs = 3_600_000

/** Milliseconds from a loss to the first probe for whom was lost, unless there are neighbors enough; the pause doubles with every probe. */
export const probeMinMs = 1_000

/** Milliseconds between two probes at most, while there are neighbors and while there are none. */
export const probeMaxMs = 30_000
export const probeAloneMaxMs = 8_000

/** After so many peers in a row that had no room for us, none is asked for some milliseconds, unless we have no neighbor. */
export const refusals = 5
export const refusalMs = 30_000

/** Peers of a topic that were written to and have said nothing. One more makes it give up the one that has been silent the longest. */
export const silentPeersPerTopic = 256

/** Links of a topic that ended lately, each remembered for `answerMs` at most. One more makes it forget the oldest. */
export const endedLinksPerTopic = 256

/** Milliseconds for which a peer that was asked may still answer, on a slow way, before its connection is given up. */
export const answerMs = 10_000

/** How often the Join of one peer is forwarded to the neighbors of a topic: once in so many milliseconds, however often it comes. */
export const forwardJoinMs = 500

/** Peers whose Joins a topic forwards in that time. The Join of one more is answered, but not forwarded. */
export const forwardedJoinsPerTopic = 4_096

/**
 * Nodes that a topic writes to in `introductionMs` because others named them: origins of Shuffles that it answers, and newcomers of
 * ForwardJoins. A Shuffle beyond is not answered, a newcomer goes to the passive view; both are counted.
 */
export const introductionsPerTopic = 256

/** How long one of them counts, in milliseconds, whether it could be reached or not: no less than `dialTimeoutMs`. */
export const introductionMs = 10_000

/** Peers that are dialed at the same time. Further ones that the application gave wait for their turn. */
export const dials = 256

/** Of these, peers that we only heard of from others. Further ones are taken for not reachable. */
export const strangerDials = 128

/** Of `peers`, kept for those who connect to us and those that the application gave. */
export const keptPeers = 1_024

/**
 * Ids of others, that we have not seen lately, which are read from one connection at once, and which are granted it again in a second:
 * each costs a tenth of a millisecond. Then its ForwardJoins, Shuffles and ShuffleReplies are dropped and counted, and all else is read.
 */
export const freshIds = 1_024
export const freshIdsPerSecond = 256

/** The same from all connections. */
export const freshIdsOfAll = 8_192
export const freshIdsOfAllPerSecond = 2_048

/** Nodes of a Shuffle or ShuffleReply that are read. Further ones are skipped. */
export const shuffleNodes = 16
