/**
 * The secret half of an endpoint's identity: an ed25519 seed of 32 bytes (RFC 8032). `Redacted`: no printout shows it. Whoever
 * stores one writes `toHex` into a file that only its owner may read.
 */
import * as Hex from "@effect-live/wire/Hex"
import { ed25519 } from "@noble/curves/ed25519.js"
import { Effect, Redacted, Result, Schema } from "effect"
import { type EndpointId, fromBytes as idFromBytes } from "./EndpointId.ts"
import { InvalidBase32, InvalidHex, InvalidLength, keyBytes, parse as parseText } from "./internal/keyText.ts"

export type SecretKey = Redacted.Redacted<Uint8Array>

/** Says what is wrong and where, never what the text was. */
export class SecretKeyError extends Schema.TaggedError<SecretKeyError>()("SecretKeyError", {
  reason: Schema.Union([InvalidHex, InvalidBase32, InvalidLength])
}) {
  override get message(): string {
    return `not a secret key: ${this.reason.message}`
  }
}

/** A new key from the platform's secure randomness. */
export const generate: Effect.Effect<SecretKey> = Effect.sync(() =>
  hide(crypto.getRandomValues(new Uint8Array(keyBytes)))
)

/** A copy of 32 seed bytes. Errors: `InvalidLength`. */
export const fromBytes = (seed: Uint8Array): Result.Result<SecretKey, SecretKeyError> =>
  seed.length === keyBytes
    ? Result.succeed(hide(seed.slice()))
    : Result.fail(new SecretKeyError({ reason: new InvalidLength({ bytes: seed.length }) }))

/** Reads 64 lower-case hex digits or 52 base32 letters of any case; nothing is trimmed. */
export const parse = (text: string): Result.Result<SecretKey, SecretKeyError> =>
  Result.mapBoth(parseText(text), { onSuccess: hide, onFailure: (reason) => new SecretKeyError({ reason }) })

/** 64 lower-case hex digits, in the clear. */
export const toHex = (key: SecretKey): string => Hex.encode(Redacted.value(key))

/** The public half. */
export const endpointId = (key: SecretKey): EndpointId =>
  Result.getOrThrow(idFromBytes(ed25519.getPublicKey(Redacted.value(key))))

/** Plain ed25519 (RFC 8032): deterministic, no context, no pre-hash; 64 bytes, R then S. Check with `Signature.verify`. */
export const sign = (key: SecretKey, message: Uint8Array): Uint8Array => ed25519.sign(message, Redacted.value(key))

const hide = (seed: Uint8Array): SecretKey => Redacted.make(seed, { label: "SecretKey" })
