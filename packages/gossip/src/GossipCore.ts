/**
 * What the Gossip service decides: who subscribes to which topic, when a topic without neighbors asks again the peers that it was
 * given, and what becomes of the outputs of `Topics`; `internal/Peering` has the part about dials and connections. Subscribers,
 * connections and dials are numbers here.
 */
import * as Actor from "@effect-live/actor/Actor"
import * as Rng from "@effect-live/actor/Rng"
import { TimerHeap } from "@effect-live/actor/TimerHeap"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import type * as Config from "./Config.ts"
import type { BroadcastRefusal, Event, Output, SubscribeRefusal } from "./internal/GossipEvents.ts"
import * as Peering from "./internal/Peering.ts"
import type * as Peers from "./internal/Peers.ts"
import * as Limits from "./Limits.ts"
import type * as Message from "./Message.ts"
import type * as Topic from "./Topic.ts"
import type { TopicId } from "./TopicId.ts"
import * as Topics from "./Topics.ts"
import * as Wire from "./Wire.ts"

export type { BroadcastRefusal, Event, Output, SubscribeRefusal } from "./internal/GossipEvents.ts"

/** A topic that somebody here is subscribed to. */
interface Joined {
  readonly topic: TopicId
  readonly subscribers: Set<number>
  readonly neighbors: Set<EndpointId>
  /** Peers that the application gave, the latest last. */
  readonly sought: Set<EndpointId>
  seeks: number
}

export interface State {
  readonly rng: Rng.Rng
  readonly topics: Topics.State<EndpointId>
  readonly joined: Map<TopicId, Joined>
  readonly peers: Peers.State
  /** Timers of topics: by the thousand and never cancelled, so that the actor has one for all of them. */
  readonly timers: TimerHeap<number, Topics.Input<EndpointId>>
  nextTimer: number
  timerAt: number
  /** Callers of `shutdown`, until everything has ended. */
  readonly leaving: Array<Actor.ReplyTo<void>>
}

/** How a service is doing, as far as its core knows. */
export interface Inspection {
  /** What passed to and from the topics, and what there was too much of (section 5.7). Only grows. */
  readonly metrics: Readonly<Topics.Metrics & Peers.Counters>
  /** Of each topic, what there is now. */
  readonly topics: ReadonlyArray<Topics.Gauges>
  /** That are dialed, connected or in a pause before the next attempt. */
  readonly peers: number
  readonly dialing: number
  /** Messages that wait for a connection. */
  readonly waitingMessages: number
  readonly timers: number
}

/** What there is now; a copy, which stays as it is. */
export const inspect = ({ peers, timers, topics }: State): Inspection => {
  let waitingMessages = 0
  for (const { waiting } of peers.peers.values()) waitingMessages += waiting.length
  return {
    metrics: { ...topics.metrics, ...peers.counters },
    topics: Topics.gauges(topics),
    peers: peers.peers.size,
    dialing: peers.byDial.size,
    waitingMessages,
    timers: timers.size
  }
}

export interface Options {
  readonly self: EndpointId
  readonly config: Config.Config
  /** What we publish about ourselves, to begin with. */
  readonly data: Message.PeerData | undefined
  /** Asked for the peers and contents of a topic. */
  readonly admit: (topic: TopicId, peer: EndpointId) => boolean
  readonly validate: (topic: TopicId, content: Uint8Array, from: EndpointId) => boolean
}

type Out = Array<Output | Actor.Command<Event>>

/** The core of the service. */
export const core = (options: Options): Actor.Core<State, Event, Output> => ({
  initial: (seed) => ({
    rng: Rng.make(seed, "gossip"),
    topics: Topics.make({
      self: options.self,
      config: options.config,
      seed,
      data: options.data,
      bodyBytes: Wire.bodyBytes
    }),
    joined: new Map(),
    peers: Peering.initial(seed),
    timers: new TimerHeap(),
    nextTimer: 0,
    timerAt: Infinity,
    leaving: []
  }),
  step: (state, event, now) => {
    const out: Out = []
    step(options, state, event, now, out)
    const dueAt = state.timers.nextAt
    if (dueAt < state.timerAt) {
      state.timerAt = dueAt
      out.push(Actor.setTimer("topics", dueAt, { _tag: "TopicTimerDue" }))
    }
    return out
  }
})

