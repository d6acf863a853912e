/** What HyParView does on several occasions (iroh-gossip section 3.3). Each changes the state and appends to `out`, in that section's order. */
import type * as Config from "../Config.ts"
import type { State } from "../HyParView.ts"
import * as Limits from "../Limits.ts"
import type * as Message from "../Message.ts"
import type { PeerId } from "../PeerId.ts"
import type * as Topic from "../Topic.ts"
import * as Former from "./Former.ts"
import * as Nodes from "./Nodes.ts"
import * as View from "./View.ts"

export type Out<P extends PeerId> = Array<Topic.Output<P>>

export const isAdmitted = <P extends PeerId>({ admit }: State<P>, peer: P): boolean =>
  admit === undefined || admit(peer)

/** Nobody of ours: it is told that we are not there, and not told who is. */
export const refuse = <P extends PeerId>(state: State<P>, peer: P, out: Out<P>): void => {
  const index = state.active.indexOf(peer)
  if (index >= 0) remove(state, index, "refused", out)
  state.pending.delete(peer)
  state.aliveDisconnect.delete(peer)
  removePassive(state, peer)
  Former.found(state.former, peer)
  forget(state, peer)
  goodbye(peer, false, out)
  if (index >= 0) refill(state, wanted(state.config), peer, out)
}

/** Keeps what a peer published, and tells if that is new. */
export const remember = <P extends PeerId>(
  state: State<P>,
  peer: P,
  received: Message.PeerData | undefined,
  out: Out<P>
): void => {
  const data = Nodes.usableData(received, state.maxMessageBytes)
  if (data === undefined) return
  const known = state.peerData.get(peer)
  state.peerData.set(peer, data)
  if (known === undefined || !equals(known, data)) out.push({ _tag: "PeerData", peer, data })
}

/** Drops what a peer published unless we may still need it. */
export const forget = <P extends PeerId>(state: State<P>, peer: P): void => {
  if (state.active.includes(peer) || state.passive.includes(peer)) return
  if (!state.pending.has(peer) && !Former.has(state.former, peer)) state.peerData.delete(peer)
}

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

/** Whether a Neighbor of this peer would be the answer to one of ours. */
const awaits = <P extends PeerId>(state: State<P>, peer: P): boolean => {
  const sentAt = state.pending.get(peer)
  return sentAt !== undefined && state.time < sentAt + Limits.answerMs
}

