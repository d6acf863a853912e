/**
 * Ids in the order in which they came, with numbers for each; the ones that came first go first. What a Map does, but for hundreds of
 * thousands that all go after a while: no object and no entry of a Map is made for an id, finding one looks at one place of memory
 * mostly, and taking the oldest out costs as little as putting one in.
 */
import type { MessageId } from "../Message.ts"

export class Recent {
  /** Numbers of an id, apart from its hash. */
  readonly #width: number
  readonly #salt: number
  /** A ring from `#first` on, `#used` long; undefined: it was deleted. Its length is a power of two. */
  #ids: Array<MessageId | undefined> = []
  /** By the same positions: the hash and the numbers. */
  #rows = new Float64Array(0)
  #first = 0
  #used = 0
  #size = 0
  /** Open addressing: the hash of an id, and its position plus 1, or 0 where there is none. Half of them at most are taken. */
  #slots = new Uint32Array(0)
  #shift = 32

  /** `salt`: what nobody else knows, so that nobody can choose ids that are all found at one place. */
  constructor(width: number, salt: number) {
    this.#width = width
    this.#salt = salt
  }

  get size(): number {
    return this.#size
  }

  /** The position of an id, or -1. `hash`: `Rng.hash` of the id. Positions hold until the next `add`. */
  find(id: MessageId, hash: number): number {
    if (this.#size === 0) return -1
    const slots = this.#slots
    const last = slots.length - 2
    for (let at = this.#slotOf(hash); ; at = (at + 2) & last) {
      const position = (slots[at + 1] ?? 0) - 1
      if (position < 0) return -1
      if (slots[at] === hash && this.#ids[position] === id) return position
    }
  }

  /**
   * Puts an id behind all others, and answers its position; its numbers are those of another one. An id that is there already is there
   * twice then, and `find` answers with either.
   */
  add(id: MessageId, hash: number): number {
    if (this.#used === this.#ids.length) {
      const capacity = Math.max(leastCapacity, this.#ids.length)
      this.#resize(this.#size * 2 > capacity ? 2 * capacity : capacity)
    }
    const position = (this.#first + this.#used++) & (this.#ids.length - 1)
    this.#ids[position] = id
    this.#rows[position * (this.#width + 1)] = hash
    this.#size++
    this.#place(hash, position)
    return position
  }

  number(position: number, column: number): number {
    return this.#rows[position * (this.#width + 1) + 1 + column] ?? 0
  }

  setNumber(position: number, column: number, value: number): void {
    this.#rows[position * (this.#width + 1) + 1 + column] = value
  }

  /** The position of who came first, or -1. */
  oldest(): number {
    return this.#size === 0 ? -1 : this.#first
  }

  delete(position: number): void {
    this.#unplace(this.#rows[position * (this.#width + 1)] ?? 0, position)
    this.#ids[position] = undefined
    this.#size--
    const last = this.#ids.length - 1
    while (this.#used > 0 && this.#ids[this.#first] === undefined) {
      this.#first = (this.#first + 1) & last
      this.#used--
    }
  }

  /** Gives room back that is not needed any more. */
  trim(): void {
    let capacity = this.#ids.length
    while (capacity > leastCapacity && this.#size * 8 < capacity) capacity /= 2
    if (capacity < this.#ids.length) this.#resize(capacity)
  }

  #slotOf(hash: number): number {
    return (Math.imul(hash ^ this.#salt, 0x9e3779b1) >>> this.#shift) << 1
  }

  #place(hash: number, position: number): void {
    const slots = this.#slots
    const last = slots.length - 2
    let at = this.#slotOf(hash)
    while (slots[at + 1] !== 0) at = (at + 2) & last
    slots[at] = hash
    slots[at + 1] = position + 1
  }

  /** Whatever was put behind it, because its place was taken, moves up. */
  #unplace(hash: number, position: number): void {
    const slots = this.#slots
    const last = slots.length - 2
    let hole = this.#slotOf(hash)
    while (slots[hole + 1] !== position + 1) hole = (hole + 2) & last
    for (let at = (hole + 2) & last; slots[at + 1] !== 0; at = (at + 2) & last) {
      const other = slots[at] ?? 0
      if (((at - this.#slotOf(other)) & last) < ((at - hole) & last)) continue
      slots[hole] = other
      slots[hole + 1] = slots[at + 1] ?? 0
      hole = at
    }
    slots[hole + 1] = 0
  }

  /** To a power of two that is enough; whatever was deleted leaves no gap. */
  #resize(capacity: number): void {
    const row = this.#width + 1
    const ids: Array<MessageId | undefined> = []
    const rows = new Float64Array(capacity * row)
    this.#slots = new Uint32Array(4 * capacity)
    this.#shift = 31 - Math.log2(capacity)
    for (let index = 0; index < this.#used; index++) {
      const from = (this.#first + index) & (this.#ids.length - 1)
      const id = this.#ids[from]
      if (id === undefined) continue
      rows.set(this.#rows.subarray(from * row, (from + 1) * row), ids.length * row)
      this.#place(rows[ids.length * row] ?? 0, ids.length)
      ids.push(id)
    }
    this.#used = ids.length
    while (ids.length < capacity) ids.push(undefined)
    this.#ids = ids
    this.#rows = rows
    this.#first = 0
  }
}

/** Of those that hold anything at all: many topics never refuse an id. */
const leastCapacity = 16
