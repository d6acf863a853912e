/**
 * One topic of one peer: HyParView and PlumTree side by side (iroh-gossip section 1.2). Pure and synchronous; the same state
 * machine runs on real connections and in the simulator.
 */
import type { Rng } from "@effect-live/actor/Rng"
import type * as Config from "./Config.ts"
import * as HyParView from "./HyParView.ts"
import type * as Message from "./Message.ts"
import type { PeerId } from "./PeerId.ts"
import * as PlumTree from "./PlumTree.ts"

/** Why a neighbor is none any more: its connection ended, it or we made room, it left the topic, or it did not want us. */
export type DownReason = "closed" | "evicted" | "left" | "refused"

export type Event<P extends PeerId> =
  | { readonly _tag: "NeighborUp"; readonly peer: P }
  | { readonly _tag: "NeighborDown"; readonly peer: P; readonly reason: DownReason }
  | {
      readonly _tag: "Received"
      readonly id: Message.MessageId
      readonly content: Uint8Array
      /** The previous hop, not the author. */
      readonly deliveredFrom: P
      readonly scope: Message.Scope
    }

export type Timer<P extends PeerId> =
  | { readonly _tag: "DoShuffle" }
  /** `request`: the number of that one, as later ones to the same peer have timers of their own. */
  | { readonly _tag: "PendingNeighborRequest"; readonly peer: P; readonly request: number }
  | { readonly _tag: "SendGraft"; readonly id: Message.MessageId }
  | { readonly _tag: "DispatchLazyPush" }
  | { readonly _tag: "EvictCache" }
  | { readonly _tag: "ProbeFormer" }

export type Input<P extends PeerId> =
  | { readonly _tag: "RecvMessage"; readonly from: P; readonly message: Message.Message<P> }
  | { readonly _tag: "Join"; readonly peers: ReadonlyArray<P> }
  | {
      readonly _tag: "Broadcast"
      readonly id: Message.MessageId
      readonly content: Uint8Array
      readonly scope: "Swarm" | "Neighbors"
    }
  | { readonly _tag: "Quit" }
  | { readonly _tag: "TimerExpired"; readonly timer: Timer<P> }
  | { readonly _tag: "PeerDisconnected"; readonly peer: P }
  | { readonly _tag: "UpdatePeerData"; readonly data: Message.PeerData }

export type Output<P extends PeerId> =
  | { readonly _tag: "SendMessage"; readonly peer: P; readonly message: Message.Message<P> }
  | { readonly _tag: "EmitEvent"; readonly event: Event<P> }
  /** One shot; it comes back as `TimerExpired`. Nothing cancels it. */
  | { readonly _tag: "ScheduleTimer"; readonly delayMs: number; readonly timer: Timer<P> }
  /** The topic needs this peer no more, after what was sent before. */
  | { readonly _tag: "DisconnectPeer"; readonly peer: P }
  /** What a peer published about itself: when that is new, and before it is dialed to become a neighbor. */
  | { readonly _tag: "PeerData"; readonly peer: P; readonly data: Message.PeerData }

/** What a topic begins with. */
export interface Options<P extends PeerId> {
  readonly self: P
  readonly config: Config.Config
  /** All chance of the topic: one seed and the same inputs give the same outputs. */
  readonly rng: Rng
  /** What we publish about ourselves. */
  readonly data?: Message.PeerData | undefined
  /** Who may become a neighbor, and whose contents are taken; without it everybody. */
  readonly admit?: HyParView.Admit<P> | undefined
  /** Which contents are delivered and forwarded; without it all. */
  readonly validate?: PlumTree.Validate<P> | undefined
  /** See `PlumTree.Options`. */
  readonly salt?: number | undefined
}

/** Both cores; everybody may read, only `handle` writes. */
export interface State<P extends PeerId> {
  readonly membership: HyParView.State<P>
  readonly broadcast: PlumTree.State<P>
}

/** A topic without neighbors, which does nothing before its first input. */
export const make = <P extends PeerId>({ self, config, rng, data, admit, validate, salt }: Options<P>): State<P> => ({
  membership: HyParView.make({
    self,
    config: config.membership,
    maxMessageBytes: config.maxMessageBytes,
    rng,
    data,
    admit
  }),
  broadcast: PlumTree.make({
    self,
    config: config.broadcast,
    maxMessageBytes: config.maxMessageBytes,
    admit,
    validate,
    salt
  })
})

/**
 * Handles one input; what is to be done is appended to `out`, in the order of the specification. `now` in milliseconds. The broadcast
 * hears of new and lost neighbors when the membership is done with the whole input (section 1.2).
 */
export const handle = <P extends PeerId>(
  state: State<P>,
  input: Input<P>,
  now: number,
  out: Array<Output<P>>
): void => {
  switch (input._tag) {
    case "Broadcast":
      return PlumTree.handle(state.broadcast, input, now, out)
    case "RecvMessage": {
      const { from, message } = input
      switch (message._tag) {
        case "Gossip":
        case "Prune":
        case "Graft":
        case "IHave":
          PlumTree.handle(state.broadcast, { _tag: "RecvMessage", from, message }, now, out)
          return HyParView.heardFrom(state.membership, from, now, out)
        default:
          return handleMembership(state, { _tag: "RecvMessage", from, message }, now, out)
      }
    }
    case "TimerExpired": {
      const { timer } = input
      switch (timer._tag) {
        case "SendGraft":
        case "DispatchLazyPush":
        case "EvictCache":
          return PlumTree.handle(state.broadcast, { _tag: "TimerExpired", timer }, now, out)
        default:
          return handleMembership(state, { _tag: "TimerExpired", timer }, now, out)
      }
    }
    default:
      return handleMembership(state, input, now, out)
  }
}

const handleMembership = <P extends PeerId>(
  state: State<P>,
  input: HyParView.Input<P>,
  now: number,
  out: Array<Output<P>>
): void => {
  const start = out.length
  HyParView.handle(state.membership, input, now, out)
  const end = out.length
  for (let i = start; i < end; i++) {
    const output = out[i]
    if (output?._tag !== "EmitEvent" || output.event._tag === "Received") continue
    PlumTree.handle(state.broadcast, { _tag: output.event._tag, peer: output.event.peer }, now, out)
  }
}
