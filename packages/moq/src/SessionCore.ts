/**
 * What a session decides, without streams: which requests of the peer are served, what the peer has announced, which of our
 * subscriptions exist and who shares them, what becomes of all that when a connection is lost and another one takes its place, and
 * when a session has to end (moq-lite section 4). Frames never come here; of a group's stream the core hears that it began and
 * that it ended.
 */
import * as Actor from "@effect-live/actor/Actor"
import type { Close } from "@effect-live/endpoint/Close"
import type * as Broadcast from "./Broadcast.ts"
import * as ErrorCode from "./ErrorCode.ts"
import * as Announcements from "./internal/AnnouncementsCore.ts"
import * as Subscriptions from "./internal/SubscriptionsCore.ts"
import * as Limits from "./Limits.ts"
import type { HopId, SubscribeId, SubscribeUpdate } from "./Message.ts"
import type { Version } from "./Version.ts"

/** May a stream of the peer go on, or with which code is it refused? */
export type Verdict = "accept" | { readonly code: number }

/** `fresh`: this request opened the subscription, so every group in it is for who asked. */
export interface Granted {
  readonly id: number
  readonly fresh: boolean
}

export type Refusal = Broadcast.SubscribeError["reason"]

/**
 * Where a subscription begins on its connection. `fresh`: where its wishes say. `continue`: where the connection before was cut,
 * as the content is the same. `check`: at the newest group, whose number shows whether the content can be the same.
 */
export type Beginning = "fresh" | "continue" | "check"

/** What the core has to know of a version. */
export type Traits = Pick<Version, "alpn" | "setup" | "announceOk" | "subscribeUpdates">

/** What happens on a connection; on one that is no longer the session's it means nothing. */
export type LinkEvent =
  // ---- we subscribe
  /** The publisher accepted. */
  | { readonly _tag: "Accepted"; readonly link: number; readonly id: number }
  /**
   * The publisher finished the subscription's stream. `missing`: how many of its groups have not come, if it said so. `answered`:
   * that was no refusal, as the answer comes or came on its own.
   */
  | {
      readonly _tag: "Finished"
      readonly link: number
      readonly id: number
      readonly answered: boolean
      readonly missing: number | undefined
    }
  /** The publisher, or our decoder, gave it up. */
  | { readonly _tag: "Failed"; readonly link: number; readonly id: number; readonly code: number }
  /** The numbers of its groups fell back behind those from the connection before: something else is published there. */
  | { readonly _tag: "ContentChanged"; readonly link: number; readonly id: number }
  | {
      readonly _tag: "GroupOpened"
      readonly link: number
      readonly replyTo: Actor.ReplyTo<Verdict>
      readonly id: SubscribeId
    }
  /** Its stream ended, or we stopped it. One that the connection took with it stays open: `Lost` follows. */
  | { readonly _tag: "GroupClosed"; readonly link: number; readonly id: number; readonly missing: number | undefined }
  // ---- the peer announces
  /** So many broadcasts are active already; their announcements follow. */
  | { readonly _tag: "AnnounceOk"; readonly link: number; readonly active: number }
  | {
      readonly _tag: "Announced"
      readonly link: number
      readonly path: string
      readonly active: boolean
      /** Whom it passed, its origin first. */
      readonly hops: ReadonlyArray<HopId>
      /** It passed ourselves. */
      readonly loop: boolean
    }
  | { readonly _tag: "AnnouncementsEnded"; readonly link: number }
  // ---- the peer asks
  | { readonly _tag: "AnnounceRequested"; readonly link: number; readonly replyTo: Actor.ReplyTo<Verdict> }
  | { readonly _tag: "AnnounceClosed"; readonly link: number }
  | {
      readonly _tag: "SubscribeRequested"
      readonly link: number
      readonly replyTo: Actor.ReplyTo<Verdict>
      readonly id: SubscribeId
    }
  | { readonly _tag: "SubscribeClosed"; readonly link: number; readonly id: SubscribeId }
  // ---- the connection
  /** The peer's SETUP came. */
  | { readonly _tag: "SetupReceived"; readonly link: number }
  | { readonly _tag: "SetupDue"; readonly link: number }
  /** The peer will close the session. */
  | { readonly _tag: "GoingAway"; readonly link: number; readonly uri: string }
  /** The peer broke the protocol, or one of our own handlers died. */
  | { readonly _tag: "Violated"; readonly link: number; readonly code: number; readonly reason: string }
  /**
   * The connection ended. `resume`: another one may take its place. `cut`: streams went with it of which nobody knows what they
   * were.
   */
  | {
      readonly _tag: "Lost"
      readonly link: number
      readonly close: Close
      readonly resume: boolean
      readonly cut: boolean
    }
  /** A stream is done and nothing follows from it. */
  | { readonly _tag: "StreamDone"; readonly link: number }

