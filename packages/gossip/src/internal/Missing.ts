/** Contents that were advertised and did not come (iroh-gossip sections 4.4 and 4.5): who is asked for them, and what they say of the tree. */
import * as Rng from "@effect-live/actor/Rng"
import * as Limits from "../Limits.ts"
import type * as Message from "../Message.ts"
import type { PeerId } from "../PeerId.ts"
import type { State } from "../PlumTree.ts"
import type * as Topic from "../Topic.ts"
import * as Tree from "./Tree.ts"

interface Advertiser<P extends PeerId> {
  readonly link: Tree.Link<P>
  readonly round: number
}

/** An advertised content that we do not have, for as long as its SendGraft timer runs. */
export interface Missing<P extends PeerId> {
  /** First come first. */
  readonly advertisers: Array<Advertiser<P>>
  /** How many of them were asked or passed over; the last of these is who was asked last. */
  next: number
  askedAtMs: number
}

export const onIHave = <P extends PeerId>(
  state: State<P>,
  link: Tree.Link<P>,
  messages: ReadonlyArray<Message.Advertised>,
  out: Array<Topic.Output<P>>
): void => {
  const { missing, stats } = state
  const { received, refused } = state.contents
  for (const { id, round } of messages) {
    const hash = Rng.hash(id)
    if (received.has(id, hash) || refused.has(id, hash)) continue
    const known = missing.get(id)
    if (known !== undefined && isAdvertiser(known, link)) continue
    const full =
      known === undefined
        ? missing.size >= Limits.missingIdsPerTopic
        : known.advertisers.length >= Limits.advertisersPerId
    if (full || link.advertised >= Limits.advertisedIdsPerPeer) {
      stats.advertisementsDropped++
      continue
    }
    link.advertised++
    if (known !== undefined) {
      known.advertisers.push({ link, round })
      continue
    }
    missing.set(id, { advertisers: [{ link, round }], next: 0, askedAtMs: 0 })
    schedule(id, state.config.graftTimeout1Ms, out)
  }
}

/**
 * Asks the next one that advertised a content. When nobody is left, it is as if nobody had. Who left too much unanswered is passed over,
 * or asked later when there is nobody else.
 */
export const sendGraft = <P extends PeerId>(
  state: State<P>,
  id: Message.MessageId,
  out: Array<Topic.Output<P>>
): void => {
  const entry = state.missing.get(id)
  if (entry === undefined) return
  const { advertisers } = entry
  for (let next = advertisers[entry.next]; next !== undefined; next = advertisers[entry.next]) {
    const { link, round } = next
    const late = link.up && isLate(state, link)
    if (late && entry.next + 1 === advertisers.length) return schedule(id, state.config.cacheEvictIntervalMs, out)
    entry.next++
    link.advertised--
    if (late || !link.up) continue
    link.unanswered++
    entry.askedAtMs = state.timeMs
    Tree.graft(state, link, id, round, out)
    // Asking the next one before an answer can be here brings the content twice.
    const answerMs = Math.min(Math.ceil(link.answerMs * 1.25), 2 * state.config.graftTimeout1Ms)
    return schedule(id, Math.max(state.config.graftTimeout2Ms, answerMs), out)
  }
  state.stats.contentsMissed++
  state.missing.delete(id)
}

const isLate = <P extends PeerId>(state: State<P>, link: Tree.Link<P>): boolean => {
  Tree.startSpan(state, link)
  const late = link.unanswered >= Limits.unansweredGraftsPerPeer
  if (late) state.stats.graftsDropped++
  return late
}

const schedule = <P extends PeerId>(id: Message.MessageId, delayMs: number, out: Array<Topic.Output<P>>): void => {
  out.push({ _tag: "ScheduleTimer", delayMs, timer: { _tag: "SendGraft", id } })
}

/** A content is here: it is missed no more. Gives who advertised it. */
export const resolve = <P extends PeerId>(state: State<P>, id: Message.MessageId): Missing<P> | undefined => {
  if (state.missing.size === 0) return undefined
  const entry = state.missing.get(id)
  if (entry === undefined) return undefined
  state.missing.delete(id)
  const { advertisers, next } = entry
  for (let i = next; i < advertisers.length; i++) {
    const advertiser = advertisers[i]
    if (advertiser !== undefined) advertiser.link.advertised--
  }
  return entry
}

const isAdvertiser = <P extends PeerId>({ advertisers }: Missing<P>, link: Tree.Link<P>): boolean => {
  for (const one of advertisers) if (one.link === link) return true
  return false
}

/** Whether a peer said that it has the content. */
export const hasAdvertised = <P extends PeerId>(missing: Missing<P> | undefined, peer: P): boolean => {
  if (missing === undefined) return false
  for (const { link } of missing.advertisers) if (link.peer === peer) return true
  return false
}

/**
 * The content came from `link`. If that was the answer to a Graft, it tells how long answers take; and a link that advertised it with much
 * fewer hops, and was not asked, is preferred to the one that brought it (section 4.5).
 */
export const learn = <P extends PeerId>(
  state: State<P>,
  { advertisers, askedAtMs, next }: Missing<P>,
  link: Tree.Link<P>,
  round: number,
  out: Array<Topic.Output<P>>
): void => {
  if (advertisers[next - 1]?.link === link) link.answerMs = state.timeMs - askedAtMs
  let best: Advertiser<P> | undefined
  for (let i = next; i < advertisers.length; i++) {
    const one = advertisers[i]
    if (one !== undefined && one.link.up && (best === undefined || one.round < best.round)) best = one
  }
  if (best === undefined || best.round >= round || round - best.round < state.config.optimizationThreshold) return
  if (!state.eager.includes(best.link.peer)) Tree.graft(state, best.link, undefined, best.round, out)
  if (best.link !== link && !Tree.isParent(state, link)) Tree.prune(state, link, out)
}
