/**
 * PlumTree, the broadcast of one topic (iroh-gossip section 4): contents go at once over eager links, which form a tree, and are only
 * advertised over lazy ones, which repair it. Pure and synchronous; nothing here is seen by another peer but through the outputs.
 *
 * What differs from the Rust peers never changes the wire and stands in section 7.1: eager and lazy hold neighbors only (15), content
 * for neighbors goes to all of them and is never pruned (13), known content is not sent again (14), the links of a few trees and the last
 * eager link are kept (16), everything is bounded and counted (19), rounds saturate (20), no frame is too large (3).
 */
import * as Rng from "@effect-live/actor/Rng"
import type * as Config from "./Config.ts"
import * as Contents from "./internal/Contents.ts"
import * as Missing from "./internal/Missing.ts"
import * as References from "./internal/References.ts"
import * as Tree from "./internal/Tree.ts"
import * as Limits from "./Limits.ts"
import type * as Message from "./Message.ts"
import type { PeerId } from "./PeerId.ts"
import type * as Topic from "./Topic.ts"

export type Input<P extends PeerId> =
  | { readonly _tag: "RecvMessage"; readonly from: P; readonly message: Message.Broadcast }
  | Extract<Topic.Input<P>, { readonly _tag: "Broadcast" }>
  | { readonly _tag: "NeighborUp"; readonly peer: P }
  | { readonly _tag: "NeighborDown"; readonly peer: P }
  | { readonly _tag: "TimerExpired"; readonly timer: Timer<P> }

export type Timer<P extends PeerId> = Extract<
  Topic.Timer<P>,
  { readonly _tag: "SendGraft" | "DispatchLazyPush" | "EvictCache" }
>

/** Whether a content may be delivered and forwarded. `from` is the previous hop, not the author. */
export type Validate<P extends PeerId> = (content: Uint8Array, from: P, id: Message.MessageId) => boolean

/** What happened so far, as plain numbers that only grow; whoever measures a span of time may set them back. */
export interface Stats {
  /** Contents received, duplicates included. */
  payloads: number
  /** Prunes, Grafts and IHaves received. */
  controls: number
  /** Contents delivered. */
  delivered: number
  /** Contents received again, within the retention of their ids. */
  duplicates: number
  /** The highest round of a delivered content, as it was on the wire. */
  maxRound: number
  graftsSent: number
  prunesSent: number
  /** Contents that the validator refused, and those with the id of one. */
  refused: number
  /** Messages of peers that are not neighbors: contents are delivered if these are admitted, the rest is ignored. */
  fromStrangers: number
  /** Own contents that were not sent because their id was known (section 7.1, 14). */
  repeated: number
  /** Ids forgotten before their time: `Limits.idsPerTopic`, `Limits.refusedIdsPerTopic`. */
  idsEvicted: number
  /** Contents dropped before their time: `Limits.cachedMessagesPerTopic`, `Limits.cachedBytesPerTopic`. */
  contentsEvicted: number
  /** Entries of IHaves not looked at: `Limits.missingIdsPerTopic`, `Limits.advertisedIdsPerPeer`, `Limits.advertisersPerId`. */
  advertisementsDropped: number
  /** Grafts not sent, or sent later: `Limits.unansweredGraftsPerPeer`, `Limits.regraftsPerPeer`. */
  graftsDropped: number
  /** Grafts not answered: `Limits.graftedContentsPerPeer`. */
  graftsIgnored: number
  /** Contents not sent because their number of hops leaves no room for them in a frame (section 2.8). They are delivered. */
  tooFar: number
  /** Entries of IHaves whose neighbor was gone before they were sent. */
  advertisementsLost: number
  /** Advertised contents that nobody sent who had them. They may come yet, or be advertised again. */
  contentsMissed: number
}

/** What the broadcast of one topic begins with. */
export interface Options<P extends PeerId> {
  /** Ourselves: never a neighbor. */
  readonly self: P
  readonly config: Config.Broadcast
  /** Bounds the entries of an IHave, and how far contents go that nearly fill a frame (section 2.8). */
  readonly maxMessageBytes: number
  /** Contents of peers that are not neighbors are only taken from these. */
  readonly admit?: ((peer: P) => boolean) | undefined
  /** Asked once for every content before it is delivered and forwarded. What it refuses is remembered by its id. */
  readonly validate?: Validate<P> | undefined
  /** A number that no peer knows, so that none can choose ids that are slow to find; 0 without it. What happens does not depend on it. */
  readonly salt?: number | undefined
}

