/**
 * The text of a ticket: its kind in lower case, directly followed by base32 of its bytes. And the one error of every kind of
 * ticket. Whoever holds a ticket may come in: errors say what is wrong and where, and never quote it.
 */
import * as Base32 from "@effect-live/wire/Base32"
import type { DecodeError } from "@effect-live/wire/DecodeError"
import { Result, Schema } from "effect"

/** The text does not begin with the kind of ticket that was asked for, byte for byte. */
export class WrongKind extends Schema.TaggedError<WrongKind>()("WrongKind", { expected: Schema.String }) {
  override get message(): string {
    return `it must begin with "${this.expected}", in lower case`
  }
}
/** A character that does not belong there, or a length that no bytes give. `offset` counts characters of the text. */
export class BadText extends Schema.TaggedError<BadText>()("BadText", { offset: Schema.Int, expected: Schema.String }) {
  override get message(): string {
    return `at character ${this.offset}: expected ${this.expected}`
  }
}
/** The characters are fine, the bytes that they stand for are not. `offset` is the character where those begin. */
export class BadContent extends Schema.TaggedError<BadContent>()("BadContent", {
  offset: Schema.Int,
  expected: Schema.String
}) {
  override get message(): string {
    return `in the bytes from character ${this.offset}: expected ${this.expected}`
  }
}
/** A ticket cannot be made with this name. `problem` says why. */
export class BadName extends Schema.TaggedError<BadName>()("BadName", { problem: Schema.String }) {
  override get message(): string {
    return `a broadcast name ${this.problem}`
  }
}

export class TicketError extends Schema.TaggedError<TicketError>()("TicketError", {
  /** Which ticket was asked for. */
  kind: Schema.String,
  reason: Schema.Union([WrongKind, BadText, BadContent, BadName])
}) {
  override get message(): string {
    return `not a ticket of kind ${this.kind}: ${this.reason.message}`
  }
}

/** The text of a ticket. */
export const encode = (kind: string, bytes: Uint8Array): string => kind + Base32.encode(bytes)

/**
 * Decodes a ticket: the kind must match exactly, letters behind it may have any case, nothing is trimmed. Errors: `WrongKind`,
 * `BadText`, `BadContent`.
 */
export const decode = <A>(
  kind: string,
  text: string,
  decodeBytes: (bytes: Uint8Array) => Result.Result<A, DecodeError>
): Result.Result<A, TicketError> => {
  if (!text.startsWith(kind)) return Result.fail(new TicketError({ kind, reason: new WrongKind({ expected: kind }) }))
  const at = { kind, start: kind.length, bitsPerCharacter: 5 }
  return Result.flatMap(Result.mapError(Base32.decode(text.slice(kind.length)), badText(at)), (bytes) =>
    Result.mapError(decodeBytes(bytes), badContent(at))
  )
}

/** Where encoded bytes stand in the text of a ticket. */
export interface Place {
  readonly kind: string
  readonly start: number
  readonly bitsPerCharacter: number
}

/** An offset in the encoded part as one in the whole text. */
export const badText =
  ({ kind, start }: Place) =>
  ({ offset, expected }: DecodeError): TicketError =>
    new TicketError({ kind, reason: new BadText({ offset: start + offset, expected }) })

/** An offset in the bytes as one in the whole text. */
export const badContent =
  ({ bitsPerCharacter, kind, start }: Place) =>
  ({ offset, expected }: DecodeError): TicketError =>
    new TicketError({
      kind,
      reason: new BadContent({ offset: start + Math.floor((offset * 8) / bitsPerCharacter), expected })
    })
