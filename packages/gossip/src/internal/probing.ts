/** Looking for who was lost (iroh-gossip section 7.3), and for anybody at all when there is nobody left to ask. */
import type { State } from "../HyParView.ts"
import * as Limits from "../Limits.ts"
import type { PeerId } from "../PeerId.ts"
import * as Former from "./Former.ts"
import { forget, isAdmitted, needed, type Out, refill, wanted } from "./membership.ts"
import { requestAgain, sendJoin } from "./requests.ts"

/** From now on `peer` is probed for until it is a neighbor (section 7.3). */
export const lookFor = <P extends PeerId>(state: State<P>, peer: P): void => {
  Former.lost(state.former, peer, state.time)
  trimFormer(state)
}

/** Forgets who is not to be looked for any longer. */
const trimFormer = <P extends PeerId>(state: State<P>): void => {
  for (;;) {
    const peer = Former.takeExpired(state.former, state.time)
    if (peer === undefined) return
    forget(state, peer)
  }
}

/** Sees to it that the next probe comes as long as there is somebody to look for. */
export const scheduleProbe = <P extends PeerId>(state: State<P>, out: Out<P>): void => {
  const { active, config, former, passive, reserve, rng } = state
  const isAlone = active.length === 0
  const isOutOfPeers = passive.length === 0 && reserve.length > 0 && active.length < wanted(config)
  Former.schedule(former, isOutOfPeers || (isAlone && former.bootstrap.length > 0), rng, out)
}

/** The timer: one of those who were lost, and all bootstrap peers as long as there is no neighbor. */
export const probe = <P extends PeerId>(state: State<P>, out: Out<P>): void => {
  const { active, former } = state
  former.scheduled = false
  trimFormer(state)
  if (active.length === 0) {
    const peer = Former.next(former)
    for (const bootstrap of former.bootstrap) if (isAdmitted(state, bootstrap)) sendJoin(state, bootstrap, out)
    if (peer !== undefined && !former.bootstrap.includes(peer)) sendJoin(state, peer, out)
  } else if (Former.isDue(former, active.length >= wanted(state.config), state.time)) {
    const peer = Former.next(former)
    // Not Low: two halves of a swarm whose views are full would refuse each other for ever. High costs a link per peer that came back.
    if (peer !== undefined) requestAgain(state, peer, "High", out)
  }
  restock(state)
  refill(state, needed(state.config), undefined, out)
}

/** Brings some of the reserve back once nobody else is left to ask. */
const restock = <P extends PeerId>({ active, config, passive, reserve }: State<P>): void => {
  if (passive.length > 0) return
  const room = Math.min(Limits.restockedPeers, config.passiveViewCapacity)
  for (const peer of reserve.splice(0, room)) if (!active.includes(peer)) passive.push(peer)
}
