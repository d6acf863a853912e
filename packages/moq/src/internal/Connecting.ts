/**
 * Who is connected to whom (moq-lite section 6.4): which session callers share, over which connection it runs, and when another
 * one is dialed. Part of `MoqCore`; sessions, connections and dials are numbers here.
 *
 * A `Peer` is the wish of somebody here to have a session with an endpoint. Its session outlives its connections: a lost one is
 * replaced by the next that either side dials. Where both dialed, both keep the connection of the smaller id; peers of versions
 * that do not know this rule get a session for each connection.
 */
import * as Actor from "@effect-live/actor/Actor"
import type { Close } from "@effect-live/endpoint/Close"
import type { ConnectError } from "@effect-live/endpoint/Endpoint"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import * as ErrorCode from "../ErrorCode.ts"
import * as Limits from "../Limits.ts"
import * as closes from "./closes.ts"
import type { Connectivity } from "../Peer.ts"
import type { Event, Link, Output, Outputs, Peer, Session, State, Verdict } from "./Peers.ts"

export const step = (state: State, event: Event, now: number): Outputs => {
  switch (event._tag) {
    case "Connect":
      return connect(state, event)
    case "Disconnect":
      return disconnect(state, event.holder, now)
    case "Dialed":
      return dialed(state, event, now)
    case "DialFailed":
      return dialFailed(state, event.dial, event.error, now)
    case "Incoming":
      return incoming(state, event, now)
    case "ConnectionClosed":
      return [
        ...connectionClosed(state, event.connection, event.close, now),
        { _tag: "ForgetConnection", connection: event.connection }
      ]
    case "GoingAway":
      return goingAway(state, event.session)
    case "SessionEnded":
      return sessionEnded(state, event.session, event.close)
    case "LingerDue":
      return lingerDue(state, event.peer)
    case "RedialDue":
      return redialDue(state, event.peer)
    case "ResumeDue":
      return resumeDue(state, event.peer)
  }
}

// ---- who wants a session --------------------------------------------------------------------------------------------

const connect = (state: State, event: Extract<Event, { readonly _tag: "Connect" }>): Outputs => {
  const { holder, id, replyTo, to } = event
  const shared = state.byId.get(id)
  if (shared !== undefined) {
    hold(state, shared, holder)
    if (typeof to !== "string") shared.to = to
    if (shared.phase !== "dialing") return [Actor.clearTimer(lingerTimer(shared)), Actor.reply(replyTo, shared.peer)]
    shared.waiting.push(replyTo)
    return nothing
  }
  if (state.peers.size >= Limits.sessions) return [Actor.refuse(replyTo, { _tag: "TooManySessions" })]
  const peer: Peer = {
    peer: state.next++,
    id,
    to,
    phase: "dialing",
    holders: new Set(),
    waiting: [replyTo],
    sessions: [],
    dial: undefined,
    attempts: 0,
    lastError: undefined,
    loss: unwanted
  }
  state.peers.set(peer.peer, peer)
  state.byId.set(id, peer)
  hold(state, peer, holder)
  const free = unheld(state, id)
  return free.length === 0 ? dial(state, peer) : free.flatMap((session) => join(peer, session))
}

/** Sessions that the peer opened and that nobody here holds; of those that replace each other, the newest. */
const unheld = (state: State, id: EndpointId): ReadonlyArray<Session> => {
  const free = [...state.sessions.values()].filter(
    (session) => session.id === id && session.peer === undefined && !session.leaving && session.link !== undefined
  )
  return free.at(-1)?.link?.oneConnection === true ? free.slice(-1) : free
}

const disconnect = (state: State, holder: number, now: number): Outputs => {
  const peer = state.byHolder.get(holder)
  if (peer === undefined) return nothing
  state.byHolder.delete(holder)
  peer.holders.delete(holder)
  if (peer.holders.size > 0) return nothing
  if (peer.phase === "ended") return forget(state, peer)
  // nobody waits for this attempt any more
  if (peer.phase === "dialing") return letGo(state, peer)
  return [Actor.setTimer(lingerTimer(peer), now + Limits.sessionLingerMs, { _tag: "LingerDue", peer: peer.peer })]
}

const lingerDue = (state: State, number: number): Outputs => {
  const peer = state.peers.get(number)
  return peer === undefined || peer.holders.size > 0 ? nothing : letGo(state, peer)
}

