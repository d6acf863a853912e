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

/** Values that come one after the other, for one fiber at a time: a second one that waits is a bug of the caller and dies. */
export class Source<A> {
  readonly #addon: Addon
  readonly #what: string
  readonly #token: () => number
  readonly #pull: () => A | Blocked
  #kept: A | Blocked = Blocked
  #waiting = false
  /** Made when it is first needed: most streams have everything at once. */
  #ready: Effect.Effect<void> | undefined

  /**
   * `what` names the operation in the defect; `pull` tries once, and what it says `Blocked` for is called by `token`, which is asked
   * for when somebody waits: to ask the addon costs as much as a try.
   */
  constructor(addon: Addon, what: string, token: () => number, pull: () => A | Blocked) {
    this.#addon = addon
    this.#what = what
    this.#token = token
    this.#pull = pull
  }

  /** Waits until `take` has a value. */
  get ready(): Effect.Effect<void> {
    return (this.#ready ??= Effect.callback<void>((resume) => {
      if (this.#waiting) {
        return resume(Effect.die(new Error(`two fibers wait in ${this.#what} of one object: one waiter at a time`)))
      }
      if (this.#look()) return resume(Effect.void)
      this.#waiting = true
      const token = this.#token()
      const tryAgain = () => {
        if (!this.#look()) return this.#addon.wait(token, tryAgain)
        this.#waiting = false
        Resume.now(resume, Effect.void)
      }
      this.#addon.wait(token, tryAgain)
      return Effect.sync(() => {
        this.#waiting = false
        this.#addon.forget(token)
      })
    }))
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
    return this.#waiting
  }

  #look(): boolean {
    if (this.#kept === Blocked) this.#kept = this.#pull()
    return this.#kept !== Blocked
  }
}

type How = "wait" | "watch"

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
  constructor(addon: Addon, how: How, token: number, holds: () => boolean) {
    this.#addon = addon
    this.#token = token
    this.#holds = holds
    this.wait = Effect.callback<void>((resume) => {
      if (this.#asked === undefined && holds()) return resume(Effect.void)
      this.#waiting.add(resume)
      this.#ask(how)
      return Effect.sync(() => {
        this.#waiting.delete(resume)
        if (this.#waiting.size === 0) this.#ask(this.#kept ? "watch" : undefined)
      })
    })
    this.#tryAgain = () => {
      this.#asked = undefined
      if (!this.#holds()) return this.#ask(this.#waiting.size > 0 ? how : this.#kept ? "watch" : undefined)
      const woken = [...this.#waiting]
      this.#waiting.clear()
      for (const wake of woken) Resume.now(wake, Effect.void)
    }
  }

  /** Goes on trying until it holds, though nobody waits. Keeps no process alive. */
  keepTrying(): void {
    this.#kept = true
    if (this.#asked === undefined && !this.#holds()) this.#ask("watch")
  }

  readonly #tryAgain: () => void

  #ask(how: How | undefined): void {
    if (how === this.#asked) return
    if (this.#asked !== undefined) this.#addon.forget(this.#token)
    this.#asked = how
    if (how !== undefined) this.#addon[how](this.#token, this.#tryAgain)
  }
}
