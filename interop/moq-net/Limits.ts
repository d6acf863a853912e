/** Every bound of the adapter, with its unit. */

/** Bytes accepted for a stream and not yet taken over by the platform; beyond it `tryWrite` says `Blocked`. */
export const sendBufferBytes = 262_144
/** Bytes read ahead of a stream's reader; beyond it the platform's flow control slows the peer. */
export const readAheadBytes = 131_072
/** Datagrams that the platform has not taken over; one more is dropped. */
export const datagramsUnderway = 64
/** Bytes of the text that goes with a close. */
export const closeReasonBytes = 1024
