/**
 * What peers may make us spend on ids that they introduce: whether 32 bytes are a public key costs a hundred times as much to find out as
 * all else about a message. The overlay can do without an introduction, and contents must not wait for one.
 */
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import type { Clock } from "effect"

export class FreshIds {
  readonly #clock: Clock.Clock
  readonly #most: number
  readonly #perSecond: number
  readonly #all: FreshIds | undefined
  /** Ids that may still be checked. */
  #left: number
  #sinceMs: number

  /** In ids. `all`: of everybody, which what is spent here counts for. */
  constructor(clock: Clock.Clock, most: number, perSecond: number, all?: FreshIds) {
    this.#clock = clock
    this.#most = most
    this.#perSecond = perSecond
    this.#all = all
    this.#left = most
    this.#sinceMs = this.#nowMs()
  }

  /** Whether there is anything left to read a message with that may bring ids. */
  get left(): boolean {
    if (this.#left <= 0) this.#grant()
    return this.#left > 0 && (this.#all?.left ?? true)
  }

  /** Reads a message, and counts the ids that had to be checked for it. */
  read<A>(read: () => A): A {
    const before = EndpointId.checks()
    const value = read()
    this.#spend(EndpointId.checks() - before)
    return value
  }

  #spend(ids: number): void {
    this.#left -= ids
    if (this.#all !== undefined) this.#all.#spend(ids)
  }

  #grant(): void {
    const nowMs = this.#nowMs()
    const granted = Math.floor(((nowMs - this.#sinceMs) / 1000) * this.#perSecond)
    if (granted === 0) return
    this.#left = Math.min(this.#most, this.#left + granted)
    this.#sinceMs = nowMs
  }

  #nowMs(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1e6
  }
}
