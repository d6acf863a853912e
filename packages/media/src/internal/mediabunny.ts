/** The library that knows the containers, loaded on first use: a program that only reads catalogs does not pay for it. */
import type * as Mediabunny from "mediabunny"
import { Effect } from "effect"

export type Library = typeof Mediabunny

/** Silent: what it has to say comes back as values and errors. */
export const mediabunny: Effect.Effect<Library> = Effect.promise(async () => {
  const library = await import("mediabunny")
  library.Logging.level = library.LogLevel.Silent
  return library
})
