/**
 * How many bytes peers may make this process hold. The remote tracks of a Moq service share one, and those of each session a part
 * of it, so that one peer cannot push out everybody else. Above it, the group that has been without use as the newest one of its
 * track for longest is given up (`ErrorCode.evicted`): its readers see a `GroupError`, whoever had not come to it yet sees `Lagged`.
 * The newest group of a track is never given up, so each track can exceed the budget by one group.
 */
import * as Limits from "./Limits.ts"

export interface Options {
  /** Frames with their size prefixes and `Limits.frameOverheadBytes` each, and frames that are still arriving. */
  readonly bytes?: number
}

/** A budget for a process or a service: `Limits.heldBytes` by default. */
export const make = ({ bytes = Limits.heldBytes }: Options = {}): Budget => new Budget(bytes)

export class Budget {
  readonly #bytes: number
  readonly #parent: Budget | undefined
  #used = 0
  /** The groups that may be given up, in the order in which newer ones took their place. */
  readonly #evictable = new Set<Evictable>()

  constructor(bytes: number, parent?: Budget) {
    this.#bytes = bytes
    this.#parent = parent
  }

  /** Bytes held now. */
  get used(): number {
    return this.#used
  }

  /** Groups that may be given up now, for tests and metrics. */
  get evictable(): number {
    return this.#evictable.size
  }

  /** A part of this budget, for one session: what counts there counts here too. `Limits.heldBytesPerSession` by default. */
  child({ bytes = Limits.heldBytesPerSession }: Options = {}): Budget {
    return new Budget(bytes, this)
  }

  /** For tracks: so many more bytes are held, or fewer. Gives groups up until the budget holds again, or only newest ones are left. */
  grew(bytes: number): void {
    this.#used += bytes
    this.#parent?.grew(bytes)
    if (bytes > 0) this.#trim()
  }

  /** For tracks: this group may be given up from now on. */
  add(group: Evictable): void {
    this.#evictable.add(group)
    this.#parent?.add(group)
    this.#trim()
  }

  /** For tracks: this group is gone. */
  delete(group: Evictable): void {
    this.#evictable.delete(group)
    this.#parent?.delete(group)
  }

  #trim(): void {
    while (this.#used > this.#bytes) {
      const [oldest] = this.#evictable
      if (oldest === undefined) return
      oldest.evict()
    }
  }
}

/** A group of a track. */
export interface Evictable {
  /** Frees its bytes and takes it out of the budget. */
  readonly evict: () => void
}
