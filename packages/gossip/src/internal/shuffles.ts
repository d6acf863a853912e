/** Who hears of whom (iroh-gossip sections 3.3 to 3.5): now and then a part of both views is swapped with a peer some hops away. */
import type * as Config from "../Config.ts"
import type { State } from "../HyParView.ts"
import type * as Message from "../Message.ts"
import type { PeerId } from "../PeerId.ts"
import { mayIntroduce } from "./introductions.ts"
import { addPassive, infos, isAdmitted, type Out, sendShuffleReply } from "./membership.ts"
import * as Nodes from "./Nodes.ts"
import { release } from "./requests.ts"
import * as View from "./View.ts"

/** Sends one on its way. */
export const shuffle = <P extends PeerId>(state: State<P>, out: Out<P>): void => {
  const { active, config, passive, rng, self } = state
  const target = View.pick(active, rng)
  if (target === undefined) return
  const ids = View.sample(active, config.shuffleActiveViewCount, target, rng)
  ids.push(...View.sample(passive, config.shufflePassiveViewCount, target, rng), self)
  sendShuffle(state, target, self, infos(state, ids), config.shuffleRandomWalkLength, out)
}

export const onShuffle = <P extends PeerId>(
  state: State<P>,
  from: P,
  message: Extract<Message.Membership<P>, { readonly _tag: "Shuffle" }>,
  out: Out<P>
): void => {
  const { active, config, rng } = state
  const { origin } = message
  if (origin === state.self || !isAdmitted(state, origin)) return
  const nodes = message.nodes.slice(0, maxNodes(config))
  const ttl = Math.min(message.ttl, config.shuffleRandomWalkLength)
  if (ttl > 0 && active.length > 1) {
    const others = active.filter((peer) => peer !== origin && peer !== from)
    const to = View.pick(others, rng)
    if (to !== undefined) sendShuffle(state, to, origin, nodes, ttl - 1, out)
    return
  }
  addNodes(state, nodes, out)
  if (origin !== from && !active.includes(origin) && !mayIntroduce(state)) return
  sendShuffleReply(state, origin, nodes.length, out)
  if (origin !== from) release(state, origin, out)
}

/** Keeps the nodes of a Shuffle or ShuffleReply. */
export const addNodes = <P extends PeerId>(
  state: State<P>,
  nodes: ReadonlyArray<Message.PeerInfo<P>>,
  out: Out<P>
): void => {
  const count = Math.min(nodes.length, maxNodes(state.config))
  for (let i = 0; i < count; i++) {
    const node = nodes[i]
    if (node !== undefined) addPassive(state, node.id, node.data, out)
  }
}

/** The most nodes that we look at; ours have no more (section 7.1, 20). */
const maxNodes = (config: Config.Membership): number =>
  Math.max(1, config.shuffleActiveViewCount + config.shufflePassiveViewCount + 1)

const sendShuffle = <P extends PeerId>(
  state: State<P>,
  peer: P,
  origin: P,
  nodes: Array<Message.PeerInfo<P>>,
  ttl: number,
  out: Out<P>
): void => {
  const message: Message.Membership<P> = {
    _tag: "Shuffle",
    origin,
    nodes: Nodes.fit(nodes, state.maxMessageBytes),
    ttl
  }
  out.push({ _tag: "SendMessage", peer, message })
}
