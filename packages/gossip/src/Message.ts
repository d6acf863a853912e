/**
 * What peers say to each other (iroh-gossip section 2.5), in the words of the specification. The cores of membership and broadcast
 * read and write these; `Wire` gives them their bytes.
 */
import type { PeerId } from "./PeerId.ts"

/** BLAKE3-256 of a content, as 64 lowercase hex digits (section 4.3). */
export type MessageId = string

/** Opaque bytes that a peer publishes about itself; on the wire they hold its addresses (section 2.7). */
export type PeerData = Uint8Array

export interface PeerInfo<P extends PeerId> {
  readonly id: P
  readonly data: PeerData | undefined
}

/** `High` must be accepted, `Low` only with a free slot (section 3.6). */
export type Priority = "High" | "Low"

/** Messages of the membership, HyParView (section 3.5). */
export type Membership<P extends PeerId> =
  | { readonly _tag: "Join"; readonly data: PeerData | undefined }
  | { readonly _tag: "ForwardJoin"; readonly peer: PeerInfo<P>; readonly ttl: number }
  | {
      readonly _tag: "Shuffle"
      readonly origin: P
      readonly nodes: ReadonlyArray<PeerInfo<P>>
      readonly ttl: number
    }
  | { readonly _tag: "ShuffleReply"; readonly nodes: ReadonlyArray<PeerInfo<P>> }
  | { readonly _tag: "Neighbor"; readonly priority: Priority; readonly data: PeerData | undefined }
  /** `alive`: only this link ends, the sender stays in the topic. */
  | { readonly _tag: "Disconnect"; readonly alive: boolean }

/** How far a content goes: `Swarm` with the number of hops that it came, or one hop only (section 4.3). */
export type Scope = { readonly _tag: "Swarm"; readonly round: number } | { readonly _tag: "Neighbors" }

export interface Advertised {
  readonly id: MessageId
  readonly round: number
}

/** A content on its way, which may be a view of more bytes. `id` was computed from `content` by whoever decoded or broadcast it. */
export interface Gossip {
  readonly _tag: "Gossip"
  readonly id: MessageId
  readonly content: Uint8Array
  readonly scope: Scope
}

/** Messages of the broadcast, PlumTree (section 4.4). */
export type Broadcast =
  | Gossip
  | { readonly _tag: "Prune" }
  | { readonly _tag: "Graft"; readonly id: MessageId | undefined; readonly round: number }
  | { readonly _tag: "IHave"; readonly messages: ReadonlyArray<Advertised> }

export type Message<P extends PeerId> = Membership<P> | Broadcast
