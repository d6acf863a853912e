/**
 * Requests to become a neighbor, and their answers (iroh-gossip section 3.7). Both are the same message: each side has to know what its
 * own Neighbor meant to the other one and what the next one of that peer therefore is. Where it is wrong a link is one-sided, or two
 * peers answer each other for ever.
 */
import type { State } from "../HyParView.ts"
import * as Limits from "../Limits.ts"
import type * as Message from "../Message.ts"
import type { PeerId } from "../PeerId.ts"
import type * as Topic from "../Topic.ts"

type Out<P extends PeerId> = Array<Topic.Output<P>>
type Timeout<P extends PeerId> = Extract<Topic.Timer<P>, { readonly _tag: "PendingNeighborRequest" }>

/** A Neighbor of ours that was not answered. */
export interface Asked {
  /** Nothing cancels the timer of an earlier request to the same peer: this tells them apart. */
  readonly request: number
  readonly at: number
  /** It was an answer itself: none comes back, unless the peer had given its request up. */
  readonly isAnswer: boolean
}

/** Somebody who has said nothing since we wrote to it. */
export interface Silent {
  readonly request: number
  /** What it did not answer was a Neighbor: the one that may still come is the answer. */
  readonly asked: boolean
}

/** A link that ended while both sides live on. */
export interface Ended {
  readonly at: number
  /** Our Neighbor was not answered yet: the next one of this peer is the answer, which crosses our Disconnect. */
  answerDue: boolean
}

/**
 * What a Neighbor that has come is: the peer asks, or it says yes, or it said yes before it heard that we have ended the link. That is
 * like asking, as it wants to be a neighbor; where everybody joins one peer at once it is what mixes the swarm.
 */
type Meaning = "request" | "answer" | "crossed"

/** A link ended alive; see `hasEndedAlive`. */
export const endedAlive = <P extends PeerId>(
  { aliveDisconnect, time }: State<P>,
  peer: P,
  answerDue: boolean
): void => {
  aliveDisconnect.delete(peer)
  aliveDisconnect.set(peer, { at: time, answerDue })
  for (const [oldest, { at }] of aliveDisconnect) {
    if (aliveDisconnect.size <= Limits.endedLinksPerTopic && time < at + Limits.answerMs) return
    aliveDisconnect.delete(oldest)
  }
}

/** Whether the end of a connection with this peer was to be expected. */
export const hasEndedAlive = <P extends PeerId>({ aliveDisconnect, time }: State<P>, peer: P): boolean => {
  const ended = aliveDisconnect.get(peer)
  return ended !== undefined && time < ended.at + Limits.answerMs
}

/** Our Neighbor to this peer, if it may still be answered. */
const unanswered = <P extends PeerId>(state: State<P>, peer: P): Asked | undefined => {
  const asked = state.pending.get(peer)
  return asked !== undefined && state.time < asked.at + Limits.answerMs ? asked : undefined
}

/** Whether a Neighbor of this peer is on its way for certain. */
export const answerDue = <P extends PeerId>(state: State<P>, peer: P): boolean =>
  unanswered(state, peer)?.isAnswer === false

/** What a Neighbor means, which ends the waiting for it. `late`: the peer was asked and had not answered in time. */
export const takeNeighbor = <P extends PeerId>(state: State<P>, peer: P, late: boolean): Meaning => {
  const isAnswer = late || unanswered(state, peer) !== undefined
  state.pending.delete(peer)
  if (isAnswer) return "answer"
  const ended = state.aliveDisconnect.get(peer)
  if (ended === undefined || !ended.answerDue) return "request"
  ended.answerDue = false
  return hasEndedAlive(state, peer) ? "crossed" : "request"
}

/** Requests to peers that are not neighbors (section 7.1, 7). */
export const requests = <P extends PeerId>({ active, pending }: State<P>): number => {
  let count = pending.size
  for (const peer of active) if (pending.has(peer)) count--
  return count
}

