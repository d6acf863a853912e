import { type Clock, Effect } from "effect"
import * as Limits from "../Limits.ts"
import { Signal } from "@effect-live/actor/Signal"

/** A stream of the peer that has not said yet what it is. */
export class Beginning {
  readonly #over: (beginning: Beginning) => void
  readonly #giveUp: () => void
  readonly sinceMs: number
  /** It took too long. */
  givenUp = false

  constructor(sinceMs: number, giveUp: () => void, over: (beginning: Beginning) => void) {
    this.sinceMs = sinceMs
    this.#giveUp = giveUp
    this.#over = over
  }

  /** It has said what it is, or never will. Idempotent. */
  readonly over = (): void => this.#over(this)

  giveUp(): void {
    this.givenUp = true
    this.over()
    this.#giveUp()
  }
}

/**
 * The streams of one kind on one connection that have not said yet what they are: at most `Limits.halfOpenStreams`, each for at most
 * `Limits.answerTimeoutMs`. When there is no place for one more, whoever comes waits; but those that have been there for longer than
 * `Limits.halfOpenPatienceMs` are given up for it, the oldest first. A first packet that was lost has come again by then.
 */
export class HalfOpen {
  readonly #clock: Clock.Clock
  /** Oldest first. */
  readonly #beginnings = new Set<Beginning>()
  readonly #signal = new Signal()
  /** Waits for a place. */
  readonly room: Effect.Effect<void>
  /** Gives up what takes too long. Never ends. */
  readonly run: Effect.Effect<never>

  constructor(clock: Clock.Clock) {
    this.#clock = clock
    const isRoom = () => this.#beginnings.size < Limits.halfOpenStreams
    const room = this.#signal.wait(isRoom)
    this.room = Effect.suspend(() => {
      if (isRoom()) return Effect.void
      const dueMs = this.#giveUpAfter(Limits.halfOpenPatienceMs, 1)
      return dueMs === undefined ? Effect.void : Effect.andThen(Effect.raceFirst(room, this.#until(dueMs)), this.room)
    })
    const some = this.#signal.wait(() => this.#beginnings.size > 0)
    this.run = Effect.forever(
      Effect.suspend(() => {
        const dueMs = this.#giveUpAfter(Limits.answerTimeoutMs, Infinity)
        return dueMs === undefined ? some : this.#until(dueMs)
      })
    )
  }

  /** One more. `giveUp` is called when it takes too long. */
  enter(giveUp: () => void): Beginning {
    const beginning = new Beginning(this.#clock.currentTimeMillisUnsafe(), giveUp, (over) => {
      if (this.#beginnings.delete(over)) this.#signal.notify()
    })
    this.#beginnings.add(beginning)
    this.#signal.notify()
    return beginning
  }

  /** Gives up at most so many that are as old; when the next one will be, unless there is none or enough were given up. */
  #giveUpAfter(ageMs: number, most: number): number | undefined {
    let left = most
    for (const beginning of this.#beginnings) {
      const dueMs = beginning.sinceMs + ageMs
      if (dueMs > this.#clock.currentTimeMillisUnsafe()) return dueMs
      beginning.giveUp()
      if (--left === 0) return undefined
    }
    return undefined
  }

  #until(dueMs: number): Effect.Effect<void> {
    return Effect.suspend(() => Effect.sleep(Math.ceil(dueMs - this.#clock.currentTimeMillisUnsafe())))
  }
}
