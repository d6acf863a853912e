/**
 * The messages of moq-lite as values, the same for every version (moq-lite section 3). Those that have one layout in every version
 * that has them have it here; for the others `Version.ts` says which bytes a version uses.
 */
import type { DecodeError } from "@effect-live/wire/DecodeError"
import { decode as decodeWire, Reader } from "@effect-live/wire/Reader"
import * as Varint from "@effect-live/wire/Varint"
import { encode as encodeWire } from "@effect-live/wire/Writer"
import type { Result } from "effect"
import { byte, type Codec, flag, integer, name, path, struct, wide } from "./internal/fields.ts"
import * as Limits from "./Limits.ts"

export type { Codec } from "./internal/fields.ts"

/** First varint of a stream (section 3.2): bidirectional ones, then the two that go one way. */
export const StreamType = {
  announce: 1,
  subscribe: 2,
  fetch: 3,
  probe: 4,
  goaway: 5,
  track: 6,
  group: 0,
  setup: 1
} as const

/** Up to 2^62 - 1; a number wherever it fits. */
export type SubscribeId = number | bigint

/**
 * Names a process that a broadcast passed. 0: one that is not named. Our own are 1 to 2^53 - 1, those of others anything up to
 * 2^62 - 1: a number wherever it fits, so that equal ids are `===`.
 */
export type HopId = number | bigint

/** What a peer says of itself before anything else. */
export interface Setup {
  /** Whether it answers Probe streams: 0 no, 1 with what it measures, 2 and pads to find out more. */
  readonly probe: 0 | 1 | 2
  /** What a client asks for on transports without a URL; may carry `?query`. */
  readonly path?: string
  /** A client that does only one of the two. */
  readonly role?: "publisher" | "subscriber"
  readonly origin?: HopId
}

/** Asks for the broadcasts under a prefix. */
export interface AnnounceRequest {
  readonly prefix: string
  /** Broadcasts that passed this hop are not wanted: the requester has them. 0: none, and always so on lite-03. */
  readonly excludeHop: HopId
}

/** Comes before the announcements of a request. */
export interface AnnounceOk {
  /** The publisher. */
  readonly hop: HopId
  /** How many announcements follow that are active already. */
  readonly active: number
}