export type Event =
  | LinkEvent
  /** Goes on, or begins, on this connection. One that the session still has is given up for it. */
  | {
      readonly _tag: "Attached"
      readonly link: number
      readonly version: Traits
    }
  | {
      readonly _tag: "Subscribe"
      readonly replyTo: Actor.ReplyTo<Granted, Refusal>
      /** Names one interest, until its `Release`. */
      readonly holder: number
      readonly broadcast: string
      readonly track: string
      readonly wishes: SubscribeUpdate
    }
  | { readonly _tag: "Release"; readonly holder: number }
  | { readonly _tag: "AnswerDue"; readonly id: number }
  | { readonly _tag: "LateGroupsDue"; readonly id: number }
  | { readonly _tag: "CutGroupsDue"; readonly id: number }
  /** What the peer did not announce again is gone. */
  | { readonly _tag: "ReannounceDue" }
  /** We end the session. */
  | { readonly _tag: "Closed"; readonly close: Close }

export type Output =
  /** Accept what the peer opens, and ask for everything that it announces. */
  | { readonly _tag: "Begin"; readonly link: number }
  /** Leave the connection: its streams mean nothing any more. */
  | { readonly _tag: "Leave"; readonly link: number }
  /** There is no connection now. */
  | { readonly _tag: "Detached"; readonly close: Close }
  | {
      readonly _tag: "OpenSubscription"
      readonly id: number
      readonly broadcast: string
      readonly track: string
      readonly wishes: SubscribeUpdate
      readonly beginning: Beginning
    }
  /** Tell the publisher what we want now. */
  | { readonly _tag: "UpdateSubscription"; readonly id: number; readonly wishes: SubscribeUpdate }
  /** Tell the publisher that we want no more. */
  | { readonly _tag: "CancelSubscription"; readonly id: number }
  /** The rest of groups that were cut with a connection did not come. */
  | { readonly _tag: "AbortCutGroups"; readonly id: number }
  | { readonly _tag: "FinishTrack"; readonly id: number }
  | { readonly _tag: "AbortTrack"; readonly id: number; readonly code: number }
  /** Nobody here knows the subscription any more. */
  | { readonly _tag: "ForgetSubscription"; readonly id: number }
  | { readonly _tag: "Announce"; readonly path: string; readonly hops: ReadonlyArray<HopId> }
  /** With a code, its publisher did not end it. */
  | { readonly _tag: "Unannounce"; readonly path: string; readonly code?: number }
  | { readonly _tag: "GoAway"; readonly uri: string }
  | { readonly _tag: "CloseSession"; readonly code: number; readonly reason: string }
  /** Nothing more will be announced, and tracks that did not finish are aborted. */
  | { readonly _tag: "End"; readonly close: Close }

export interface State extends Subscriptions.State, Announcements.State {
  /** The present connection; the last one while there is none. */
  link: number
  attached: boolean
  /** What the present connection speaks. */
  version: Traits | undefined
  setup: boolean
  /** Announce streams of the peer. */
  announceStreams: number
  /** Ids of the peer's subscriptions that we serve. */
  readonly served: Set<SubscribeId>
}

export type Outputs = ReadonlyArray<Output | Actor.Command<Event>>

export const core: Actor.Core<State, Event, Output> = {
  initial: () => ({
    ...Subscriptions.initial(),
    ...Announcements.initial(),
    link: -1,
    attached: false,
    version: undefined,
    setup: false,
    announceStreams: 0,
    served: new Set()
  }),
  step: (state, event, now) => {
    switch (event._tag) {
      case "Attached":
        return attached(state, event.link, event.version, now)
      case "Subscribe":
        return Subscriptions.subscribe(state, event, now)
      case "Release":
        return Subscriptions.release(state, event.holder)
      case "AnswerDue":
        return Subscriptions.unanswered(state, event.id)
      case "LateGroupsDue":
        return Subscriptions.lateGroupsDue(state, event.id)
      case "CutGroupsDue":
        return [{ _tag: "AbortCutGroups", id: event.id }]
      case "ReannounceDue":
        return Announcements.reannounceDue(state)
      case "Closed":
        return closed(state, event.close, true)
      default:
        if (event.link === state.link && state.attached) return onLink(state, event, now)
        return "replyTo" in event ? [Actor.reply(event.replyTo, unwanted)] : nothing
    }
  }
}