const step = (options: Options, state: State, event: Event, now: number, out: Out): void => {
  switch (event._tag) {
    case "Subscribe":
      return subscribe(options, state, event, now, out)
    case "Unsubscribe":
      return unsubscribe(state, event.topic, event.subscriber, now, out)
    case "JoinPeers": {
      const joined = state.joined.get(event.topic)
      if (joined !== undefined) join(options, state, joined, event.peers, now, out)
      return
    }
    case "Broadcast":
      return broadcast(state, event, now, out)
    case "DataChanged":
      return drive(state, { _tag: "UpdatePeerData", data: event.data }, now, out)
    case "Received":
      return received(state, event, now, out)
    case "TopicTimerDue": {
      state.timerAt = Infinity
      for (let due; (due = state.timers.popDue(now)) !== undefined;) drive(state, due.value, now, out)
      return
    }
    case "SeekDue":
      return seekDue(state, event.topic, now, out)
    case "ShutDown":
      return shutDown(state, event.replyTo, now, out)
    case "ShutDownDue":
      return goodbye(state, out)
    default: {
      const loss = Peering.step(state.peers, event, now, out)
      if (loss !== undefined) lost(state, loss, now, out)
      return leave(state, out)
    }
  }
}

// ---- the topics -----------------------------------------------------------------------------------------------------

/** Gives an input to the topics and does what they answer, until they have nothing more to say. */
const drive = (state: State, input: Topics.Input<EndpointId>, now: number, out: Out): void => {
  const outputs: Array<Topics.Output<EndpointId>> = []
  Topics.handle(state.topics, input, now, outputs)
  // grows while it is read: a peer that cannot be reached is an input itself
  for (const output of outputs) {
    switch (output._tag) {
      case "SendMessage":
        send(state, output, now, out, outputs)
        break
      case "EmitEvent":
        emit(state, output.topic, output.event, now, out)
        break
      case "ScheduleTimer": {
        const { delayMs, incarnation, timer, topic } = output
        state.timers.set(state.nextTimer++, now + delayMs, { _tag: "TimerExpired", topic, incarnation, timer })
        break
      }
      case "DisconnectPeer":
        Peering.release(state.peers, output.peer, now, out)
        break
      case "PeerData":
        out.push(output)
        break
      case "Unjoined":
      case "TooManyTopics":
        break // `received` and `subscribe` see to them
    }
  }
}

/** What follows for the topics when that cannot be is appended to `outputs`. */
const send = (
  state: State,
  { message, peer, topic }: Extract<Topics.Output<EndpointId>, { readonly _tag: "SendMessage" }>,
  now: number,
  out: Out,
  outputs: Array<Topics.Output<EndpointId>>
): void => {
  const given = state.joined.get(topic)?.sought.has(peer) ?? false
  const sent = Peering.send(state.peers, peer, topic, message, given, now, out)
  if (sent === "accepted") return
  // of whom there was no room for no other topic waits
  const input = { _tag: "PeerDisconnected", peer, topic: sent === "refused" ? topic : undefined } as const
  Topics.handle(state.topics, input, now, outputs)
}

const lost = (state: State, loss: Peers.Loss, now: number, out: Out): void => {
  const { peer } = loss
  if (loss._tag === "Gone") return drive(state, { _tag: "PeerDisconnected", peer }, now, out)
  // as if it had said so itself
  const message: Message.Message<EndpointId> = { _tag: "Disconnect", alive: true }
  for (const topic of loss.topics) drive(state, { _tag: "RecvMessage", topic, from: peer, message }, now, out)
}

