/**
 * Keyed timers on an indexed binary heap: setting a known key moves its entry, and equal deadlines come out in the order in
 * which they were set. Times are plain numbers, in whatever unit the owner uses.
 */
interface Entry<K, A> {
  readonly key: K
  at: number
  /** Order of setting, for equal deadlines. */
  turn: number
  value: A
  index: number
}

const before = <K, A>(a: Entry<K, A>, b: Entry<K, A>): boolean => a.at < b.at || (a.at === b.at && a.turn < b.turn)

export class TimerHeap<K, A> {
  private readonly heap: Array<Entry<K, A>> = []
  private readonly byKey = new Map<K, Entry<K, A>>()
  private turn = 0

  get size(): number {
    return this.heap.length
  }

  /** The earliest deadline, or Infinity. */
  get nextAt(): number {
    return this.heap[0]?.at ?? Infinity
  }

  /** Sets a timer, or moves the one that has this key. */
  set(key: K, at: number, value: A): void {
    const known = this.byKey.get(key)
    if (known === undefined) {
      const entry = { key, at, turn: this.turn++, value, index: this.heap.length }
      this.byKey.set(key, entry)
      this.heap.push(entry)
      this.up(entry)
      return
    }
    const earlier = at < known.at
    known.at = at
    known.turn = this.turn++
    known.value = value
    if (earlier) this.up(known)
    else this.down(known)
  }

  /** False when there is no such timer. */
  clear(key: K): boolean {
    const entry = this.byKey.get(key)
    if (entry === undefined) return false
    this.byKey.delete(key)
    const last = this.heap.pop()
    if (last !== undefined && last !== entry) {
      this.place(last, entry.index)
      this.up(last)
      this.down(last)
    }
    return true
  }

  /** Removes and returns the earliest timer if it is due. */
  popDue(now: number): { readonly key: K; readonly at: number; readonly value: A } | undefined {
    const first = this.heap[0]
    if (first === undefined || first.at > now) return undefined
    this.clear(first.key)
    return first
  }

  private place(entry: Entry<K, A>, index: number): void {
    this.heap[index] = entry
    entry.index = index
  }

  private up(entry: Entry<K, A>): void {
    let index = entry.index
    while (index > 0) {
      const parent = this.heap[(index - 1) >> 1]
      if (parent === undefined || !before(entry, parent)) break
      const above = parent.index
      this.place(parent, index)
      index = above
    }
    this.place(entry, index)
  }

  private down(entry: Entry<K, A>): void {
    let index = entry.index
    for (;;) {
      const left = this.heap[2 * index + 1]
      const right = this.heap[2 * index + 2]
      const child = left !== undefined && right !== undefined && before(right, left) ? right : left
      if (child === undefined || !before(child, entry)) break
      const below = child.index
      this.place(child, index)
      index = below
    }
    this.place(entry, index)
  }
}
