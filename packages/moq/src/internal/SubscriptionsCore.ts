/** What a session decides about the tracks that we subscribe to: one subscription on the wire for all who want the same track. */
import * as Actor from "@effect-live/actor/Actor"
import type { Close } from "@effect-live/endpoint/Close"
import * as Broadcast from "../Broadcast.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as Limits from "../Limits.ts"
import type { SubscribeId, SubscribeUpdate } from "../Message.ts"
import type { Beginning, Event, Granted, Outputs, Refusal, Traits, Verdict } from "../SessionCore.ts"

/** One of our subscriptions; all local consumers of its track share it, over any number of connections. */
interface Subscription {
  readonly id: number
  readonly broadcast: string
  readonly track: string
  /** `opening` until the publisher accepts; `ending` while late groups may come; `ended` until its holders are gone. */
  phase: "opening" | "live" | "ending" | "ended"
  /** The present connection's publisher was asked for it. */
  asked: boolean
  openGroups: number
  /** The publisher is done. */
  over: boolean
  /** The broadcast that it was made for has ended: what is announced at its path afterwards is another one. */
  orphaned: boolean
  /** Groups that the publisher counts and that have not come; undefined: it did not say. */
  missing: number | undefined
  readonly holders: Map<number, SubscribeUpdate>
  /** What the publisher was told last. */
  wishes: SubscribeUpdate
  readonly waiting: Array<Actor.ReplyTo<Granted, Refusal>>
}

export interface State {
  nextId: number
  readonly subscriptions: Map<number, Subscription>
  /** Of those that more consumers may join: by broadcast and track. */
  readonly byTrack: Map<string, Subscription>
  readonly byHolder: Map<number, Subscription>
  /** Where the peer, which will close, sends us. */
  goingAway: string | undefined
}

/** With what every function here also needs. */
interface Session extends State {
  readonly attached: boolean
  readonly version: Traits | undefined
}

export const initial = (): State => ({
  nextId: 0,
  subscriptions: new Map(),
  byTrack: new Map(),
  byHolder: new Map(),
  goingAway: undefined
})

export const subscribe = (
  state: Session,
  event: Extract<Event, { readonly _tag: "Subscribe" }>,
  now: number
): Outputs => {
  const { broadcast, holder, replyTo, track, wishes } = event
  const shared = state.byTrack.get(keyOf(broadcast, track))
  if (shared !== undefined) {
    hold(state, shared, holder, wishes)
    const updates = update(state, shared)
    if (shared.phase === "live") return [...updates, Actor.reply(replyTo, { id: shared.id, fresh: false })]
    shared.waiting.push(replyTo)
    return updates
  }
  if (state.goingAway !== undefined) {
    return [Actor.refuse(replyTo, new Broadcast.GoingAway({ uri: state.goingAway }))]
  }
  if (state.subscriptions.size >= Limits.subscriptionsPerSession) {
    return [Actor.refuse(replyTo, new Broadcast.LimitReached({ limit: "subscriptionsPerSession" }))]
  }
  const id = state.nextId++
  const subscription: Subscription = {
    id,
    broadcast,
    track,
    phase: "opening",
    asked: false,
    openGroups: 0,
    over: false,
    orphaned: false,
    missing: undefined,
    holders: new Map(),
    wishes,
    waiting: [replyTo]
  }
  state.subscriptions.set(id, subscription)
  state.byTrack.set(keyOf(broadcast, track), subscription)
  hold(state, subscription, holder, wishes)
  return state.attached ? open(subscription, "fresh", now) : nothing
}

export const release = (state: Session, holder: number): Outputs => {
  const subscription = state.byHolder.get(holder)
  if (subscription === undefined) return nothing
  state.byHolder.delete(holder)
  subscription.holders.delete(holder)
  if (subscription.holders.size > 0) return update(state, subscription)
  const { id } = subscription
  const over = subscription.phase === "ended"
  state.subscriptions.delete(id)
  const outputs = leave(state, subscription)
  return [
    ...outputs,
    ...(over ? [] : [{ _tag: "CancelSubscription", id } as const]),
    { _tag: "ForgetSubscription", id }
  ]
}

