/**
 * To whom there are connections (iroh-gossip sections 5.2, 5.3): when a peer is dialed, on which of its connections we send, and
 * when one is closed. Part of `GossipCore`.
 *
 * There is no rule for which of several connections is kept: each side sends on the one it got to know last and reads all. Where both
 * dialed at once these may be different ones. One that was superseded is closed once the peer, who must know it by then, writes on a
 * newer one and has ended its streams on it; a peer that is nobody's neighbor keeps its connections until they have been idle. Rust
 * peers never close any.
 */
import * as Actor from "@effect-live/actor/Actor"
import * as Rng from "@effect-live/actor/Rng"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import * as Limits from "../Limits.ts"
import type * as Message from "../Message.ts"
import type { TopicId } from "../TopicId.ts"
import * as closes from "./closes.ts"
import { forget, known, unneeded } from "./peerRecords.ts"
import type { Closing, Event, Link, Loss, Out, Peer, State } from "./Peers.ts"

export const initial = (seed: number): State => ({
  rng: Rng.make(seed, "peering"),
  peers: new Map(),
  byDial: new Map(),
  dialsDue: new Set(),
  undialable: new Set(),
  byConnection: new Map(),
  counters: { dials: 0, dialFailures: 0, undeliverable: 0, peersRefused: 0, dialsRefused: 0, connectionsOpened: 0 },
  tidying: false,
  shutDown: false,
  next: 0
})

/** Answers with what the topics have to be told. */
export const step = (state: State, event: Event, now: number, out: Out): Loss | undefined => {
  switch (event._tag) {
    case "Dialed":
      dialed(state, event, now, out)
      return undefined
    case "DialFailed":
      return dialFailed(state, event.dial, now, out)
    case "RedialDue": {
      const peer = state.peers.get(event.peer)
      if (peer === undefined || peer.waiting.length === 0 || peer.dial !== undefined) return undefined
      return seek(state, peer, now, out) ? undefined : giveUp(state, peer)
    }
    case "Incoming":
      incoming(state, event, now, out)
      return undefined
    case "StreamOpened":
    case "StreamEnded": {
      const link = state.byConnection.get(event.connection)
      if (link === undefined) return undefined
      link.streams += event._tag === "StreamOpened" ? 1 : -1
      review(state, link.peer, now, out)
      return undefined
    }
    case "Rested": {
      const link = state.byConnection.get(event.connection)
      if (link?.rest?.rest !== event.rest) return undefined // it was used again, or is gone
      link.rest.flushed = true
      review(state, link.peer, now, out)
      return undefined
    }
    case "ConnectionClosed":
      return connectionClosed(state, event, now, out)
    case "TidyDue":
      tidy(state, now, out)
      return undefined
  }
}

// ---- sending --------------------------------------------------------------------------------------------------------

/**
 * On the connection that there is, or on the next one, which is sought. `given`: by the application, not only heard of from others.
 * `refused`: there is no room for it, nor does anything else wait for it; `gone`: it is given up, with all that waited.
 */
export const send = (
  state: State,
  id: EndpointId,
  topic: TopicId,
  message: Message.Message<EndpointId>,
  given: boolean,
  now: number,
  out: Out
): "accepted" | "refused" | "gone" => {
  const peer = known(state, id, given ? Limits.peers : Limits.peers - Limits.keptPeers, now)
  if (peer === undefined) {
    state.counters.peersRefused++
    return "refused"
  }
  peer.given ||= given
  peer.usedMs = now
  if (message._tag === "Join" || message._tag === "Neighbor") peer.answerByMs = now + Limits.answerMs
  const link = peer.links.at(-1)
  if (link !== undefined) {
    link.rest = undefined
    out.push({ _tag: "Send", connection: link.connection, topic, message })
    return "accepted"
  }
  const isDue = peer.dial === undefined && peer.waiting.length === 0
  if (isDue && now >= peer.redialAtMs && !seek(state, peer, now, out)) return "refused"
  if (message._tag === "Gossip") {
    if (peer.waitingPayloads >= Limits.waitingPayloads) {
      state.counters.undeliverable++
      return "accepted"
    }
    peer.waitingPayloads++
  } else if (peer.waiting.length - peer.waitingPayloads >= Limits.waitingControls) {
    drop(state, peer)
    return "gone"
  }
  peer.waiting.push({ topic, message })
  if (isDue && now < peer.redialAtMs) {
    out.push(Actor.setTimer(redialTimer(id), peer.redialAtMs, { _tag: "RedialDue", peer: id }))
  }
  return "accepted"
}

