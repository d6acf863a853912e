/** The links of PlumTree's tree (iroh-gossip section 4.4): which neighbors are eager and which lazy, and what changes that. */
import * as Limits from "../Limits.ts"
import type * as Message from "../Message.ts"
import type { PeerId } from "../PeerId.ts"
import type { State } from "../PlumTree.ts"
import type * as Topic from "../Topic.ts"
import * as References from "./References.ts"

/** What is known of a neighbor. */
export interface Link<P extends PeerId> {
  readonly peer: P
  /** False once it is no neighbor any more: whoever still holds the link passes over it. */
  up: boolean
  /** Waits for DispatchLazyPush. */
  queue: Array<Message.Advertised>
  /** Contents that it advertised, that we do not have and that it was not asked for. */
  advertised: number
  /** The span of `cacheEvictIntervalMs` that the next three belong to. */
  span: number
  /** Grafts that brought nothing. */
  unanswered: number
  /** Grafts because we want to keep the link. */
  regrafts: number
  /** Contents that it was given because it grafted them. */
  given: number
  /** How long it took to answer a Graft, the last time that it did; 0 when it never did. */
  answerMs: number
  /** Until when duplicates do not prune it, because it asked for the link. */
  wantedUntilMs: number
}

export const up = <P extends PeerId>(state: State<P>, peer: P): void => {
  if (peer === state.self) return
  if (!state.links.has(peer)) {
    const link = {
      peer,
      up: true,
      queue: [],
      advertised: 0,
      span: 0,
      unanswered: 0,
      regrafts: 0,
      given: 0,
      answerMs: 0,
      wantedUntilMs: 0
    }
    state.links.set(peer, link)
  }
  makeEager(state, peer)
}

export const down = <P extends PeerId>(state: State<P>, peer: P, out: Array<Topic.Output<P>>): void => {
  const link = state.links.get(peer)
  if (link === undefined) return
  link.up = false
  state.stats.advertisementsLost += link.queue.length
  state.links.delete(peer)
  remove(state.eager, peer)
  remove(state.lazy, peer)
  keepOne(state, out)
}

/**
 * A neighbor sent what we had already. It is pruned, unless the link is our last eager one, belongs to the tree of a reference, or the
 * neighbor has just asked for it (section 7.1, 16).
 */
export const onDuplicate = <P extends PeerId>(state: State<P>, link: Link<P>, out: Array<Topic.Output<P>>): void => {
  const { eager, timeMs } = state
  if (eager.includes(link.peer) && (eager.length === 1 || link.wantedUntilMs > timeMs || isParent(state, link))) return
  prune(state, link, out)
}

/** A neighbor sends us contents no more. If we must not lose the link, it is asked to go on. */
export const onPrune = <P extends PeerId>(state: State<P>, link: Link<P>, out: Array<Topic.Output<P>>): void => {
  makeLazy(state, link.peer)
  if (isParent(state, link)) regraft(state, link, out)
  else keepOne(state, out)
}

/** When no neighbor sends us contents any more, the one that has been lazy for longest is asked to begin (section 7.1, 16). */
const keepOne = <P extends PeerId>(state: State<P>, out: Array<Topic.Output<P>>): void => {
  const [longest] = state.lazy
  if (state.eager.length > 0 || longest === undefined) return
  const link = state.links.get(longest)
  if (link !== undefined) regraft(state, link, out)
}

const regraft = <P extends PeerId>(state: State<P>, link: Link<P>, out: Array<Topic.Output<P>>): void => {
  startSpan(state, link)
  if (link.regrafts >= Limits.regraftsPerPeer) {
    state.stats.graftsDropped++
    return
  }
  link.regrafts++
  graft(state, link, undefined, 0, out)
}

/** What was counted in an earlier span counts no more. */
export const startSpan = <P extends PeerId>(state: State<P>, link: Link<P>): void => {
  const span = Math.floor(state.timeMs / state.config.cacheEvictIntervalMs)
  if (span === link.span) return
  link.span = span
  link.unanswered = 0
  link.regrafts = 0
  link.given = 0
}

export const onGraft = <P extends PeerId>(
  state: State<P>,
  link: Link<P>,
  id: Message.MessageId | undefined,
  out: Array<Topic.Output<P>>
): void => {
  makeEager(state, link.peer)
  if (id === undefined) {
    link.wantedUntilMs = state.timeMs + References.retentionMs
    return
  }
  const message = state.contents.cache.get(id)
  if (message === undefined) return
  startSpan(state, link)
  if (link.given >= Limits.graftedContentsPerPeer) {
    state.stats.graftsIgnored++
    return
  }
  link.given++
  out.push({ _tag: "SendMessage", peer: link.peer, message })
}

export const graft = <P extends PeerId>(
  state: State<P>,
  link: Link<P>,
  id: Message.MessageId | undefined,
  round: number,
  out: Array<Topic.Output<P>>
): void => {
  makeEager(state, link.peer)
  state.stats.graftsSent++
  out.push({ _tag: "SendMessage", peer: link.peer, message: { _tag: "Graft", id, round } })
}

export const prune = <P extends PeerId>(state: State<P>, link: Link<P>, out: Array<Topic.Output<P>>): void => {
  makeLazy(state, link.peer)
  state.stats.prunesSent++
  out.push({ _tag: "SendMessage", peer: link.peer, message: { _tag: "Prune" } })
}

/** Whether the link belongs to the tree of a reference. */
export const isParent = <P extends PeerId>(state: State<P>, link: Link<P>): boolean =>
  References.isParent(state.references, link.peer, state.timeMs)

const makeEager = <P extends PeerId>(state: State<P>, peer: P): void => {
  remove(state.lazy, peer)
  if (!state.eager.includes(peer)) state.eager.push(peer)
}

const makeLazy = <P extends PeerId>(state: State<P>, peer: P): void => {
  remove(state.eager, peer)
  if (!state.lazy.includes(peer)) state.lazy.push(peer)
}

const remove = <P extends PeerId>(peers: Array<P>, peer: P): void => {
  const at = peers.indexOf(peer)
  if (at >= 0) peers.splice(at, 1)
}