const emit = (state: State, topic: TopicId, event: Topic.Event<EndpointId>, now: number, out: Out): void => {
  const joined = state.joined.get(topic)
  if (joined === undefined) return
  if (event._tag === "NeighborUp") {
    joined.neighbors.add(event.peer)
    joined.seeks = 0
    Peering.neighborUp(state.peers, event.peer, topic, now)
    out.push(Actor.clearTimer(seekTimer(topic)))
  } else if (event._tag === "NeighborDown") {
    joined.neighbors.delete(event.peer)
    Peering.neighborDown(state.peers, event.peer, topic, now, out)
    if (joined.neighbors.size === 0) seekLater(state, joined, now, out)
  }
  out.push({ _tag: "Emit", topic, event })
}

const received = (state: State, event: Extract<Event, { readonly _tag: "Received" }>, now: number, out: Out): void => {
  const { connection, messages, topic } = event
  const link = Peering.heard(state.peers, connection, now, out)
  if (link === undefined) return
  for (const message of messages) receive(state, link, topic, message, now, out)
}

const receive = (
  state: State,
  link: Peers.Link,
  topic: TopicId,
  message: Message.Message<EndpointId>,
  now: number,
  out: Out
): void => {
  const input = { _tag: "RecvMessage", topic, from: link.peer.id, message } as const
  if (state.joined.has(topic)) {
    link.heard.add(topic)
    return drive(state, input, now, out)
  }
  const outputs: Array<Topics.Output<EndpointId>> = []
  Topics.handle(state.topics, input, now, outputs)
  const { refused } = link
  if (!outputs.some(({ _tag }) => _tag === "Unjoined") || state.peers.shutDown) return
  // whoever takes us for a neighbor has to hear that we are none (section 7.1, 12). A Join waits for no answer: one that is on its way
  // when we subscribe would undo what follows
  if (message._tag === "Join" || refused.has(topic) || refused.size >= Limits.refusalsPerConnection) return
  refused.add(topic)
  out.push({ _tag: "Send", connection: link.connection, topic, message: { _tag: "Disconnect", alive: false } })
}

// ---- subscribers ----------------------------------------------------------------------------------------------------

const subscribe = (
  options: Options,
  state: State,
  event: Extract<Event, { readonly _tag: "Subscribe" }>,
  now: number,
  out: Out
): void => {
  const { peers, replyTo, subscriber, topic } = event
  const refuse = (refusal: SubscribeRefusal): void => void out.push(Actor.refuse(replyTo, refusal))
  if (state.peers.shutDown) return refuse({ _tag: "ShutDown" })
  let joined = state.joined.get(topic)
  if (joined === undefined) {
    if (state.joined.size >= Limits.topics) return refuse({ _tag: "TooManyTopics" })
    joined = { topic, subscribers: new Set(), neighbors: new Set(), sought: new Set(), seeks: 0 }
    state.joined.set(topic, joined)
    for (const { refused } of state.peers.byConnection.values()) refused.delete(topic)
  }
  if (joined.subscribers.size >= Limits.subscribersPerTopic) return refuse({ _tag: "TooManySubscribers" })
  joined.subscribers.add(subscriber)
  out.push({ _tag: "Subscribed", subscriber, topic }, Actor.reply(replyTo, undefined))
  join(options, state, joined, peers, now, out)
}

const unsubscribe = (state: State, topic: TopicId, subscriber: number, now: number, out: Out): void => {
  const joined = state.joined.get(topic)
  joined?.subscribers.delete(subscriber)
  if (joined?.subscribers.size === 0) quit(state, joined, now, out)
  else if (joined === undefined) out.push({ _tag: "TopicEnded", topic })
}

const quit = (state: State, { neighbors, topic }: Joined, now: number, out: Out): void => {
  drive(state, { _tag: "Quit", topic }, now, out)
  state.joined.delete(topic)
  for (const { heard } of state.peers.byConnection.values()) heard.delete(topic)
  for (const peer of neighbors) {
    Peering.neighborDown(state.peers, peer, topic, now, out)
    Peering.release(state.peers, peer, now, out)
  }
  out.push(Actor.clearTimer(seekTimer(topic)), { _tag: "TopicEnded", topic })
}