/** Nobody wants it any more. Whoever dialed hangs up; what the peer dialed is the peer's. */
const letGo = (state: State, peer: Peer): Outputs => {
  const sessions = peer.sessions.splice(0)
  for (const session of sessions) session.peer = undefined
  const ours = sessions.filter(({ link }) => link === undefined || link.dialed)
  return [...ours.flatMap((session) => hangUp(session, closes.unused)), ...end(state, peer, unwanted)]
}

const hold = (state: State, peer: Peer, holder: number): void => {
  peer.holders.add(holder)
  state.byHolder.set(holder, peer)
}

/** Its session is over, or there was none. Whoever comes now dials anew. */
const end = (state: State, peer: Peer, close: Close): Outputs => {
  const told = peer.phase === "dialing" ? nothing : [connectivity(peer, { _tag: "Closed", close })]
  peer.phase = "ended"
  unlist(state, peer)
  return [
    ...cancelDial(state, peer),
    ...stopTimers(peer),
    ...told,
    ...(peer.holders.size === 0 ? forget(state, peer) : nothing)
  ]
}

const unlist = (state: State, peer: Peer): void => {
  if (state.byId.get(peer.id) === peer) state.byId.delete(peer.id)
}

const forget = (state: State, peer: Peer): Outputs => {
  state.peers.delete(peer.peer)
  return [{ _tag: "Forget", peer: peer.peer }]
}

// ---- connections that open ------------------------------------------------------------------------------------------

const dial = (state: State, peer: Peer): Outputs => {
  const dial = state.next++
  peer.dial = dial
  state.byDial.set(dial, peer)
  return [{ _tag: "Dial", dial, to: peer.to }]
}

const cancelDial = (state: State, peer: Peer): Outputs => {
  const { dial } = peer
  if (dial === undefined) return nothing
  peer.dial = undefined
  state.byDial.delete(dial)
  return [{ _tag: "CancelDial", dial }]
}

const dialed = (state: State, event: Extract<Event, { readonly _tag: "Dialed" }>, now: number): Outputs => {
  const { connection, dial, oneConnection } = event
  const peer = state.byDial.get(dial)
  // cancelled, and too late for that
  if (peer === undefined) return [{ _tag: "CloseConnection", connection, ...closes.unused }]
  state.byDial.delete(dial)
  peer.dial = undefined
  return take(state, peer, { connection, oneConnection, dialed: true, sinceMs: now, toldDuplicate: false })
}

const incoming = (state: State, event: Extract<Event, { readonly _tag: "Incoming" }>, now: number): Outputs => {
  const { connection, id, oneConnection, replyTo } = event
  if (state.incoming.size >= Limits.sessions || hasTooMany(state, id)) return [Actor.reply(replyTo, tooMany)]
  const link: Link = { connection, oneConnection, dialed: false, sinceMs: now, toldDuplicate: false }
  const peer = id === undefined ? undefined : state.byId.get(id)
  if (peer !== undefined && keepsOurs(state, peer, link)) return [Actor.reply(replyTo, closes.duplicate)]
  state.incoming.add(connection)
  if (peer === undefined) return [...open(state, id, link), Actor.reply(replyTo, "accept")]
  // where the peer's connection is the one that is kept, there is nothing left to dial for
  const surplus = oneConnection && peer.id < state.self
  return [...take(state, peer, link), ...(surplus ? cancelDial(state, peer) : nothing), Actor.reply(replyTo, "accept")]
}

const hasTooMany = (state: State, id: EndpointId | undefined): boolean => {
  if (id === undefined || state.sessions.size < Limits.sessionsPerPeer) return false
  let count = 0
  for (const session of state.sessions.values()) if (session.id === id) count++
  return count >= Limits.sessionsPerPeer
}

/**
 * Both dialed, and ours is kept: that of the smaller id. A peer that dials once more after it was told so does not have ours,
 * whatever we believe.
 */
const keepsOurs = (state: State, peer: Peer, link: Link): boolean => {
  const ours = first(peer)?.link
  if (ours === undefined || !ours.dialed || !ours.oneConnection || !link.oneConnection) return false
  if (peer.id < state.self || ours.toldDuplicate) return false
  ours.toldDuplicate = true
  return true
}

/** The session that is kept alive. */
const first = (peer: Peer): Session | undefined => peer.sessions.find(({ leaving }) => !leaving)

