import type { Budget, Evictable } from "../Budget.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { GroupProducer } from "../Group.ts"
import type { Retention } from "../Track.ts"

/** A group and its place in the track. */
export class Kept implements Evictable {
  readonly group: GroupProducer
  /** Counts the arrivals of the track. */
  readonly arrival: number
  readonly createdMs: number
  readonly #past: Past

  constructor(past: Past, group: GroupProducer, arrival: number, createdMs: number) {
    this.#past = past
    this.group = group
    this.arrival = arrival
    this.createdMs = createdMs
  }

  evict(): void {
    this.#past.evict(this, ErrorCode.evicted)
  }
}

/**
 * What a track keeps for consumers that are behind: the groups within its retention, as long as the budget lets it, in the order in
 * which they arrived. The newest one always stays.
 */
export class Past {
  readonly #retention: Required<Retention>
  readonly #budget: Budget | undefined
  /** Told of every group that goes before somebody took it, perhaps. */
  readonly #gone: (kept: Kept) => void
  readonly #groups: Array<Kept> = []
  readonly #bySequence = new Map<number, Kept>()
  #arrivals = 0
  #newest: Kept | undefined
  #bytes = 0

  constructor(retention: Required<Retention>, budget: Budget | undefined, gone: (kept: Kept) => void) {
    this.#retention = retention
    this.#budget = budget
    this.#gone = gone
  }

  get size(): { readonly groups: number; readonly bytes: number } {
    return { groups: this.#groups.length, bytes: this.#bytes }
  }

  /** The group of the highest sequence number; never evicted. */
  get newest(): Kept | undefined {
    return this.#newest
  }

  get(sequence: number): GroupProducer | undefined {
    return this.#bySequence.get(sequence)?.group
  }

  /** The lowest sequence number of those that have not ended. */
  get firstOpen(): number | undefined {
    let first: number | undefined
    for (const { group } of this.#groups) {
      if (!group.ended && (first === undefined || group.sequence < first)) first = group.sequence
    }
    return first
  }

  /** The first one that arrived at or after `arrival`. */
  from(arrival: number): Kept | undefined {
    return this.#groups[this.#indexFrom(arrival)]
  }

  add(group: GroupProducer, nowMs: number): void {
    const { sequence } = group
    const kept = new Kept(this, group, this.#arrivals++, nowMs)
    this.#groups.push(kept)
    this.#bySequence.set(sequence, kept)
    let overtaken: Kept | undefined = kept
    if (this.#newest === undefined || sequence > this.#newest.group.sequence) {
      overtaken = this.#newest
      this.#newest = kept
    }
    if (overtaken !== undefined) this.#budget?.add(overtaken)
    this.#trim(nowMs)
  }

  /** One of them did; with less than 0, it shrank. */
  grew(bytes: number): void {
    this.#bytes += bytes
    this.#budget?.grew(bytes)
    if (bytes > 0 && this.#bytes > this.#retention.bytes) this.#trim(undefined)
  }

  /** Forgets one, and tells whoever had not taken it. */
  evict(kept: Kept, code: number): void {
    this.#groups.splice(this.#indexFrom(kept.arrival), 1)
    this.#bySequence.delete(kept.group.sequence)
    this.#budget?.delete(kept)
    this.#gone(kept)
    kept.group.evict(code)
  }

  /** Forgets all of them. */
  clear(code: number): void {
    const groups = this.#groups.splice(0)
    this.#bySequence.clear()
    this.#newest = undefined
    for (const kept of groups) {
      this.#budget?.delete(kept)
      this.#gone(kept)
    }
    for (const { group } of groups) group.evict(code)
  }

  /** Where the first one stands that arrived at or after `arrival`. */
  #indexFrom(arrival: number): number {
    let low = 0
    let high = this.#groups.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const kept = this.#groups[middle]
      if (kept !== undefined && kept.arrival < arrival) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Evicts the oldest groups, never the newest, until every limit holds. Ages count only when `nowMs` is known. */
  #trim(nowMs: number | undefined): void {
    for (;;) {
      const index = this.#groups[0] === this.#newest ? 1 : 0
      const oldest = this.#groups[index]
      if (oldest === undefined) return
      const aged = nowMs !== undefined && nowMs - oldest.createdMs > this.#retention.ageMs
      if (!aged && this.#groups.length <= this.#retention.groups && this.#bytes <= this.#retention.bytes) return
      this.evict(oldest, aged ? ErrorCode.old : ErrorCode.lagged)
    }
  }
}
