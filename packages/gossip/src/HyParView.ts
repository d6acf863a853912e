/**
 * HyParView, the membership of one topic (iroh-gossip section 3): a few neighbors to talk to, the active view, and some more peers to
 * replace them with, the passive view. Pure and synchronous.
 *
 * What differs from the Rust peers never changes the wire and stands in section 7.1: requests to peers that are neighbors already take
 * no room (7), a Join is always answered (8), a failed request is followed by the next one (9), every request has its timer (10), oneself
 * is never a candidate (11), everything is bounded (19, 20), no frame is too large (23). And it looks for lost neighbors (section 7.3).
 */
import type { Rng } from "@effect-live/actor/Rng"
import type * as Config from "./Config.ts"
import * as Former from "./internal/Former.ts"
import { mayForwardJoin, mayIntroduce } from "./internal/introductions.ts"
import {
  addActive,
  addPassive,
  disconnect,
  forget,
  goodbye,
  isAdmitted,
  needed,
  type Out,
  refill,
  refuse,
  remember,
  remove,
  removePassive,
  unreachable,
  wanted
} from "./internal/membership.ts"
import * as Nodes from "./internal/Nodes.ts"
import { lookFor, probe, scheduleProbe } from "./internal/probing.ts"
import {
  type Asked,
  type Ended,
  endedAlive,
  hasEndedAlive,
  hasFailed,
  release,
  request,
  requests,
  sendJoin,
  sendNeighbor,
  type Silent,
  takeNeighbor,
  tell
} from "./internal/requests.ts"
import { addNodes, onShuffle, shuffle } from "./internal/shuffles.ts"
import * as View from "./internal/View.ts"
import * as Limits from "./Limits.ts"
import type * as Message from "./Message.ts"
import type { PeerId } from "./PeerId.ts"
import type * as Topic from "./Topic.ts"

export type Input<P extends PeerId> =
  | { readonly _tag: "RecvMessage"; readonly from: P; readonly message: Message.Membership<P> }
  | Extract<Topic.Input<P>, { readonly _tag: "Join" | "Quit" | "PeerDisconnected" | "UpdatePeerData" }>
  | { readonly _tag: "TimerExpired"; readonly timer: Timer<P> }

export type Timer<P extends PeerId> = Extract<
  Topic.Timer<P>,
  { readonly _tag: "DoShuffle" | "PendingNeighborRequest" | "ProbeFormer" }
>

/** What was held back so far, as plain numbers that only grow. */
export interface Stats {
  /** Joins not forwarded: `Limits.forwardJoinMs`, `Limits.forwardedJoinsPerTopic`. */
  joinsNotForwarded: number
  /** Nodes named by others that were not answered or asked: `Limits.introductionsPerTopic`. */
  introductionsRefused: number
}

/** Whether a peer may become a neighbor. Who may not is told so, hears of nobody, and nobody hears of it from us. */
export type Admit<P extends PeerId> = (peer: P) => boolean

/** What the membership of one topic begins with. */
export interface Options<P extends PeerId> {
  /** Ourselves: never a neighbor, never a candidate. */
  readonly self: P
  readonly config: Config.Membership
  /** Bounds what a Shuffle carries (section 2.8). */
  readonly maxMessageBytes: number
  /** All chance of the membership: one seed and the same inputs give the same outputs. */
  readonly rng: Rng
  /** What we publish about ourselves. */
  readonly data?: Message.PeerData | undefined
  readonly admit?: Admit<P> | undefined
}

