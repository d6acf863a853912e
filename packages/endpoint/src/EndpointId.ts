/**
 * Who a peer is: its ed25519 public key. An id is a string of 64 lower-case hex digits, so that it compares with `===` and is a
 * key of a Map; its order as a string is the order of its bytes.
 *
 * Valid are all 32 bytes that decompress to a point by the lenient rule of ZIP 215, kept verbatim; small-order keys among them
 * exist as data, though nobody can prove to own one.
 */
import { annotate } from "@effect-live/wire/Postcard"
import * as Hex from "@effect-live/wire/Hex"
import { Brand, Result, Schema } from "effect"
import { InvalidBase32, InvalidHex, InvalidLength, keyBytes, parse as parseText } from "./internal/keyText.ts"
import { checked, isPublicKey } from "./internal/knownIds.ts"

/** The 32 bytes are no point of the curve. */
export class NotAPoint extends Schema.TaggedError<NotAPoint>()("NotAPoint", {}) {
  override get message(): string {
    return "the 32 bytes are not a public key"
  }
}

export class IdError extends Schema.TaggedError<IdError>()("IdError", {
  reason: Schema.Union([InvalidHex, InvalidBase32, InvalidLength, NotAPoint])
}) {
  override get message(): string {
    return `not an endpoint id: ${this.reason.message}`
  }
}

const hexToBytes = (id: string): Uint8Array => Result.getOrThrow(Hex.decode(id))

const Checked = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{64}$/, { expected: "64 lower-case hex digits" }).abort(),
  Schema.makeFilter((id: string) => isPublicKey(id, hexToBytes(id)), { expected: "a point of the curve" })
).pipe(Schema.brand("EndpointId"))

export type EndpointId = typeof Checked.Type
/** In postcard: 32 raw bytes. */
export const EndpointId = annotate(Checked, {
  minBytes: keyBytes,
  write: (writer, id) => writer.raw(hexToBytes(id)),
  read: (reader) => {
    const start = reader.offset
    const id = fromBytes(reader.raw(keyBytes))
    return Result.isSuccess(id) ? id.success : reader.fail("a public key", start)
  }
})

/** Errors: `InvalidLength`, `NotAPoint`. */
export const fromBytes = (bytes: Uint8Array): Result.Result<EndpointId, IdError> => {
  if (bytes.length !== keyBytes) return Result.fail(new IdError({ reason: new InvalidLength({ bytes: bytes.length }) }))
  const hex = Hex.encode(bytes)
  return isPublicKey(hex, bytes) ? Result.succeed(branded(hex)) : Result.fail(new IdError({ reason: new NotAPoint() }))
}

/**
 * How often anybody in this process has found out so far whether 32 bytes are a point of the curve, at a tenth of a millisecond each:
 * before and after a piece of synchronous code it tells what ids from others made that cost.
 */
export const checks = (): number => checked()

/** The id of a peer that has proven it in a handshake, as 64 lower-case hex digits: whoever could is a point of the curve. */
export const proven = (hex: string): EndpointId => branded(hex)

/** The 32 bytes of the public key, a fresh copy. */
export const toBytes = (id: EndpointId): Uint8Array => hexToBytes(id)

/** Reads 64 lower-case hex digits or 52 base32 letters of any case; nothing is trimmed. */
export const parse = (text: string): Result.Result<EndpointId, IdError> =>
  Result.flatMap(
    Result.mapError(parseText(text), (reason) => new IdError({ reason })),
    fromBytes
  )

/** The first 10 hex digits, for people. */
export const fmtShort = (id: EndpointId): string => id.slice(0, 10)

/** Where the check was already made. */
const branded = Brand.nominal<EndpointId>()
