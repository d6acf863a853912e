/**
 * Reads bytes from front to back. Every method checks its bounds before it touches or allocates anything and stops the whole
 * decoding when the bytes do not fit; `decode` turns that into a typed `DecodeError`. Methods that return bytes return views of
 * the input: copy what you keep.
 */
import { Result } from "effect"
import { DecodeError } from "./DecodeError.ts"
import { DecodeFailure } from "./internal/DecodeFailure.ts"
import * as Varint from "./Varint.ts"

/** Runs a decoder over `bytes`. Errors: what the reader refused, with its offset. Bytes left over are the decoder's business. */
export const decode = <A>(bytes: Uint8Array, read: (reader: Reader) => A): Result.Result<A, DecodeError> => {
  try {
    return Result.succeed(read(new Reader(bytes)))
  } catch (failure) {
    if (failure instanceof DecodeFailure) {
      return Result.fail(new DecodeError({ offset: failure.offset, expected: failure.expected }))
    }
    throw failure
  }
}

export class Reader {
  readonly bytes: Uint8Array
  /** Where the next read begins. */
  offset = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  get end(): number {
    return this.bytes.length
  }

  get remaining(): number {
    return this.bytes.length - this.offset
  }

  /** Gives the decoding up: at `offset` (by default here) something else was expected. Only inside `decode`. */
  fail(expected: string, offset: number = this.offset): never {
    throw new DecodeFailure(offset, expected)
  }

  u8(): number {
    const byte = this.bytes[this.offset]
    if (byte === undefined) return this.fail("a byte")
    this.offset++
    return byte
  }

  /** One byte, two's complement. */
  i8(): number {
    return (this.u8() << 24) >> 24
  }

  /** 00 or 01, nothing else. */
  bool(): boolean {
    const byte = this.bytes[this.offset]
    if (byte !== 0 && byte !== 1) return this.fail("00 or 01")
    this.offset++
    return byte === 1
  }

  u16be(): number {
    const high = this.bytes[this.offset]
    const low = this.bytes[this.offset + 1]
    if (high === undefined || low === undefined) return this.fail("2 bytes")
    this.offset += 2
    return high * 256 + low
  }

  /** A view of the next `length` bytes. */
  raw(length: number): Uint8Array {
    const end = this.offset + length
    if (end > this.bytes.length) return this.fail(`${length} bytes, there are ${this.remaining}`)
    const view = this.bytes.subarray(this.offset, end)
    this.offset = end
    return view
  }

  /** A view of everything that is left, possibly nothing. */
  rest(): Uint8Array {
    return this.raw(this.remaining)
  }

  /** A QUIC varint (RFC 9000 section 16) up to 2^53 - 1. */
  varint(): number {
    const value = Varint.tryRead(this.bytes, this.offset)
    if (value === Varint.NeedMore) return this.fail("a whole varint")
    if (value === Varint.TooLarge) return this.fail("a varint up to 2^53 - 1")
    this.offset += Varint.sizeFrom(this.bytes[this.offset] ?? 0)
    return value
  }

  /** A QUIC varint of the full range, up to 2^62 - 1. */
  varint64(): bigint {
    const value = Varint.tryRead(this.bytes, this.offset)
    if (value !== Varint.TooLarge) return BigInt(this.varint())
    let wide = BigInt(this.u8() & 0x3f)
    for (let left = 7; left > 0; left--) wide = (wide << 8n) | BigInt(this.u8())
    return wide
  }

  /** A postcard varint of a `u16`: at most 3 bytes, at most 65,535. Longer encodings than needed are accepted, as in Rust. */
  leb16(): number {
    return this.#leb(3, 0x03, "a varint of at most 3 bytes and 65535")
  }

  /** A postcard varint of a `u32`: at most 5 bytes. */
  leb32(): number {
    const first = this.bytes[this.offset]
    if (first !== undefined && first < 0x80) {
      this.offset++
      return first
    }
    return this.#leb(5, 0x0f, "a varint of at most 5 bytes and 2^32 - 1")
  }

