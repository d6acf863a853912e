/** What happens to a Gossip service, and what its core wants done. */
import type * as Actor from "@effect-live/actor/Actor"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import type * as Message from "../Message.ts"
import type * as Topic from "../Topic.ts"
import type { TopicId } from "../TopicId.ts"
import type * as Peers from "./Peers.ts"

/** Why nobody is subscribed. */
export type SubscribeRefusal =
  | { readonly _tag: "TooManyTopics" }
  | { readonly _tag: "TooManySubscribers" }
  | { readonly _tag: "ShutDown" }

/** Why nothing is broadcast. `Known`: the same content was, within the retention of ids (section 7.1, 14). */
export type BroadcastRefusal =
  | { readonly _tag: "NoNeighbors" }
  | { readonly _tag: "Known" }
  | { readonly _tag: "ShutDown" }

export type Event =
  | {
      readonly _tag: "Subscribe"
      readonly replyTo: Actor.ReplyTo<void, SubscribeRefusal>
      readonly subscriber: number
      readonly topic: TopicId
      readonly peers: ReadonlyArray<EndpointId>
    }
  | { readonly _tag: "Unsubscribe"; readonly subscriber: number; readonly topic: TopicId }
  | { readonly _tag: "JoinPeers"; readonly topic: TopicId; readonly peers: ReadonlyArray<EndpointId> }
  | {
      readonly _tag: "Broadcast"
      readonly replyTo: Actor.ReplyTo<void, BroadcastRefusal>
      readonly topic: TopicId
      readonly id: Message.MessageId
      readonly content: Uint8Array
      readonly scope: Message.Scope["_tag"]
    }
  /** What we publish about ourselves has changed. */
  | { readonly _tag: "DataChanged"; readonly data: Message.PeerData }
  | Peers.Event
  /** Messages came on a stream of a connection, one behind the other; the ids of contents were checked. */
  | {
      readonly _tag: "Received"
      readonly connection: number
      readonly topic: TopicId
      readonly messages: ReadonlyArray<Message.Message<EndpointId>>
    }
  | { readonly _tag: "TopicTimerDue" }
  | { readonly _tag: "SeekDue"; readonly topic: TopicId }
  | { readonly _tag: "ShutDown"; readonly replyTo: Actor.ReplyTo<void> }
  | { readonly _tag: "ShutDownDue" }

export type Output =
  /** From here on it gets the events of the topic; who is a neighbor now comes first. */
  | { readonly _tag: "Subscribed"; readonly subscriber: number; readonly topic: TopicId }
  | { readonly _tag: "Emit"; readonly topic: TopicId; readonly event: Topic.Event<EndpointId> }
  /** Nobody is subscribed to it, and it is left. */
  | { readonly _tag: "TopicEnded"; readonly topic: TopicId }
  | { readonly _tag: "PeerData"; readonly peer: EndpointId; readonly data: Message.PeerData }
  | Peers.Output
