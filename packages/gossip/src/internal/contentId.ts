import * as Hex from "@effect-live/wire/Hex"
import { blake3 } from "@noble/hashes/blake3.js"
import type { MessageId } from "../Message.ts"

/** The id of a content: BLAKE3-256 of its bytes and of nothing else (iroh-gossip section 4.3). */
export const contentId = (content: Uint8Array): MessageId => {
  fresh._cloneInto(hasher).update(content).digestInto(hash)
  return Hex.encode(hash)
}

// every content is hashed by everybody whom it passes: one hasher that is set back costs half of a new one each time
const fresh = blake3.create({})
const hasher = fresh.clone()
const hash = new Uint8Array(32)