/** `eager` and `lazy` are disjoint and hold all neighbors. Everybody may read, only `handle` writes. */
export interface State<P extends PeerId> {
  readonly self: P
  readonly config: Config.Broadcast
  readonly admit: ((peer: P) => boolean) | undefined
  readonly validate: Validate<P> | undefined
  readonly maxMessageBytes: number
  /** Entries of an IHave at most. */
  readonly maxIHaves: number
  readonly eager: Array<P>
  readonly lazy: Array<P>
  readonly links: Map<P, Tree.Link<P>>
  readonly contents: Contents.Contents
  readonly references: Array<References.Reference<P>>
  readonly missing: Map<Message.MessageId, Missing.Missing<P>>
  dispatchScheduled: boolean
  evictScheduled: boolean
  /** Time that passed as far as the clock is believed, see `advance`. */
  timeMs: number
  lastNowMs: number | undefined
  readonly stats: Stats
}

/** Entries that an IHave may have (section 2.8). */
export const maxIHaves = (maxMessageBytes: number): number => Math.floor((maxMessageBytes - 33 - 3) / 35)

/** A broadcast without neighbors, which does nothing before its first input. */
export const make = <P extends PeerId>(options: Options<P>): State<P> => ({
  self: options.self,
  config: options.config,
  admit: options.admit,
  validate: options.validate,
  maxMessageBytes: options.maxMessageBytes,
  maxIHaves: maxIHaves(options.maxMessageBytes),
  eager: [],
  lazy: [],
  links: new Map(),
  contents: Contents.make(options.salt ?? 0),
  references: References.make(),
  missing: new Map(),
  dispatchScheduled: false,
  evictScheduled: false,
  timeMs: 0,
  lastNowMs: undefined,
  stats: {
    payloads: 0,
    controls: 0,
    delivered: 0,
    duplicates: 0,
    maxRound: 0,
    graftsSent: 0,
    prunesSent: 0,
    refused: 0,
    fromStrangers: 0,
    repeated: 0,
    idsEvicted: 0,
    contentsEvicted: 0,
    advertisementsDropped: 0,
    graftsDropped: 0,
    graftsIgnored: 0,
    tooFar: 0,
    advertisementsLost: 0,
    contentsMissed: 0
  }
})

/** Whether a content with this id came or went within the retention of ids, so that `Broadcast` would not send it (section 7.1, 14). */
export const isKnown = <P extends PeerId>(state: State<P>, id: Message.MessageId): boolean =>
  state.contents.received.has(id)

/** Handles one input; what is to be done is appended to `out`, in the order of the specification. `now` in milliseconds. */
export const handle = <P extends PeerId>(
  state: State<P>,
  input: Input<P>,
  now: number,
  out: Array<Topic.Output<P>>
): void => {
  advance(state, now)
  switch (input._tag) {
    case "RecvMessage":
      return onMessage(state, input.from, input.message, out)
    case "Broadcast":
      return onBroadcast(state, input, out)
    case "NeighborUp":
      return Tree.up(state, input.peer)
    case "NeighborDown":
      return Tree.down(state, input.peer, out)
    case "TimerExpired":
      return onTimer(state, input.timer, out)
  }
}

/**
 * Clocks are set forwards and backwards, and computers sleep. No more than two ticks count as passed between two inputs, and never less
 * than nothing: ids are then kept longer than they need be, but never forgotten while others still send them, nor kept for ever.
 */
const advance = <P extends PeerId>(state: State<P>, now: number): void => {
  if (state.lastNowMs !== undefined) {
    state.timeMs += Math.min(Math.max(0, now - state.lastNowMs), 2 * state.config.cacheEvictIntervalMs)
  }
  state.lastNowMs = now
}

const onMessage = <P extends PeerId>(
  state: State<P>,
  from: P,
  message: Message.Broadcast,
  out: Array<Topic.Output<P>>
): void => {
  const link = state.links.get(from)
  if (link === undefined) state.stats.fromStrangers++
  if (message._tag === "Gossip") {
    state.stats.payloads++
    if (link === undefined && state.admit !== undefined && !state.admit(from)) return
    return onGossip(state, from, link, message, out)
  }
  state.stats.controls++
  if (link === undefined) return
  switch (message._tag) {
    case "Prune":
      return Tree.onPrune(state, link, out)
    case "Graft":
      return Tree.onGraft(state, link, message.id, out)
    case "IHave":
      return Missing.onIHave(state, link, message.messages, out)
  }
}

const onBroadcast = <P extends PeerId>(
  state: State<P>,
  { id, content, scope }: Extract<Input<P>, { readonly _tag: "Broadcast" }>,
  out: Array<Topic.Output<P>>
): void => {
  if (scope === "Neighbors") {
    const message: Message.Gossip = { _tag: "Gossip", id, content, scope: neighbors }
    for (const peer of state.links.keys()) out.push({ _tag: "SendMessage", peer, message })
    return
  }
  const hash = Rng.hash(id)
  if (state.contents.received.has(id, hash)) {
    state.stats.repeated++
    return
  }
  remember(state, state.contents.received, id, hash, out)
  References.consider(state.references, hash, undefined, state.timeMs)
  forward(state, id, hash, content, 0, undefined, Missing.resolve(state, id), out)
}

const neighbors: Message.Scope = { _tag: "Neighbors" }

