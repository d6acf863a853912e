/** How connections are closed. The specification knows only code 0; Rust peers do not look at it. */
import type { Closing } from "./Peers.ts"

export const unused: Closing = { code: 0, reason: "unused" }
export const shutDown: Closing = { code: 0, reason: "shut down" }
/** The peer sent what is no gossip. */
export const malformed = (reason: string): Closing => ({ code: 1, reason })
/** The peer takes nothing. */
export const stalled = (reason: string): Closing => ({ code: 2, reason })
export const tooMany: Closing = { code: 3, reason: "too many connections" }
/** Only who has a key can be a neighbor. */
export const anonymous: Closing = { code: 4, reason: "gossip needs a key" }
