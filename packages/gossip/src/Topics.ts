/**
 * All topics of one peer (iroh-gossip section 1.1): each has its own membership, tree, timers and chance; they share connections only.
 * Pure and synchronous.
 */
import * as Rng from "@effect-live/actor/Rng"
import type * as Config from "./Config.ts"
import type * as HyParView from "./HyParView.ts"
import * as Limits from "./Limits.ts"
import type * as Message from "./Message.ts"
import type { PeerId } from "./PeerId.ts"
import * as PlumTree from "./PlumTree.ts"
import * as Topic from "./Topic.ts"
import type { TopicId } from "./TopicId.ts"

export type Input<P extends PeerId> =
  | { readonly _tag: "RecvMessage"; readonly topic: TopicId; readonly from: P; readonly message: Message.Message<P> }
  /** Joins the topic, if it is not joined yet, then these peers. The predicates are those of the first Join. */
  | {
      readonly _tag: "Join"
      readonly topic: TopicId
      readonly peers: ReadonlyArray<P>
      readonly admit?: ((peer: P) => boolean) | undefined
      readonly validate?: PlumTree.Validate<P> | undefined
    }
  | {
      readonly _tag: "Broadcast"
      readonly topic: TopicId
      readonly id: Message.MessageId
      readonly content: Uint8Array
      readonly scope: "Swarm" | "Neighbors"
    }
  | { readonly _tag: "Quit"; readonly topic: TopicId }
  | {
      readonly _tag: "TimerExpired"
      readonly topic: TopicId
      readonly incarnation: number
      readonly timer: Topic.Timer<P>
    }
  /** It cannot be reached: all topics hear of it, or only the one that wanted to. */
  | { readonly _tag: "PeerDisconnected"; readonly peer: P; readonly topic?: TopicId | undefined }
  | { readonly _tag: "UpdatePeerData"; readonly data: Message.PeerData }

export type Output<P extends PeerId> =
  | { readonly _tag: "SendMessage"; readonly topic: TopicId; readonly peer: P; readonly message: Message.Message<P> }
  | { readonly _tag: "EmitEvent"; readonly topic: TopicId; readonly event: Topic.Event<P> }
  /** One shot; it comes back as `TimerExpired`. Of a topic that was left, also when it is joined again, it does nothing. */
  | {
      readonly _tag: "ScheduleTimer"
      readonly topic: TopicId
      readonly incarnation: number
      readonly delayMs: number
      readonly timer: Topic.Timer<P>
    }
  /** No topic needs this peer any more, after what was sent before. */
  | { readonly _tag: "DisconnectPeer"; readonly peer: P }
  | { readonly _tag: "PeerData"; readonly peer: P; readonly data: Message.PeerData }
  /** A peer talks to us in a topic that is not joined (section 7.1, 12). */
  | { readonly _tag: "Unjoined"; readonly peer: P; readonly topic: TopicId }
  /** The Join was not done: `Limits.topics` are joined. */
  | { readonly _tag: "TooManyTopics"; readonly topic: TopicId }

/** Counters of section 5.7. Sizes are those of the bodies and 32 bytes each. */
export interface Metrics {
  msgsCtrlSent: number
  msgsCtrlSentSize: number
  msgsCtrlRecv: number
  msgsCtrlRecvSize: number
  msgsDataSent: number
  msgsDataSentSize: number
  msgsDataRecv: number
  msgsDataRecvSize: number
  neighborUp: number
  neighborDown: number
  /** Messages of topics that are not joined. */
  unjoined: number
  /** Timers of topics that were left. */
  staleTimers: number
}

interface Entry<P extends PeerId> {
  readonly topic: TopicId
  readonly incarnation: number
  readonly state: Topic.State<P>
  /** Whom the topic needs: its neighbors, and those whose answer the membership awaits, which bounds them. */
  readonly peers: Set<P>
}

/** What all topics of one peer have in common. */
export interface Options<P extends PeerId> {
  readonly self: P
  readonly config: Config.Config
  /** All chance of all topics; each has its own, drawn from the seed by its id and how often a topic was joined before. */
  readonly seed: number
  /** What we publish about ourselves. */
  readonly data?: Message.PeerData | undefined
  /** Length of a message's body, for the metrics: `Wire.bodyBytes`. */
  readonly bodyBytes: (message: Message.Message<P>) => number
}