const onLink = (state: State, event: LinkEvent, now: number): Outputs => {
  switch (event._tag) {
    case "Accepted":
      return Subscriptions.accepted(state, event.id, now)
    case "Finished":
      return Subscriptions.finished(state, event, now)
    case "Failed":
      return Subscriptions.failed(state, event.id, event.code)
    case "ContentChanged":
      return Announcements.contentChanged(state, event.id)
    case "GroupOpened":
      return [Actor.reply(event.replyTo, Subscriptions.groupVerdict(state, event.id))]
    case "GroupClosed":
      return Subscriptions.groupClosed(state, event.id, event.missing, now)
    case "AnnounceOk":
      return Announcements.initialCount(state, event.active)
    case "Announced":
      return Announcements.announced(state, event, now)
    case "AnnouncementsEnded":
      return Announcements.withdrawAll(state)
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
    case "SetupReceived":
      if (state.setup) return violation("a second SETUP")
      state.setup = true
      return [Actor.clearTimer(setupTimer)]
    case "SetupDue":
      return [{ _tag: "CloseSession", code: ErrorCode.timeout, reason: "no SETUP came" }]
    case "GoingAway":
      state.goingAway = event.uri
      return [{ _tag: "GoAway", uri: event.uri }]
    case "Violated":
      return [{ _tag: "CloseSession", code: event.code, reason: event.reason }]
    case "Lost":
      return lost(state, event)
    case "StreamDone":
      return nothing
  }
}

// ---- the connection -------------------------------------------------------------------------------------------------

const attached = (state: State, link: number, version: Traits, now: number): Outputs => {
  // overtaken on its way here by a later one
  if (link < state.link) return nothing
  const before = state.attached ? leave(state, true) : nothing
  // frames of another version have another form, and its peers other numbers
  const anew = state.version !== undefined && state.version.alpn !== version.alpn
  const gone = anew ? [...Subscriptions.abandonLive(state), ...Announcements.withdrawAll(state)] : nothing
  state.link = link
  state.attached = true
  state.version = version
  return [
    ...before,
    ...gone,
    { _tag: "Begin", link },
    ...(version.setup
      ? [Actor.setTimer<Event>(setupTimer, now + Limits.answerTimeoutMs, { _tag: "SetupDue", link })]
      : nothing),
    ...Announcements.attached(state, now),
    ...Subscriptions.attached(state, now)
  ]
}

/** What belonged to the connection is over; what belongs to the session waits for the next one. */
const leave = (state: State, cut: boolean): Outputs => {
  const { link } = state
  state.attached = false
  state.setup = false
  state.goingAway = undefined
  state.announceStreams = 0
  state.served.clear()
  return [
    { _tag: "Leave", link },
    Actor.clearTimer(setupTimer),
    ...Announcements.detached(state),
    ...Subscriptions.detached(state, cut)
  ]
}

const lost = (state: State, { close, cut, resume }: Extract<Event, { readonly _tag: "Lost" }>): Outputs =>
  resume ? [...leave(state, cut), { _tag: "Detached", close }] : closed(state, close, cut)

const closed = (state: State, close: Close, cut: boolean): Outputs => [
  ...Subscriptions.closed(state, close, cut),
  { _tag: "End", close },
  Actor.stop
]

// ---- the peer -------------------------------------------------------------------------------------------------------

const subscribeVerdict = (state: State, id: SubscribeId): Verdict => {
  if (state.served.has(id)) return { code: ErrorCode.duplicate }
  if (state.served.size >= Limits.subscriptionsPerSession) return tooMany
  state.served.add(id)
  return "accept"
}

const violation = (reason: string): Outputs => [{ _tag: "CloseSession", code: ErrorCode.protocolViolation, reason }]

const nothing: Outputs = []
const unwanted: Verdict = { code: ErrorCode.cancel }
const tooMany: Verdict = { code: ErrorCode.boundsExceeded }
const setupTimer = "setup"