  /** A postcard varint of a `u64` that must fit a `number`: at most 10 bytes and 2^53 - 1. */
  leb53(): number {
    const first = this.bytes[this.offset]
    if (first !== undefined && first < 0x80) {
      this.offset++
      return first
    }
    const start = this.offset
    const value = this.#leb(10, 0x01, wide)
    return value > Number.MAX_SAFE_INTEGER ? this.fail("a varint up to 2^53 - 1", start) : value
  }

  /** A postcard varint of a `u64`: at most 10 bytes. */
  leb64(): bigint {
    const start = this.offset
    const value = this.#leb(10, 0x01, wide)
    if (value <= Number.MAX_SAFE_INTEGER) return BigInt(value)
    let exact = 0n
    for (let at = start, shift = 0n; at < this.offset; at++, shift += 7n)
      exact |= BigInt((this.bytes[at] ?? 0) & 0x7f) << shift
    return exact
  }

  /** Zigzag of a `u16`, `u32` or `u64` varint: a signed integer of that width. */
  zigzag16(): number {
    const value = this.leb16()
    return (value >>> 1) ^ -(value & 1)
  }

  zigzag32(): number {
    const value = this.leb32()
    return (value >>> 1) ^ -(value & 1)
  }

  zigzag64(): bigint {
    const value = this.leb64()
    return (value >> 1n) ^ -(value & 1n)
  }

  /**
   * How many items follow (a postcard varint). Refused when `minBytesPerItem` (at least 1) for each would be more than is left, so
   * that whoever reserves room for `count` items never reserves more than a multiple of the input.
   */
  count(minBytesPerItem = 1): number {
    const start = this.offset
    const items = this.#leb(10, 0x01, wide)
    if (items * minBytesPerItem > this.remaining) {
      return this.fail(
        `at most ${Math.floor(this.remaining / minBytesPerItem)} items, ${this.remaining} bytes are left`,
        start
      )
    }
    return items
  }

  /** A postcard byte string: varint length, then a view of the bytes. */
  byteString(): Uint8Array {
    return this.raw(this.count())
  }

  /** A postcard string: varint length, then UTF-8. */
  str(): string {
    return this.utf8(this.count())
  }

  /** `length` bytes of UTF-8. Invalid UTF-8 is refused; a byte order mark is a character like any other. */
  utf8(length: number): string {
    const start = this.offset
    const bytes = this.raw(length)
    if (length <= asciiBytes) {
      let text = ""
      for (let at = 0; at < length; at++) {
        const byte = bytes[at] ?? 0x80
        if (byte >= 0x80) return this.#utf8(bytes, start)
        text += String.fromCharCode(byte)
      }
      return text
    }
    return this.#utf8(bytes, start)
  }

  /** Refuses bytes that are left over. */
  done(): void {
    if (this.offset < this.bytes.length) this.fail(`the end, ${this.remaining} bytes are left over`)
  }

  #utf8(bytes: Uint8Array, start: number): string {
    try {
      return textDecoder.decode(bytes)
    } catch {
      return this.fail("valid UTF-8", start) // the only error of a fatal TextDecoder
    }
  }

  /** Above 2^53 the result is rounded, but never down to a safe integer. */
  #leb(maxBytes: number, maxLastByte: number, expected: string): number {
    const start = this.offset
    let value = 0
    let scale = 1
    for (let index = 0; index < maxBytes; index++) {
      const byte = this.bytes[start + index]
      if (byte === undefined) return this.fail("a whole varint", start)
      if (byte < 0x80) {
        if (index === maxBytes - 1 && byte > maxLastByte) return this.fail(expected, start)
        this.offset = start + index + 1
        return value + byte * scale
      }
      value += (byte - 0x80) * scale
      scale *= 128
    }
    return this.fail(expected, start)
  }
}

const wide = "a varint of at most 10 bytes and 2^64 - 1"
/** Up to this length a loop over ASCII is faster than a TextDecoder. */
const asciiBytes = 24
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