const broadcast = (
  state: State,
  event: Extract<Event, { readonly _tag: "Broadcast" }>,
  now: number,
  out: Out
): void => {
  const { content, id, replyTo, scope, topic } = event
  const joined = state.joined.get(topic)
  const refuse = (refusal: BroadcastRefusal): void => void out.push(Actor.refuse(replyTo, refusal))
  if (joined === undefined) return refuse({ _tag: "ShutDown" })
  if (joined.neighbors.size === 0) return refuse({ _tag: "NoNeighbors" })
  if (scope === "Swarm" && Topics.isKnown(state.topics, topic, id)) return refuse({ _tag: "Known" })
  drive(state, { _tag: "Broadcast", topic, id, content, scope }, now, out)
  out.push(Actor.reply(replyTo, undefined))
}

// ---- topics without neighbors ---------------------------------------------------------------------------------------

/** As the application wants it: the pauses begin anew. */
const join = (
  { admit, validate }: Options,
  state: State,
  joined: Joined,
  peers: ReadonlyArray<EndpointId>,
  now: number,
  out: Out
): void => {
  const { sought, topic } = joined
  for (const peer of peers) {
    sought.delete(peer)
    sought.add(peer)
  }
  for (const oldest of sought) if (sought.size > Limits.soughtPeersPerTopic) sought.delete(oldest)
  joined.seeks = 0
  const rules = {
    admit: (peer: EndpointId) => admit(topic, peer),
    validate: (content: Uint8Array, from: EndpointId) => validate(topic, content, from)
  }
  drive(state, { _tag: "Join", topic, peers, ...rules }, now, out)
  seekLater(state, joined, now, out)
}

const seekLater = (state: State, joined: Joined, now: number, out: Out): void => {
  const { neighbors, sought, topic } = joined
  if (neighbors.size > 0 || sought.size === 0 || state.peers.shutDown) return
  const fullMs = Math.min(Limits.seekMaxMs, Limits.seekMinMs * 2 ** joined.seeks)
  const pauseMs = Math.round((fullMs / 2) * (1 + state.rng.next()))
  out.push(Actor.setTimer(seekTimer(topic), now + pauseMs, { _tag: "SeekDue", topic }))
}

/** Asks again, for the first attempt, its answer or the peer's subscription may not have been there. Later it is `Topics` that looks. */
const seekDue = (state: State, topic: TopicId, now: number, out: Out): void => {
  const joined = state.joined.get(topic)
  if (joined === undefined || joined.neighbors.size > 0) return
  joined.seeks++
  const peers: Array<EndpointId> = []
  for (const peer of joined.sought) {
    if (peers.length < Limits.seekAtOnce && !Peering.isSought(state.peers, peer)) peers.push(peer)
  }
  // in turn
  for (const peer of peers) {
    joined.sought.delete(peer)
    joined.sought.add(peer)
  }
  if (peers.length > 0) drive(state, { _tag: "Join", topic, peers }, now, out)
  seekLater(state, joined, now, out)
}

const seekTimer = (topic: TopicId): string => `seek/${topic}`

// ---- the end --------------------------------------------------------------------------------------------------------

/** Says goodbye in every topic, and closes the connections when that has arrived. */
const shutDown = (state: State, replyTo: Actor.ReplyTo<void>, now: number, out: Out): void => {
  state.leaving.push(replyTo)
  if (!state.peers.shutDown) {
    for (const joined of state.joined.values()) quit(state, joined, now, out)
    Peering.shutDown(state.peers, now, out)
    out.push(Actor.setTimer("shutDown", now + Limits.shutdownMs, { _tag: "ShutDownDue" }))
  }
  leave(state, out)
}

const leave = (state: State, out: Out): void => {
  if (state.leaving.length > 0 && Peering.isFlushed(state.peers)) goodbye(state, out)
}

/** Whoever has not taken the last of it by now does not get it. */
const goodbye = (state: State, out: Out): void => {
  Peering.closeAll(state.peers, out)
  for (const replyTo of state.leaving.splice(0)) out.push(Actor.reply(replyTo, undefined))
}
