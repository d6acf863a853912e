/** Why bytes or text could not be decoded, for every decoder of the house. */
import { Schema } from "effect"

/** At `offset` (a byte, or a character of a text) something else was `expected`. Never quotes the input: it may be a secret. */
export class DecodeError extends Schema.TaggedError<DecodeError>()("DecodeError", {
  offset: Schema.Int,
  expected: Schema.String
}) {
  override get message(): string {
    return `at offset ${this.offset}: expected ${this.expected}`
  }
}