/** `active` and `passive` are disjoint and never hold oneself. Everybody may read, only `handle` writes. */
export interface State<P extends PeerId> {
  readonly self: P
  readonly config: Config.Membership
  readonly maxMessageBytes: number
  readonly rng: Rng
  readonly admit: Admit<P> | undefined
  readonly active: Array<P>
  readonly passive: Array<P>
  /** Who had no room in `passive`, and who could not be reached while nobody could, oldest first: for when `passive` is empty. */
  readonly reserve: Array<P>
  /**
   * Peers to which a Neighbor was sent and whose Neighbor has not come back. Those of neighbors have no timer: they
   * keep two peers from answering each other's Neighbor for ever (section 3.7).
   */
  readonly pending: Map<P, Asked>
  /** Of peers in either view or the reserve, asked, or looked for. */
  readonly peerData: Map<P, Message.PeerData>
  /** Peers with which a link was ended alive lately, oldest first: the end of that connection says nothing more. */
  readonly aliveDisconnect: Map<P, Ended>
  /** Peers that have said nothing since we wrote to them, and get some more time. */
  readonly silent: Map<P, Silent>
  /** When a Join was last forwarded, of peers of which that was lately; oldest first. */
  readonly joined: Map<P, number>
  /** When we last wrote to nodes that we only heard of, oldest first. */
  readonly introducedAt: Array<number>
  /** Number of the last request. */
  requested: number
  /** How many peers in a row had no room for us, and when the last one said so. */
  refusals: number
  refusedAt: number
  readonly former: Former.State<P>
  myData: Message.PeerData | undefined
  shuffleScheduled: boolean
  /** Milliseconds that passed as far as the clock is believed, see `advance`. */
  time: number
  lastNow: number | undefined
  readonly stats: Stats
}

/** A membership without neighbors, which does nothing before its first input. */
export const make = <P extends PeerId>(options: Options<P>): State<P> => ({
  self: options.self,
  config: options.config,
  maxMessageBytes: options.maxMessageBytes,
  rng: options.rng,
  admit: options.admit,
  active: [],
  passive: [],
  reserve: [],
  pending: new Map(),
  peerData: new Map(),
  aliveDisconnect: new Map(),
  silent: new Map(),
  joined: new Map(),
  introducedAt: [],
  requested: 0,
  refusals: 0,
  refusedAt: 0,
  former: Former.make(),
  myData: Nodes.usableData(options.data, options.maxMessageBytes),
  shuffleScheduled: false,
  time: 0,
  lastNow: undefined,
  stats: { joinsNotForwarded: 0, introductionsRefused: 0 }
})

/** Handles one input; what is to be done is appended to `out`, in the order of the specification. `now` in milliseconds. */
export const handle = <P extends PeerId>(state: State<P>, input: Input<P>, now: number, out: Out<P>): void => {
  advance(state, now)
  switch (input._tag) {
    case "RecvMessage":
      if (input.from !== state.self) onMessage(state, input.from, input.message, out)
      break
    case "Join":
      // Joining nobody does nothing (section 1.2).
      if (input.peers.length === 0) return
      for (const peer of input.peers) requestJoin(state, peer, out)
      break
    case "Quit":
      return quit(state, out)
    case "PeerDisconnected":
      onPeerDisconnected(state, input.peer, out)
      break
    case "UpdatePeerData":
      state.myData = Nodes.usableData(input.data, state.maxMessageBytes)
      break
    case "TimerExpired":
      onTimer(state, input.timer, out)
      break
  }
  if (!state.shuffleScheduled) {
    state.shuffleScheduled = true
    out.push({ _tag: "ScheduleTimer", delayMs: state.config.shuffleIntervalMs, timer: { _tag: "DoShuffle" } })
  }
  scheduleProbe(state, out)
}

/**
 * Somebody sent a message of the broadcast. Who is no neighbor of ours but counts us among its own is told so, or the link would stay
 * one-sided until the next Shuffle. What was on its way when a link ended needs no answer, and who was asked may have overtaken its own.
 */
export const heardFrom = <P extends PeerId>(state: State<P>, from: P, now: number, out: Out<P>): void => {
  const { active, pending, self, silent } = state
  if (active.includes(from) || pending.has(from) || silent.has(from) || from === self) return
  advance(state, now)
  if (hasEndedAlive(state, from)) return
  endedAlive(state, from, false)
  goodbye(from, isAdmitted(state, from), out)
}