/** A message came on a connection: who sent it, unless we have closed that. */
export const heard = (state: State, connection: number, now: number, out: Out): Link | undefined => {
  const link = state.byConnection.get(connection)
  if (link === undefined) return undefined
  link.usedMs = now
  link.peer.failures = 0
  link.peer.redialAtMs = 0
  if (link.peer.links.length > 1) review(state, link.peer, now, out)
  return link
}

/** It is dialed, or will be when its pause is over. */
export const isSought = (state: State, id: EndpointId): boolean => {
  const peer = state.peers.get(id)
  return peer !== undefined && (peer.dial !== undefined || peer.waiting.length > 0)
}

/** No topic needs it any more; what was sent before still goes out. */
export const release = (state: State, id: EndpointId, now: number, out: Out): void => {
  const peer = state.peers.get(id)
  if (peer === undefined || !unneeded(peer)) return
  peer.answerByMs = now
  for (const link of peer.links) rest(state, link, now, out)
}

const drop = (state: State, peer: Peer): void => {
  state.counters.undeliverable += peer.waiting.length
  peer.waiting = []
  peer.waitingPayloads = 0
}

// ---- connections that open ------------------------------------------------------------------------------------------

/** Dials it, or will when another attempt has ended. False: nobody here gave it, and there is no room for one more of those. */
const seek = (state: State, peer: Peer, now: number, out: Out): boolean => {
  const isFull = state.byDial.size >= Limits.dials
  if (!peer.given && (isFull || strangersDialed(state) >= Limits.strangerDials)) {
    state.counters.dialsRefused++
    return false
  }
  if (isFull) state.dialsDue.add(peer)
  else dial(state, peer, now, out)
  return true
}

const strangersDialed = ({ byDial }: State): number => {
  let count = 0
  for (const { given } of byDial.values()) if (!given) count++
  return count
}

const dial = (state: State, peer: Peer, now: number, out: Out): void => {
  if (state.shutDown) return
  const dial = state.next++
  peer.dial = dial
  state.byDial.set(dial, peer)
  state.counters.dials++
  out.push({ _tag: "Dial", dial, peer: peer.id })
  keepTidy(state, now, out)
}

const dialed = (state: State, event: Extract<Event, { readonly _tag: "Dialed" }>, now: number, out: Out): void => {
  const peer = state.byDial.get(event.dial)
  if (peer === undefined) return close(event.connection, closes.unused, out) // given up, and too late for that
  endDial(state, peer, event.dial, now, out)
  attach(state, peer, event.connection, now, out)
}

const incoming = (state: State, event: Extract<Event, { readonly _tag: "Incoming" }>, now: number, out: Out): void => {
  const peer = state.shutDown ? undefined : known(state, event.id, Limits.peers, now)
  if (peer === undefined) {
    out.push(Actor.reply(event.replyTo, state.shutDown ? closes.shutDown : closes.tooMany))
    return
  }
  // before anything is said about it
  out.push(Actor.reply(event.replyTo, "accept"))
  attach(state, peer, event.connection, now, out)
}

