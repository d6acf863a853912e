/** The fields that messages are put together from (moq-lite section 3.1). */
import type { Reader } from "@effect-live/wire/Reader"
import * as Varint from "@effect-live/wire/Varint"
import type { Writer } from "@effect-live/wire/Writer"
import * as Limits from "../Limits.ts"
import * as Path from "../Path.ts"

/** How a value is written and read. */
export interface Codec<A> {
  readonly write: (writer: Writer, value: A) => void
  readonly read: (reader: Reader) => A
}

/** The fields one after the other, in the order in which they stand. */
export const struct = <A extends object>(fields: { readonly [K in keyof A]: Codec<A[K]> }): Codec<A> => {
  const names = Object.keys(fields) as Array<keyof A>
  return {
    write: (writer, value) => {
      for (const name of names) fields[name].write(writer, value[name])
    },
    read: (reader) => {
      const value: Partial<A> = {}
      for (const name of names) value[name] = fields[name].read(reader)
      return value as A // every name of A was read
    }
  }
}

/** Another view of a codec's value. */
export const mapped = <A, B>(codec: Codec<A>, to: (value: A) => B, from: (value: B) => A): Codec<B> => ({
  write: (writer, value) => codec.write(writer, from(value)),
  read: (reader) => to(codec.read(reader))
})

/** `i`: a varint up to 2^53 - 1. */
export const integer: Codec<number> = {
  write: (writer, value) => writer.varint(value),
  read: (reader) => reader.varint()
}

/** `i` of the full range: a number wherever it fits. */
export const wide: Codec<number | bigint> = {
  write: (writer, value) => writer.varint(value),
  read: (reader) =>
    Varint.tryRead(reader.bytes, reader.offset) === Varint.TooLarge ? reader.varint64() : reader.varint()
}

export const byte: Codec<number> = { write: (writer, value) => writer.u8(value), read: (reader) => reader.u8() }

export const flag: Codec<boolean> = { write: (writer, value) => writer.bool(value), read: (reader) => reader.bool() }

/** `i` that is one more than a sequence number: up to 2^53, which is a number too. */
export const behind: Codec<number> = {
  write: (writer, value) => writer.varint(value > Number.MAX_SAFE_INTEGER ? BigInt(value) : value),
  read: (reader) => {
    const at = reader.offset
    const value = reader.varint64()
    return value <= 2n ** 53n ? Number(value) : reader.fail("a varint up to 2^53", at)
  }
}

/** `opt`: 0 is none, n is n - 1. */
export const optional: Codec<number | undefined> = mapped(
  behind,
  (value) => (value === 0 ? undefined : value - 1),
  (value) => (value === undefined ? 0 : value + 1)
)

/** `i` where 0 is "unknown"; a measured 0 is written as 1. */
export const measured: Codec<number | undefined> = mapped(
  integer,
  (value) => (value === 0 ? undefined : value),
  (value) => (value === undefined ? 0 : Math.max(1, value))
)

/** A field that a version does not have. */
export const absent = <A>(value: A): Codec<A> => ({ write: () => {}, read: () => value })

/** `s`: a byte length and UTF-8, at most `Limits.nameBytes`. */
export const name: Codec<string> = {
  write: (writer, value) => {
    if (isShortAscii(value)) {
      writer.varint(value.length)
      writer.utf8(value)
      return
    }
    const bytes = textEncoder.encode(value)
    writer.varint(bytes.length)
    writer.raw(bytes)
  },
  read: (reader) => {
    const length = reader.varint()
    if (length > Limits.nameBytes) return reader.fail(`at most ${Limits.nameBytes} bytes`)
    return reader.utf8(length)
  }
}

/** A name that is a path: normalised, at most `Limits.pathSegments` segments. */
export const path: Codec<string> = {
  write: name.write,
  read: (reader) => {
    const text = Path.normalize(name.read(reader))
    const fault = Path.fault(text)
    return fault === undefined ? text : reader.fail(`a path, this one has ${fault}`)
  }
}

/** Nearly all names are, and are written without an encoder. */
const isShortAscii = (text: string): boolean => {
  if (text.length > 64) return false
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= 0x80) return false
  return true
}

const textEncoder = new TextEncoder()
