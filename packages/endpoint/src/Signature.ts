/**
 * Ed25519 signatures, 64 bytes: R, then S (RFC 8032). Verification is the strict one that the Rust peers use, so that all peers
 * agree about every signature, also the malicious ones.
 */
import * as Bytes from "@effect-live/wire/Bytes"
import { fixed } from "@effect-live/wire/Postcard"
import { ed25519, ed25519_hasher } from "@noble/curves/ed25519.js"
import { type EndpointId, toBytes } from "./EndpointId.ts"

/** In postcard: 64 raw bytes. */
export const Signature = fixed(64)
export type Signature = typeof Signature.Type

/**
 * Whether `id` signed `message`. Refused, beyond a plain mismatch: S not below the group order, a key or an R of small order, an R
 * that is no point, and an R that differs in any byte from the recomputed one (no cofactor, no second encoding).
 */
export const verify = (id: EndpointId, message: Uint8Array, signature: Signature): boolean => {
  if (signature.length !== 64) return false
  const { Point } = ed25519
  const r = signature.subarray(0, 32)
  const s = littleEndian(signature.subarray(32))
  if (s >= Point.Fn.ORDER) return false
  const key = toBytes(id)
  const keyPoint = Point.fromBytes(key, true)
  if (keyPoint.isSmallOrder()) return false
  const challenge = littleEndian(sha512(Bytes.concat([r, key, message]))) % Point.Fn.ORDER
  const expected = Point.BASE.multiplyUnsafe(s).subtract(keyPoint.multiplyUnsafe(challenge))
  // What has the bytes of a computed point is a point.
  return !expected.isSmallOrder() && Bytes.equals(expected.toBytes(), r)
}

/** The SHA-512 that the curve library itself signs with. */
const sha512 = ed25519_hasher.defaults.hash

const littleEndian = (bytes: Uint8Array): bigint => {
  let value = 0n
  for (let index = bytes.length - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[index] ?? 0)
  return value
}
