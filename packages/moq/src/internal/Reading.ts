/** The waiting part of `Frames`: several things that may change, one fiber that reads, and nothing that happens in between is lost. */
import { Blocked, type End } from "@effect-live/endpoint/Stream"
import * as Resume from "@effect-live/actor/Resume"
import { type Clock, Effect } from "effect"
import { TrackError } from "../Track.ts"
import type { Watched } from "./Selection.ts"

/** What is read, without waiting. */
export interface Source<A> {
  readonly take: () => A | Blocked | End | TrackError
  readonly watched: () => ReadonlyArray<Watched>
  readonly dueMs: () => number | undefined
}

export class Reading<A> {
  readonly #source: Source<A>
  readonly #clock: Clock.Clock
  /** Taken while waiting, and not yet handed over. */
  #taken: A | Blocked | End | TrackError = Blocked
  readonly readable: Effect.Effect<void>
  readonly next: Effect.Effect<A | End, TrackError>

  constructor(source: Source<A>, clock: Clock.Clock) {
    this.#source = source
    this.#clock = clock
    // Check and registration are one operation: between two, any other fiber may run.
    const changed: Effect.Effect<void> = Effect.callback<void>((resume) => {
      if (this.#ready()) return resume(Effect.void)
      const forget = source.watched().map((watched) => watched.watch(() => wake()))
      const forgetAll = (): void => {
        for (const one of forget) one()
      }
      const wake = (): void => {
        forgetAll()
        Resume.now(resume, Effect.void)
      }
      return Effect.sync(forgetAll)
    })
    this.readable = Effect.suspend(() => {
      if (this.#ready()) return Effect.void
      const dueMs = source.dueMs()
      const waited = dueMs === undefined ? changed : Effect.timeoutOption(changed, dueMs - this.#nowMs())
      return Effect.andThen(waited, this.readable)
    })
    this.next = Effect.suspend(() => {
      const item = this.tryNext()
      if (item === Blocked) return Effect.andThen(this.readable, this.next)
      return item instanceof TrackError ? Effect.fail(item) : Effect.succeed(item)
    })
  }

  tryNext(): A | Blocked | End | TrackError {
    const taken = this.#taken
    if (taken === Blocked) return this.#source.take()
    this.#taken = Blocked
    return taken
  }

  #ready(): boolean {
    if (this.#taken === Blocked) this.#taken = this.#source.take()
    return this.#taken !== Blocked
  }

  #nowMs(): number {
    return this.#clock.currentTimeMillisUnsafe()
  }
}
