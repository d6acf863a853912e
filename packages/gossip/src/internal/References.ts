/**
 * Which links a tree must not lose (iroh-gossip section 7.1, 16). Every content spans a tree: the links over which each peer got it first.
 * When many contents come at once, PlumTree prunes the links that are not in the tree of one, then those that are not in the tree of the
 * next, and what is left hangs together no more. So all peers agree, without a word, on a few contents of the last moment, the references,
 * and keep the links of their trees: the references are those whose ids come first in an order that everybody knows.
 */
import type { PeerId } from "../PeerId.ts"

export interface Reference<P extends PeerId> {
  rank: number
  /** Undefined for a content of our own. */
  parent: P | undefined
  atMs: number
}

/** One per order; more of them make shorter ways and more duplicates. */
const orders = [1, 0x9e3779b1, 0x85ebca6b]

/** How long a content stays a reference unless one with a lower rank comes, in milliseconds: longer than a content takes in a large swarm. */
export const retentionMs = 700

export const make = <P extends PeerId>(): Array<Reference<P>> =>
  orders.map(() => ({ rank: Infinity, parent: undefined, atMs: 0 }))

/** A content has come for the first time, from `parent`. `hash`: `Rng.hash` of its id. */
export const consider = <P extends PeerId>(
  references: Array<Reference<P>>,
  hash: number,
  parent: P | undefined,
  nowMs: number
): void => {
  for (let i = 0; i < references.length; i++) {
    const reference = references[i]
    if (reference === undefined) continue
    const rank = Math.imul(hash, orders[i] ?? 1) >>> 0
    if (rank >= reference.rank && nowMs - reference.atMs <= retentionMs) continue
    reference.rank = rank
    reference.parent = parent
    reference.atMs = nowMs
  }
}

/** Whether a reference came from this peer. */
export const isParent = <P extends PeerId>(
  references: ReadonlyArray<Reference<P>>,
  peer: P,
  nowMs: number
): boolean => {
  for (const { parent, atMs } of references) if (parent === peer && nowMs - atMs <= retentionMs) return true
  return false
}
