import { Signal } from "@effect-live/actor/Signal"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { type Clock, Effect } from "effect"
import * as Limits from "../Limits.ts"

/** To whom contents wait to be sent. */
export interface Target {
  readonly peer: EndpointId
}

/**
 * Holds up whoever has more contents to send while there are peers that have much to read already, so that a burst goes at the pace
 * of the peers and nothing is lost; but none of them for longer than `Limits.pressureMs`, for a slow one would hold up all.
 *
 * Whoever broadcasts here waits for all of them. What a peer sends us is for the others: its reader waits for those, and never for
 * the peer itself, or two that both speak would stand still (iroh-gossip section 7.1, 24). Nor can more peers wait for each other
 * in a circle: one in it has a smaller id than those on both its sides, and that one reads on.
 */
export class Pressure {
  readonly #self: EndpointId
  /** Since when they are under pressure; undefined: nobody waits for it any more. */
  readonly #since = new Map<Target, number | undefined>()
  /** Until when nobody waits for those that were slow. */
  readonly #slowUntil = new WeakMap<Target, number>()
  #held = 0
  readonly #signal = new Signal()
  /** What a broadcaster waits for. */
  readonly relief: Effect.Effect<void>

  constructor(self: EndpointId) {
    this.#self = self
    this.relief = this.#reliefOf(undefined)
  }

  get on(): boolean {
    return this.#held > 0
  }

  rise(target: Target): void {
    if (this.#since.has(target)) return
    this.#since.set(target, unseen)
    this.#held++
  }

  fall(target: Target): void {
    if (!this.#since.has(target)) return
    if (this.#since.get(target) !== undefined) this.#held--
    this.#since.delete(target)
    this.#signal.notify()
  }

  presses(target: Target): boolean {
    return this.#since.has(target)
  }

  /** Waits until a peer has taken half, however slow it is. */
  fallen(target: Target): Effect.Effect<void> {
    return this.#signal.wait(() => !this.#since.has(target))
  }

  /** What the reader of a peer waits for before its next content, if for anything. */
  reliefFor(peer: EndpointId): Effect.Effect<void> | undefined {
    return this.on && this.#holds(peer) ? this.#reliefOf(peer) : undefined
  }

  /** `reader`: the peer that is read, or a broadcaster. */
  #reliefOf(reader: EndpointId | undefined): Effect.Effect<void> {
    const relieved = this.#signal.wait(() => !this.#holds(reader))
    const relief: Effect.Effect<void> = Effect.clockWith((clock) => {
      const dueMs = this.#dueMs(clock, reader)
      return dueMs === undefined ? Effect.void : Effect.andThen(Effect.timeoutOption(relieved, dueMs), relief)
    })
    return relief
  }

  #holds(reader: EndpointId | undefined): boolean {
    for (const [target, since] of this.#since) if (since !== undefined && this.#waits(reader, target)) return true
    return false
  }

  #waits(reader: EndpointId | undefined, { peer }: Target): boolean {
    if (reader === undefined) return true
    return reader !== peer && (reader < this.#self || peer < this.#self)
  }

  /** How long from now on somebody waits at most for one of them, in milliseconds. The time of each begins when somebody waits for it. */
  #dueMs(clock: Clock.Clock, reader: EndpointId | undefined): number | undefined {
    const now = Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    let dueMs = Infinity
    let slow = false
    for (const [target, since] of this.#since) {
      if (since === undefined || !this.#waits(reader, target)) continue
      const fresh = since === unseen
      const endMs =
        fresh && now < (this.#slowUntil.get(target) ?? now) ? now : (fresh ? now : since) + Limits.pressureMs
      if (endMs > now) {
        if (fresh) this.#since.set(target, now)
        dueMs = Math.min(dueMs, endMs)
        continue
      }
      if (!fresh) this.#slowUntil.set(target, now + Limits.slowMs)
      this.#since.set(target, undefined)
      this.#held--
      slow = true
    }
    if (slow) this.#signal.notify()
    return dueMs === Infinity ? undefined : Math.ceil(dueMs - now)
  }
}

/** Nobody has waited for it yet. */
const unseen = -Infinity