// ---- what the publisher says ----------------------------------------------------------------------------------------

export const accepted = (state: State, id: number, now: number): Outputs => {
  const subscription = state.subscriptions.get(id)
  if (subscription?.phase !== "opening") return nothing
  subscription.phase = "live"
  const replies = subscription.waiting.splice(0).map((replyTo) => Actor.reply(replyTo, { id, fresh: true }))
  return [
    Actor.clearTimer(answerTimer(id)),
    ...replies,
    ...(subscription.over ? end(state, subscription, now) : nothing)
  ]
}

export const finished = (
  state: State,
  { answered, id, missing }: Extract<Event, { readonly _tag: "Finished" }>,
  now: number
): Outputs => {
  const subscription = state.subscriptions.get(id)
  if (subscription === undefined) return nothing
  subscription.missing = missing
  if (subscription.phase === "live") return end(state, subscription, now)
  if (subscription.phase !== "opening") return nothing
  subscription.over = true // the end has overtaken the answer
  return answered ? nothing : refuseAll(state, subscription, new Broadcast.Refused({ code: ErrorCode.cancel }))
}

/** The publisher sends nothing new. */
const end = (state: State, subscription: Subscription, now: number): Outputs => {
  subscription.phase = "ending"
  subscription.over = true
  unlist(state, subscription) // whoever comes now asks the publisher again
  return ending(subscription, now)
}

export const failed = (state: State, id: number, code: number): Outputs => {
  const subscription = state.subscriptions.get(id)
  if (subscription === undefined || subscription.phase === "ended") return nothing
  if (subscription.phase !== "opening") return abort(state, subscription, code)
  // where the question about the track was refused, the publisher may have taken the subscription all the same
  return [...refuseAll(state, subscription, refusal(code)), { _tag: "CancelSubscription", id }]
}

export const unanswered = (state: State, id: number): Outputs => {
  const subscription = state.subscriptions.get(id)
  if (subscription?.phase !== "opening") return nothing
  const reason = new Broadcast.NoAnswer({ timeoutMs: Limits.answerTimeoutMs })
  return [...refuseAll(state, subscription, reason), { _tag: "CancelSubscription", id }]
}

export const groupVerdict = (state: State, id: SubscribeId): Verdict => {
  const subscription = typeof id === "number" ? state.subscriptions.get(id) : undefined
  if (subscription === undefined || subscription.phase === "ended") return { code: ErrorCode.cancel }
  subscription.openGroups++
  return "accept"
}

export const groupClosed = (state: State, id: number, missing: number | undefined, now: number): Outputs => {
  const subscription = state.subscriptions.get(id)
  if (subscription === undefined) return nothing
  subscription.openGroups--
  if (!subscription.over) return nothing
  subscription.missing = missing
  if (subscription.phase !== "ending") return nothing
  return ending(subscription, now)
}

export const lateGroupsDue = (state: State, id: number): Outputs => {
  const subscription = state.subscriptions.get(id)
  return subscription === undefined ? nothing : finishTrack(subscription)
}

/** The publisher is done: the track ends with its last group, where that is known, else when no more can be expected. */
const ending = (subscription: Subscription, now: number): Outputs => {
  const { id, missing, openGroups } = subscription
  if (openGroups > 0) return nothing
  if (missing === 0) return [Actor.clearTimer(lateTimer(id)), ...finishTrack(subscription)]
  return [Actor.setTimer<Event>(lateTimer(id), now + Limits.lateGroupsMs, { _tag: "LateGroupsDue", id })]
}

/** Ends a track of which everything has come, as far as anybody can know. */
const finishTrack = (subscription: Subscription): Outputs => {
  if (subscription.phase !== "ending" || subscription.openGroups > 0) return nothing
  subscription.phase = "ended"
  return [{ _tag: "FinishTrack", id: subscription.id }]
}

