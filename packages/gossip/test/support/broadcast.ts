/** A broadcast core under test: peer 0, and what it puts out as short texts. */
import * as Config from "../../src/Config.ts"
import type * as Message from "../../src/Message.ts"
import * as PlumTree from "../../src/PlumTree.ts"
import type * as Topic from "../../src/Topic.ts"

export interface Setup {
  /** Peers that are up, all eager. */
  readonly eager?: ReadonlyArray<number>
  /** Peers that are up and were pruned. */
  readonly lazy?: ReadonlyArray<number>
  readonly config?: Partial<Config.Broadcast>
  readonly maxMessageBytes?: number
  readonly admit?: (peer: number) => boolean
  readonly validate?: PlumTree.Validate<number>
}

export interface Core {
  readonly state: PlumTree.State<number>
  /** Hands in one input and says what came of it. */
  readonly step: (input: PlumTree.Input<number>) => ReadonlyArray<string>
  readonly receive: (from: number, message: Message.Broadcast) => ReadonlyArray<string>
  readonly broadcast: (id: string, scope?: "Swarm" | "Neighbors") => ReadonlyArray<string>
  readonly up: (peer: number) => ReadonlyArray<string>
  readonly down: (peer: number) => ReadonlyArray<string>
  readonly graftTimer: (id: string) => ReadonlyArray<string>
  readonly dispatch: () => ReadonlyArray<string>
  readonly tick: () => ReadonlyArray<string>
  /** Lets time pass without a tick. */
  readonly pass: (ms: number) => void
  /** Lets time pass with a tick in every second. */
  readonly idle: (ms: number) => void
  /** Eager and lazy. */
  readonly links: () => string
}

export const core = (setup: Setup = {}): Core => {
  const state = PlumTree.make<number>({
    self: 0,
    config: { ...Config.broadcast, ...setup.config },
    maxMessageBytes: setup.maxMessageBytes ?? 4_096,
    admit: setup.admit,
    validate: setup.validate
  })
  let now = 1_000_000
  const step = (input: PlumTree.Input<number>): ReadonlyArray<string> => {
    const out: Array<Topic.Output<number>> = []
    PlumTree.handle(state, input, now, out)
    return out.map(show)
  }
  const pass = (ms: number): void => {
    now += ms
  }
  const tick = (): ReadonlyArray<string> => step({ _tag: "TimerExpired", timer: { _tag: "EvictCache" } })
  const receive = (from: number, message: Message.Broadcast): ReadonlyArray<string> =>
    step({ _tag: "RecvMessage", from, message })
  const lazy = setup.lazy ?? []
  for (const peer of lazy) step({ _tag: "NeighborUp", peer })
  for (const peer of setup.eager ?? []) step({ _tag: "NeighborUp", peer })
  for (const peer of lazy) {
    state.eager.splice(state.eager.indexOf(peer), 1)
    state.lazy.push(peer)
  }
  return {
    state,
    step,
    receive,
    broadcast: (id, scope = "Swarm") => step({ _tag: "Broadcast", id, content: content(id), scope }),
    up: (peer) => step({ _tag: "NeighborUp", peer }),
    down: (peer) => step({ _tag: "NeighborDown", peer }),
    graftTimer: (id) => step({ _tag: "TimerExpired", timer: { _tag: "SendGraft", id } }),
    dispatch: () => step({ _tag: "TimerExpired", timer: { _tag: "DispatchLazyPush" } }),
    tick,
    pass,
    idle: (ms) => {
      for (let passed = 0; passed < ms; passed += 1_000) {
        pass(1_000)
        tick()
      }
    },
    links: () => `eager ${state.eager.join(" ")} lazy ${state.lazy.join(" ")}`.replaceAll(/ +/g, " ").trim()
  }
}

export const content = (id: string): Uint8Array => new TextEncoder().encode(id)

// Messages, as short as they are talked about.

export const gossip = (id: string, round: number): Message.Gossip => ({
  _tag: "Gossip",
  id,
  content: content(id),
  scope: { _tag: "Swarm", round }
})
export const direct = (id: string): Message.Gossip => ({
  _tag: "Gossip",
  id,
  content: content(id),
  scope: { _tag: "Neighbors" }
})
export const prune: Message.Broadcast = { _tag: "Prune" }
export const graft = (id: string | undefined, round = 0): Message.Broadcast => ({ _tag: "Graft", id, round })
export const ihave = (...entries: ReadonlyArray<readonly [id: string, round: number]>): Message.Broadcast => ({
  _tag: "IHave",
  messages: entries.map(([id, round]) => ({ id, round }))
})

const showScope = (scope: Message.Scope): string => (scope._tag === "Swarm" ? `round ${scope.round}` : "direct")

export const showBroadcast = (message: Message.Message<number>): string => {
  switch (message._tag) {
    case "Gossip":
      return `${message.id} ${showScope(message.scope)}`
    case "Graft":
      return `Graft ${message.id ?? "-"} ${message.round}`
    case "IHave":
      return `IHave ${message.messages.map(({ id, round }) => `${id}:${round}`).join(" ")}`
    default:
      return message._tag
  }
}

const show = (output: Topic.Output<number>): string => {
  switch (output._tag) {
    case "SendMessage":
      return `${output.peer} <- ${showBroadcast(output.message)}`
    case "EmitEvent":
      return output.event._tag === "Received"
        ? `got ${output.event.id} from ${output.event.deliveredFrom} ${showScope(output.event.scope)}`
        : output.event._tag
    case "ScheduleTimer":
      return `in ${output.delayMs} ${output.timer._tag}${output.timer._tag === "SendGraft" ? ` ${output.timer.id}` : ""}`
    default:
      return output._tag
  }
}
