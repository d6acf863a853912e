/** What `Connecting` knows and says: peers, their sessions and connections, by number. Plain data, as `MoqCore` has it. */
import type * as Actor from "@effect-live/actor/Actor"
import * as Rng from "@effect-live/actor/Rng"
import type { Close } from "@effect-live/endpoint/Close"
import type { ConnectError } from "@effect-live/endpoint/Endpoint"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import type { Connectivity } from "../Peer.ts"

/** Why there is no session to a peer. */
export type ConnectRefusal = ConnectError | { readonly _tag: "TooManySessions" } | { readonly _tag: "ShutDown" }

/** May a connection that came stay? */
export type Verdict = "accept" | { readonly code: number; readonly reason: string }

/** A connection that is open. */
interface Opened {
  /** Names it. */
  readonly connection: number
  /** Its version has two nodes keep one connection between them. */
  readonly oneConnection: boolean
}

export type Event =
  | {
      readonly _tag: "Connect"
      /** Answered with the number of a peer. */
      readonly replyTo: Actor.ReplyTo<number, ConnectRefusal>
      /** Names one interest in the peer, until its `Disconnect`. */
      readonly holder: number
      readonly id: EndpointId
      readonly to: EndpointAddr | EndpointId
    }
  | { readonly _tag: "Disconnect"; readonly holder: number }
  | ({ readonly _tag: "Dialed"; readonly dial: number } & Opened)
  | { readonly _tag: "DialFailed"; readonly dial: number; readonly error: ConnectError }
  | ({
      readonly _tag: "Incoming"
      readonly replyTo: Actor.ReplyTo<Verdict>
      /** Undefined: somebody without a key. */
      readonly id: EndpointId | undefined
    } & Opened)
  /** Of every connection that was dialed or accepted. */
  | { readonly _tag: "ConnectionClosed"; readonly connection: number; readonly close: Close }
  /** The peer said that it will close. */
  | { readonly _tag: "GoingAway"; readonly session: number }
  /** A session is over for good. */
  | { readonly _tag: "SessionEnded"; readonly session: number; readonly close: Close }
  | { readonly _tag: "LingerDue"; readonly peer: number }
  | { readonly _tag: "RedialDue"; readonly peer: number }
  | { readonly _tag: "ResumeDue"; readonly peer: number }

export type Output =
  | { readonly _tag: "Dial"; readonly dial: number; readonly to: EndpointAddr | EndpointId }
  /** Nobody waits for it any more. */
  | { readonly _tag: "CancelDial"; readonly dial: number }
  /** Begins a session on a connection. */
  | { readonly _tag: "OpenSession"; readonly session: number; readonly connection: number }
  /** Moves a session to a connection, whether its last one is lost or not. */
  | { readonly _tag: "Attach"; readonly session: number; readonly connection: number }
  /** Tells the peer of a session that it will be closed. */
  | { readonly _tag: "SayGoodbye"; readonly session: number }
  | {
      readonly _tag: "CloseConnection"
      readonly connection: number
      readonly code: number
      readonly reason: string
    }
  | { readonly _tag: "CloseSession"; readonly session: number; readonly code: number; readonly reason: string }
  /** The connection is closed, and nothing is said about it any more. */
  | { readonly _tag: "ForgetConnection"; readonly connection: number }
  /** What the session announces belongs to what the holders of the peer see. */
  | { readonly _tag: "Join"; readonly peer: number; readonly id: EndpointId; readonly session: number }
  /** The session has ended, and the peer has others. */
  | { readonly _tag: "Leave"; readonly peer: number; readonly session: number }
  | { readonly _tag: "Connectivity"; readonly peer: number; readonly state: Connectivity }
  /** Nobody holds the peer any more. */
  | { readonly _tag: "Forget"; readonly peer: number }

export interface Peer {
  readonly peer: number
  readonly id: EndpointId
  to: EndpointAddr | EndpointId
  /** `dialing` until there is a session. `ended`: its holders do not know yet. */
  phase: "dialing" | "open" | "reconnecting" | "ended"
  readonly holders: Set<number>
  readonly waiting: Array<Actor.ReplyTo<number, ConnectRefusal>>
  /** Oldest first. One is kept alive; others are there where the version knows of no duplicates. */
  readonly sessions: Array<Session>
  /** Under way. */
  dial: number | undefined
  /** Attempts since a connection lived for a while. */
  attempts: number
  /** Why there is no connection, as far as its holders know. */
  lastError: Close | ConnectError | undefined
  /** How the last connection was lost. */
  loss: Close
}

export interface Session {
  readonly session: number
  readonly id: EndpointId | undefined
  /** Undefined: lost. */
  link: Link | undefined
  /** Who holds it; nobody: it ends with its connection. */
  peer: Peer | undefined
  /** It is about to end, or was told to: nobody new joins it, and no other connection is sought. */
  leaving: boolean
}

export interface Link extends Opened {
  readonly dialed: boolean
  readonly sinceMs: number
  /** The peer dialed, and heard that this connection is kept. */
  toldDuplicate: boolean
}

export interface State {
  /** Of this endpoint. */
  readonly self: EndpointId
  readonly rng: Rng.Rng
  next: number
  readonly peers: Map<number, Peer>
  /** The peer that a new caller joins. */
  readonly byId: Map<EndpointId, Peer>
  readonly byHolder: Map<number, Peer>
  readonly byDial: Map<number, Peer>
  readonly sessions: Map<number, Session>
  readonly byConnection: Map<number, Session>
  /** Connections that came, were accepted and have not ended. */
  readonly incoming: Set<number>
}

export type Outputs = ReadonlyArray<Output | Actor.Command<Event>>

export const initial = (self: EndpointId, seed: number): State => ({
  self,
  rng: Rng.make(seed, "redial"),
  next: 0,
  peers: new Map(),
  byId: new Map(),
  byHolder: new Map(),
  byDial: new Map(),
  sessions: new Map(),
  byConnection: new Map(),
  incoming: new Set()
})

/** Nobody is connected. */
export const isQuiet = (state: State): boolean => state.sessions.size === 0 && state.incoming.size === 0
