/**
 * What a topic remembers of contents: ids to know duplicates, and the contents themselves to answer Grafts. Everything of a kind is kept
 * for equally long, so the order of insertion is that of expiry, and expiring looks at nothing that stays.
 */
import * as Rng from "@effect-live/actor/Rng"
import * as Limits from "../Limits.ts"
import type * as Message from "../Message.ts"
import { Recent } from "./Recent.ts"
import { varintBytes } from "./varint.ts"

/** Ids with the time at which each is forgotten. */
export class Ids {
  readonly #ids: Recent
  readonly #limit: number

  constructor(limit: number, salt: number) {
    this.#ids = new Recent(1, salt)
    this.#limit = limit
  }

  get size(): number {
    return this.#ids.size
  }

  /** `hash`: `Rng.hash` of the id. */
  has(id: Message.MessageId, hash: number = Rng.hash(id)): boolean {
    return this.#ids.size > 0 && this.#ids.find(id, hash) >= 0
  }

  /** An id that is not there. Gives how many had to be forgotten before their time. */
  remember(id: Message.MessageId, hash: number, expiresAtMs: number): number {
    const ids = this.#ids
    const before = ids.size
    if (before >= this.#limit) while (ids.size >= room(this.#limit)) ids.delete(ids.oldest())
    const evicted = before - ids.size
    ids.setNumber(ids.add(id, hash), 0, expiresAtMs)
    return evicted
  }

  expire(nowMs: number): void {
    const ids = this.#ids
    for (let oldest: number; (oldest = ids.oldest()) >= 0 && ids.number(oldest, 0) <= nowMs;) ids.delete(oldest)
    ids.trim()
  }
}

/** Who has to make room does it for a while. */
const room = (limit: number): number => limit - (limit >>> 4)

/**
 * The contents, one behind the other in blocks: keeping one makes no object. What `get` and `keep` give are views of a block, which is
 * never written again.
 */
export class Cache {
  readonly #kept: Recent
  /** From the number of the first one on. */
  #blocks: Array<Uint8Array> = []
  #firstBlock = 0
  /** Bytes of the last one that are taken. */
  #filled = 0
  #bytes = 0

  constructor(salt: number) {
    this.#kept = new Recent(5, salt)
  }

  get size(): number {
    return this.#kept.size
  }

  /** Of the contents. */
  get bytes(): number {
    return this.#bytes
  }

  get(id: Message.MessageId, hash: number = Rng.hash(id)): Message.Gossip | undefined {
    const at = this.#kept.find(id, hash)
    return at < 0 ? undefined : this.#message(id, at)
  }

  /** Gives how many contents had to be dropped before their time. */
  makeRoom(bytes: number): number {
    const before = this.size
    if (before >= Limits.cachedMessagesPerTopic || this.#bytes + bytes > Limits.cachedBytesPerTopic) {
      const [messages, mostBytes] = [room(Limits.cachedMessagesPerTopic), room(Limits.cachedBytesPerTopic)]
      while (this.size > 0 && (this.size >= messages || this.#bytes + bytes > mostBytes))
        this.#drop(this.#kept.oldest())
      this.#freeBlocks()
    }
    return before - this.size
  }

  /** A copy of a content. Of one that is kept already, as its id was forgotten since, there are two then. */
  keep(id: Message.MessageId, hash: number, content: Uint8Array, round: number, expiresAtMs: number): Message.Gossip {
    const kept = this.#kept
    this.#bytes += content.length
    const block = this.#blockFor(content.length)
    const at = kept.add(id, hash)
    kept.setNumber(at, column.expiresAtMs, expiresAtMs)
    kept.setNumber(at, column.block, this.#firstBlock + this.#blocks.length - 1)
    kept.setNumber(at, column.offset, this.#filled)
    kept.setNumber(at, column.length, content.length)
    kept.setNumber(at, column.round, round)
    block.set(content, this.#filled)
    this.#filled += content.length
    const copy = block.subarray(this.#filled - content.length, this.#filled)
    return { _tag: "Gossip", id, content: copy, scope: { _tag: "Swarm", round } }
  }

  expire(nowMs: number): void {
    const kept = this.#kept
    for (let at: number; (at = kept.oldest()) >= 0 && kept.number(at, column.expiresAtMs) <= nowMs;) this.#drop(at)
    this.#freeBlocks()
    kept.trim()
  }

  #message(id: Message.MessageId, at: number): Message.Gossip {
    const kept = this.#kept
    const block = this.#blocks[kept.number(at, column.block) - this.#firstBlock]
    const offset = kept.number(at, column.offset)
    const content = block?.subarray(offset, offset + kept.number(at, column.length)) ?? nothing
    return { _tag: "Gossip", id, content, scope: { _tag: "Swarm", round: kept.number(at, column.round) } }
  }

  #drop(at: number): void {
    this.#bytes -= this.#kept.number(at, column.length)
    this.#kept.delete(at)
  }

  #freeBlocks(): void {
    const oldest = this.#kept.oldest()
    const free = oldest < 0 ? this.#blocks.length : this.#kept.number(oldest, column.block) - this.#firstBlock
    if (free === 0) return
    this.#blocks.splice(0, free)
    this.#firstBlock += free
  }

  /** The last one, or a new one: twice as large, and never so large that one content holds much more than itself. */
  #blockFor(bytes: number): Uint8Array {
    const last = this.#blocks.at(-1)
    if (last !== undefined && this.#filled + bytes <= last.length) return last
    const size = Math.min(Limits.cacheBlockBytes, 2 * (last?.length ?? firstBlockBytes / 2))
    const block = new Uint8Array(Math.max(bytes, size))
    this.#blocks.push(block)
    this.#filled = 0
    return block
  }
}

const column = { expiresAtMs: 0, block: 1, offset: 2, length: 3, round: 4 } as const
const firstBlockBytes = 512
const nothing = new Uint8Array(0)

export interface Contents {
  /** Ids that were delivered or broadcast. */
  readonly received: Ids
  /** Ids that the validator refused. */
  readonly refused: Ids
  readonly cache: Cache
}

/** `salt`: see `Recent`. */
export const make = (salt: number): Contents => ({
  received: new Ids(Limits.idsPerTopic, salt),
  refused: new Ids(Limits.refusedIdsPerTopic, salt),
  cache: new Cache(salt)
})

/** Bytes of the body of a Gossip of the swarm (section 2.5): its two enums, the id, the content behind its length, the scope with the hops. */
export const bodyBytes = ({ length }: Uint8Array, round: number): number =>
  2 + 32 + varintBytes(length) + length + 1 + varintBytes(round)

/** Forgets what is old; gives whether something is left. */
export const expire = ({ cache, received, refused }: Contents, nowMs: number): boolean => {
  cache.expire(nowMs)
  received.expire(nowMs)
  refused.expire(nowMs)
  return received.size > 0 || refused.size > 0 || cache.size > 0
}