/** Gives up a subscription that was not accepted. Its holders release it later. */
const refuseAll = (state: State, subscription: Subscription, reason: Refusal): Outputs => {
  const waiting = subscription.waiting.splice(0)
  return [...leave(state, subscription), ...waiting.map((replyTo) => Actor.refuse(replyTo, reason))]
}

const abort = (state: State, subscription: Subscription, code: number): Outputs => [
  ...leave(state, subscription),
  { _tag: "AbortTrack", id: subscription.id, code }
]

/** The subscription takes no more part in anything. */
const leave = (state: State, subscription: Subscription): Outputs => {
  subscription.phase = "ended"
  unlist(state, subscription)
  return [Actor.clearTimer(answerTimer(subscription.id)), Actor.clearTimer(lateTimer(subscription.id))]
}

const unlist = (state: State, subscription: Subscription): void => {
  const key = keyOf(subscription.broadcast, subscription.track)
  if (state.byTrack.get(key) === subscription) state.byTrack.delete(key)
}

// ---- what we tell the publisher -------------------------------------------------------------------------------------

const open = (subscription: Subscription, beginning: Beginning, now: number): Outputs => {
  const { broadcast, id, phase, track } = subscription
  subscription.asked = true
  subscription.wishes = combined(subscription)
  return [
    { _tag: "OpenSubscription", id, broadcast, track, wishes: subscription.wishes, beginning },
    phase === "opening"
      ? Actor.setTimer<Event>(answerTimer(id), now + Limits.answerTimeoutMs, { _tag: "AnswerDue", id })
      : Actor.setTimer<Event>(cutTimer(id), now + Limits.resumeGroupsMs, { _tag: "CutGroupsDue", id })
  ]
}

/** Says what the holders want now, where the publisher can be told and it is something else. */
const update = (state: Session, subscription: Subscription): Outputs => {
  if (!subscription.asked || state.version?.subscribeUpdates !== true) return nothing
  if (subscription.phase !== "opening" && subscription.phase !== "live") return nothing
  const { wishes: before } = subscription
  const wishes = combined(subscription)
  const { start } = wishes
  const earlier = start !== undefined && (before.start === undefined || start < before.start)
  const same =
    wishes.priority === before.priority &&
    wishes.ordered === before.ordered &&
    wishes.maxLatencyMs === before.maxLatencyMs &&
    wishes.end === before.end
  if (same && !earlier) return nothing
  subscription.wishes = earlier ? wishes : { ...wishes, start: before.start }
  // a start that was said before would begin anew there; none leaves the beginning where it is
  return [
    { _tag: "UpdateSubscription", id: subscription.id, wishes: earlier ? wishes : { ...wishes, start: undefined } }
  ]
}

/**
 * What satisfies every holder (section 1.4): the highest priority, the longest patience, the first start and the last end that any
 * of them states. No latency stated is endless patience, no end stated is no end.
 */
const combined = ({ holders, wishes }: Subscription): SubscribeUpdate => {
  const all = [...holders.values()]
  if (all.length === 0) return wishes
  const starts = all.flatMap(({ start }) => (start === undefined ? [] : [start]))
  return {
    priority: Math.max(...all.map(({ priority }) => priority)),
    ordered: all.every(({ ordered }) => ordered),
    maxLatencyMs: all.some(({ maxLatencyMs }) => maxLatencyMs === 0)
      ? 0
      : Math.max(...all.map(({ maxLatencyMs }) => maxLatencyMs)),
    start: starts.length === 0 ? undefined : Math.min(...starts),
    end: all.some(({ end }) => end === undefined) ? undefined : Math.max(...all.map(({ end = 0 }) => end))
  }
}

const hold = (state: State, subscription: Subscription, holder: number, wishes: SubscribeUpdate): void => {
  subscription.holders.set(holder, wishes)
  state.byHolder.set(holder, subscription)
}

// ---- connections ----------------------------------------------------------------------------------------------------

