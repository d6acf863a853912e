import { Effect } from "effect"
import * as Resume from "./Resume.ts"

/** Wakes the fibers that wait for some plain state to change. The waiters run inside `notify`, so finish your bookkeeping first. */
export class Signal {
  #waiters: Array<() => void> = none

  /** Waits until `ready()`; asked at once and after every `notify`. Interruption only forgets the waiter. */
  wait(ready: () => boolean): Effect.Effect<void> {
    // Check and registration are one operation: between two, any other fiber may run.
    const attempt: Effect.Effect<void> = Effect.callback<void>((resume) => {
      if (ready()) return resume(Effect.void)
      const waiter = (): void => Resume.now(resume, ready() ? Effect.void : attempt)
      this.#add(waiter)
      return Effect.sync(() => this.#forget(waiter))
    })
    return attempt
  }

  /** Calls `changed` in the next `notify`, once; answers how to forget it. */
  watch(changed: () => void): () => void {
    this.#add(changed)
    return () => this.#forget(changed)
  }

  notify(): void {
    const waiters = this.#waiters
    if (waiters === none) return
    this.#waiters = none // who waits again inside waits for the next time
    for (const waiter of waiters) waiter()
  }

  #add(waiter: () => void): void {
    if (this.#waiters === none) this.#waiters = [waiter]
    else this.#waiters.push(waiter)
  }

  #forget(waiter: () => void): void {
    const index = this.#waiters.indexOf(waiter)
    if (index >= 0) this.#waiters.splice(index, 1)
  }
}

/** Shared by all signals that nobody waits for; never written. */
const none: Array<() => void> = []
