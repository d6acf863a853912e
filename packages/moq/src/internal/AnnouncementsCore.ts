/** What a session decides about the broadcasts that the peer announces, over one connection and from one to the next. */
import * as Actor from "@effect-live/actor/Actor"
import * as ErrorCode from "../ErrorCode.ts"
import * as Limits from "../Limits.ts"
import type { HopId } from "../Message.ts"
import type { Event, Outputs, Traits } from "../SessionCore.ts"
import * as Subscriptions from "./SubscriptionsCore.ts"

interface Announced {
  readonly hops: ReadonlyArray<HopId>
  /** False after a connection was lost, until the peer says so again. */
  confirmed: boolean
}

export interface State {
  readonly announced: Map<string, Announced>
  /** Announcements that are still to come of those that were active at the beginning, where the peer counts them. */
  initialLeft: number
}

/** With what every function here also needs. */
interface Session extends State, Subscriptions.State {
  readonly version: Traits | undefined
}

export const initial = (): State => ({ announced: new Map(), initialLeft: 0 })

export const announced = (
  state: Session,
  { active, hops, loop, path }: Extract<Event, { readonly _tag: "Announced" }>,
  now: number
): Outputs => {
  const known = state.announced.get(path)
  if (!active) {
    // some relays end what they filtered before: an end for a path that is not known means nothing (section 4.2)
    return known?.confirmed === true ? withdraw(state, path) : nothing
  }
  const outputs = loop
    ? known?.confirmed === true
      ? withdraw(state, path)
      : nothing
    : begins(state, path, hops, known, now)
  return state.initialLeft > 0 && --state.initialLeft === 0 ? [...outputs, ...confirmed(state)] : outputs
}

const begins = (
  state: Session,
  path: string,
  hops: ReadonlyArray<HopId>,
  known: Announced | undefined,
  now: number
): Outputs => {
  if (known === undefined) {
    if (state.announced.size >= Limits.broadcastsPerOrigin) {
      return [{ _tag: "CloseSession", code: ErrorCode.boundsExceeded, reason: "too many broadcasts announced" }]
    }
    return announce(state, path, hops)
  }
  const [before, after] = [known.hops[0] ?? 0, hops[0] ?? 0]
  if (before !== after || (known.confirmed && after === 0)) {
    const dropped = known.confirmed ? nothing : Subscriptions.abandon(state, path, "all")
    const gone = known.confirmed ? withdraw(state, path) : lose(state, path)
    return [...gone, ...dropped, ...announce(state, path, hops)]
  }
  state.announced.set(path, { hops, confirmed: true })
  // the same content, perhaps on another way; where its origin has no name nobody can say yet
  return known.confirmed ? nothing : Subscriptions.resume(state, path, after === 0 ? "check" : "continue", now)
}

/** Numbers that fell back: what was announced again is not what was there before. */
export const contentChanged = (state: Session, id: number): Outputs => {
  const subscription = state.subscriptions.get(id)
  if (subscription === undefined) return nothing
  const { broadcast } = subscription
  const known = state.announced.get(broadcast)
  return [
    ...Subscriptions.abandon(state, broadcast, "all"),
    ...(known === undefined ? nothing : [...lose(state, broadcast), ...announce(state, broadcast, known.hops)])
  ]
}

export const withdrawAll = (state: State & Subscriptions.State): Outputs =>
  [...state.announced.keys()].flatMap((path) => withdraw(state, path))

const announce = (state: State, path: string, hops: ReadonlyArray<HopId>): Outputs => {
  state.announced.set(path, { hops, confirmed: true })
  return [{ _tag: "Announce", path, hops }]
}

const withdraw = (state: State & Subscriptions.State, path: string): Outputs => {
  state.announced.delete(path)
  Subscriptions.orphan(state, path)
  return [{ _tag: "Unannounce", path }]
}

/** As `withdraw`, where the publisher did not end it: it went with a connection. */
const lose = (state: State, path: string): Outputs => {
  state.announced.delete(path)
  return [{ _tag: "Unannounce", path, code: ErrorCode.dropped }]
}

// ---- connections ----------------------------------------------------------------------------------------------------

export const detached = (state: State): Outputs => {
  state.initialLeft = 0
  for (const entry of state.announced.values()) entry.confirmed = false
  return [Actor.clearTimer(reannounceTimer)]
}

/** What is not announced again in time is gone. A peer that counts gets more of it, as it may still be gathering. */
export const attached = (state: Session, now: number): Outputs => {
  if (state.announced.size === 0) return nothing
  const withinMs = state.version?.announceOk === true ? Limits.answerTimeoutMs : Limits.reannounceMs
  return [Actor.setTimer<Event>(reannounceTimer, now + withinMs, { _tag: "ReannounceDue" })]
}

export const initialCount = (state: Session, active: number): Outputs => {
  state.initialLeft = active
  return active === 0 ? confirmed(state) : nothing
}

export const reannounceDue = (state: Session): Outputs => confirmed(state)

/** The peer has announced all that it has. */
const confirmed = (state: Session): Outputs => {
  const gone = [...state.announced].filter(([, entry]) => !entry.confirmed).map(([path]) => path)
  return [
    Actor.clearTimer(reannounceTimer),
    ...gone.flatMap((path) => [...lose(state, path), ...Subscriptions.abandon(state, path, "unasked")])
  ]
}

const nothing: Outputs = []
const reannounceTimer = "reannounce"
