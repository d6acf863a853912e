/**
 * Who sees the actors of a program without being known to them: recordings, metrics, simulations. A watcher must not throw
 * and should be quick, as it stands in every actor's turn.
 */
import { Context, Effect, Layer } from "effect"
import type { Actor, Stopped } from "./Actor.ts"

/** Sees one actor: every event before its core does, and the end. */
export interface Watching {
  readonly event?: (now: number, event: unknown) => void
  readonly ended?: (reason: Stopped["reason"]) => void
}

/** Called for every actor that starts, with the seed that its core got. */
export type Watcher = (actor: Actor<never>, seed: number) => Watching

export const Watchers = Context.Reference<ReadonlyArray<Watcher>>("@effect-live/actor/Watchers", {
  defaultValue: () => []
})

/** Adds a watcher to those that are there. It sees the actors that start where this Layer is provided. */
export const layer = <E, R>(watcher: Effect.Effect<Watcher, E, R>) =>
  Layer.effect(
    Watchers,
    Effect.map(Effect.all([Watchers, watcher]), ([watchers, added]) => [...watchers, added])
  )