const onGossip = <P extends PeerId>(
  state: State<P>,
  from: P,
  link: Tree.Link<P> | undefined,
  message: Message.Gossip,
  out: Array<Topic.Output<P>>
): void => {
  const { id, content, scope } = message
  const { contents, stats } = state
  const hash = Rng.hash(id)
  // What was for neighbors only comes from its author and over one link: it repeats nothing that came through the swarm.
  if (scope._tag === "Swarm" && contents.received.has(id, hash)) {
    stats.duplicates++
    if (link !== undefined) Tree.onDuplicate(state, link, out)
    return
  }
  if (contents.refused.has(id, hash)) {
    stats.refused++
    return
  }
  if (state.validate !== undefined && !state.validate(content, from, id)) {
    stats.refused++
    remember(state, contents.refused, id, hash, out)
    Missing.resolve(state, id)
    return
  }
  stats.delivered++
  let kept: Uint8Array | undefined
  if (scope._tag === "Swarm") {
    const round = Math.min(scope.round + 1, Limits.maxRound)
    remember(state, contents.received, id, hash, out)
    const missing = Missing.resolve(state, id)
    kept = forward(state, id, hash, content, round, from, missing, out)
    References.consider(state.references, hash, from, state.timeMs)
    if (link !== undefined) {
      link.unanswered = 0
      if (missing !== undefined) Missing.learn(state, missing, link, round, out)
    }
    if (scope.round > stats.maxRound) stats.maxRound = scope.round
  }
  // what came may be a view of much more
  const delivered = kept ?? content.slice()
  out.push({ _tag: "EmitEvent", event: { _tag: "Received", id, content: delivered, deliveredFrom: from, scope } })
}

/**
 * Keeps a content to answer Grafts, sends it over the eager links and advertises it over the lazy ones, but not to those who have it. One
 * more hop may make its frame too large for them (section 2.8): then it goes no further, neither now nor as the answer to a Graft. Gives
 * the content as it is kept.
 */
const forward = <P extends PeerId>(
  state: State<P>,
  id: Message.MessageId,
  hash: number,
  content: Uint8Array,
  round: number,
  from: P | undefined,
  missing: Missing.Missing<P> | undefined,
  out: Array<Topic.Output<P>>
): Uint8Array | undefined => {
  if (Contents.bodyBytes(content, round) >= state.maxMessageBytes) {
    state.stats.tooFar++
    return undefined
  }
  const { cache } = state.contents
  state.stats.contentsEvicted += cache.makeRoom(content.length)
  const message = cache.keep(id, hash, content, round, state.timeMs + state.config.messageCacheRetentionMs)
  for (const peer of state.eager) {
    if (peer !== from && !Missing.hasAdvertised(missing, peer)) out.push({ _tag: "SendMessage", peer, message })
  }
  if (state.lazy.length === 0) return message.content
  let queued = false
  const advertised: Message.Advertised = { id, round }
  for (const peer of state.lazy) {
    const link = state.links.get(peer)
    if (link === undefined || peer === from || Missing.hasAdvertised(missing, peer)) continue
    queued = true
    link.queue.push(advertised)
    if (link.queue.length >= state.maxIHaves) sendIHave(link, out)
  }
  if (queued && !state.dispatchScheduled) {
    state.dispatchScheduled = true
    out.push({ _tag: "ScheduleTimer", delayMs: state.config.dispatchTimeoutMs, timer: { _tag: "DispatchLazyPush" } })
  }
  return message.content
}

const sendIHave = <P extends PeerId>(link: Tree.Link<P>, out: Array<Topic.Output<P>>): void => {
  if (link.queue.length === 0) return
  out.push({ _tag: "SendMessage", peer: link.peer, message: { _tag: "IHave", messages: link.queue } })
  link.queue = []
}

const onTimer = <P extends PeerId>(state: State<P>, timer: Timer<P>, out: Array<Topic.Output<P>>): void => {
  switch (timer._tag) {
    case "SendGraft":
      return Missing.sendGraft(state, timer.id, out)
    case "DispatchLazyPush":
      state.dispatchScheduled = false
      for (const link of state.links.values()) sendIHave(link, out)
      return
    case "EvictCache":
      state.evictScheduled = false
      if (Contents.expire(state.contents, state.timeMs)) scheduleEvict(state, out)
      return
  }
}

const remember = <P extends PeerId>(
  state: State<P>,
  ids: Contents.Ids,
  id: Message.MessageId,
  hash: number,
  out: Array<Topic.Output<P>>
): void => {
  state.stats.idsEvicted += ids.remember(id, hash, state.timeMs + state.config.messageIdRetentionMs)
  scheduleEvict(state, out)
}

/** There is a tick for as long as something can expire. */
const scheduleEvict = <P extends PeerId>(state: State<P>, out: Array<Topic.Output<P>>): void => {
  if (state.evictScheduled) return
  state.evictScheduled = true
  out.push({ _tag: "ScheduleTimer", delayMs: state.config.cacheEvictIntervalMs, timer: { _tag: "EvictCache" } })
}
