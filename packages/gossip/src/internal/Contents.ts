/**
 * What a topic remembers of contents: ids to know duplicates, and the contents themselves to answer Grafts. Everything of a kind is kept
 * for equally long, so the order of insertion is that of expiry, and expiring looks at nothing that stays.
 */
import * as Limits from "../Limits.ts"
import type * as Message from "../Message.ts"
import { varintBytes } from "./varint.ts"

interface Kept {
  readonly message: Message.Gossip
  readonly expiresAtMs: number
}

export interface Contents {
  /** Ids that were delivered or broadcast, with the time at which they are forgotten. */
  readonly received: Map<Message.MessageId, number>
  /** Ids that the validator refused. */
  readonly refused: Map<Message.MessageId, number>
  readonly cache: Map<Message.MessageId, Kept>
  cacheBytes: number
}

export const make = (): Contents => ({ received: new Map(), refused: new Map(), cache: new Map(), cacheBytes: 0 })

/**
 * Who has to make room does it for a while: taking one out of the front of a large Map passes over all that were there before, so it is
 * only cheap for many at once.
 */
const room = (limit: number): number => limit - (limit >>> 4)

/** Gives how many ids had to be forgotten before their time. */
export const remember = (
  ids: Map<Message.MessageId, number>,
  id: Message.MessageId,
  expiresAtMs: number,
  limit: number
): number => {
  const before = ids.size
  if (before >= limit) {
    for (const oldest of ids.keys()) {
      if (ids.size < room(limit)) break
      ids.delete(oldest)
    }
  }
  const evicted = before - ids.size
  ids.set(id, expiresAtMs)
  return evicted
}

/** Bytes of the body of a Gossip of the swarm (section 2.5): its two enums, the id, the content behind its length, the scope with the hops. */
export const bodyBytes = ({ length }: Uint8Array, round: number): number =>
  2 + 32 + varintBytes(length) + length + 1 + varintBytes(round)

/** Gives how many contents had to be dropped before their time. */
export const keep = (contents: Contents, message: Message.Gossip, expiresAtMs: number): number => {
  const { cache } = contents
  const before = cache.size
  const bytes = message.content.length
  if (before >= Limits.cachedMessagesPerTopic || contents.cacheBytes + bytes > Limits.cachedBytesPerTopic) {
    const [messages, mostBytes] = [room(Limits.cachedMessagesPerTopic), room(Limits.cachedBytesPerTopic)]
    for (const [id, oldest] of cache) {
      if (cache.size < messages && contents.cacheBytes + bytes <= mostBytes) break
      drop(contents, id, oldest)
    }
  }
  const evicted = before - cache.size
  // One that was kept and whose id was forgotten: it is the same content.
  const same = cache.get(message.id)
  if (same !== undefined) drop(contents, message.id, same)
  cache.set(message.id, { message, expiresAtMs })
  contents.cacheBytes += bytes
  return evicted
}

/** Forgets what is old; gives whether something is left. */
export const expire = (contents: Contents, nowMs: number): boolean => {
  for (const [id, kept] of contents.cache) {
    if (kept.expiresAtMs > nowMs) break
    drop(contents, id, kept)
  }
  expireIds(contents.received, nowMs)
  expireIds(contents.refused, nowMs)
  return contents.received.size > 0 || contents.refused.size > 0 || contents.cache.size > 0
}

const drop = (contents: Contents, id: Message.MessageId, kept: Kept): void => {
  contents.cache.delete(id)
  contents.cacheBytes -= kept.message.content.length
}

const expireIds = (ids: Map<Message.MessageId, number>, nowMs: number): void => {
  for (const [id, expiresAtMs] of ids) {
    if (expiresAtMs > nowMs) break
    ids.delete(id)
  }
}
