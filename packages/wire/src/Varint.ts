/**
 * QUIC variable-length integers (RFC 9000 section 16) for code that holds a buffer and an offset itself: the hot path of a
 * stream, where a value may still be cut. The two highest bits of the first byte give the size: 1, 2, 4 or 8 bytes, big-endian.
 * Longer encodings than needed are accepted, as the RFC allows.
 */
import { maxSafeVarint, maxVarint } from "./Limits.ts"

/** Answer of `tryRead`: the value is cut, ask again with more bytes. */
export const NeedMore = -1

/** Answer of `tryRead`: the value is above 2^53 - 1. Waiting does not help. */
export const TooLarge = -2

/** Bytes of the varint that begins with `firstByte`. */
export const sizeFrom = (firstByte: number): number => 1 << (firstByte >> 6)

/** Bytes that the shortest encoding of `value` takes. Defect: a value that is no integer from 0 to 2^62 - 1. */
export const size = (value: number | bigint): 1 | 2 | 4 | 8 => {
  if (typeof value === "bigint" ? value < 0n || value > maxVarint : !(Number.isSafeInteger(value) && value >= 0)) {
    throw new RangeError(`a QUIC varint is an integer from 0 to 2^62 - 1, not ${value}`)
  }
  return value < 0x40 ? 1 : value < 0x4000 ? 2 : value < 0x4000_0000 ? 4 : 8
}

/** The value at `offset`, or `NeedMore`, or `TooLarge`. Allocates nothing. The value takes `sizeFrom(bytes[offset])` bytes. */
export const tryRead = (bytes: Uint8Array, offset: number): number => {
  const first = bytes[offset]
  if (first === undefined) return NeedMore
  if (first < 0x40) return first
  const end = offset + sizeFrom(first)
  if (end > bytes.length) return NeedMore
  let value = first & 0x3f
  for (let at = offset + 1; at < end; at++) value = value * 256 + (bytes[at] ?? 0)
  // Above 2^53 the sum is rounded, but never down to a safe integer.
  return value > maxSafeVarint ? TooLarge : value
}

/** Writes the shortest encoding of `value` at `offset`, which must have room for `size(value)` bytes; returns the offset behind it. */
export const write = (bytes: Uint8Array, offset: number, value: number | bigint): number => {
  const bytesNeeded = size(value)
  const end = offset + bytesNeeded
  if (typeof value === "bigint" && value > maxSafeVarint) {
    let rest = value
    for (let at = end - 1; at >= offset; at--) {
      bytes[at] = Number(rest & 0xffn)
      rest >>= 8n
    }
  } else {
    let rest = Number(value)
    for (let at = end - 1; at >= offset; at--) {
      bytes[at] = rest % 256
      rest = Math.floor(rest / 256)
    }
  }
  bytes[offset] =
    (bytes[offset] ?? 0) | (bytesNeeded === 1 ? 0 : bytesNeeded === 2 ? 0x40 : bytesNeeded === 4 ? 0x80 : 0xc0)
  return end
}
