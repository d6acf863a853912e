/** At what rate others make us write to third parties (iroh-gossip section 7.1, 19): however often they join, and whomever they name. */
import type { State } from "../HyParView.ts"
import * as Limits from "../Limits.ts"
import type { PeerId } from "../PeerId.ts"

/**
 * Whether the Join of a peer may be forwarded: each costs all our neighbors a message, so a peer that joins again and again is forwarded
 * now and then only.
 */
export const mayForwardJoin = <P extends PeerId>({ joined, stats, time }: State<P>, peer: P): boolean => {
  for (const [oldest, at] of joined) {
    if (time < at + Limits.forwardJoinMs) break
    joined.delete(oldest)
  }
  if (joined.has(peer) || joined.size >= Limits.forwardedJoinsPerTopic) {
    stats.joinsNotForwarded++
    return false
  }
  joined.set(peer, time)
  return true
}

/**
 * Whether we may write to a node that we only heard of, for which it may have to be dialed. Whoever names nodes could make us dial
 * the whole world: one that could not be dialed at once counts as long as all others.
 */
export const mayIntroduce = <P extends PeerId>({ introducedAt, stats, time }: State<P>): boolean => {
  while (introducedAt[0] !== undefined && time >= introducedAt[0] + Limits.introductionMs) introducedAt.shift()
  if (introducedAt.length >= Limits.introductionsPerTopic) {
    stats.introductionsRefused++
    return false
  }
  introducedAt.push(time)
  return true
}
