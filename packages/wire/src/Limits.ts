/** What can grow in this package, and how far. */

/** Size of the block that a Writer cuts its messages from. A larger message gets a block of its own. */
export const arenaBytes = 65_536

/** Largest value of a QUIC variable-length integer that is a `number`: 2^53 - 1. */
export const maxSafeVarint = Number.MAX_SAFE_INTEGER

/** Largest value of a QUIC variable-length integer: 2^62 - 1 (RFC 9000 section 16). */
export const maxVarint = 0x3fff_ffff_ffff_ffffn
