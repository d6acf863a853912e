/** What happens in a simulation, and when. */
export interface Event<A> {
  readonly atMs: number
  readonly what: A
}

const firstCapacity = 1_024

/**
 * A heap of events by time; those of the same instant come in the order in which they were added. Four children to a node, and the keys
 * lie side by side in arrays of numbers: hundreds of thousands of messages are on their way at once, and every look elsewhere costs.
 */
export class EventQueue<A> {
  #size = 0
  #count = 0
  #times = new Float64Array(firstCapacity)
  /** The order of adding. */
  #orders = new Float64Array(firstCapacity)
  /** Where the event lies in `#events`. */
  #slots = new Int32Array(firstCapacity)
  readonly #events: Array<A | undefined> = []
  readonly #free: Array<number> = []

  get size(): number {
    return this.#size
  }

  /** The time of the next event, `Infinity` when there is none. */
  get nextMs(): number {
    return this.#size === 0 ? Infinity : (this.#times[0] ?? Infinity)
  }

  push(atMs: number, what: A): void {
    if (this.#size === this.#times.length) this.#grow()
    const slot = this.#free.pop() ?? this.#events.length
    this.#events[slot] = what
    this.#up(this.#size++, atMs, this.#count++, slot)
  }

  pop(): Event<A> | undefined {
    if (this.#size === 0) return undefined
    const atMs = this.#times[0] ?? 0
    const slot = this.#slots[0] ?? 0
    const what = this.#events[slot]
    if (what === undefined) return undefined
    this.#events[slot] = undefined
    this.#free.push(slot)
    const last = --this.#size
    if (last > 0) this.#down(this.#times[last] ?? 0, this.#orders[last] ?? 0, this.#slots[last] ?? 0)
    return { atMs, what }
  }

  /** Puts a key where `hole` is, or above it. */
  #up(hole: number, time: number, order: number, slot: number): void {
    const times = this.#times
    const orders = this.#orders
    const slots = this.#slots
    while (hole > 0) {
      const above = (hole - 1) >>> 2
      const t = times[above] ?? 0
      // Nothing above was added later.
      if (t <= time) break
      times[hole] = t
      orders[hole] = orders[above] ?? 0
      slots[hole] = slots[above] ?? 0
      hole = above
    }
    times[hole] = time
    orders[hole] = order
    slots[hole] = slot
  }

  /** Puts a key at the root, or below it. */
  #down(time: number, order: number, slot: number): void {
    const times = this.#times
    const orders = this.#orders
    const slots = this.#slots
    const size = this.#size
    let hole = 0
    for (;;) {
      const first = 4 * hole + 1
      if (first >= size) break
      const end = Math.min(first + 4, size)
      let child = first
      let t = times[first] ?? 0
      for (let other = first + 1; other < end; other++) {
        const o = times[other] ?? 0
        if (o > t || (o === t && (orders[other] ?? 0) > (orders[child] ?? 0))) continue
        child = other
        t = o
      }
      if (t > time || (t === time && (orders[child] ?? 0) > order)) break
      times[hole] = t
      orders[hole] = orders[child] ?? 0
      slots[hole] = slots[child] ?? 0
      hole = child
    }
    times[hole] = time
    orders[hole] = order
    slots[hole] = slot
  }

  #grow(): void {
    const capacity = 2 * this.#times.length
    const [times, orders, slots] = [this.#times, this.#orders, this.#slots]
    this.#times = new Float64Array(capacity)
    this.#orders = new Float64Array(capacity)
    this.#slots = new Int32Array(capacity)
    this.#times.set(times)
    this.#orders.set(orders)
    this.#slots.set(slots)
  }
}
