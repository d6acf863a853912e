/**
 * How a fiber waits for the addon. A token calls back when it is worth trying again, and only if the try that was in vain was in
 * the same turn: so every wait here begins with a try of its own, and keeps what that may have brought. Nothing runs for a
 * waiter; interruption removes the call-back and nothing else.
 */
import * as Resume from "@effect-live/actor/Resume"
import { Blocked } from "@effect-live/endpoint/Stream"
import type * as Native from "@effect-live/native"
import { Effect } from "effect"

export type Addon = typeof Native

type Wake = (effect: Effect.Effect<void>) => void

/** One fiber at a time waits until something holds: a second one is a bug of the caller and dies. */
export class Wait {
  #waiting = false
  /** Succeeds at once when it holds. */
  readonly ready: Effect.Effect<void>

  /** `what` names the operation in the defect; `holds` tries, and where it says false `token` calls. */
  constructor(addon: Addon, what: string, token: number, holds: () => boolean) {
    this.ready = Effect.callback<void>((resume) => {
      if (this.#waiting) {
        return resume(Effect.die(new Error(`two fibers wait in ${what} of one object: one waiter at a time`)))
      }
      if (holds()) return resume(Effect.void)
      this.#waiting = true
      const tryAgain = () => {
        if (!holds()) return addon.wait(token, tryAgain)
        this.#waiting = false
        Resume.now(resume, Effect.void)
      }
      addon.wait(token, tryAgain)
      return Effect.sync(() => {
        this.#waiting = false
        addon.forget(token)
      })
    })
  }

  /** Whether somebody waits. */
  get waiting(): boolean {
    return this.#waiting
  }
}

/** Values that come one after the other, for one fiber at a time. */
export class Source<A> {
  readonly #pull: () => A | Blocked
  #kept: A | Blocked = Blocked
  readonly #wait: Wait

  /** `what` names the operation in the defect; `pull` tries once, and what it says `Blocked` for is called by `token`. */
  constructor(addon: Addon, what: string, token: number, pull: () => A | Blocked) {
    this.#pull = pull
    this.#wait = new Wait(addon, what, token, () => {
      if (this.#kept === Blocked) this.#kept = this.#pull()
      return this.#kept !== Blocked
    })
  }

  /** Waits until `take` has a value. */
  get ready(): Effect.Effect<void> {
    return this.#wait.ready
  }

  /** The next value, if there is one now. */
  take(): A | Blocked {
    const kept = this.#kept
    if (kept === Blocked) return this.#pull()
    this.#kept = Blocked
    return kept
  }

  /** Forgets what a wait has brought. */
  drop(): void {
    this.#kept = Blocked
  }

  /** Whether somebody waits. */
  get waiting(): boolean {
    return this.#wait.waiting
  }
}

/** As the addon's; `keep` watches too, and lets the Condition be collected. */
type How = "wait" | "watch" | "keep"

/** Something that any number of fibers may wait for, again and again. */
export class Condition {
  readonly #addon: Addon
  readonly #token: number
  readonly #holds: () => boolean
  readonly #waiting = new Set<Wake>()
  /** How the addon was asked to call. */
  #asked: How | undefined
  #kept = false
  /** Waits until it holds; succeeds at once when it does. */
  readonly wait: Effect.Effect<void>

  /** `holds` tries; where it says false, `token` calls. `how` says whether a fiber that waits keeps the process alive. */
  constructor(addon: Addon, how: "wait" | "watch", token: number, holds: () => boolean) {
    this.#addon = addon
    this.#token = token
    this.#holds = holds
    this.wait = Effect.callback<void>((resume) => {
      if (this.#asked === undefined && holds()) return resume(Effect.void)
      this.#waiting.add(resume)
      this.#ask(how)
      return Effect.sync(() => {
        this.#waiting.delete(resume)
        if (this.#waiting.size === 0) this.#ask(this.#kept ? "keep" : undefined)
      })
    })
    this.#tryAgain = () => {
      this.#asked = undefined
      if (!this.#holds()) return this.#ask(this.#waiting.size > 0 ? how : this.#kept ? "keep" : undefined)
      const woken = [...this.#waiting]
      this.#waiting.clear()
      for (const wake of woken) Resume.now(wake, Effect.void)
    }
  }

  /** Goes on trying until it holds, though nobody waits, for as long as somebody has it. Keeps no process alive. */
  keepTrying(): void {
    this.#kept = true
    if (this.#asked === undefined && !this.#holds()) this.#ask("keep")
  }

  readonly #tryAgain: () => void

  #ask(how: How | undefined): void {
    if (how === this.#asked) return
    if (this.#asked !== undefined) this.#addon.forget(this.#token)
    this.#asked = how
    if (how === undefined) return
    if (how !== "keep") return this.#addon[how](this.#token, this.#tryAgain)
    const tryAgain = new WeakRef(this.#tryAgain)
    this.#addon.watch(this.#token, () => tryAgain.deref()?.())
  }
}
