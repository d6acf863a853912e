/** What can grow in this package, and how far. */

/** Valid ids that are remembered, so that they are not checked again. One more forgets the oldest. */
export const knownIds = 4096

/** Connections whose handlers a Router runs at the same time. One more is closed with `Router.busyCode`. */
export const routerConnections = 4096

/** Peers an AddressBook remembers. One more evicts the one that was not heard of for longest. */
export const bookPeers = 4096
/** Sources it remembers per peer. One more evicts the oldest. */
export const bookSourcesPerPeer = 8
/** Addresses it takes from one source of one peer; what is beyond is not kept. */
export const bookAddressesPerSource = 16
/** How long it believes a source, in milliseconds. */
export const bookMaxAgeMs = 24 * 60 * 60 * 1000

/** The reason of a close, in bytes of UTF-8. What is longer is cut. */
export const closeReasonBytes = 1024

// The simulated network; the figures of iroh where it has them.

/** How long a simulated connect waits for an answer, in milliseconds. */
export const simConnectTimeoutMs = 10_000
/** Silence after which a simulated connection ends, in milliseconds. */
export const simIdleTimeoutMs = 30_000
/** Connections that wait for `accept`. One more is refused. */
export const simAcceptBacklog = 256
/** Unread bytes of one stream that a simulated peer takes. */
export const simStreamWindowBytes = 1_250_000
/** Bytes that one end of a simulated connection holds for sending, over all its streams. */
export const simSendBufferBytes = 10_000_000
/** Streams of each kind that a simulated peer may have open at the same time. */
export const simConcurrentStreams = 1000
/** Largest simulated datagram. */
export const simDatagramBytes = 1162
/** Datagrams held for `readDatagram`, in bytes with 64 for each. More drops the oldest. */
export const simDatagramBufferBytes = 1_048_576
/** Stream bytes in one packet of a link with a rate. */
export const simPacketBytes = 1200
/** Longest pause before a lost packet is sent again, in milliseconds. */
export const simRetransmitMs = 2000
