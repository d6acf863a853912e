/**
 * Who is looked for (section 7.3): bootstrap peers that are not neighbors yet, and neighbors whose connection was lost. Somebody who
 * made room for others is not among them: it is still part of the same swarm.
 */
import type { Rng } from "@effect-live/actor/Rng"
import * as Limits from "../Limits.ts"
import type { PeerId } from "../PeerId.ts"
import type * as Topic from "../Topic.ts"

interface Entry<P extends PeerId> {
  readonly peer: P
  readonly lostAt: number
}

export interface State<P extends PeerId> {
  /** Next to be looked for first. */
  readonly entries: Array<Entry<P>>
  /** What the application joined, oldest first. */
  readonly bootstrap: Array<P>
  scheduled: boolean
  /** To the next ProbeFormer. */
  delayMs: number
  /** When the last probe was sent, or somebody was lost; and how long to wait from then on if there are neighbors, but few. */
  probedAt: number
  pauseMs: number
}

export const make = <P extends PeerId>(): State<P> => ({
  entries: [],
  bootstrap: [],
  scheduled: false,
  delayMs: Limits.probeMinMs,
  probedAt: 0,
  pauseMs: Limits.probeMinMs
})

export const has = <P extends PeerId>(state: State<P>, peer: P): boolean => indexOf(state, peer) >= 0

const indexOf = <P extends PeerId>(state: State<P>, peer: P): number =>
  state.entries.findIndex((entry) => entry.peer === peer)

/** The application joined `peer`. */
export const join = <P extends PeerId>(state: State<P>, peer: P): void => {
  if (state.bootstrap.includes(peer)) return
  state.bootstrap.push(peer)
  if (state.bootstrap.length > Limits.bootstrapPeersPerTopic) state.bootstrap.shift()
}

/** From now on `peer` is looked for, before those who were lost earlier. */
export const lost = <P extends PeerId>(state: State<P>, peer: P, time: number): void => {
  found(state, peer)
  state.entries.unshift({ peer, lostAt: time })
  state.delayMs = Limits.probeMinMs
  state.probedAt = time
  state.pauseMs = Limits.probeMinMs
}

/** `peer` is a neighbor, or not to be looked for any more. */
export const found = <P extends PeerId>(state: State<P>, peer: P): void => {
  const index = indexOf(state, peer)
  if (index >= 0) state.entries.splice(index, 1)
}

/** Takes out whom to look for no longer: for its time, or because there are too many. */
export const takeExpired = <P extends PeerId>(state: State<P>, time: number): P | undefined => {
  let oldest = -1
  let count = 0
  let oldestAt = Infinity
  for (let i = 0; i < state.entries.length; i++) {
    const entry = state.entries[i]
    if (entry === undefined || state.bootstrap.includes(entry.peer)) continue
    count++
    if (entry.lostAt > oldestAt) continue
    oldest = i
    oldestAt = entry.lostAt
  }
  if (count <= Limits.formerPeersPerTopic && time < oldestAt + Limits.formerRetentionMs) return undefined
  return state.entries.splice(oldest, 1)[0]?.peer
}

/** Whom to look for now; it has its next turn after all others. */
export const next = <P extends PeerId>(state: State<P>): P | undefined => {
  const entry = state.entries.shift()
  if (entry !== undefined) state.entries.push(entry)
  return entry?.peer
}

/** Whether a probe may be sent although there are neighbors; where these are `enough` there is no hurry. */
export const isDue = <P extends PeerId>(state: State<P>, enough: boolean, time: number): boolean => {
  if (time < state.probedAt + (enough ? Limits.probeMaxMs : state.pauseMs)) return false
  state.probedAt = time
  state.pauseMs = Math.min(2 * state.pauseMs, Limits.probeMaxMs)
  return true
}

/** Sees to it that ProbeFormer comes while there is somebody to look for, or are `others`; the pause before the next one doubles. */
export const schedule = <P extends PeerId>(
  state: State<P>,
  others: boolean,
  rng: Rng,
  out: Array<Topic.Output<P>>
): void => {
  if (state.scheduled || (state.entries.length === 0 && !others)) return
  state.scheduled = true
  // Peers that lost each other at one instant do not look for each other at one instant.
  const delayMs = state.delayMs * (0.75 + rng.next() / 4)
  state.delayMs = Math.min(2 * state.delayMs, Limits.probeAloneMaxMs)
  out.push({ _tag: "ScheduleTimer", delayMs, timer: { _tag: "ProbeFormer" } })
}
