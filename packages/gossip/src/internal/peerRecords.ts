/** The records that `Peering` keeps of peers: how many there may be, and which of them goes first. */
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import type { Peer, State } from "./Peers.ts"

/** No topic needs it, and nothing waits for it. */
export const unneeded = (peer: Peer): boolean => peer.neighborIn.size === 0 && peer.waiting.length === 0

export const forget = (state: State, peer: Peer): void => {
  state.peers.delete(peer.id)
  state.undialable.delete(peer)
  state.dialsDue.delete(peer)
}

/** Forgets who could not be reached the longest time ago, and is not sought again. */
const evictUndialable = (state: State): void => {
  for (const peer of state.undialable) {
    state.undialable.delete(peer)
    if (peer.links.length === 0 && peer.dial === undefined && unneeded(peer)) return forget(state, peer)
  }
}

/** Makes it one; undefined when there are `limit`, all of which can be reached as far as we know. */
export const known = (state: State, id: EndpointId, limit: number, now: number): Peer | undefined => {
  const peer = state.peers.get(id)
  if (peer !== undefined) return peer
  if (state.peers.size >= limit) evictUndialable(state)
  if (state.peers.size >= limit) return undefined
  const made: Peer = {
    id,
    links: [],
    given: false,
    dial: undefined,
    waiting: [],
    waitingPayloads: 0,
    failures: 0,
    redialAtMs: 0,
    neighborIn: new Set(),
    answerByMs: now,
    usedMs: now
  }
  state.peers.set(id, made)
  return made
}