/** Asks again for what does not wait for its broadcast to be announced again. */
export const attached = (state: Session & { readonly announced: ReadonlyMap<string, unknown> }, now: number): Outputs =>
  [...state.subscriptions.values()].flatMap((subscription) => {
    if (subscription.asked || subscription.phase === "ended") return nothing
    if (subscription.phase === "opening") return open(subscription, "fresh", now)
    if (state.announced.has(subscription.broadcast)) return nothing
    // never announced: where peers name their content, this one's nobody can tell from what may be there by now
    return state.version?.announceOk === true
      ? abort(state, subscription, ErrorCode.dropped)
      : open(subscription, "check", now)
  })

/** The broadcast is there again. */
export const resume = (state: State, broadcast: string, beginning: Beginning, now: number): Outputs =>
  [...state.subscriptions.values()].flatMap((subscription) =>
    subscription.broadcast === broadcast && subscription.phase === "live" && !subscription.asked
      ? open(subscription, beginning, now)
      : nothing
  )

/** Something else is published there, or nothing: tracks that depend on it end. */
export const abandon = (state: State, broadcast: string, which: "all" | "unasked"): Outputs =>
  [...state.subscriptions.values()].flatMap((subscription) => {
    if (subscription.broadcast !== broadcast || subscription.phase === "ended") return nothing
    if (subscription.phase === "opening" || (which === "unasked" && subscription.asked)) return nothing
    const cancel = subscription.asked ? [{ _tag: "CancelSubscription", id: subscription.id } as const] : nothing
    return [...abort(state, subscription, ErrorCode.dropped), ...cancel]
  })

/** The broadcast has ended. Its tracks run to their own end on this connection; whoever comes now asks for what comes next. */
export const orphan = (state: State, broadcast: string): void => {
  for (const subscription of state.subscriptions.values()) {
    if (subscription.broadcast !== broadcast || subscription.phase !== "live") continue
    subscription.orphaned = true
    unlist(state, subscription)
  }
}

/** No track that has begun goes on. */
export const abandonLive = (state: State): Outputs =>
  [...new Set([...state.subscriptions.values()].map(({ broadcast }) => broadcast))].flatMap((broadcast) =>
    abandon(state, broadcast, "all")
  )

/** The connection is gone. `cut`: with streams of which nobody knows whose they were. */
export const detached = (state: State, cut: boolean): Outputs =>
  [...state.subscriptions.values()].flatMap((subscription) => {
    subscription.asked = false
    subscription.over = false
    if (subscription.phase === "ended") return nothing
    const timers = [answerTimer(subscription.id), lateTimer(subscription.id), cutTimer(subscription.id)].map(
      Actor.clearTimer
    )
    const outputs = isComplete(subscription, cut) ? finishTrack(subscription) : nothing
    if (subscription.phase === "ending") subscription.phase = "live"
    subscription.openGroups = 0
    // nobody could go on with it
    const gone = subscription.orphaned && subscription.phase === "live"
    return [...timers, ...outputs, ...(gone ? abort(state, subscription, ErrorCode.dropped) : nothing)]
  })

/** The session is over. */
export const closed = (state: State, close: Close, cut: boolean): Outputs => {
  const subscriptions = [...state.subscriptions.values()]
  const waiting = subscriptions.flatMap((subscription) => subscription.waiting)
  const refusals = waiting.map((replyTo) => Actor.refuse(replyTo, new Broadcast.SessionEnded({ close })))
  const complete = subscriptions.filter((subscription) => isComplete(subscription, cut))
  return [...refusals, ...complete.flatMap(finishTrack)]
}

/** Nothing of it can have been lost with the connection, as far as anybody can know. */
const isComplete = ({ missing, openGroups, phase }: Subscription, cut: boolean): boolean =>
  phase === "ending" && openGroups === 0 && (missing === 0 || (missing === undefined && !cut))

const refusal = (code: number): Refusal =>
  code === ErrorCode.notFound || code === ErrorCode.unroutable
    ? new Broadcast.NotFound()
    : new Broadcast.Refused({ code })

const keyOf = (broadcast: string, track: string): string => `${broadcast}\0${track}`
const nothing: Outputs = []
const answerTimer = (id: number): string => `answer/${id}`
const lateTimer = (id: number): string => `late/${id}`
const cutTimer = (id: number): string => `cut/${id}`