/** Clocks are set forwards and backwards, and computers sleep: never less than nothing passes between two inputs, nor more than between two Shuffles. */
const advance = <P extends PeerId>(state: State<P>, now: number): void => {
  if (state.lastNow !== undefined) {
    state.time += Math.min(Math.max(0, now - state.lastNow), state.config.shuffleIntervalMs)
  }
  state.lastNow = now
}

// Inputs (section 3.4)

const requestJoin = <P extends PeerId>(state: State<P>, peer: P, out: Out<P>): void => {
  if (peer === state.self || !isAdmitted(state, peer)) return
  Former.join(state.former, peer)
  // A Join would be forwarded and cost others their links; a neighbor only needs to know that it is one.
  if (state.active.includes(peer)) return void sendNeighbor(state, peer, "High", false, out)
  lookFor(state, peer)
  sendJoin(state, peer, out)
}

const quit = <P extends PeerId>(state: State<P>, out: Out<P>): void => {
  for (let peer = state.active.pop(); peer !== undefined; peer = state.active.pop()) {
    state.pending.delete(peer)
    disconnect(state, peer, false, out)
  }
  // Who was asked may count us among its neighbors by now.
  for (const peer of state.pending.keys()) goodbye(peer, false, out)
  state.pending.clear()
  state.passive.length = 0
  state.reserve.length = 0
  state.former.entries.length = 0
  state.former.bootstrap.length = 0
}

const onPeerDisconnected = <P extends PeerId>(state: State<P>, peer: P, out: Out<P>): void => {
  const index = state.active.indexOf(peer)
  if (index >= 0) {
    // No DisconnectPeer: it would end a connection that is already the next one, and so on for ever.
    const wasAlive = hasEndedAlive(state, peer)
    remove(state, index, wasAlive ? "evicted" : "closed", out)
    if (wasAlive) addPassive(state, peer, undefined, out)
    else lookFor(state, peer)
    return refill(state, wanted(state.config), peer, out)
  }
  // That was the connection of a link which ended: what we have asked since goes another way, or its timer comes.
  if (hasEndedAlive(state, peer)) return
  state.silent.delete(peer)
  const wasPending = state.pending.delete(peer)
  unreachable(state, peer)
  if (wasPending) refill(state, wanted(state.config), peer, out)
}

const onTimer = <P extends PeerId>(state: State<P>, timer: Timer<P>, out: Out<P>): void => {
  switch (timer._tag) {
    case "DoShuffle":
      state.shuffleScheduled = false
      shuffle(state, out)
      return refill(state, wanted(state.config), undefined, out)
    case "PendingNeighborRequest":
      if (!hasFailed(state, timer, out)) return
      unreachable(state, timer.peer)
      return refill(state, wanted(state.config), undefined, out)
    case "ProbeFormer":
      return probe(state, out)
  }
}

// Messages (section 3.5)

const onMessage = <P extends PeerId>(state: State<P>, from: P, message: Message.Membership<P>, out: Out<P>): void => {
  const late = state.silent.get(from)?.asked === true
  state.silent.delete(from)
  if (message._tag === "Disconnect") return onDisconnect(state, from, message.alive, out)
  if (!isAdmitted(state, from)) return refuse(state, from, out)
  switch (message._tag) {
    case "Join":
      return onJoin(state, from, message.data, out)
    case "Neighbor":
      return onNeighbor(state, from, message.priority, message.data, late, out)
    case "ForwardJoin":
      onForwardJoin(state, from, message.peer, message.ttl, out)
      break
    case "Shuffle":
      onShuffle(state, from, message, out)
      break
    case "ShuffleReply":
      addNodes(state, message.nodes, out)
      refill(state, needed(state.config), undefined, out)
      break
  }
  release(state, from, out)
}

