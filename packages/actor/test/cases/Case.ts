/** A program that runs in any world. */
import type { Effect, Scope } from "effect"

export interface World {
  /** Lets this much time pass, and everything happen that can happen in it. */
  readonly advance: (ms: number) => Effect.Effect<void>
  /** Lets everything happen that needs no time. */
  readonly settle: Effect.Effect<void>
}

export interface Case {
  readonly name: string
  readonly run: (world: World) => Effect.Effect<void, unknown, Scope.Scope>
}