/** Everybody may read, only `handle` writes. */
export interface State<P extends PeerId> {
  readonly options: Options<P>
  data: Message.PeerData | undefined
  readonly topics: Map<TopicId, Entry<P>>
  /** How many topics need a peer. */
  readonly uses: Map<P, number>
  incarnations: number
  readonly metrics: Metrics
  /** What a topic puts out, on its way into ours. */
  readonly scratch: Array<Topic.Output<P>>
}

/** A peer that has joined no topic. */
export const make = <P extends PeerId>(options: Options<P>): State<P> => ({
  options,
  data: options.data,
  topics: new Map(),
  uses: new Map(),
  incarnations: 0,
  metrics: {
    msgsCtrlSent: 0,
    msgsCtrlSentSize: 0,
    msgsCtrlRecv: 0,
    msgsCtrlRecvSize: 0,
    msgsDataSent: 0,
    msgsDataSentSize: 0,
    msgsDataRecv: 0,
    msgsDataRecvSize: 0,
    neighborUp: 0,
    neighborDown: 0,
    unjoined: 0,
    staleTimers: 0
  },
  scratch: []
})

/** Whether `Broadcast` would not send a content because its id is known in the topic (section 7.1, 14). */
export const isKnown = <P extends PeerId>(state: State<P>, topic: TopicId, id: Message.MessageId): boolean => {
  const entry = state.topics.get(topic)
  return entry !== undefined && PlumTree.isKnown(entry.state.broadcast, id)
}

/** Handles one input; what is to be done is appended to `out`. `now` in milliseconds. */
export const handle = <P extends PeerId>(
  state: State<P>,
  input: Input<P>,
  now: number,
  out: Array<Output<P>>
): void => {
  switch (input._tag) {
    case "RecvMessage": {
      countReceived(state, input.message)
      const entry = state.topics.get(input.topic)
      if (entry !== undefined) return step(state, entry, input, now, out)
      state.metrics.unjoined++
      // The last words of somebody who is leaving himself need no answer.
      if (input.message._tag === "Disconnect" || input.message._tag === "ShuffleReply") return
      out.push({ _tag: "Unjoined", peer: input.from, topic: input.topic })
      return
    }
    case "Join": {
      const entry = state.topics.get(input.topic) ?? open(state, input)
      if (entry === undefined) out.push({ _tag: "TooManyTopics", topic: input.topic })
      else step(state, entry, input, now, out)
      return
    }
    case "Broadcast": {
      const entry = state.topics.get(input.topic)
      if (entry !== undefined) step(state, entry, input, now, out)
      return
    }
    case "Quit": {
      const entry = state.topics.get(input.topic)
      if (entry === undefined) return
      step(state, entry, input, now, out)
      state.topics.delete(input.topic)
      for (const peer of entry.peers) release(state, entry, peer, out)
      return
    }
    case "TimerExpired": {
      const entry = state.topics.get(input.topic)
      if (entry !== undefined && entry.incarnation === input.incarnation) step(state, entry, input, now, out)
      else state.metrics.staleTimers++
      return
    }
    case "PeerDisconnected": {
      if (input.topic !== undefined) {
        const entry = state.topics.get(input.topic)
        if (entry === undefined) return
        release(state, entry, input.peer, out)
        return step(state, entry, input, now, out)
      }
      state.uses.delete(input.peer)
      for (const entry of state.topics.values()) entry.peers.delete(input.peer)
      for (const entry of state.topics.values()) step(state, entry, input, now, out)
      return
    }
    case "UpdatePeerData": {
      state.data = input.data
      for (const entry of state.topics.values()) step(state, entry, input, now, out)
      return
    }
  }
}

const open = <P extends PeerId>(
  state: State<P>,
  { topic, admit, validate }: Extract<Input<P>, { readonly _tag: "Join" }>
): Entry<P> | undefined => {
  if (state.topics.size >= Limits.topics) return undefined
  const incarnation = ++state.incarnations
  const { self, config, seed } = state.options
  const rng = Rng.make(seed, `${topic}/${incarnation}`)
  const salt = Rng.make(seed, `salt/${topic}/${incarnation}`).below(2 ** 32)
  const entry: Entry<P> = {
    topic,
    incarnation,
    state: Topic.make({ self, config, rng, data: state.data, admit, validate, salt }),
    peers: new Set()
  }
  state.topics.set(topic, entry)
  return entry
}