const onJoin = <P extends PeerId>(state: State<P>, from: P, data: Message.PeerData | undefined, out: Out<P>): void => {
  addActive(state, from, data, "High", out)
  // Always, whatever was sent before: who joins may have just been started again (section 7.1, 8).
  sendNeighbor(state, from, "High", false, out)
  if (!mayForwardJoin(state, from)) return
  const peer: Message.PeerInfo<P> = { id: from, data: Nodes.usableData(data, state.maxMessageBytes) }
  const message: Message.Membership<P> = { _tag: "ForwardJoin", peer, ttl: state.config.activeRandomWalkLength }
  for (const other of state.active) if (other !== from) out.push({ _tag: "SendMessage", peer: other, message })
}

const onForwardJoin = <P extends PeerId>(
  state: State<P>,
  from: P,
  peer: Message.PeerInfo<P>,
  receivedTtl: number,
  out: Out<P>
): void => {
  const { active, config } = state
  if (peer.id === state.self || !isAdmitted(state, peer.id)) return
  const ttl = Math.min(receivedTtl, config.activeRandomWalkLength)
  if (active.includes(peer.id)) {
    remember(state, peer.id, peer.data, out)
    return tell(state, peer.id, "High", false, out)
  }
  if (ttl === 0 || active.length <= 1) {
    if (requests(state) >= Limits.neighborRequestsPerTopic || !(state.pending.has(peer.id) || mayIntroduce(state)))
      return addPassive(state, peer.id, peer.data, out)
    remember(state, peer.id, peer.data, out)
    return request(state, peer.id, "High", out)
  }
  if (ttl === config.passiveRandomWalkLength) addPassive(state, peer.id, peer.data, out)
  if (state.pending.has(peer.id)) return
  const to = View.pick(active, state.rng, from)
  if (to === undefined) return
  const info: Message.PeerInfo<P> = { id: peer.id, data: Nodes.usableData(peer.data, state.maxMessageBytes) }
  out.push({ _tag: "SendMessage", peer: to, message: { _tag: "ForwardJoin", peer: info, ttl: ttl - 1 } })
}

const onNeighbor = <P extends PeerId>(
  state: State<P>,
  from: P,
  priority: Message.Priority,
  data: Message.PeerData | undefined,
  late: boolean,
  out: Out<P>
): void => {
  const meaning = takeNeighbor(state, from, late)
  // With room for one only, those whom we throw out for each other would do so without end; it hears our Disconnect next.
  if (meaning === "crossed" && state.config.activeViewCapacity === 1) return release(state, from, out)
  if (!addActive(state, from, data, priority, out)) {
    forget(state, from)
    return disconnect(state, from, true, out)
  }
  if (meaning !== "answer") tell(state, from, priority, true, out)
}

const onDisconnect = <P extends PeerId>(state: State<P>, from: P, alive: boolean, out: Out<P>): void => {
  const asked = state.pending.get(from)
  const index = state.active.indexOf(from)
  if (index >= 0) {
    const isAnswer = asked !== undefined && state.time < asked.at + state.config.neighborRequestTimeoutMs
    remove(state, index, alive ? "evicted" : isAnswer ? "refused" : "left", out)
  }
  state.pending.delete(from)
  out.push({ _tag: "DisconnectPeer", peer: from })
  if (alive) {
    if (index >= 0) addPassive(state, from, undefined, out)
    endedAlive(state, from, false)
    if (index < 0 && asked !== undefined) {
      state.refusals++
      state.refusedAt = state.time
    }
  } else {
    state.aliveDisconnect.delete(from)
    removePassive(state, from)
    // Bootstrap peers may come, or come back.
    if (!state.former.bootstrap.includes(from)) Former.found(state.former, from)
    else if (index >= 0) lookFor(state, from)
  }
  forget(state, from)
  if (index >= 0 && !alive) refill(state, wanted(state.config), from, out)
  else if (index >= 0 || asked !== undefined) refill(state, needed(state.config), from, out)
}
