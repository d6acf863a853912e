/** Whether 32 bytes are a public key, remembered: the check costs a tenth of a millisecond, and the same ids come again and again. */
import { ed25519 } from "@noble/curves/ed25519.js"
import { knownIds as limit } from "../Limits.ts"

/** Ids in hex that were found valid, the latest last. */
export const knownIds = new Set<string>()

let checks = 0

/** How many ids were checked so far. */
export const checked = (): number => checks

/** By the lenient rule of ZIP 215. `hex` are the same bytes in lower-case hex. */
export const isPublicKey = (hex: string, bytes: Uint8Array): boolean => {
  if (knownIds.has(hex)) return true
  checks++
  if (!ed25519.utils.isValidPublicKey(bytes, true)) return false
  for (const oldest of knownIds) {
    if (knownIds.size < limit) break
    knownIds.delete(oldest)
  }
  knownIds.add(hex)
  return true
}
