/** Every bound of the Layer on real iroh, with its unit. */

/** Bytes accepted for a stream and not yet taken over by the transport; beyond it `tryWrite` says `Blocked`. */
export const sendBufferBytes = 262_144
/** Bytes handed to the binding in a stream's first call; every further one may take twice as many. */
export const firstWriteBytes = 4096
/** Bytes handed to the binding in one call: large enough that its fixed cost of some 45 us does not count. */
export const nativeWriteBytes = 16_384
/** Bytes asked of the binding in one read. */
export const nativeReadBytes = 16_384
/** Bytes read ahead of a stream's reader; beyond it the transport's flow control slows the peer. */
export const readAheadBytes = 131_072
/** Streams of each kind that a peer may have open at once. */
export const concurrentUniStreams = 1024
export const concurrentBiStreams = 256
/** Incoming connections in their handshake; one more is refused. */
export const handshakes = 64
/** Of these, handshakes of senders that may have forged their address: one more must show first that it hears the answer. */
export const unvalidatedHandshakes = 16
/** Bytes that a peer may send on all streams of a connection and nobody has read; the addon takes 256 KiB until `accept` has it. */
export const receiveWindowBytes = 67_108_864
/** Bytes of UTF-8 in the name of a protocol, and of all that are offered or spoken together, with one more for each. */
export const alpnBytes = 255
export const alpnsBytes = 8192
/** Connections accepted and not taken by `accept`; one more is refused. */
export const acceptBacklog = 256
/** Peers of whom it is remembered which protocols they did not speak, so that the next dial offers those last. */
export const rememberedPeers = 1024
/** Milliseconds until a dial gives up, unless the options say otherwise. The binding itself would wait for 30 s. */
export const connectTimeoutMs = 10_000
/** Dials of one `connect` where somebody else answered than the peer, and where it may have been somebody else. */
export const dialAttempts = 5
export const doubtedDialAttempts = 2
/** Milliseconds after which a silent connection is over, and so a dial that nobody answers, unless the options say otherwise. */
export const idleTimeoutMs = 30_000
/** Milliseconds between two looks at the paths of a connection or the addresses of an endpoint. */
export const pollIntervalMs = 1000
/** Milliseconds between two questions whether the peer stopped a stream on which nothing is being written. */
export const stopProbeIntervalMs = 250
/** Milliseconds that closing the endpoint may take to tell its peers. */
export const closeTimeoutMs = 5000
/** How often a port that a closed endpoint may still hold is asked for again, and the milliseconds between. */
export const rebinds = 6
export const rebindIntervalMs = 250
/** Bytes of the text that goes with a close. */
export const closeReasonBytes = 1024
/** Bytes asked of the addon in one read; a chunk holds at most twice what it shows. */
export const readBytes = 65_536
/** Streams accepted in one call of the addon because they are there whole, and not yet taken by `acceptUni`; `readBytes` bound their bytes. */
export const acceptWholeStreams = 64
/** Small chunks of one write are put together up to this many bytes: it costs less than another crossing into the addon. */
export const joinBytes = 16_384
/** Milliseconds after which a stream that is still open is watched by the addon's Layer: the peer may stop it while nobody writes. */
export const longLivedMs = 250
