/**
 * The messages of moq-lite as values, the same for every version (moq-lite section 3), and the pieces that a version's codecs are
 * put together from. Which bytes a version uses for them is said in `Version.ts`.
 */
import type { DecodeError } from "@effect-live/wire/DecodeError"
import { decode as decodeWire, type Reader } from "@effect-live/wire/Reader"
import * as Varint from "@effect-live/wire/Varint"
import { encode as encodeWire, type Writer } from "@effect-live/wire/Writer"
import type { Result } from "effect"
import * as Limits from "./Limits.ts"
import * as Path from "./Path.ts"

/** First varint of a stream (section 3.2). */
export const StreamType = { announce: 1, subscribe: 2, fetch: 3, probe: 4, goaway: 5, group: 0 } as const

/** Up to 2^62 - 1; a number wherever it fits. */
export type SubscribeId = number | bigint

/** Asks for the broadcasts under a prefix. */
export interface AnnounceRequest {
  readonly prefix: string
}

/** A broadcast under the requested prefix came or went. */
export interface AnnounceBroadcast {
  readonly active: boolean
  readonly suffix: string
  /** The relays that it passed, its origin first; 0 for one that is not named. Empty when it went. */
  readonly hops: ReadonlyArray<number>
}

/** Asks for a track. `start` and `end` are group sequence numbers, both inclusive. */
export interface Subscribe extends SubscribeUpdate {
  readonly id: SubscribeId
  readonly broadcast: string
  readonly track: string
}

/** Replaces the wishes of a subscription. */
export interface SubscribeUpdate {
  /** 0 to 255, higher is more urgent. */
  readonly priority: number
  /** Oldest group first. */
  readonly ordered: boolean
  /** 0: not stated. */
  readonly maxLatencyMs: number
  readonly start: number | undefined
  readonly end: number | undefined
}

/** What a publisher says on the stream of a subscription. */
export type SubscribeResponse =
  | ({ readonly _tag: "SubscribeOk" } & SubscribeUpdate)
  | ({ readonly _tag: "SubscribeDrop" } & SubscribeDrop)

/** Groups `start` to `end`, both inclusive, will not come. */
export interface SubscribeDrop {
  readonly start: number
  readonly end: number
  readonly code: number
}

/** First message of a group's stream. */
export interface GroupHeader {
  readonly subscribe: SubscribeId
  readonly sequence: number
}

/** What a publisher measured, in bits per second; undefined when it knows nothing. */
export interface Probe {
  readonly bitrate: number | undefined
}

/** Asks for one group of a track. */
export interface Fetch {
  readonly broadcast: string
  readonly track: string
  readonly priority: number
  readonly group: number
}

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

/** `i` of the full range. */
export const subscribeId: Codec<SubscribeId> = {
  write: (writer, value) => writer.varint(value),
  read: (reader) => {
    const id = reader.varint64()
    return id <= Number.MAX_SAFE_INTEGER ? Number(id) : id
  }
}

export const byte: Codec<number> = { write: (writer, value) => writer.u8(value), read: (reader) => reader.u8() }

export const flag: Codec<boolean> = { write: (writer, value) => writer.bool(value), read: (reader) => reader.bool() }

/** `opt`: 0 is none, n is n - 1. */
export const optional: Codec<number | undefined> = {
  write: (writer, value) => writer.varint(value === undefined ? 0 : value + 1),
  read: (reader) => {
    const value = reader.varint()
    return value === 0 ? undefined : value - 1
  }
}

/** `s`: a byte length and UTF-8, at most `Limits.nameBytes`. */
export const name: Codec<string> = {
  write: (writer, value) => {
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

/** A message: body length, body. */
export const encode = <A>(codec: Codec<A>, value: A): Uint8Array => {
  const body = encodeWire((writer) => codec.write(writer, value))
  return encodeWire((writer) => {
    writer.varint(body.length)
    writer.raw(body)
  })
}

/** A message behind a varint that says what it is: the type of a stream, or of a typed message. */
export const encodeTyped = <A>(type: number, codec: Codec<A>, value: A): Uint8Array => {
  const message = encode(codec, value)
  return encodeWire((writer) => {
    writer.varint(type)
    writer.raw(message)
  })
}

/** The value of a message's body. Bytes left over are refused. */
export const decode = <A>(codec: Codec<A>, body: Uint8Array): Result.Result<A, DecodeError> =>
  decodeWire(body, (reader) => {
    const value = codec.read(reader)
    reader.done()
    return value
  })

/** The start of a group's stream, type included. Written once per group and viewer: by hand. */
export const encodeGroupHeader = (header: GroupHeader): Uint8Array => {
  const subscribeBytes = Varint.size(header.subscribe)
  const bodyBytes = subscribeBytes + Varint.size(header.sequence)
  const bytes = new Uint8Array(2 + bodyBytes)
  bytes[0] = StreamType.group
  bytes[1] = bodyBytes // at most 16: a varint of one byte
  Varint.write(bytes, 2, header.subscribe)
  Varint.write(bytes, 2 + subscribeBytes, header.sequence)
  return bytes
}

const textEncoder = new TextEncoder()
