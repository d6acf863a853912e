/** What HyParView does on several occasions (iroh-gossip section 3.3). Each changes the state and appends to `out`, in that section's order. */
import type * as Config from "../Config.ts"
import type { State } from "../HyParView.ts"
import * as Limits from "../Limits.ts"
import type * as Message from "../Message.ts"
import type { PeerId } from "../PeerId.ts"
import type * as Topic from "../Topic.ts"
import * as Former from "./Former.ts"
import * as Nodes from "./Nodes.ts"
import { answerDue, endedAlive, requestAgain, requests } from "./requests.ts"
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
  const { active, former, passive, peerData, pending, reserve } = state
  if (!peerData.has(peer) || active.includes(peer) || passive.includes(peer) || reserve.includes(peer)) return
  if (!pending.has(peer) && !Former.has(former, peer)) peerData.delete(peer)
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
  View.remove(state.passive, peer)
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
  const isDue = answerDue(state, peer)
  remove(state, index, "evicted", out)
  disconnect(state, peer, true, out)
  addPassive(state, peer, undefined, out)
  endedAlive(state, peer, isDue)
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
      if (evicted !== undefined) keep(state, evicted)
    }
    passive.push(peer)
  }
  remember(state, peer, data, out)
}

/** Keeps `peer` for the day when nobody else is left to ask. */
const keep = <P extends PeerId>(state: State<P>, peer: P): void => {
  const { reserve } = state
  if (!reserve.includes(peer)) reserve.push(peer)
  const oldest = reserve.length > Limits.reservedPeersPerTopic ? reserve.shift() : undefined
  if (oldest !== undefined) forget(state, oldest)
}

/** `peer` is not there any more, or not for us. */
export const removePassive = <P extends PeerId>(state: State<P>, peer: P): void => {
  View.remove(state.reserve, peer)
  View.remove(state.passive, peer)
  forget(state, peer)
}

/** `peer` was not reached, or did not answer. As long as there is no neighbor, that may be our own fault. */
export const unreachable = <P extends PeerId>(state: State<P>, peer: P): void => {
  if (state.active.length === 0 && state.passive.includes(peer)) keep(state, peer)
  View.remove(state.passive, peer)
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

export const infos = <P extends PeerId>(state: State<P>, ids: ReadonlyArray<P>): Array<Message.PeerInfo<P>> =>
  ids.map((id) => ({ id, data: id === state.self ? state.myData : state.peerData.get(id) }))

// Outputs

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

const equals = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index])
