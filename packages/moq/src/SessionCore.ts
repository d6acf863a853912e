/**
 * What a session decides, without streams: which requests of the peer are served, what the peer has announced, which of our
 * subscriptions exist and who shares them, and when a session has to end (moq-lite section 4). Frames never come here; of a
 * group's stream the core hears that it began and that it ended.
 */
import * as Actor from "@effect-live/actor/Actor"
import type { Close } from "@effect-live/endpoint/Close"
import * as Broadcast from "./Broadcast.ts"
import * as ErrorCode from "./ErrorCode.ts"
import * as Limits from "./Limits.ts"
import type { SubscribeId } from "./Message.ts"

/** May a stream of the peer go on, or with which code is it refused? */
export type Verdict = "accept" | { readonly code: number }

/** `fresh`: this request opened the subscription, so every group in it is for who asked. */
export interface Granted {
  readonly id: number
  readonly fresh: boolean
}

export type Refusal = Broadcast.SubscribeError["reason"]

export type Event =
  | { readonly _tag: "Started" }
  // ---- we subscribe
  | {
      readonly _tag: "Subscribe"
      readonly replyTo: Actor.ReplyTo<Granted, Refusal>
      /** Names one interest, until its `Release`. */
      readonly holder: number
      readonly broadcast: string
      readonly track: string
      readonly priority: number
      readonly start: number | undefined
    }
  | { readonly _tag: "Release"; readonly holder: number }
  /** The publisher accepted. */
  | { readonly _tag: "Accepted"; readonly id: number }
  /** The publisher finished the subscription's stream. */
  | { readonly _tag: "Finished"; readonly id: number }
  /** The publisher, or our decoder, gave it up. */
  | { readonly _tag: "Failed"; readonly id: number; readonly code: number }
  | { readonly _tag: "GroupOpened"; readonly replyTo: Actor.ReplyTo<Verdict>; readonly id: SubscribeId }
  /** Its stream ended, or we stopped it. One that the connection took with it stays open: `Closed` follows. */
  | { readonly _tag: "GroupClosed"; readonly id: number }
  | { readonly _tag: "AnswerDue"; readonly id: number }
  | { readonly _tag: "LateGroupsDue"; readonly id: number }
  // ---- the peer announces
  | { readonly _tag: "Announced"; readonly path: string; readonly active: boolean }
  | { readonly _tag: "AnnouncementsEnded" }
  // ---- the peer asks
  | { readonly _tag: "AnnounceRequested"; readonly replyTo: Actor.ReplyTo<Verdict> }
  | { readonly _tag: "AnnounceClosed" }
  | { readonly _tag: "SubscribeRequested"; readonly replyTo: Actor.ReplyTo<Verdict>; readonly id: SubscribeId }
  | { readonly _tag: "SubscribeClosed"; readonly id: SubscribeId }
  // ---- the end
  /** The peer broke the protocol, or one of our own handlers died. */
  | { readonly _tag: "Violated"; readonly code: number; readonly reason: string }
  | { readonly _tag: "Closed"; readonly close: Close }
  /** A stream is done and nothing follows from it. */
  | { readonly _tag: "StreamDone" }

export type Output =
  /** Accept what the peer opens, and ask for everything that it announces. */
  | { readonly _tag: "Begin" }
  | {
      readonly _tag: "OpenSubscription"
      readonly id: number
      readonly broadcast: string
      readonly track: string
      readonly priority: number
      readonly start: number | undefined
    }
  /** Tell the publisher that we want no more. */
  | { readonly _tag: "CancelSubscription"; readonly id: number }
  | { readonly _tag: "FinishTrack"; readonly id: number }
  | { readonly _tag: "AbortTrack"; readonly id: number; readonly code: number }
  /** Nobody here knows the subscription any more. */
  | { readonly _tag: "ForgetSubscription"; readonly id: number }
  | { readonly _tag: "Announce"; readonly path: string }
  | { readonly _tag: "Unannounce"; readonly path: string }
  | { readonly _tag: "CloseSession"; readonly code: number; readonly reason: string }
  /** The connection is gone: nothing more will be announced, and tracks that did not finish are aborted. */
  | { readonly _tag: "End"; readonly close: Close }

/** One of our subscriptions; all local consumers of its track share it. */
interface Subscription {
  readonly id: number
  readonly key: string
  /** `opening` until the publisher accepts; `ending` while late groups may come; `ended` until its holders are gone. */
  phase: "opening" | "live" | "ending" | "ended"
  openGroups: number
  readonly holders: Set<number>
  readonly waiting: Array<Actor.ReplyTo<Granted, Refusal>>
}

