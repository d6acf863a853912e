/**
 * 32 bytes that are 64 lower-case hex digits in memory and raw on the wire: ids of messages and topics. Every content passes here
 * several times, so that this is written by hand.
 */
import * as Hex from "@effect-live/wire/Hex"
import type { Reader } from "@effect-live/wire/Reader"
import type { Writer } from "@effect-live/wire/Writer"

export const hashBytes = 32

export const read = (reader: Reader): string => Hex.encode(reader.raw(hashBytes))

/** Defect: a text that is not 64 lower-case hex digits. */
export const write = (writer: Writer, hex: string): void => {
  let seen = hex.length === 2 * hashBytes ? 0 : notADigit
  for (let index = 0; index < hashBytes; index++) {
    const high = digits[hex.charCodeAt(2 * index)] ?? notADigit
    const low = digits[hex.charCodeAt(2 * index + 1)] ?? notADigit
    seen |= high | low
    scratch[index] = (high << 4) | low
  }
  if (seen > 15) throw new RangeError("an id is 64 lower-case hex digits")
  writer.raw(scratch)
}

const notADigit = 0xff
/** What a character is worth, by its code. */
const digits = new Uint8Array(128).fill(notADigit)
for (const [value, digit] of [..."0123456789abcdef"].entries()) digits[digit.charCodeAt(0)] = value
const scratch = new Uint8Array(hashBytes)
