import { readFileSync } from "node:fs"
import { Hex } from "@effect-live/wire"
import { Result } from "effect"

/** One recorded case: produced, accepted or refused by the Rust implementation, or derived from its source. */
export interface Vector {
  readonly what: string
  readonly text?: string
  readonly hex?: string
  readonly fields: {
    readonly accept?: boolean
    readonly reject?: boolean
    readonly id?: string
    readonly relay?: string | null
    readonly ips?: ReadonlyArray<string> | null
    readonly bytes?: string
    readonly endpointId?: string
    readonly secret?: string
    readonly fmtShort?: string
    readonly base32?: string
    readonly message_utf8?: string
    readonly reencoded?: string
    readonly canonical?: string
    readonly bootstrap?: ReadonlyArray<string>
    readonly topicId?: string
  }
}

const load = (file: string): ReadonlyArray<Vector> =>
  JSON.parse(readFileSync(new URL(`./vectors/${file}.json`, import.meta.url), "utf8"))

export const base = load("base")
export const tickets = load("tickets")

/** The cases of one kind; there must be some. */
export const vectors = (all: ReadonlyArray<Vector>, prefix: string): ReadonlyArray<Vector> => {
  const found = all.filter(({ what }) => what.startsWith(prefix))
  if (found.length === 0) throw new Error(`no vectors of ${prefix}`)
  return found
}

export const bytesOf = (hex: string = ""): Uint8Array => Result.getOrThrow(Hex.decode(hex))
export const hexOf = (bytes: Uint8Array): string => Hex.encode(bytes)
export const utf8 = (text: string = ""): Uint8Array => new TextEncoder().encode(text)