export interface State {
  nextId: number
  readonly subscriptions: Map<number, Subscription>
  /** Of those that more consumers may join: by broadcast and track. */
  readonly byTrack: Map<string, Subscription>
  readonly byHolder: Map<number, Subscription>
  readonly announced: Set<string>
  /** Announce streams of the peer. */
  announceStreams: number
  /** Ids of the peer's subscriptions that we serve. */
  readonly served: Set<SubscribeId>
}

type Outputs = ReadonlyArray<Output | Actor.Command<Event>>

export const core: Actor.Core<State, Event, Output> = {
  initial: () => ({
    nextId: 0,
    subscriptions: new Map(),
    byTrack: new Map(),
    byHolder: new Map(),
    announced: new Set(),
    announceStreams: 0,
    served: new Set()
  }),
  step: (state, event, now) => {
    switch (event._tag) {
      case "Started":
        return [{ _tag: "Begin" }]
      case "Subscribe":
        return subscribe(state, event, now)
      case "Release":
        return release(state, event.holder)
      case "Accepted":
        return accepted(state, event.id)
      case "Finished":
        return finished(state, event.id, now)
      case "Failed":
        return failed(state, event.id, event.code)
      case "AnswerDue":
        return unanswered(state, event.id)
      case "LateGroupsDue":
        return lateGroupsDue(state, event.id)
      case "GroupOpened":
        return [Actor.reply(event.replyTo, groupVerdict(state, event.id))]
      case "GroupClosed":
        return groupClosed(state, event.id, now)
      case "Announced":
        return announced(state, event.path, event.active)
      case "AnnouncementsEnded":
        return withdrawAll(state)
      case "AnnounceRequested":
        if (state.announceStreams >= Limits.announceStreamsPerSession) return [Actor.reply(event.replyTo, tooMany)]
        state.announceStreams++
        return [Actor.reply(event.replyTo, "accept")]
      case "AnnounceClosed":
        state.announceStreams--
        return nothing
      case "SubscribeRequested":
        return [Actor.reply(event.replyTo, subscribeVerdict(state, event.id))]
      case "SubscribeClosed":
        state.served.delete(event.id)
        return nothing
      case "Violated":
        return [{ _tag: "CloseSession", code: event.code, reason: event.reason }]
      case "Closed":
        return closed(state, event.close)
      case "StreamDone":
        return nothing
    }
  }
}

// ---- our subscriptions ----------------------------------------------------------------------------------------------

const subscribe = (state: State, event: Extract<Event, { readonly _tag: "Subscribe" }>, now: number): Outputs => {
  const key = `${event.broadcast}\0${event.track}`
  const shared = state.byTrack.get(key)
  if (shared !== undefined) {
    hold(state, shared, event.holder)
    if (shared.phase === "live") return [Actor.reply(event.replyTo, { id: shared.id, fresh: false })]
    shared.waiting.push(event.replyTo)
    return nothing
  }
  if (state.subscriptions.size >= Limits.subscriptionsPerSession) {
    return [Actor.refuse(event.replyTo, new Broadcast.LimitReached({ limit: "subscriptionsPerSession" }))]
  }
  const id = state.nextId++
  const subscription: Subscription = {
    id,
    key,
    phase: "opening",
    openGroups: 0,
    holders: new Set(),
    waiting: [event.replyTo]
  }
  state.subscriptions.set(id, subscription)
  state.byTrack.set(key, subscription)
  hold(state, subscription, event.holder)
  const { broadcast, track, priority, start } = event
  return [
    { _tag: "OpenSubscription", id, broadcast, track, priority, start },
    Actor.setTimer(answerTimer(id), now + Limits.answerTimeoutMs, { _tag: "AnswerDue", id })
  ]
}

