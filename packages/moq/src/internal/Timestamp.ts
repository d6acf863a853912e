/**
 * The timestamp of a frame on the wire of lite-05 (moq-lite section 3.5.3): zigzag of its difference to that of the frame before
 * it in the group, or to 0. In the manner of `Varint`, for code that holds a buffer and an offset itself. Timestamps are 0 to
 * 2^53 - 1.
 */
import { Reader } from "@effect-live/wire/Reader"
import * as Varint from "@effect-live/wire/Varint"

/** Bytes that the timestamp takes behind `previous`. */
export const size = (timestamp: number, previous: number): number => Varint.size(zigzag(timestamp - previous))

/** Writes it at `offset`, which must have room for `size` bytes; returns the offset behind it. */
export const write = (bytes: Uint8Array, offset: number, timestamp: number, previous: number): number =>
  Varint.write(bytes, offset, zigzag(timestamp - previous))

/**
 * The timestamp at `offset`, or `Varint.NeedMore`, or `Varint.TooLarge` when it would be negative or above 2^53 - 1. It takes
 * `Varint.sizeFrom(bytes[offset])` bytes.
 */
export const tryRead = (bytes: Uint8Array, offset: number, previous: number): number => {
  const value = Varint.tryRead(bytes, offset)
  if (value === Varint.NeedMore) return Varint.NeedMore
  if (value === Varint.TooLarge) {
    const wide = new Reader(bytes.subarray(offset)).varint64()
    const timestamp = BigInt(previous) + ((wide & 1n) === 0n ? wide >> 1n : -(wide >> 1n) - 1n)
    return timestamp < 0n || timestamp > Number.MAX_SAFE_INTEGER ? Varint.TooLarge : Number(timestamp)
  }
  const timestamp = previous + (value % 2 === 0 ? value / 2 : -(value + 1) / 2)
  return timestamp < 0 || timestamp > Number.MAX_SAFE_INTEGER ? Varint.TooLarge : timestamp
}

/** A difference of 2^52 and more no longer doubles to a safe integer. */
const zigzag = (delta: number): number | bigint => {
  if (delta >= 0) return delta < 2 ** 52 ? 2 * delta : 2n * BigInt(delta)
  return delta >= -(2 ** 52) ? -2 * delta - 1 : -2n * BigInt(delta) - 1n
}