/** The newest connection of a peer: from now on we send there. */
const attach = (state: State, peer: Peer, connection: number, now: number, out: Out): void => {
  const link: Link = {
    connection,
    peer,
    sinceMs: now,
    usedMs: -Infinity,
    streams: 0,
    rest: undefined,
    heard: new Set(),
    refused: new Set()
  }
  const before = peer.links.at(-1)
  peer.links.push(link)
  state.byConnection.set(connection, link)
  state.counters.connectionsOpened++
  peer.usedMs = now
  if (before !== undefined) rest(state, before, now, out)
  for (const { message, topic } of peer.waiting) out.push({ _tag: "Send", connection, topic, message })
  peer.waiting = []
  peer.waitingPayloads = 0
  const oldest = peer.links[0]
  if (oldest !== undefined && peer.links.length > Limits.connectionsPerPeer) hangUp(state, oldest, closes.tooMany, out)
  keepTidy(state, now, out)
}

const dialFailed = (state: State, number: number, now: number, out: Out): Loss | undefined => {
  const peer = state.byDial.get(number)
  if (peer === undefined) return undefined // `Dialed` came before, or it was given up
  endDial(state, peer, number, now, out)
  state.counters.dialFailures++
  if (peer.links.length > 0) return undefined // the peer has dialed us meanwhile
  failed(state, peer, now)
  state.undialable.delete(peer)
  state.undialable.add(peer)
  return giveUp(state, peer)
}

/** The next attempt comes after a pause. */
const failed = (state: State, peer: Peer, now: number): void => {
  peer.failures++
  peer.redialAtMs = now + backOffMs(state, peer.failures)
}

const giveUp = (state: State, peer: Peer): Loss => {
  drop(state, peer)
  return { _tag: "Gone", peer: peer.id }
}

/** The next one that waits for it is dialed. */
const endDial = (state: State, peer: Peer, number: number, now: number, out: Out): void => {
  state.byDial.delete(number)
  peer.dial = undefined
  for (const next of state.dialsDue) {
    if (state.byDial.size >= Limits.dials) return
    state.dialsDue.delete(next)
    if (next.waiting.length > 0 && next.dial === undefined) dial(state, next, now, out)
  }
}

/** Half of it is chance, so that two who lost each other do not collide for ever. */
const backOffMs = (state: State, failures: number): number => {
  const fullMs = Math.min(Limits.redialMaxMs, Limits.redialMinMs * 2 ** (failures - 1))
  return Math.round((fullMs / 2) * (1 + state.rng.next()))
}

// ---- connections that end -------------------------------------------------------------------------------------------

const connectionClosed = (
  state: State,
  { connection, how }: Extract<Event, { readonly _tag: "ConnectionClosed" }>,
  now: number,
  out: Out
): Loss | undefined => {
  const link = state.byConnection.get(connection)
  if (link === undefined) return undefined // we have closed it, and told who had to know
  const { peer } = link
  const newer = peer.links.slice(peer.links.indexOf(link) + 1)
  unlink(state, link)
  review(state, peer, now, out)
  if (newer.length === 0) {
    // accepted and closed at once: as good as a dial that failed
    if (link.usedMs === -Infinity && now - link.sinceMs < Limits.idleMs) failed(state, peer, now)
    // who is nobody's neighbor and hangs up in order is not gone
    return how === "graceful" && peer.neighborIn.size === 0 ? undefined : { _tag: "Gone", peer: peer.id }
  }
  // closed by whom it may be, what was queued on it did not arrive
  if (how === "graceful" || (how === "closed" && link.rest?.flushed === true)) return undefined
  // it may have been restarted: of our neighborhood it knows where it has spoken since
  const topics = [...peer.neighborIn].filter((topic) => !newer.some(({ heard }) => heard.has(topic)))
  return topics.length === 0 ? undefined : { _tag: "Forgotten", peer: peer.id, topics }
}

/** Ends our streams; the connection is closed when the peer has ended its own. */
const rest = (state: State, link: Link, now: number, out: Out): void => {
  if (link.rest !== undefined) return
  link.rest = { rest: state.next++, sinceMs: now, flushed: false }
  out.push({ _tag: "Rest", connection: link.connection, rest: link.rest.rest })
}