/** Asks somebody to become a neighbor. */
export const request = <P extends PeerId>(state: State<P>, peer: P, priority: Message.Priority, out: Out<P>): void => {
  if (state.pending.has(peer)) return
  const number = sendNeighbor(state, peer, priority, false, out)
  schedule(peer, number, state.config.neighborRequestTimeoutMs, out)
}

/** The same of somebody whom we know from earlier: whoever dials may have forgotten where it lives. */
export const requestAgain = <P extends PeerId>(
  state: State<P>,
  peer: P,
  priority: Message.Priority,
  out: Out<P>
): void => {
  const data = state.peerData.get(peer)
  if (data !== undefined) out.push({ _tag: "PeerData", peer, data })
  request(state, peer, priority, out)
}

/** Tells a neighbor that it is one, unless it was told and has not answered yet. `asked`: by that neighbor. */
export const tell = <P extends PeerId>(
  state: State<P>,
  peer: P,
  priority: Message.Priority,
  asked: boolean,
  out: Out<P>
): void => {
  if (unanswered(state, peer) === undefined) sendNeighbor(state, peer, priority, asked, out)
}

/** To neighbors, and to those of whom the caller schedules the timer of that number. */
export const sendNeighbor = <P extends PeerId>(
  state: State<P>,
  peer: P,
  priority: Message.Priority,
  isAnswer: boolean,
  out: Out<P>
): number => {
  const number = ++state.requested
  state.pending.set(peer, { request: number, at: state.time, isAnswer })
  out.push({ _tag: "SendMessage", peer, message: { _tag: "Neighbor", priority, data: state.myData } })
  return number
}

/**
 * Joins a peer. One that did not answer the last Join may be a Rust peer that waits for our Neighbor since before we were started again:
 * until it has that, it answers no Join (section 7.1, 8). To others it is a request like any other.
 */
export const sendJoin = <P extends PeerId>(state: State<P>, peer: P, out: Out<P>): void => {
  if (state.silent.has(peer)) {
    const neighbor: Message.Membership<P> = { _tag: "Neighbor", priority: "High", data: state.myData }
    out.push({ _tag: "SendMessage", peer, message: neighbor })
  }
  out.push({ _tag: "SendMessage", peer, message: { _tag: "Join", data: state.myData } })
  awaitAnswer(state, peer, false, out)
}

/** The end of a short exchange with somebody who is neither a neighbor nor asked to become one. */
export const release = <P extends PeerId>(state: State<P>, peer: P, out: Out<P>): void => {
  if (!state.active.includes(peer) && !state.pending.has(peer)) out.push({ _tag: "DisconnectPeer", peer })
}

/** The way may be slow; who has not said anything in the end may not even be in the topic. */
const awaitAnswer = <P extends PeerId>(state: State<P>, peer: P, asked: boolean, out: Out<P>): void => {
  const known = state.silent.get(peer)
  if (known !== undefined) {
    if (asked) state.silent.set(peer, { ...known, asked })
    return
  }
  const number = ++state.requested
  state.silent.set(peer, { request: number, asked })
  if (state.silent.size > Limits.silentPeersPerTopic) {
    for (const oldest of state.silent.keys()) {
      state.silent.delete(oldest)
      release(state, oldest, out)
      break
    }
  }
  schedule(peer, number, Limits.answerMs, out)
}

/**
 * A timer of a request. True: the peer did not answer, so that the request has failed. As the way may be slow, the connection is given
 * up only after `Limits.answerMs` more, and an answer until then is one.
 */
export const hasFailed = <P extends PeerId>(state: State<P>, { peer, request }: Timeout<P>, out: Out<P>): boolean => {
  if (state.silent.get(peer)?.request === request) {
    state.silent.delete(peer)
    release(state, peer, out)
    return false
  }
  if (state.pending.get(peer)?.request !== request || state.active.includes(peer)) return false
  state.pending.delete(peer)
  awaitAnswer(state, peer, true, out)
  return true
}

const schedule = <P extends PeerId>(peer: P, request: number, delayMs: number, out: Out<P>): void => {
  out.push({ _tag: "ScheduleTimer", delayMs, timer: { _tag: "PendingNeighborRequest", peer, request } })
}
