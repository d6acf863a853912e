/** Something of the addon's that changes, as a Stream for any number of readers, without polling. */
import { Effect, Stream } from "effect"
import { type Addon, Condition } from "./waiting.ts"

export interface Changing {
  /** Whether it changed since the last call, whoever made that. */
  readonly changed: () => boolean
  /** It changes no more. */
  readonly over: () => boolean
}

/** Gives the value now, and again when it changed into one that is not the same; ends when it is over. */
export const changes = (addon: Addon, token: number, { changed, over }: Changing) => {
  /** The addon tells a change once, and there may be many readers: each knows how many changes it has seen. */
  let count = 0
  const look = (): boolean => {
    if (changed()) count++
    else return over()
    return true
  }
  // Watching keeps no process alive.
  const change = new Condition(addon, "watch", token, look)
  return <A>(now: () => A, same: (before: A, after: A) => boolean): Stream.Stream<A> => {
    const next = (seen: number | undefined): Effect.Effect<readonly [A, number] | undefined> =>
      Effect.suspend(() => {
        if (seen !== count) return Effect.succeed([now(), count] as const)
        return over() ? Effect.succeed(undefined) : Effect.flatMap(change.wait, () => next(seen))
      })
    return Stream.changesWith(Stream.unfold<number | undefined, A, never, never>(undefined, next), same)
  }
}
