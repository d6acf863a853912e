/** What `Peering` knows and says: peers with their connections, which are numbers here. */
import type * as Actor from "@effect-live/actor/Actor"
import type * as Rng from "@effect-live/actor/Rng"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import type * as Message from "../Message.ts"
import type { TopicId } from "../TopicId.ts"

export type Verdict = "accept" | Closing

/** How a connection ended: the peer closed it with code 0, somebody did otherwise, or the peer fell silent. */
export type Ending = "graceful" | "closed" | "lost"

/** What the topics have to be told of a peer: it cannot be reached, or it came back without knowing that we are neighbors in these. */
export type Loss =
  | { readonly _tag: "Gone"; readonly peer: EndpointId }
  | { readonly _tag: "Forgotten"; readonly peer: EndpointId; readonly topics: ReadonlyArray<TopicId> }

/** How a connection is closed. */
export interface Closing {
  readonly code: number
  readonly reason: string
}

export type Event =
  | { readonly _tag: "Dialed"; readonly dial: number; readonly connection: number }
  | { readonly _tag: "DialFailed"; readonly dial: number }
  | { readonly _tag: "RedialDue"; readonly peer: EndpointId }
  /** Somebody connected to us. */
  | {
      readonly _tag: "Incoming"
      readonly replyTo: Actor.ReplyTo<Verdict>
      readonly connection: number
      readonly id: EndpointId
    }
  /** The peer opened a stream. */
  | { readonly _tag: "StreamOpened"; readonly connection: number }
  | { readonly _tag: "StreamEnded"; readonly connection: number }
  /** Everything that was to be sent when the rest `rest` began has arrived, or had its time. */
  | { readonly _tag: "Rested"; readonly connection: number; readonly rest: number }
  /** All messages that came on it were told before. */
  | { readonly _tag: "ConnectionClosed"; readonly connection: number; readonly how: Ending }
  | { readonly _tag: "TidyDue" }

export type Output =
  | { readonly _tag: "Dial"; readonly dial: number; readonly peer: EndpointId }
  | { readonly _tag: "CancelDial"; readonly dial: number }
  | {
      readonly _tag: "Send"
      readonly connection: number
      readonly topic: TopicId
      readonly message: Message.Message<EndpointId>
    }
  /** Ends our streams once everything before is sent; `Rested` follows. What is sent later opens new ones. */
  | { readonly _tag: "Rest"; readonly connection: number; readonly rest: number }
  | { readonly _tag: "CloseConnection"; readonly connection: number; readonly code: number; readonly reason: string }

/** A connection that we are about to leave, or have left and only read. */
interface Rest {
  readonly rest: number
  readonly sinceMs: number
  /** Nothing of ours is on its way any more. */
  flushed: boolean
}

export interface Link {
  readonly connection: number
  readonly peer: Peer
  readonly sinceMs: number
  /** When the last message came on it. */
  usedMs: number
  /** The peer's that are open. */
  streams: number
  rest: Rest | undefined
  /** Our topics of which a message came on it. */
  readonly heard: Set<TopicId>
  /** Topics of which the peer was told that we are not in them. */
  readonly refused: Set<TopicId>
}

interface Waiting {
  readonly topic: TopicId
  readonly message: Message.Message<EndpointId>
}

export interface Peer {
  readonly id: EndpointId
  /** In the order in which we got to know them: we send on the last one and read all (section 5.3). */
  readonly links: Array<Link>
  /** By the application, not only heard of from others. */
  given: boolean
  dial: number | undefined
  /** For the next connection. */
  waiting: Array<Waiting>
  /** Of these, contents. */
  waitingPayloads: number
  /** Attempts that failed, and connections that ended at once, since it last said anything. */
  failures: number
  /** No attempt before. */
  redialAtMs: number
  /** Topics in which it is our neighbor. */
  readonly neighborIn: Set<TopicId>
  /** Until when a topic may wait for its answer. */
  answerByMs: number
  /** When we last had something to say to it. */
  usedMs: number
}

/** Only grows. */
export interface Counters {
  dials: number
  dialFailures: number
  /** Messages to peers that could not be reached, and contents beyond `Limits.waitingPayloads`. */
  undeliverable: number
  /** Messages to peers beyond `Limits.peers`, and to strangers beyond all but `Limits.keptPeers` of them. */
  peersRefused: number
  /** Attempts to reach strangers beyond `Limits.strangerDials`. */
  dialsRefused: number
  connectionsOpened: number
}

export interface State {
  readonly rng: Rng.Rng
  readonly peers: Map<EndpointId, Peer>
  readonly byDial: Map<number, Peer>
  /** Peers that are dialed once others are not any more: beyond `Limits.dials`. */
  readonly dialsDue: Set<Peer>
  /** Peers that could not be reached, the latest last; some may have been since. */
  readonly undialable: Set<Peer>
  readonly byConnection: Map<number, Link>
  readonly counters: Counters
  tidying: boolean
  shutDown: boolean
  next: number
}

/** Where outputs go. */
export interface Out {
  readonly push: (output: Output | Actor.Command<Event>) => void
}
