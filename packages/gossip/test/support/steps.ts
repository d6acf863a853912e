/** A membership core under test: peer 0, its views as the test wants them, and what it puts out as short texts. */
import * as Rng from "@effect-live/actor/Rng"
import * as Config from "../../src/Config.ts"
import * as HyParView from "../../src/HyParView.ts"
import type * as Message from "../../src/Message.ts"
import type * as Topic from "../../src/Topic.ts"

export interface Setup {
  readonly active?: ReadonlyArray<number>
  readonly passive?: ReadonlyArray<number>
  readonly config?: Partial<Config.Membership>
  readonly maxMessageBytes?: number
  readonly data?: Message.PeerData
  readonly admit?: (peer: number) => boolean
  readonly seed?: number
}

export interface Core {
  readonly state: HyParView.State<number>
  /** Hands in one input and says what came of it. */
  readonly step: (input: HyParView.Input<number>) => ReadonlyArray<string>
  readonly receive: (from: number, message: Message.Membership<number>) => ReadonlyArray<string>
  readonly join: (...peers: ReadonlyArray<number>) => ReadonlyArray<string>
  readonly disconnected: (peer: number) => ReadonlyArray<string>
  readonly expire: (timer: HyParView.Timer<number>) => ReadonlyArray<string>
  /** The timer of the last request to a peer, or of the silence behind it. */
  readonly requestTimeout: (peer: number) => ReadonlyArray<string>
  /** Lets time pass. */
  readonly pass: (ms: number) => void
}

export const core = (setup: Setup = {}): Core => {
  const state = HyParView.make<number>({
    self: 0,
    config: { ...Config.membership, ...setup.config },
    maxMessageBytes: setup.maxMessageBytes ?? 4_096,
    rng: Rng.make(setup.seed ?? 1),
    data: setup.data,
    admit: setup.admit
  })
  state.active.push(...(setup.active ?? []))
  state.passive.push(...(setup.passive ?? []))
  state.shuffleScheduled = true
  let now = 1_000_000
  const step = (input: HyParView.Input<number>): ReadonlyArray<string> => {
    const out: Array<Topic.Output<number>> = []
    HyParView.handle(state, input, now, out)
    return out.map(show)
  }
  step({ _tag: "UpdatePeerData", data: setup.data ?? new Uint8Array(0) })
  return {
    state,
    step,
    receive: (from, message) => step({ _tag: "RecvMessage", from, message }),
    join: (...peers) => step({ _tag: "Join", peers }),
    disconnected: (peer) => step({ _tag: "PeerDisconnected", peer }),
    expire: (timer) => step({ _tag: "TimerExpired", timer }),
    requestTimeout: (peer) => {
      const { request } = state.pending.get(peer) ?? state.silent.get(peer) ?? { request: 0 }
      return step({ _tag: "TimerExpired", timer: { _tag: "PendingNeighborRequest", peer, request } })
    },
    pass: (ms) => {
      now += ms
    }
  }
}

const show = (output: Topic.Output<number>): string => {
  switch (output._tag) {
    case "SendMessage":
      return `${output.peer} <- ${showMessage(output.message)}`
    case "EmitEvent": {
      const { event } = output
      if (event._tag === "NeighborUp") return `up ${event.peer}`
      return event._tag === "NeighborDown" ? `down ${event.peer} ${event.reason}` : "received"
    }
    case "ScheduleTimer": {
      const { timer } = output
      if (timer._tag === "ProbeFormer") return "probe soon"
      return `in ${output.delayMs} ${timer._tag}${timer._tag === "PendingNeighborRequest" ? ` ${timer.peer}` : ""}`
    }
    case "DisconnectPeer":
      return `drop ${output.peer}`
    case "PeerData":
      return `data ${output.peer} ${output.data.length}`
  }
}

const showNodes = (nodes: ReadonlyArray<Message.PeerInfo<number>>): string =>
  `[${nodes.map(({ data, id }) => (data === undefined ? `${id}` : `${id}/${data.length}`)).join(" ")}]`

const showData = (data: Message.PeerData | undefined): string => (data === undefined ? "" : ` /${data.length}`)

const showMessage = (message: Message.Message<number>): string => {
  switch (message._tag) {
    case "Join":
      return `Join${showData(message.data)}`
    case "ForwardJoin":
      return `ForwardJoin ${showNodes([message.peer])} ttl ${message.ttl}`
    case "Shuffle":
      return `Shuffle of ${message.origin} ${showNodes(message.nodes)} ttl ${message.ttl}`
    case "ShuffleReply":
      return `ShuffleReply ${showNodes(message.nodes)}`
    case "Neighbor":
      return `Neighbor ${message.priority}${showData(message.data)}`
    case "Disconnect":
      return `Disconnect ${message.alive ? "alive" : "left"}`
    default:
      return message._tag
  }
}

// Messages, as short as they are talked about.

export const joinMessage = (data?: Message.PeerData): Message.Membership<number> => ({ _tag: "Join", data })
export const neighbor = (priority: Message.Priority, data?: Message.PeerData): Message.Membership<number> => ({
  _tag: "Neighbor",
  priority,
  data
})
export const forwardJoin = (id: number, ttl: number, data?: Message.PeerData): Message.Membership<number> => ({
  _tag: "ForwardJoin",
  peer: { id, data },
  ttl
})
export const shuffle = (origin: number, ids: ReadonlyArray<number>, ttl: number): Message.Membership<number> => ({
  _tag: "Shuffle",
  origin,
  nodes: ids.map((id) => ({ id, data: undefined })),
  ttl
})
export const shuffleReply = (ids: ReadonlyArray<number>): Message.Membership<number> => ({
  _tag: "ShuffleReply",
  nodes: ids.map((id) => ({ id, data: undefined }))
})
export const disconnect = (alive: boolean): Message.Membership<number> => ({ _tag: "Disconnect", alive })
export const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(7)
