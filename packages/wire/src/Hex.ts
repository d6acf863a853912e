/** Hexadecimal text in lower case, the only form that ids and keys are written and read in. */
import { hex } from "@scure/base"
import type { Result } from "effect"
import type { DecodeError } from "./DecodeError.ts"
import { decodeWith } from "./internal/baseText.ts"

/** 2 lower-case digits for a byte. */
export const encode = (bytes: Uint8Array): string => hex.encode(bytes)

/** Errors, with the offset in the text: upper-case digits and everything else outside the alphabet, an odd length. */
export const decode = (text: string): Result.Result<Uint8Array, DecodeError> =>
  decodeWith(form, (checked) => hex.decode(checked), text)

const form = { alphabet: "0123456789abcdef", bits: 4, name: "lower-case hex" }
