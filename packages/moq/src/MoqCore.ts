/**
 * What the Moq service decides: which path belongs to which broadcast, and how it ends; `internal/Connecting` has the part about
 * sessions and connections. Broadcasts, peers, sessions and connections are numbers here.
 */
import * as Actor from "@effect-live/actor/Actor"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import * as ErrorCode from "./ErrorCode.ts"
import * as Connecting from "./internal/Connecting.ts"
import * as Peers from "./internal/Peers.ts"
import * as Limits from "./Limits.ts"
import * as Path from "./Path.ts"

/** Why a broadcast is not published. */
export type PublishRefusal =
  | { readonly _tag: "InvalidPath"; readonly fault: string }
  | { readonly _tag: "TooManyBroadcasts" }
  | { readonly _tag: "ShutDown" }

export type { ConnectRefusal, Verdict } from "./internal/Peers.ts"

export type Event =
  | {
      readonly _tag: "Publish"
      readonly replyTo: Actor.ReplyTo<void, PublishRefusal>
      readonly path: string
      /** Names the broadcast. */
      readonly broadcast: number
    }
  | { readonly _tag: "Unpublish"; readonly replyTo: Actor.ReplyTo<void>; readonly path: string }
  /** The broadcast or its publisher's Scope ended; counts only if the path still belongs to it. */
  | { readonly _tag: "BroadcastDone"; readonly path: string; readonly broadcast: number }
  | Peers.Event
  | { readonly _tag: "ShutDown"; readonly replyTo: Actor.ReplyTo<void> }
  /** Nothing of ours is on its way to the peer of this session any more. */
  | { readonly _tag: "Drained"; readonly session: number }
  | { readonly _tag: "DrainDue" }

export type Output =
  | { readonly _tag: "Announce"; readonly path: string; readonly broadcast: number }
  | { readonly _tag: "Withdraw"; readonly path: string; readonly broadcast: number }
  /** Ends every announcement on every session. */
  | { readonly _tag: "WithdrawAll" }
  | Peers.Output

export interface State {
  shutDown: boolean
  readonly published: Map<string, number>
  readonly peers: Peers.State
  /** Callers of `shutdown`, until everything has ended. */
  readonly leaving: Array<Actor.ReplyTo<void>>
}

type Outputs = ReadonlyArray<Output | Actor.Command<Event>>

/** The core of the service on the endpoint `self`. */
export const core = (self: EndpointId): Actor.Core<State, Event, Output> => ({
  initial: (seed) => ({ shutDown: false, published: new Map(), peers: Peers.initial(self, seed), leaving: [] }),
  step: (state, event, now) => {
    switch (event._tag) {
      case "Publish":
        return publish(state, event)
      case "Unpublish": {
        const broadcast = state.published.get(event.path)
        return [
          ...(broadcast === undefined ? nothing : withdraw(state, event.path, broadcast)),
          Actor.reply(event.replyTo, undefined)
        ]
      }
      case "BroadcastDone":
        return state.published.get(event.path) === event.broadcast
          ? withdraw(state, event.path, event.broadcast)
          : nothing
      case "Connect":
        return state.shutDown
          ? [Actor.refuse(event.replyTo, { _tag: "ShutDown" })]
          : Connecting.step(state.peers, event, now)
      case "Incoming":
        return state.shutDown ? [Actor.reply(event.replyTo, cancelled)] : Connecting.step(state.peers, event, now)
      case "ShutDown":
        return shutDown(state, event.replyTo, now)
      case "Drained":
        return Connecting.close(state.peers, event.session, cancelled)
      case "DrainDue":
        return Connecting.closeAll(state.peers, cancelled)
      default:
        return [...Connecting.step(state.peers, event, now), ...leave(state)]
    }
  }
})

// ---- publishing -----------------------------------------------------------------------------------------------------

const publish = (state: State, event: Extract<Event, { readonly _tag: "Publish" }>): Outputs => {
  const { broadcast, path, replyTo } = event
  const fault = Path.fault(path)
  if (state.shutDown) return [Actor.refuse(replyTo, { _tag: "ShutDown" })]
  if (fault !== undefined) return [Actor.refuse(replyTo, { _tag: "InvalidPath", fault })]
  const before = state.published.get(path)
  if (before === undefined && state.published.size >= Limits.broadcastsPerOrigin) {
    return [Actor.refuse(replyTo, { _tag: "TooManyBroadcasts" })]
  }
  const replaced = before === undefined ? nothing : withdraw(state, path, before)
  state.published.set(path, broadcast)
  return [...replaced, { _tag: "Announce", path, broadcast }, Actor.reply(replyTo, undefined)]
}

const withdraw = (state: State, path: string, broadcast: number): Outputs => {
  state.published.delete(path)
  return [{ _tag: "Withdraw", path, broadcast }]
}

// ---- the end --------------------------------------------------------------------------------------------------------

/** Announcements end at once; sessions get a moment for what is in flight. */
const shutDown = (state: State, replyTo: Actor.ReplyTo<void>, now: number): Outputs => {
  const first = !state.shutDown
  state.shutDown = true
  state.leaving.push(replyTo)
  state.published.clear()
  if (!first) return leave(state)
  return [
    { _tag: "WithdrawAll" },
    ...Connecting.shutDown(state.peers),
    ...(Peers.isQuiet(state.peers)
      ? leave(state)
      : [Actor.setTimer("drain", now + Limits.shutdownDrainMs, { _tag: "DrainDue" } as const)])
  ]
}

/** Answers `shutdown` when the last session has ended. */
const leave = (state: State): Outputs =>
  state.leaving.length > 0 && Peers.isQuiet(state.peers)
    ? state.leaving.splice(0).map((replyTo) => Actor.reply(replyTo, undefined))
    : nothing

const cancelled = { code: ErrorCode.cancel, reason: "cancelled" }
const nothing: Outputs = []