/** A connection for a peer that is held. */
const take = (state: State, peer: Peer, link: Link): Outputs => {
  const session = first(peer)
  const old = session?.link
  // versions that know of no duplicates: each connection has a session
  const another = old !== undefined && !(old.oneConnection && link.oneConnection)
  if (session === undefined || another) return open(state, peer.id, link, peer)
  if (old !== undefined) state.byConnection.delete(old.connection)
  session.link = link
  state.byConnection.set(link.connection, session)
  return [
    { _tag: "Attach", session: session.session, connection: link.connection },
    ...(old === undefined
      ? nothing
      : [{ _tag: "CloseConnection", connection: old.connection, ...closes.duplicate } as const]),
    ...connected(peer)
  ]
}

const open = (state: State, id: EndpointId | undefined, link: Link, peer?: Peer): Outputs => {
  const session: Session = { session: state.next++, id, link, peer: undefined, leaving: false }
  state.sessions.set(session.session, session)
  state.byConnection.set(link.connection, session)
  return [
    { _tag: "OpenSession", session: session.session, connection: link.connection },
    ...(peer === undefined ? nothing : join(peer, session))
  ]
}

const join = (peer: Peer, session: Session): Outputs => {
  session.peer = peer
  peer.sessions.push(session)
  return [{ _tag: "Join", peer: peer.peer, id: peer.id, session: session.session }, ...connected(peer)]
}

/** Tells the holders, and whoever waits for a session, unless they know. */
const connected = (peer: Peer): Outputs => {
  if (peer.phase === "open") return nothing
  peer.phase = "open"
  const told = peer.lastError === undefined ? nothing : [connectivity(peer, { _tag: "Connected" })]
  peer.lastError = undefined
  const waiting = peer.waiting.splice(0)
  return [...stopRedialing(peer), ...told, ...waiting.map((replyTo) => Actor.reply(replyTo, peer.peer))]
}

// ---- connections that are lost, and new attempts --------------------------------------------------------------------

const connectionClosed = (state: State, connection: number, close: Close, now: number): Outputs => {
  state.incoming.delete(connection)
  const session = state.byConnection.get(connection)
  if (session === undefined) return nothing // it was replaced before
  const { link, peer } = session
  state.byConnection.delete(connection)
  session.link = undefined
  if (!closes.isLoss(close)) return leaving(state, session) // and `SessionEnded` follows
  if (peer === undefined || session.leaving || first(peer) !== session) return giveUp(session)
  if (peer.holders.size === 0) return letGo(state, peer)
  if (link !== undefined && now - link.sinceMs >= Limits.redialMaxMs) peer.attempts = 0
  peer.phase = "reconnecting"
  peer.loss = close
  return [
    Actor.setTimer(resumeTimer(peer), now + Limits.resumeMs, { _tag: "ResumeDue", peer: peer.peer }),
    ...redialLater(state, peer, close, now)
  ]
}

const dialFailed = (state: State, number: number, error: ConnectError, now: number): Outputs => {
  const peer = state.byDial.get(number)
  if (peer === undefined) return nothing
  state.byDial.delete(number)
  peer.dial = undefined
  if (peer.phase === "reconnecting") return redialLater(state, peer, error, now)
  if (peer.phase !== "dialing") return nothing
  return [...peer.waiting.splice(0).map((replyTo) => Actor.refuse(replyTo, error)), ...end(state, peer, unwanted)]
}

const redialLater = (state: State, peer: Peer, error: Close | ConnectError, now: number): Outputs => {
  // the connection that replaces a duplicate is on its way: that is no news for anybody
  const replaced = error._tag === "Remote" && closes.isDuplicate(error)
  const told = (nextInMs: number): Outputs => (replaced ? nothing : [reconnecting(peer, nextInMs, error)])
  if (peer.dial !== undefined) return told(0)
  peer.attempts++
  const pauseMs = replaced ? Limits.duplicateGraceMs : backOffMs(state, peer)
  return [...told(pauseMs), Actor.setTimer(redialTimer(peer), now + pauseMs, { _tag: "RedialDue", peer: peer.peer })]
}

/** Doubles with every attempt; half of it is chance, so that two who lost each other do not collide for ever. */
const backOffMs = (state: State, peer: Peer): number => {
  const fullMs = Math.min(Limits.redialMaxMs, Limits.redialMinMs * 2 ** (peer.attempts - 1))
  return Math.round((fullMs / 2) * (1 + state.rng.next()))
}

const redialDue = (state: State, number: number): Outputs => {
  const peer = state.peers.get(number)
  if (peer?.phase !== "reconnecting" || peer.dial !== undefined) return nothing
  return [reconnecting(peer, 0, peer.lastError ?? peer.loss), ...dial(state, peer)]
}

