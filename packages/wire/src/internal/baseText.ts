/** What Base32, Base64Url and Hex share: strict checks with positions, before a library does the arithmetic. */
import { Result } from "effect"
import { DecodeError } from "../DecodeError.ts"

export interface BaseText {
  /** Every character that is accepted; its position modulo `2 ** bits` is its value. */
  readonly alphabet: string
  /** Bits per character: 4, 5 or 6. */
  readonly bits: number
  readonly name: string
}

const fail = (offset: number, expected: string) => new DecodeError({ offset, expected })

/** Refuses foreign characters, impossible lengths and non-zero unused bits, with the offset of the first offence. */
const check = (form: BaseText, text: string): DecodeError | undefined => {
  let last = 0
  for (let offset = 0; offset < text.length; offset++) {
    last = form.alphabet.indexOf(text.charAt(offset))
    if (last < 0) return fail(offset, `a ${form.name} character`)
  }
  const unused = (text.length * form.bits) % 8
  if (unused >= form.bits) return fail(text.length, `more ${form.name} characters: no bytes give ${text.length}`)
  if ((last & ((1 << unused) - 1)) !== 0)
    return fail(text.length - 1, "the unused bits of the last character to be zero")
  return undefined
}

export const decodeWith = (
  form: BaseText,
  decode: (text: string) => Uint8Array,
  text: string
): Result.Result<Uint8Array, DecodeError> => {
  const error = check(form, text)
  return error === undefined ? Result.succeed(decode(text)) : Result.fail(error)
}
