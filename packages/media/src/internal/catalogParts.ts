/** What reading and writing a catalog share. */
import type { Schema } from "effect"
import type { AudioConfig, VideoConfig } from "../Catalog.ts"

export type JsonObject = { readonly [key: string]: Schema.Json }

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** What both kinds of renditions have. */
export type Config = Pick<VideoConfig, keyof VideoConfig & keyof AudioConfig>

/** The root sections that a catalog has fields for. */
export const knownSections = new Set(["video", "audio", "user", "chat", "preview"])

/** By the bytes of the names in UTF-8, which is the order of their code points. */
export const sorted = <A>(renditions: ReadonlyMap<string, A>): ReadonlyArray<readonly [string, A]> =>
  [...renditions].toSorted(([a], [b]) => comparePoints(a, b))

const comparePoints = (a: string, b: string): number => {
  const left = Array.from(a, (point) => point.codePointAt(0) ?? 0)
  const right = Array.from(b, (point) => point.codePointAt(0) ?? 0)
  const index = left.findIndex((point, at) => point !== right[at])
  return index < 0 ? left.length - right.length : (left[index] ?? 0) - (right[index] ?? -1)
}