const release = (state: State, holder: number): Outputs => {
  const subscription = state.byHolder.get(holder)
  if (subscription === undefined) return nothing
  state.byHolder.delete(holder)
  subscription.holders.delete(holder)
  if (subscription.holders.size > 0) return nothing
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

const accepted = (state: State, id: number): Outputs => {
  const subscription = state.subscriptions.get(id)
  if (subscription?.phase !== "opening") return nothing
  subscription.phase = "live"
  const replies = subscription.waiting.splice(0).map((replyTo) => Actor.reply(replyTo, { id, fresh: true }))
  return [Actor.clearTimer(answerTimer(id)), ...replies]
}

const finished = (state: State, id: number, now: number): Outputs => {
  const subscription = state.subscriptions.get(id)
  if (subscription === undefined) return nothing
  if (subscription.phase === "opening")
    return refuseAll(state, subscription, new Broadcast.Refused({ code: ErrorCode.cancel }))
  if (subscription.phase !== "live") return nothing
  subscription.phase = "ending"
  state.byTrack.delete(subscription.key) // whoever comes now asks the publisher again
  return subscription.openGroups === 0 ? [lateTimer(id, now)] : nothing
}

const failed = (state: State, id: number, code: number): Outputs => {
  const subscription = state.subscriptions.get(id)
  if (subscription === undefined || subscription.phase === "ended") return nothing
  if (subscription.phase === "opening") return refuseAll(state, subscription, refusal(code))
  return [...leave(state, subscription), { _tag: "AbortTrack", id, code }]
}

const unanswered = (state: State, id: number): Outputs => {
  const subscription = state.subscriptions.get(id)
  if (subscription?.phase !== "opening") return nothing
  const reason = new Broadcast.NoAnswer({ timeoutMs: Limits.answerTimeoutMs })
  return [...refuseAll(state, subscription, reason), { _tag: "CancelSubscription", id }]
}

const groupVerdict = (state: State, id: SubscribeId): Verdict => {
  const subscription = typeof id === "number" ? state.subscriptions.get(id) : undefined
  if (subscription === undefined || subscription.phase === "ended") return unwanted
  if (subscription.openGroups >= Limits.openGroupsPerSubscription) return tooMany
  subscription.openGroups++
  return "accept"
}

const groupClosed = (state: State, id: number, now: number): Outputs => {
  const subscription = state.subscriptions.get(id)
  if (subscription === undefined) return nothing
  subscription.openGroups--
  return subscription.phase === "ending" && subscription.openGroups === 0 ? [lateTimer(id, now)] : nothing
}

const lateGroupsDue = (state: State, id: number): Outputs => {
  const subscription = state.subscriptions.get(id)
  return subscription === undefined ? nothing : finishTrack(subscription)
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

/** The subscription takes no more part in anything. */
const leave = (state: State, subscription: Subscription): Outputs => {
  subscription.phase = "ended"
  if (state.byTrack.get(subscription.key) === subscription) state.byTrack.delete(subscription.key)
  return [Actor.clearTimer(answerTimer(subscription.id)), Actor.clearTimer(lateTimerKey(subscription.id))]
}

const hold = (state: State, subscription: Subscription, holder: number): void => {
  subscription.holders.add(holder)
  state.byHolder.set(holder, subscription)
}

const refusal = (code: number): Refusal =>
  code === ErrorCode.notFound || code === ErrorCode.unroutable
    ? new Broadcast.NotFound()
    : new Broadcast.Refused({ code })

// ---- the peer -------------------------------------------------------------------------------------------------------

const announced = (state: State, path: string, active: boolean): Outputs => {
  const known = state.announced.has(path)
  // some relays end what they filtered before: an end for a path that is not known means nothing (section 4.2)
  if (!active) return known ? withdraw(state, path) : nothing
  if (known) return [...withdraw(state, path), ...announce(state, path)]
  if (state.announced.size >= Limits.broadcastsPerOrigin) {
    return [{ _tag: "CloseSession", code: ErrorCode.boundsExceeded, reason: "too many broadcasts announced" }]
  }
  return announce(state, path)
}

const announce = (state: State, path: string): Outputs => {
  state.announced.add(path)
  return [{ _tag: "Announce", path }]
}

const withdraw = (state: State, path: string): Outputs => {
  state.announced.delete(path)
  return [{ _tag: "Unannounce", path }]
}

const withdrawAll = (state: State): Outputs => [...state.announced].flatMap((path) => withdraw(state, path))

const subscribeVerdict = (state: State, id: SubscribeId): Verdict => {
  if (state.served.has(id)) return { code: ErrorCode.duplicate }
  if (state.served.size >= Limits.subscriptionsPerSession) return tooMany
  state.served.add(id)
  return "accept"
}

const closed = (state: State, close: Close): Outputs => {
  const subscriptions = [...state.subscriptions.values()]
  const waiting = subscriptions.flatMap((subscription) => subscription.waiting)
  const refusals = waiting.map((replyTo) => Actor.refuse(replyTo, new Broadcast.SessionEnded({ close })))
  // no late group can come any more
  return [...refusals, ...subscriptions.flatMap(finishTrack), { _tag: "End", close }, Actor.stop]
}

const nothing: Outputs = []
const unwanted: Verdict = { code: ErrorCode.cancel }
const tooMany: Verdict = { code: ErrorCode.boundsExceeded }
const answerTimer = (id: number): string => `answer/${id}`
const lateTimerKey = (id: number): string => `late/${id}`
const lateTimer = (id: number, now: number): Actor.Command<Event> =>
  Actor.setTimer(lateTimerKey(id), now + Limits.lateGroupsMs, { _tag: "LateGroupsDue", id })
