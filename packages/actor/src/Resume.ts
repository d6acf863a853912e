/**
 * Resuming a waiting fiber runs it at once, inside the caller's stack. Chains of fibers that resume each other nest, and some
 * hundreds deep they overflow the stack, which loses fibers without a word. Whoever keeps the `resume` of an
 * `Effect.callback` therefore resumes through here: the nesting is counted, and where it is deep the fiber yields first.
 */
import { Effect } from "effect"
import { resumeDepth } from "./Limits.ts"

let depth = 0

/** Resumes the fiber: at once, or in a deep stack after a yield. */
export const now = <A, E, R>(
  resume: (effect: Effect.Effect<A, E, R>) => void,
  effect: Effect.Effect<A, E, R>
): void => {
  if (depth >= resumeDepth) return resume(Effect.andThen(Effect.yieldNow, effect))
  depth++
  try {
    resume(effect)
  } finally {
    depth--
  }
}
