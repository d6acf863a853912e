import * as Resume from "@effect-live/actor/Resume"
import { Effect } from "effect"

/** Wakes the fibers that wait for some plain state to change. The waiters run inside `notify`, so finish your bookkeeping first. */
export class Signal {
  readonly #waiters = new Set<() => void>()

  /** Waits until `ready()`; asked at once and after every `notify`. Interruption only forgets the waiter. */
  wait(ready: () => boolean): Effect.Effect<void> {
    // check and registration are one operation: between two, any other fiber may run
    const attempt: Effect.Effect<void> = Effect.callback<void>((resume) => {
      if (ready()) return resume(Effect.void)
      const waiter = (): void => Resume.now(resume, ready() ? Effect.void : attempt)
      this.#waiters.add(waiter)
      return Effect.sync(() => this.#waiters.delete(waiter))
    })
    return attempt
  }

  notify(): void {
    if (this.#waiters.size === 0) return
    const waiters = [...this.#waiters]
    this.#waiters.clear() // who waits again inside waits for the next time
    for (const waiter of waiters) waiter()
  }
}
