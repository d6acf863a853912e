/**
 * What the Moq service decides: which path belongs to which broadcast, who shares the session to a peer and how long it stays,
 * and whether anybody may still come in. Broadcasts, sessions and connections are numbers here.
 */
import * as Actor from "@effect-live/actor/Actor"
import type { ConnectError } from "@effect-live/endpoint/Endpoint"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import * as ErrorCode from "./ErrorCode.ts"
import * as Limits from "./Limits.ts"
import * as Path from "./Path.ts"

/** Why a broadcast is not published. */
export type PublishRefusal =
  | { readonly _tag: "InvalidPath"; readonly fault: string }
  | { readonly _tag: "TooManyBroadcasts" }
  | { readonly _tag: "ShutDown" }

/** Why there is no session to a peer. */
export type ConnectRefusal = ConnectError | { readonly _tag: "TooManySessions" } | { readonly _tag: "ShutDown" }

/** May somebody who connected have a session? */
export type Verdict = "accept" | { readonly code: number; readonly reason: string }

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
  | {
      readonly _tag: "Connect"
      readonly replyTo: Actor.ReplyTo<number, ConnectRefusal>
      /** Names one interest in the session, until its `Disconnect`. */
      readonly holder: number
      readonly id: EndpointId
      readonly peer: EndpointAddr | EndpointId
    }
  | { readonly _tag: "Disconnect"; readonly holder: number }
  | { readonly _tag: "Dialed"; readonly dial: number }
  | { readonly _tag: "DialFailed"; readonly dial: number; readonly error: ConnectError }
  | { readonly _tag: "SessionEnded"; readonly dial: number }
  | { readonly _tag: "LingerDue"; readonly dial: number }
  | { readonly _tag: "IncomingOpened"; readonly replyTo: Actor.ReplyTo<Verdict> }
  | { readonly _tag: "IncomingClosed" }
  | { readonly _tag: "ShutDown"; readonly replyTo: Actor.ReplyTo<void> }
  | { readonly _tag: "DrainDue" }

export type Output =
  | { readonly _tag: "Announce"; readonly path: string; readonly broadcast: number }
  | { readonly _tag: "Withdraw"; readonly path: string; readonly broadcast: number }
  | { readonly _tag: "Dial"; readonly dial: number; readonly peer: EndpointAddr | EndpointId }
  /** Ends a dial or its session. */
  | { readonly _tag: "HangUp"; readonly dial: number; readonly code: number; readonly reason: string }
  /** Nobody holds the dial any more. */
  | { readonly _tag: "Forget"; readonly dial: number }
  /** Ends every announcement on every session. */
  | { readonly _tag: "WithdrawAll" }
  /** Ends every session, dialed or incoming. */
  | { readonly _tag: "CloseAll"; readonly code: number; readonly reason: string }

interface Dial {
  readonly dial: number
  readonly id: EndpointId
  /** `closing`: we hung up. `ended`: its holders do not know yet. */
  phase: "dialing" | "open" | "closing" | "ended"
  readonly holders: Set<number>
  readonly waiting: Array<Actor.ReplyTo<number, ConnectRefusal>>
}

export interface State {
  shutDown: boolean
  nextDial: number
  readonly published: Map<string, number>
  readonly dials: Map<number, Dial>
  /** The dial that a new caller joins. */
  readonly byPeer: Map<EndpointId, Dial>
  readonly byHolder: Map<number, Dial>
  incoming: number
  /** Callers of `shutdown`, until everything has ended. */
  readonly leaving: Array<Actor.ReplyTo<void>>
}

type Outputs = ReadonlyArray<Output | Actor.Command<Event>>

export const core: Actor.Core<State, Event, Output> = {
  initial: () => ({
    shutDown: false,
    nextDial: 0,
    published: new Map(),
    dials: new Map(),
    byPeer: new Map(),
    byHolder: new Map(),
    incoming: 0,
    leaving: []
  }),
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
        return connect(state, event)
      case "Disconnect":
        return disconnect(state, event.holder, now)
      case "Dialed":
        return dialed(state, event.dial)
      case "DialFailed":
        return dialFailed(state, event.dial, event.error)
      case "SessionEnded":
        return sessionEnded(state, event.dial)
      case "LingerDue":
        return lingerDue(state, event.dial)
      case "IncomingOpened":
        return [Actor.reply(event.replyTo, incomingOpened(state))]
      case "IncomingClosed":
        state.incoming--
        return leave(state)
      case "ShutDown":
        return shutDown(state, event.replyTo, now)
      case "DrainDue":
        return [{ _tag: "CloseAll", ...cancelled }]
    }
  }
}

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

// ---- connecting -----------------------------------------------------------------------------------------------------

