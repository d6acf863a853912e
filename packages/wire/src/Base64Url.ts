/** RFC 4648 base64url without padding. */
import { base64urlnopad } from "@scure/base"
import type { Result } from "effect"
import type { DecodeError } from "./DecodeError.ts"
import { decodeWith } from "./internal/baseText.ts"

/** 4 characters for 3 bytes. */
export const encode = (bytes: Uint8Array): string => base64urlnopad.encode(bytes)

/**
 * Errors, with the offset in the text: padding, the characters `+` and `/` and everything else outside the alphabet, a length of
 * 1 modulo 4, unused bits that are not zero.
 */
export const decode = (text: string): Result.Result<Uint8Array, DecodeError> =>
  decodeWith(form, (checked) => base64urlnopad.decode(checked), text)

const form = {
  alphabet: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
  bits: 6,
  name: "base64url"
}