/** The same of a Neighbor that has come, which ends the waiting. */
export const takeAnswer = <P extends PeerId>(state: State<P>, peer: P): boolean => {
  const isAnswer = awaits(state, peer)
  state.pending.delete(peer)
  const ended = state.aliveDisconnect.get(peer)
  if (isAnswer || ended === undefined || !ended.answerDue) return isAnswer
  ended.answerDue = false
  return hasEndedAlive(state, peer)
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
  sendNeighbor(state, peer, priority, out)
  scheduleRequestTimeout(peer, state.config.neighborRequestTimeoutMs, out)
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

/** Tells a neighbor that it is one, unless it was told and has not answered yet. */
export const answer = <P extends PeerId>(state: State<P>, peer: P, priority: Message.Priority, out: Out<P>): void => {
  if (!awaits(state, peer)) sendNeighbor(state, peer, priority, out)
}

/** Makes `peer` a neighbor if it is none. False: there is no room for one with this priority. */
export const addActive = <P extends PeerId>(
  state: State<P>,
  peer: P,
  data: Message.PeerData | undefined,
  priority: Message.Priority,
  out: Out<P>
): boolean => {
  const { active, config } = state
  const isNeighbor = active.includes(peer)
  const isFull = !isNeighbor && active.length >= config.activeViewCapacity
  if (isFull && priority === "Low") return false
  remember(state, peer, data, out)
  if (isNeighbor) return true
  if (isFull) evictRandom(state, out)
  const index = state.passive.indexOf(peer)
  if (index >= 0) View.swapRemove(state.passive, index)
  Former.found(state.former, peer)
  state.refusals = 0
  active.push(peer)
  out.push({ _tag: "EmitEvent", event: { _tag: "NeighborUp", peer } })
  return true
}

/** What all ways out of the active view have in common. */
export const remove = <P extends PeerId>(
  state: State<P>,
  index: number,
  reason: Topic.DownReason,
  out: Out<P>
): void => {
  const peer = View.swapRemove(state.active, index)
  if (peer === undefined) return
  state.pending.delete(peer)
  out.push({ _tag: "EmitEvent", event: { _tag: "NeighborDown", peer, reason } })
}

const evictRandom = <P extends PeerId>(state: State<P>, out: Out<P>): void => {
  const index = state.rng.below(state.active.length)
  const peer = state.active[index]
  if (peer === undefined) return
  const answerDue = awaits(state, peer)
  remove(state, index, "evicted", out)
  disconnect(state, peer, true, out)
  addPassive(state, peer, undefined, out)
  endedAlive(state, peer, answerDue)
}

/** Keeps `peer` to ask it later, instead of another one if need be. */
export const addPassive = <P extends PeerId>(
  state: State<P>,
  peer: P,
  data: Message.PeerData | undefined,
  out: Out<P>
): void => {
  const { active, config, passive } = state
  if (peer === state.self || !isAdmitted(state, peer)) return forget(state, peer)
  if (!active.includes(peer) && !passive.includes(peer)) {
    if (config.passiveViewCapacity === 0) return forget(state, peer)
    if (passive.length >= config.passiveViewCapacity) {
      const [evicted] = passive.splice(state.rng.below(passive.length), 1)
      if (evicted !== undefined) forget(state, evicted)
    }
    passive.push(peer)
  }
  remember(state, peer, data, out)
}

export const addNodes = <P extends PeerId>(
  state: State<P>,
  nodes: ReadonlyArray<Message.PeerInfo<P>>,
  out: Out<P>
): void => {
  const count = Math.min(nodes.length, maxNodes(state.config))
  for (let i = 0; i < count; i++) {
    const node = nodes[i]
    if (node !== undefined) addPassive(state, node.id, node.data, out)
  }
}

export const removePassive = <P extends PeerId>(state: State<P>, peer: P): void => {
  const index = state.passive.indexOf(peer)
  if (index >= 0) View.swapRemove(state.passive, index)
  forget(state, peer)
}

/**
 * How many neighbors are enough: nobody is asked to become one beyond `wanted`, and beyond `needed` nobody after an eviction or a
 * refusal, as others have no room then. The rest of the active view is room for those who ask us; were all views full, nobody would find room (section 7.1, 7 and 9).
 */
export const wanted = (config: Config.Membership): number => Math.ceil((config.activeViewCapacity * 4) / 5)
export const needed = (config: Config.Membership): number => Math.ceil((config.activeViewCapacity * 3) / 5)

/** Asks one passive peer if there is room for it. Without any neighbor it must take us, else only if it has room. */
export const refill = <P extends PeerId>(state: State<P>, enough: number, skip: P | undefined, out: Out<P>): void => {
  const { active, passive, pending } = state
  if (passive.length === 0 || active.length + requests(state) >= enough) return
  const alone = active.length === 0
  if (!alone && state.refusals >= Limits.refusals) {
    if (state.time < state.refusedAt + Limits.refusalMs) return
    state.refusals = 0
  }
  const candidates = passive.filter((peer) => peer !== skip && !pending.has(peer))
  const peer = View.pick(candidates, state.rng)
  if (peer !== undefined) requestAgain(state, peer, alone ? "High" : "Low", out)
}

/** The most nodes that we look at; ours have no more (section 7.1, 20). */
export const maxNodes = (config: Config.Membership): number =>
  Math.max(1, config.shuffleActiveViewCount + config.shufflePassiveViewCount + 1)

export const infos = <P extends PeerId>(state: State<P>, ids: ReadonlyArray<P>): Array<Message.PeerInfo<P>> =>
  ids.map((id) => ({ id, data: id === state.self ? state.myData : state.peerData.get(id) }))

// Outputs

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
  awaitAnswer(state, peer, out)
}