const connect = (state: State, event: Extract<Event, { readonly _tag: "Connect" }>): Outputs => {
  const { holder, id, peer, replyTo } = event
  if (state.shutDown) return [Actor.refuse(replyTo, { _tag: "ShutDown" })]
  const shared = state.byPeer.get(id)
  if (shared !== undefined) {
    hold(state, shared, holder)
    if (shared.phase === "open") {
      return [Actor.clearTimer(lingerTimer(shared.dial)), Actor.reply(replyTo, shared.dial)]
    }
    shared.waiting.push(replyTo)
    return nothing
  }
  if (state.dials.size >= Limits.sessions) return [Actor.refuse(replyTo, { _tag: "TooManySessions" })]
  const dial: Dial = { dial: state.nextDial++, id, phase: "dialing", holders: new Set(), waiting: [replyTo] }
  state.dials.set(dial.dial, dial)
  state.byPeer.set(id, dial)
  hold(state, dial, holder)
  return [{ _tag: "Dial", dial: dial.dial, peer }]
}

const disconnect = (state: State, holder: number, now: number): Outputs => {
  const dial = state.byHolder.get(holder)
  if (dial === undefined) return nothing
  state.byHolder.delete(holder)
  dial.holders.delete(holder)
  if (dial.holders.size > 0) return nothing
  if (dial.phase === "ended") return forget(state, dial)
  // nobody waits for this attempt any more
  if (dial.phase === "dialing") return hangUp(state, dial)
  return [Actor.setTimer(lingerTimer(dial.dial), now + Limits.sessionLingerMs, { _tag: "LingerDue", dial: dial.dial })]
}

const dialed = (state: State, number: number): Outputs => {
  const dial = state.dials.get(number)
  if (dial?.phase !== "dialing") return nothing
  dial.phase = "open"
  return dial.waiting.splice(0).map((replyTo) => Actor.reply(replyTo, number))
}

const dialFailed = (state: State, number: number, error: ConnectError): Outputs => {
  const dial = state.dials.get(number)
  if (dial === undefined) return nothing
  const refusals = dial.waiting.splice(0).map((replyTo) => Actor.refuse(replyTo, error))
  return [...refusals, ...end(state, dial)]
}

const sessionEnded = (state: State, number: number): Outputs => {
  const dial = state.dials.get(number)
  return dial === undefined ? nothing : end(state, dial)
}

const lingerDue = (state: State, number: number): Outputs => {
  const dial = state.dials.get(number)
  return dial?.phase === "open" && dial.holders.size === 0 ? hangUp(state, dial) : nothing
}

const hold = (state: State, dial: Dial, holder: number): void => {
  dial.holders.add(holder)
  state.byHolder.set(holder, dial)
}

/** Whoever comes now dials anew. */
const hangUp = (state: State, dial: Dial): Outputs => {
  dial.phase = "closing"
  unlist(state, dial)
  return [{ _tag: "HangUp", dial: dial.dial, code: ErrorCode.cancel, reason: "" }]
}

const end = (state: State, dial: Dial): Outputs => {
  dial.phase = "ended"
  unlist(state, dial)
  const gone = dial.holders.size === 0 ? forget(state, dial) : nothing
  return [Actor.clearTimer(lingerTimer(dial.dial)), ...gone, ...leave(state)]
}

const unlist = (state: State, dial: Dial): void => {
  if (state.byPeer.get(dial.id) === dial) state.byPeer.delete(dial.id)
}

const forget = (state: State, dial: Dial): Outputs => {
  state.dials.delete(dial.dial)
  return [{ _tag: "Forget", dial: dial.dial }]
}

// ---- incoming sessions and the end ----------------------------------------------------------------------------------

const incomingOpened = (state: State): Verdict => {
  if (state.shutDown) return cancelled
  if (state.incoming >= Limits.sessions) return { code: ErrorCode.boundsExceeded, reason: "too many sessions" }
  state.incoming++
  return "accept"
}

const shutDown = (state: State, replyTo: Actor.ReplyTo<void>, now: number): Outputs => {
  const first = !state.shutDown
  state.shutDown = true
  state.leaving.push(replyTo)
  state.published.clear()
  if (live(state) === 0) return [...(first ? [{ _tag: "WithdrawAll" } as const] : nothing), ...leave(state)]
  if (!first) return nothing
  // an attempt that is still under way is given up at once; sessions get time for what is in flight
  const attempts = [...state.dials.values()].filter((dial) => dial.phase === "dialing")
  const refusals = attempts.flatMap((dial) => dial.waiting.splice(0)).map((waiting) => Actor.refuse(waiting, tooLate))
  return [
    { _tag: "WithdrawAll" },
    ...refusals,
    ...attempts.flatMap((dial) => hangUp(state, dial)),
    Actor.setTimer("drain", now + Limits.shutdownDrainMs, { _tag: "DrainDue" })
  ]
}

const live = (state: State): number =>
  state.incoming + [...state.dials.values()].filter((dial) => dial.phase !== "ended").length

/** Answers `shutdown` when the last session has ended. */
const leave = (state: State): Outputs =>
  state.leaving.length > 0 && live(state) === 0
    ? state.leaving.splice(0).map((replyTo) => Actor.reply(replyTo, undefined))
    : nothing

const tooLate: ConnectRefusal = { _tag: "ShutDown" }
const cancelled = { code: ErrorCode.cancel, reason: "cancelled" }
const nothing: Outputs = []
const lingerTimer = (dial: number): string => `linger/${dial}`
