import * as Hex from "@effect-live/wire/Hex"
import { createBLAKE3 } from "hash-wasm"
import type { MessageId } from "../Message.ts"

// WebAssembly: every content is hashed by everybody whom it passes, and JavaScript would take nine times as long for 200 bytes
const hasher = await createBLAKE3()

/** The id of a content: BLAKE3-256 of its bytes and of nothing else (iroh-gossip section 4.3). */
export const contentId = (content: Uint8Array): MessageId => Hex.encode(hasher.init().update(content).digest("binary"))