const resumeDue = (state: State, number: number): Outputs => {
  const peer = state.peers.get(number)
  if (peer?.phase !== "reconnecting") return nothing
  const session = first(peer)
  if (session === undefined) return nothing
  return [...giveUp(session), ...leave(state, peer, session, peer.loss)]
}

// ---- sessions that end ----------------------------------------------------------------------------------------------

const goingAway = (state: State, number: number): Outputs => {
  const session = state.sessions.get(number)
  return session === undefined ? nothing : leaving(state, session)
}

/** Whoever comes now dials anew. */
const leaving = (state: State, session: Session): Outputs => {
  session.leaving = true
  const { peer } = session
  if (peer !== undefined && peer.sessions.every(({ leaving }) => leaving)) unlist(state, peer)
  return nothing
}

const sessionEnded = (state: State, number: number, close: Close): Outputs => {
  const session = state.sessions.get(number)
  if (session === undefined) return nothing
  const { link, peer } = session
  state.sessions.delete(number)
  const left = peer === undefined ? nothing : leave(state, peer, session, close)
  if (link === undefined) return left
  // most often it is closed, and that was not told yet
  state.byConnection.delete(link.connection)
  return [{ _tag: "CloseConnection", connection: link.connection, code: ErrorCode.cancel, reason: "" }, ...left]
}

/** The peer goes on with its next session, or ends with its last one. */
const leave = (state: State, peer: Peer, session: Session, close: Close): Outputs => {
  session.peer = undefined
  peer.sessions.splice(peer.sessions.indexOf(session), 1)
  if (peer.sessions.length === 0) return end(state, peer, close)
  const left: Output = { _tag: "Leave", peer: peer.peer, session: session.session }
  const goesOn = peer.phase === "reconnecting" && first(peer)?.link !== undefined
  return goesOn ? [left, ...cancelDial(state, peer), ...connected(peer)] : [left]
}

/** Its connection is lost, and nobody looks for another one. */
const giveUp = (session: Session): Outputs => hangUp(session, { code: ErrorCode.cancel, reason: "" })

const hangUp = (session: Session, how: Reason): Outputs => {
  session.leaving = true
  return [{ _tag: "CloseSession", session: session.session, ...how }]
}

/** Nothing is dialed any more and nobody waits; sessions with a connection get their goodbye, the others end. */
export const shutDown = (state: State): Outputs => {
  const outputs: Array<Output | Actor.Command<Event>> = []
  for (const peer of state.peers.values()) {
    outputs.push(...peer.waiting.splice(0).map((replyTo) => Actor.refuse(replyTo, { _tag: "ShutDown" } as const)))
    outputs.push(...cancelDial(state, peer), ...stopTimers(peer))
    unlist(state, peer)
    if (peer.phase === "dialing") peer.phase = "ended"
  }
  for (const session of state.sessions.values()) {
    if (session.link === undefined) outputs.push(...giveUp(session))
    else if (!session.leaving) {
      session.leaving = true
      outputs.push({ _tag: "SayGoodbye", session: session.session })
    }
  }
  return outputs
}

/** Closes a session that has nothing to say any more. */
export const close = (state: State, number: number, how: Reason): Outputs => {
  const session = state.sessions.get(number)
  return session === undefined ? nothing : hangUp(session, how)
}

export const closeAll = (state: State, how: Reason): Outputs =>
  [...state.sessions.values()].flatMap((session) => hangUp(session, how))

// ---- words ----------------------------------------------------------------------------------------------------------

const connectivity = ({ peer }: Peer, state: Connectivity): Output => ({ _tag: "Connectivity", peer, state })

const reconnecting = (peer: Peer, nextInMs: number, lastError: Close | ConnectError): Output => {
  peer.lastError = lastError
  return connectivity(peer, { _tag: "Reconnecting", attempt: peer.attempts, nextInMs, lastError })
}

const stopTimers = (peer: Peer): Outputs => [Actor.clearTimer(lingerTimer(peer)), ...stopRedialing(peer)]
const stopRedialing = (peer: Peer): Outputs => [redialTimer, resumeTimer].map((key) => Actor.clearTimer(key(peer)))

const lingerTimer = ({ peer }: Peer): string => `linger/${peer}`
const redialTimer = ({ peer }: Peer): string => `redial/${peer}`
const resumeTimer = ({ peer }: Peer): string => `resume/${peer}`

interface Reason {
  readonly code: number
  readonly reason: string
}

const tooMany: Verdict = { code: ErrorCode.boundsExceeded, reason: "too many sessions" }
const unwanted: Close = { _tag: "Local", ...closes.unused }
const nothing: Outputs = []
