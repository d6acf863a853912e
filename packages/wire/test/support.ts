import { readFileSync } from "node:fs"
import { Hex } from "@effect-live/wire"
import { Result } from "effect"

export const bytesOf = (hex: string): Uint8Array => Result.getOrThrow(Hex.decode(hex))

export const hexOf = (bytes: Uint8Array): string => Hex.encode(bytes)

/** A JSON file beside the tests. */
export const json = <A>(path: string): A => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"))