/** Closes what nobody needs: section 5.3. */
const review = (state: State, peer: Peer, now: number, out: Out): void => {
  const idle = unneeded(peer)
  let newerUsedMs = -Infinity
  for (let index = peer.links.length - 1; index >= 0; index--) {
    const link = peer.links[index]
    if (link === undefined) continue
    const { rest, sinceMs, streams, usedMs } = link
    const lingered = rest !== undefined && now - rest.sinceMs >= Limits.lingerMs
    const superseded = newerUsedMs >= sinceMs + Limits.supersededMs
    if (rest?.flushed === true && ((superseded && streams === 0) || (idle && (streams === 0 || lingered)))) {
      hangUp(state, link, closes.unused, out)
    }
    newerUsedMs = Math.max(newerUsedMs, usedMs)
  }
}

/** Nobody is told: who still needs the peer has another connection. */
const hangUp = (state: State, link: Link, how: Closing, out: Out): void => {
  unlink(state, link)
  close(link.connection, how, out)
}

const unlink = (state: State, link: Link): void => {
  state.byConnection.delete(link.connection)
  const { links } = link.peer
  const index = links.indexOf(link)
  if (index >= 0) links.splice(index, 1)
}

const close = (connection: number, { code, reason }: Closing, out: Out): void => {
  out.push({ _tag: "CloseConnection", connection, code, reason })
}

// ---- peers that nobody needs ----------------------------------------------------------------------------------------

const keepTidy = (state: State, now: number, out: Out): void => {
  if (state.tidying || state.shutDown) return
  state.tidying = true
  out.push(Actor.setTimer("tidy", now + Limits.tidyMs, { _tag: "TidyDue" }))
}

const tidy = (state: State, now: number, out: Out): void => {
  state.tidying = false
  for (const peer of state.peers.values()) {
    if (!unneeded(peer)) continue
    if (now - peer.usedMs >= Limits.idleMs && now >= peer.answerByMs)
      for (const link of peer.links) rest(state, link, now, out)
    review(state, peer, now, out)
    if (peer.links.length === 0 && peer.dial === undefined && now >= peer.redialAtMs + Limits.redialMaxMs) {
      forget(state, peer)
    } else {
      keepTidy(state, now, out)
    }
  }
}

// ---- what the topics tell -------------------------------------------------------------------------------------------

export const neighborUp = (state: State, id: EndpointId, topic: TopicId, now: number): void => {
  known(state, id, Limits.peers, now)?.neighborIn.add(topic)
}

export const neighborDown = (state: State, id: EndpointId, topic: TopicId, now: number, out: Out): void => {
  const peer = state.peers.get(id)
  if (peer === undefined) return
  peer.neighborIn.delete(topic)
  if (peer.neighborIn.size === 0) keepTidy(state, now, out)
}

/** Nothing is dialed any more, and everything is flushed. */
export const shutDown = (state: State, now: number, out: Out): void => {
  state.shutDown = true
  state.dialsDue.clear()
  for (const [dial, peer] of state.byDial) {
    endDial(state, peer, dial, now, out)
    out.push({ _tag: "CancelDial", dial })
  }
  for (const peer of state.peers.values()) {
    drop(state, peer)
    peer.neighborIn.clear()
    out.push(Actor.clearTimer(redialTimer(peer.id)))
    for (const link of peer.links) rest(state, link, now, out)
  }
}

/** All links have said what they had to say. */
export const isFlushed = (state: State): boolean => {
  for (const { rest } of state.byConnection.values()) if (rest?.flushed !== true) return false
  return true
}

export const closeAll = (state: State, out: Out): void => {
  for (const link of state.byConnection.values()) hangUp(state, link, closes.shutDown, out)
}

const redialTimer = (id: EndpointId): string => `redial/${id}`
