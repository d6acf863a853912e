/** The library that knows the containers, loaded on first use: a program that only reads catalogs does not pay for it. */
import type * as Mediabunny from "mediabunny"
import { Effect } from "effect"
import { HostileFile } from "./boxGuard.ts"

export type Library = typeof Mediabunny

/** Silent: what it has to say comes back as values and errors. */
export const mediabunny: Effect.Effect<Library> = Effect.promise(async () => {
  const library = await import("mediabunny")
  library.Logging.level = library.LogLevel.Silent
  return library
})

/**
 * Makes the source refuse to be asked for the same bytes over and over: where damage in a Matroska file cannot be skipped, the
 * library (1.61.0) does that for ever, without a pause in which anybody could interrupt it.
 */
export const watchProgress = (source: Mediabunny.Source): void => {
  const read: unknown = Reflect.get(source, "_read")
  if (typeof read !== "function") return
  let range = ""
  let times = 0
  Reflect.set(source, "_read", (...position: ReadonlyArray<unknown>): unknown => {
    const asked = `${position[0]} ${position[1]}`
    times = asked === range ? times + 1 : 0
    range = asked
    if (times >= sameReads) throw new HostileFile("its damage cannot be skipped")
    return Reflect.apply(read, source, position)
  })
}

/** No sound file makes the library ask so often for the same bytes. */
const sameReads = 10_000
