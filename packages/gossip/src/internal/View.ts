/** Views are small arrays without duplicates: looking through one is faster than hashing, and chance picks by index. */
import type { Rng } from "@effect-live/actor/Rng"

/** A random element other than `except`. */
export const pick = <A>(view: ReadonlyArray<A>, rng: Rng, except?: A): A | undefined => {
  const skip = except === undefined ? -1 : view.indexOf(except)
  const count = skip < 0 ? view.length : view.length - 1
  if (count === 0) return undefined
  const index = rng.below(count)
  return view[skip >= 0 && index >= skip ? index + 1 : index]
}

/** Up to `count` random elements other than `except`, in random order. */
export const sample = <A>(view: ReadonlyArray<A>, count: number, except: A, rng: Rng): Array<A> => {
  const pool = view.filter((element) => element !== except)
  const picked: Array<A> = []
  while (picked.length < count) {
    const element = swapRemove(pool, rng.below(pool.length))
    if (element === undefined) break
    picked.push(element)
  }
  return picked
}

/** Takes an element out and moves the last one into the hole (section 3.2). */
export const swapRemove = <A>(view: Array<A>, index: number): A | undefined => {
  const element = view[index]
  const last = view.pop()
  if (last !== undefined && index < view.length) view[index] = last
  return element
}

/** The same by value, if it is there. */
export const remove = <A>(view: Array<A>, element: A): void => {
  const index = view.indexOf(element)
  if (index >= 0) swapRemove(view, index)
}
