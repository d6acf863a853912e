/**
 * Writes bytes from front to back into a block (the arena) and cuts finished messages out of it, because a fresh copy of a small
 * message costs more than its encoding. The messages are views: one that is kept for long keeps its whole block of
 * `Limits.arenaBytes` alive, so copy what you keep.
 *
 * A value out of its range is a bug of the caller and throws a `RangeError`.
 */
import { arenaBytes } from "./Limits.ts"
import * as Varint from "./Varint.ts"

/** Runs an encoder and returns what it wrote: a view of a shared block that nobody writes to again. */
export const encode = (write: (writer: Writer) => void): Uint8Array => {
  const writer = spare ?? new Writer()
  spare = undefined // an encoder that encodes something else inside gets a writer of its own
  try {
    write(writer)
    return writer.done()
  } finally {
    writer.discard()
    spare = writer
  }
}
let spare: Writer | undefined

export class Writer {
  #arena: Uint8Array
  /** Where the message that is being written began. */
  #start = 0
  #offset = 0

  constructor(sizeBytes: number = arenaBytes) {
    this.#arena = new Uint8Array(sizeBytes)
  }

  /** Bytes written since the last `done`. */
  get length(): number {
    return this.#offset - this.#start
  }

  /** What was written since the last `done`; the writer goes on behind it and never touches it again. */
  done(): Uint8Array {
    const message = this.#arena.subarray(this.#start, this.#offset)
    this.#start = this.#offset
    return message
  }

  /** Forgets what was written since the last `done`. */
  discard(): void {
    this.#offset = this.#start
  }

  u8(value: number): void {
    if ((value & 0xff) !== value) throw new RangeError(`a u8 is an integer from 0 to 255, not ${value}`)
    this.#reserve(1)
    this.#arena[this.#offset++] = value
  }

  /** One byte, two's complement. */
  i8(value: number): void {
    if ((value << 24) >> 24 !== value) throw new RangeError(`an i8 is an integer from -128 to 127, not ${value}`)
    this.u8(value & 0xff)
  }

  bool(value: boolean): void {
    this.u8(value ? 1 : 0)
  }

  u16be(value: number): void {
    if ((value & 0xffff) !== value) throw new RangeError(`a u16 is an integer from 0 to 65535, not ${value}`)
    this.#reserve(2)
    this.#arena[this.#offset++] = value >> 8
    this.#arena[this.#offset++] = value & 0xff
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#arena.set(bytes, this.#offset)
    this.#offset += bytes.length
  }

  /** A QUIC varint (RFC 9000 section 16), the shortest encoding. */
  varint(value: number | bigint): void {
    this.#reserve(8)
    this.#offset = Varint.write(this.#arena, this.#offset, value)
  }

  /** A postcard varint of a `u16`. */
  leb16(value: number): void {
    if ((value & 0xffff) !== value) throw new RangeError(`a u16 is an integer from 0 to 65535, not ${value}`)
    this.leb32(value)
  }

  /** A postcard varint of a `u32`. */
  leb32(value: number): void {
    if (value >>> 0 !== value) throw new RangeError(`a u32 is an integer from 0 to 2^32 - 1, not ${value}`)
    this.#reserve(5)
    const arena = this.#arena
    let rest = value
    while (rest >= 0x80) {
      arena[this.#offset++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    arena[this.#offset++] = rest
  }

  /** A postcard varint of a `u64` that is a `number`, up to 2^53 - 1. */
  leb53(value: number): void {
    if (value >>> 0 === value) return this.leb32(value)
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`expected an integer from 0 to 2^53 - 1, not ${value}`)
    }
    this.#reserve(8)
    let rest = value
    while (rest >= 0x80) {
      this.#arena[this.#offset++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.#arena[this.#offset++] = rest
  }

  /** A postcard varint of a `u64`. */
  leb64(value: bigint): void {
    if (value < 0n || value > 0xffff_ffff_ffff_ffffn) {
      throw new RangeError(`a u64 is an integer from 0 to 2^64 - 1, not ${value}`)
    }
    if (value <= Number.MAX_SAFE_INTEGER) return this.leb53(Number(value))
    this.#reserve(10)
    let rest = value
    while (rest >= 0x80n) {
      this.#arena[this.#offset++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.#arena[this.#offset++] = Number(rest)
  }

  /** A signed integer of 16, 32 or 64 bits as zigzag varint. */
  zigzag16(value: number): void {
    if ((value << 16) >> 16 !== value) throw new RangeError(`an i16 is an integer from -2^15 to 2^15 - 1, not ${value}`)
    this.leb32(((value << 1) ^ (value >> 31)) & 0xffff)
  }

  zigzag32(value: number): void {
    if ((value | 0) !== value) throw new RangeError(`an i32 is an integer from -2^31 to 2^31 - 1, not ${value}`)
    this.leb32(((value << 1) ^ (value >> 31)) >>> 0)
  }

  zigzag64(value: bigint): void {
    if (BigInt.asIntN(64, value) !== value)
      throw new RangeError(`an i64 is an integer from -2^63 to 2^63 - 1, not ${value}`)
    this.leb64(BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)))
  }

  /** A postcard byte string: varint length, then the bytes. */
  byteString(bytes: Uint8Array): void {
    this.leb53(bytes.length)
    this.raw(bytes)
  }

  /** A postcard string: varint length, then UTF-8. A lone surrogate becomes U+FFFD, as everywhere in the platform. */
  str(text: string): void {
    if (text.length < 0x80) {
      this.#reserve(text.length + 1)
      if (this.#ascii(text, this.#offset + 1)) {
        this.#arena[this.#offset] = text.length
        this.#offset += text.length + 1
        return
      }
    }
    this.byteString(textEncoder.encode(text))
  }

  /** UTF-8 without a length. */
  utf8(text: string): void {
    if (text.length < 0x80) {
      this.#reserve(text.length)
      if (this.#ascii(text, this.#offset)) {
        this.#offset += text.length
        return
      }
    }
    this.raw(textEncoder.encode(text))
  }

  /** Writes `text` at `at` if it is plain ASCII; the room must be there. */
  #ascii(text: string, at: number): boolean {
    const arena = this.#arena
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index)
      if (unit >= 0x80) return false
      arena[at + index] = unit
    }
    return true
  }

  #reserve(bytes: number): void {
    if (this.#offset + bytes > this.#arena.length) this.#grow(bytes)
  }

  /** A new block, with the message that is being written at its front; the messages before it keep the old one. */
  #grow(bytes: number): void {
    const written = this.#arena.subarray(this.#start, this.#offset)
    this.#arena = new Uint8Array(Math.max(arenaBytes, 2 * (written.length + bytes)))
    this.#arena.set(written)
    this.#start = 0
    this.#offset = written.length
  }
}

const textEncoder = new TextEncoder()
