/** RFC 4648 base32 without padding, as tickets and ids use it: lower case is written, any case is read. */
import { base32nopad } from "@scure/base"
import type { Result } from "effect"
import type { DecodeError } from "./DecodeError.ts"
import { decodeWith } from "./internal/baseText.ts"

/** Lower-case text; 8 characters for 5 bytes. */
export const encode = (bytes: Uint8Array): string => base32nopad.encode(bytes).toLowerCase()

/**
 * Letters of either case. Errors, with the offset in the text: padding, white space and every other foreign character, lengths
 * that no bytes give (1, 3 or 6 modulo 8), unused bits that are not zero.
 */
export const decode = (text: string): Result.Result<Uint8Array, DecodeError> =>
  // The check leaves ASCII only, so that upper-casing cannot fold a foreign letter into the alphabet.
  decodeWith(form, (ascii) => base32nopad.decode(ascii.toUpperCase()), text)

const form = { alphabet: "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567abcdefghijklmnopqrstuvwxyz", bits: 5, name: "base32" }
