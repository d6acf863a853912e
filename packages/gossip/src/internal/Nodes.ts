/** Bodies of membership messages by their sizes alone (sections 2.5, 2.8): what is sent stays below the limit of a frame. */
import * as Limits from "../Limits.ts"
import type * as Message from "../Message.ts"
import type { PeerId } from "../PeerId.ts"
import { varintBytes } from "./varint.ts"

const idBytes = 32
/** Both enums and everything of a Shuffle but its nodes: origin, count (two bytes) and ttl (three bytes). */
const shuffleBytes = 2 + idBytes + 2 + 3

const infoBytes = <P extends PeerId>({ data }: Message.PeerInfo<P>): number =>
  data === undefined ? idBytes + 1 : idBytes + 1 + varintBytes(data.length) + data.length

/** What a peer says about itself, unless that is nothing or too much: `Limits.peerDataBytes` and the frame of a ForwardJoin. */
export const usableData = (
  data: Message.PeerData | undefined,
  maxMessageBytes: number
): Message.PeerData | undefined => {
  if (data === undefined || data.length === 0) return undefined
  const fits = data.length <= Limits.peerDataBytes && 2 + idBytes + 1 + 3 + data.length + 3 < maxMessageBytes
  return fits ? data : undefined
}

/** Drops the nodes that a Shuffle or ShuffleReply has no room for; the last one, who a Shuffle is from, has the first claim. */
export const fit = <P extends PeerId>(
  nodes: Array<Message.PeerInfo<P>>,
  maxMessageBytes: number
): Array<Message.PeerInfo<P>> => {
  let left = maxMessageBytes - 1 - shuffleBytes
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]
    if (node === undefined) continue
    const bytes = infoBytes(node)
    if (bytes <= left) left -= bytes
    else nodes.splice(i, 1)
  }
  return nodes
}
