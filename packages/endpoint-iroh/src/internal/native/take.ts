/** The next value of a source that ends with its connection. */
import { Blocked, ConnectionLost } from "@effect-live/endpoint/Stream"
import { Effect, Exit, Semaphore } from "effect"
import type { Source } from "./waiting.ts"

/** For one fiber at a time. */
export const take = <A>(source: Source<A | ConnectionLost>): Effect.Effect<A, ConnectionLost> => {
  const next: Effect.Effect<A, ConnectionLost> = Effect.suspend(() => {
    const value = source.take()
    return value === Blocked ? Effect.flatMap(source.ready, () => next) : exitOf(value)
  })
  return next
}

/** For any number of fibers, which get their turn in the order in which they came. */
export const takeInTurn = <A>(source: Source<A | ConnectionLost>): Effect.Effect<A, ConnectionLost> => {
  const waiting = Semaphore.makeUnsafe(1).withPermit(take(source))
  return Effect.suspend(() => {
    const value = source.waiting ? Blocked : source.take()
    return value === Blocked ? waiting : exitOf(value)
  })
}

const exitOf = <A>(value: A | ConnectionLost): Exit.Exit<A, ConnectionLost> =>
  value instanceof ConnectionLost ? Exit.fail(value) : Exit.succeed(value)