/** Lets one topic handle an input, and puts out what it puts out under its name. */
const step = <P extends PeerId>(
  state: State<P>,
  entry: Entry<P>,
  input: Topic.Input<P>,
  now: number,
  out: Array<Output<P>>
): void => {
  const { scratch, metrics } = state
  const { topic, incarnation } = entry
  Topic.handle(entry.state, input, now, scratch)
  for (const output of scratch) {
    switch (output._tag) {
      case "SendMessage":
        countSent(state, output.message)
        use(state, entry, output.peer)
        out.push({ _tag: "SendMessage", topic, peer: output.peer, message: output.message })
        break
      case "EmitEvent":
        if (output.event._tag === "NeighborUp") metrics.neighborUp++
        else if (output.event._tag === "NeighborDown") metrics.neighborDown++
        out.push({ _tag: "EmitEvent", topic, event: output.event })
        break
      case "ScheduleTimer":
        out.push({ _tag: "ScheduleTimer", topic, incarnation, delayMs: output.delayMs, timer: output.timer })
        break
      case "DisconnectPeer":
        release(state, entry, output.peer, out)
        break
      case "PeerData":
        out.push(output)
        break
    }
  }
  scratch.length = 0
}

/** A topic needs whom it sends something, until it says DisconnectPeer (section 7.1, 4). */
const use = <P extends PeerId>(state: State<P>, { peers }: Entry<P>, peer: P): void => {
  if (peers.has(peer)) return
  peers.add(peer)
  state.uses.set(peer, (state.uses.get(peer) ?? 0) + 1)
}

/** The topic needs the peer no more; the driver hears of it if no other one does. */
const release = <P extends PeerId>(state: State<P>, entry: Entry<P>, peer: P, out: Array<Output<P>>): void => {
  const others = (state.uses.get(peer) ?? 0) - (entry.peers.delete(peer) ? 1 : 0)
  if (others > 0) state.uses.set(peer, others)
  else {
    state.uses.delete(peer)
    out.push({ _tag: "DisconnectPeer", peer })
  }
}

const countReceived = <P extends PeerId>({ metrics, options }: State<P>, message: Message.Message<P>): void => {
  const bytes = options.bodyBytes(message) + Limits.topicIdBytes
  if (message._tag === "Gossip") {
    metrics.msgsDataRecv++
    metrics.msgsDataRecvSize += bytes
  } else {
    metrics.msgsCtrlRecv++
    metrics.msgsCtrlRecvSize += bytes
  }
}

const countSent = <P extends PeerId>({ metrics, options }: State<P>, message: Message.Message<P>): void => {
  const bytes = options.bodyBytes(message) + Limits.topicIdBytes
  if (message._tag === "Gossip") {
    metrics.msgsDataSent++
    metrics.msgsDataSentSize += bytes
  } else {
    metrics.msgsCtrlSent++
    metrics.msgsCtrlSentSize += bytes
  }
}

/** What one topic looks like now (section 7.3). */
export interface Gauges {
  readonly topic: TopicId
  readonly active: number
  readonly passive: number
  /** Peers that may be asked when nobody else is left (`Limits.reservedPeersPerTopic`). */
  readonly reserve: number
  readonly eager: number
  readonly lazy: number
  /** Of the contents received, those that were there already: from 0 to 1. */
  readonly duplicateRatio: number
  readonly grafts: number
  /** Ids remembered, contents kept and advertised contents awaited. */
  readonly ids: number
  readonly cached: number
  readonly cachedBytes: number
  readonly missing: number
  readonly stats: Readonly<PlumTree.Stats & HyParView.Stats>
}

/** One row for every topic that is joined. */
export const gauges = <P extends PeerId>(state: State<P>): ReadonlyArray<Gauges> => {
  const rows: Array<Gauges> = []
  for (const { topic, state: each } of state.topics.values()) {
    const { membership, broadcast } = each
    const { stats } = broadcast
    rows.push({
      topic,
      active: membership.active.length,
      passive: membership.passive.length,
      reserve: membership.reserve.length,
      eager: broadcast.eager.length,
      lazy: broadcast.lazy.length,
      duplicateRatio: stats.payloads === 0 ? 0 : stats.duplicates / stats.payloads,
      grafts: stats.graftsSent,
      ids: broadcast.contents.received.size + broadcast.contents.refused.size,
      cached: broadcast.contents.cache.size,
      cachedBytes: broadcast.contents.cache.bytes,
      missing: broadcast.missing.size,
      stats: { ...stats, ...membership.stats }
    })
  }
  return rows
}