/** A broadcast under the requested prefix came or went. */
export interface AnnounceBroadcast {
  readonly active: boolean
  readonly suffix: string
  /** What it passed, its origin first. Whether the sender is in it says `Version.hops`. Empty when it went. */
  readonly hops: ReadonlyArray<HopId>
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
  /** The first group that comes. */
  | { readonly _tag: "SubscribeStart"; readonly group: number }
  /** The last group was the one before this; 0: there was none. */
  | { readonly _tag: "SubscribeEnd"; readonly group: number }
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

/** One datagram: a whole group of one frame. */
export interface Datagram extends GroupHeader {
  /** In units of the track. */
  readonly timestamp: number
  readonly payload: Uint8Array
}

/** What a publisher measured; undefined for what it does not know. */
export interface Probe {
  /** Bits per second. */
  readonly bitrate: number | undefined
  /** Always unknown on lite-03. */
  readonly rttMs: number | undefined
}

/** Asks what a track is like. */
export interface TrackRequest {
  readonly broadcast: string
  readonly track: string
}

/** What never changes in the life of a track. */
export interface TrackInfo {
  readonly priority: number
  readonly ordered: boolean
  /** How long the publisher keeps groups. 0: not stated. */
  readonly maxLatencyMs: number
  /** Units of its timestamps per second, at least 1. */
  readonly timescale: number
}

/** The peer will close the session: go to `uri`, or, when that is empty, dial again. */
export interface Goaway {
  readonly uri: string
}

/** Asks for one group of a track. */
export interface Fetch extends TrackRequest {
  readonly priority: number
  readonly group: number
}

// ---- what only some versions have, with one layout ------------------------------------------------------------------

/** moq-lite section 3.5. */
export const announceOk: Codec<AnnounceOk> = struct<AnnounceOk>({ hop: wide, active: integer })

/** moq-lite section 3.5.2. */
export const trackRequest: Codec<TrackRequest> = struct<TrackRequest>({ broadcast: path, track: name })

/** moq-lite section 3.5.2. */
export const trackInfo: Codec<TrackInfo> = struct<TrackInfo>({
  priority: byte,
  ordered: flag,
  maxLatencyMs: integer,
  timescale: {
    write: integer.write,
    read: (reader) => {
      const at = reader.offset
      const timescale = reader.varint()
      return timescale > 0 ? timescale : reader.fail("at least 1 unit per second", at)
    }
  }
})

/** moq-lite section 3.4. */
export const goaway: Codec<Goaway> = struct<Goaway>({ uri: name })

/** moq-lite section 3.5.1. */
export const setup: Codec<Setup> = {
  write: (writer, { probe, path, role, origin }) => {
    const parameters: Array<readonly [number, Uint8Array]> = []
    const number = (id: number, value: number | bigint): void => {
      parameters.push([id, encodeWire((writer) => writer.varint(value))])
    }
    if (probe > 0) number(SetupParameter.probe, probe)
    if (path !== undefined) parameters.push([SetupParameter.path, textEncoder.encode(path)])
    if (role !== undefined) number(SetupParameter.role, role === "publisher" ? 1 : 2)
    if (origin !== undefined) number(SetupParameter.origin, origin)
    writer.varint(parameters.length)
    for (const [id, value] of parameters) {
      writer.varint(id)
      writer.varint(value.length)
      writer.raw(value)
    }
  },
  read: (reader) => {
    const count = reader.varint()
    if (count > Limits.setupParameters) return reader.fail(`at most ${Limits.setupParameters} parameters`)
    const seen = new Set<number | bigint>()
    const setup: { -readonly [K in keyof Setup]: Setup[K] } = { probe: 0 }
    for (let n = 0; n < count; n++) {
      const at = reader.offset
      const id = wide.read(reader)
      if (seen.has(id)) return reader.fail("every parameter once", at)
      seen.add(id)
      const length = reader.varint()
      if (length > Limits.setupValueBytes) return reader.fail(`at most ${Limits.setupValueBytes} bytes`)
      const end = reader.offset + length
      switch (id) {
        case SetupParameter.probe: {
          const probe = reader.varint64()
          setup.probe = probe === 0n ? 0 : probe === 1n ? 1 : 2
          break
        }
        case SetupParameter.path:
          setup.path = reader.utf8(length)
          break
        case SetupParameter.role: {
          const role = reader.varint64()
          if (role === 1n) setup.role = "publisher"
          else if (role === 2n) setup.role = "subscriber"
          break
        }
        case SetupParameter.origin: {
          const origin = wide.read(reader)
          if (origin !== 0) setup.origin = origin
          break
        }
        default:
          reader.raw(length)
      }
      if (reader.offset !== end) return reader.fail("a value as long as it says", at)
    }
    return setup
  }
}
const SetupParameter = { probe: 1, path: 2, role: 3, origin: 5 } as const

// ---- whole messages -------------------------------------------------------------------------------------------------

/** A message: body length, body. */
export const encode = <A>(codec: Codec<A>, value: A): Uint8Array => encodeAll(codec, [value])

/** One message after the other, in one piece. */
export const encodeAll = <A>(codec: Codec<A>, values: ReadonlyArray<A>): Uint8Array => {
  const bodies = values.map((value) => encodeWire((writer) => codec.write(writer, value)))
  return encodeWire((writer) => {
    for (const body of bodies) {
      writer.varint(body.length)
      writer.raw(body)
    }
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

// ---- the hot path, by hand ------------------------------------------------------------------------------------------

/** The start of a group's stream, type included. Written once per group and viewer. */
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

/** moq-lite section 3.5.4. */
export const encodeDatagram = ({ subscribe, sequence, timestamp, payload }: Datagram): Uint8Array => {
  const prefixBytes = Varint.size(subscribe) + Varint.size(sequence) + Varint.size(timestamp)
  const bytes = new Uint8Array(prefixBytes + payload.length)
  let offset = Varint.write(bytes, 0, subscribe)
  offset = Varint.write(bytes, offset, sequence)
  offset = Varint.write(bytes, offset, timestamp)
  bytes.set(payload, offset)
  return bytes
}

/** The payload is a view. Undefined: no datagram of moq-lite, or its sequence or timestamp are above 2^53 - 1. */
export const decodeDatagram = (bytes: Uint8Array): Datagram | undefined => {
  let subscribe: SubscribeId = Varint.tryRead(bytes, 0)
  if (subscribe === Varint.NeedMore) return undefined
  if (subscribe === Varint.TooLarge) subscribe = new Reader(bytes).varint64()
  let offset = Varint.sizeFrom(bytes[0] ?? 0)
  const sequence = Varint.tryRead(bytes, offset)
  if (sequence < 0) return undefined
  offset += Varint.sizeFrom(bytes[offset] ?? 0)
  const timestamp = Varint.tryRead(bytes, offset)
  if (timestamp < 0) return undefined
  offset += Varint.sizeFrom(bytes[offset] ?? 0)
  return { subscribe, sequence, timestamp, payload: bytes.subarray(offset) }
}

const textEncoder = new TextEncoder()
