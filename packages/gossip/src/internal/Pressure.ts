import { type Clock, Effect } from "effect"
import * as Limits from "../Limits.ts"
import { Signal } from "@effect-live/actor/Signal"

/**
 * Holds up whoever has more contents to send while there are peers that have much to read already, so that a burst goes at the pace
 * of the peers and nothing is lost; but none of them for longer than `Limits.pressureMs`: two that waited for each other would stand
 * still (iroh-gossip section 7.1, 24), and a slow one would hold up all.
 */
export class Pressure {
  /** Since when they are under pressure; undefined: nobody waits for it any more. */
  readonly #since = new Map<object, number | undefined>()
  #held = 0
  readonly #signal = new Signal()
  /** Waits until nobody holds us up. */
  readonly relief: Effect.Effect<void>

  constructor() {
    const relieved = this.#signal.wait(() => !this.on)
    this.relief = Effect.clockWith((clock) => this.#wait(clock, relieved))
  }

  get on(): boolean {
    return this.#held > 0
  }

  rise(peer: object): void {
    if (this.#since.has(peer)) return
    this.#since.set(peer, unseen)
    this.#held++
  }

  fall(peer: object): void {
    if (!this.#since.has(peer)) return
    if (this.#since.get(peer) !== undefined) this.#held--
    this.#since.delete(peer)
    if (!this.on) this.#signal.notify()
  }

  #wait(clock: Clock.Clock, relieved: Effect.Effect<void>): Effect.Effect<void> {
    const now = Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    let dueMs = Infinity
    for (const [peer, since] of this.#since) {
      if (since === undefined) continue
      // its time begins when somebody waits for it
      if (since === unseen) this.#since.set(peer, now)
      const endMs = (since === unseen ? now : since) + Limits.pressureMs
      if (endMs > now) {
        dueMs = Math.min(dueMs, endMs)
        continue
      }
      this.#since.set(peer, undefined)
      this.#held--
    }
    if (!this.on) {
      this.#signal.notify()
      return Effect.void
    }
    return Effect.andThen(Effect.timeoutOption(relieved, Math.ceil(dueMs - now)), this.relief)
  }
}

/** Nobody has waited for it yet. */
const unseen = -Infinity
