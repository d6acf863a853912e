/** The text forms that ids and secret keys share: 64 lower-case hex digits, or 52 base32 letters of any case. */
import * as Base32 from "@effect-live/wire/Base32"
import * as Hex from "@effect-live/wire/Hex"
import { Result, Schema } from "effect"

/** 64 bytes long, but not lower-case hex. */
export class InvalidHex extends Schema.TaggedError<InvalidHex>()("InvalidHex", { offset: Schema.Int }) {
  override get message(): string {
    return `at offset ${this.offset}: expected a lower-case hex digit`
  }
}
/** 52 bytes long, but not base32 without padding. */
export class InvalidBase32 extends Schema.TaggedError<InvalidBase32>()("InvalidBase32", {
  offset: Schema.Int,
  expected: Schema.String
}) {
  override get message(): string {
    return `at offset ${this.offset}: expected ${this.expected}`
  }
}
/** Neither 64 hex digits nor 52 base32 characters; for bytes: not 32. */
export class InvalidLength extends Schema.TaggedError<InvalidLength>()("InvalidLength", { bytes: Schema.Int }) {
  override get message(): string {
    return `expected 64 hex digits, 52 base32 letters or 32 raw bytes, not ${this.bytes} bytes`
  }
}

export type Problem = InvalidHex | InvalidBase32 | InvalidLength

export const keyBytes = 32

/** The 32 bytes that `text` stands for. Nothing is trimmed. */
export const parse = (text: string): Result.Result<Uint8Array, Problem> => {
  const length = new TextEncoder().encode(text).length
  if (length === 64) return Result.mapError(Hex.decode(text), ({ offset }) => new InvalidHex({ offset }))
  if (length !== 52) return Result.fail(new InvalidLength({ bytes: length }))
  return Result.mapError(Base32.decode(text), ({ offset, expected }) => new InvalidBase32({ offset, expected }))
}