export const sendNeighbor = <P extends PeerId>(
  state: State<P>,
  peer: P,
  priority: Message.Priority,
  out: Out<P>
): void => {
  state.pending.set(peer, state.time)
  out.push({ _tag: "SendMessage", peer, message: { _tag: "Neighbor", priority, data: state.myData } })
}

export const sendShuffle = <P extends PeerId>(
  state: State<P>,
  peer: P,
  origin: P,
  nodes: Array<Message.PeerInfo<P>>,
  ttl: number,
  out: Out<P>
): void => {
  const message: Message.Membership<P> = {
    _tag: "Shuffle",
    origin,
    nodes: Nodes.fit(nodes, state.maxMessageBytes),
    ttl
  }
  out.push({ _tag: "SendMessage", peer, message })
}

export const sendShuffleReply = <P extends PeerId>(state: State<P>, peer: P, count: number, out: Out<P>): void => {
  const ids = View.sample(state.passive, count, peer, state.rng)
  if (ids.length < count) ids.push(...View.sample(state.active, count - ids.length, peer, state.rng))
  const nodes = Nodes.fit(infos(state, ids), state.maxMessageBytes)
  out.push({ _tag: "SendMessage", peer, message: { _tag: "ShuffleReply", nodes } })
}

/** Ends a link with somebody who may know us better for it. */
export const disconnect = <P extends PeerId>(state: State<P>, peer: P, alive: boolean, out: Out<P>): void => {
  const { shuffleActiveViewCount, shufflePassiveViewCount } = state.config
  sendShuffleReply(state, peer, shuffleActiveViewCount + shufflePassiveViewCount, out)
  goodbye(peer, alive, out)
}

export const goodbye = <P extends PeerId>(peer: P, alive: boolean, out: Out<P>): void => {
  out.push({ _tag: "SendMessage", peer, message: { _tag: "Disconnect", alive } })
  out.push({ _tag: "DisconnectPeer", peer })
}

/** The end of a short exchange with somebody who is neither a neighbor nor asked to become one. */
export const release = <P extends PeerId>(state: State<P>, peer: P, out: Out<P>): void => {
  if (!state.active.includes(peer) && !state.pending.has(peer)) out.push({ _tag: "DisconnectPeer", peer })
}

/** The way may be slow; who has not said anything in the end may not even be in the topic. */
const awaitAnswer = <P extends PeerId>(state: State<P>, peer: P, out: Out<P>): void => {
  state.silent.add(peer)
  if (state.silent.size > Limits.silentPeersPerTopic) {
    for (const oldest of state.silent) {
      state.silent.delete(oldest)
      release(state, oldest, out)
      break
    }
  }
  scheduleRequestTimeout(peer, Limits.answerMs, out)
}

/**
 * A request was not answered. It has failed after `neighborRequestTimeoutMs`; but the way may be slow, so that the connection is given
 * up only after `Limits.answerMs` more, when this timer comes a second time.
 */
export const onRequestTimeout = <P extends PeerId>(state: State<P>, peer: P, out: Out<P>): void => {
  if (state.active.includes(peer)) return
  if (!state.pending.delete(peer)) {
    if (state.silent.delete(peer)) out.push({ _tag: "DisconnectPeer", peer })
    return
  }
  removePassive(state, peer)
  awaitAnswer(state, peer, out)
  refill(state, wanted(state.config), undefined, out)
}

const scheduleRequestTimeout = <P extends PeerId>(peer: P, delayMs: number, out: Out<P>): void => {
  out.push({ _tag: "ScheduleTimer", delayMs, timer: { _tag: "PendingNeighborRequest", peer } })
}

const equals = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index])

/** From now on `peer` is probed for until it is a neighbor (section 7.3). */
export const lookFor = <P extends PeerId>(state: State<P>, peer: P): void => {
  Former.lost(state.former, peer, state.time)
  trimFormer(state)
}

/** Forgets who is not to be looked for any longer. */
export const trimFormer = <P extends PeerId>(state: State<P>): void => {
  for (;;) {
    const peer = Former.takeExpired(state.former, state.time)
    if (peer === undefined) return
    forget(state, peer)
  }
}
