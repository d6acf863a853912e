/** Who and where: an id with every known way to reach it, possibly none. The ways are a sorted set without repeats. */
import { encode as encodeWith, type Writer } from "@effect-live/wire/Writer"
import { decode as decodeWith, type Reader } from "@effect-live/wire/Reader"
import type { DecodeError } from "@effect-live/wire/DecodeError"
import * as Postcard from "@effect-live/wire/Postcard"
import { Result, Schema } from "effect"
import { EndpointId } from "./EndpointId.ts"
import * as RelayUrl from "./RelayUrl.ts"
import * as TransportAddr from "./TransportAddr.ts"

export const EndpointAddr = Schema.Struct({ id: EndpointId, addrs: Schema.Array(TransportAddr.TransportAddr) })
export type EndpointAddr = typeof EndpointAddr.Type

/** Sorts the ways and drops repeats. */
export const make = (id: EndpointId, addrs: Iterable<TransportAddr.TransportAddr> = []): EndpointAddr => {
  const sorted = [...addrs].toSorted(TransportAddr.order)
  return {
    id,
    addrs: sorted.filter((addr, index) => {
      const previous = sorted[index - 1]
      return previous === undefined || TransportAddr.order(previous, addr) !== 0
    })
  }
}

export const relays = (addr: EndpointAddr): ReadonlyArray<RelayUrl.RelayUrl> =>
  addr.addrs.flatMap((way) => (way._tag === "Relay" ? [way.url] : []))

export const ips = (addr: EndpointAddr): ReadonlyArray<TransportAddr.Ip> =>
  addr.addrs.flatMap((way) => (way._tag === "Ip" ? [way] : []))

/** The bytes of postcard: id, then the sorted set of ways. */
export const encode = (addr: EndpointAddr): Uint8Array => encodeWith((writer) => write(writer, addr))

/** Reads any order and repeats. Errors: see `DecodeError`; bytes left over are ignored, as the Rust peers do, unless refused. */
export const decode = (bytes: Uint8Array, options?: Postcard.DecodeOptions): Result.Result<EndpointAddr, DecodeError> =>
  decodeContaining(bytes, read, options)

/** Inside another message. */
export const write = (writer: Writer, addr: EndpointAddr): void => {
  const { id, addrs } = make(addr.id, addr.addrs)
  idCodec.write(writer, id)
  writer.leb32(addrs.length)
  for (const way of addrs) writeWay(writer, way)
}

/**
 * How custom addresses are read: their layout changed between releases of the Rust type without a version on the wire. `bytes` is
 * the newer one.
 */
export type CustomLayout = "bytes" | "inlineOrHeap"

/** Inside another message: pass on the layout that `decodeContaining` gives. */
export const read = (reader: Reader, layout: CustomLayout): EndpointAddr => {
  const id = idCodec.read(reader)
  const count = reader.count(minWayBytes)
  const addrs: Array<TransportAddr.TransportAddr> = []
  for (let index = 0; index < count; index++) addrs.push(readWay(reader, layout))
  return make(id, addrs)
}

/**
 * Decodes a message that contains addresses: with the layout of custom addresses that takes the bytes exactly, the newer one
 * first; with the first that decodes at all if bytes are left over either way.
 */
export const decodeContaining = <A>(
  bytes: Uint8Array,
  read: (reader: Reader, layout: CustomLayout) => A,
  options?: Postcard.DecodeOptions
): Result.Result<A, DecodeError> => {
  const attempt = (layout: CustomLayout) =>
    decodeWith(bytes, (reader) => {
      const value = read(reader, layout)
      if (options?.trailing === "refuse") reader.done()
      return { value, exact: reader.remaining === 0 }
    })
  const newer = attempt("bytes")
  if (Result.isSuccess(newer) && newer.success.exact) return Result.succeed(newer.success.value)
  const older = attempt("inlineOrHeap")
  const chosen = Result.isSuccess(older) && (older.success.exact || Result.isFailure(newer)) ? older : newer
  return Result.map(chosen, ({ value }) => value)
}

const idCodec = Postcard.codec(EndpointId)
/** Kind and an empty relay URL. */
const minWayBytes = 2

const writeWay = (writer: Writer, way: TransportAddr.TransportAddr): void => {
  switch (way._tag) {
    case "Relay":
      writer.u8(0)
      writer.str(way.url)
      return
    case "Ip": {
      const bytes = TransportAddr.ipBytes(way)
      writer.u8(1)
      writer.u8(bytes.length === 4 ? 0 : 1)
      writer.raw(bytes)
      writer.leb16(way.port)
      return
    }
    case "Custom":
      writer.u8(2)
      writer.leb64(way.id)
      if (way.layout === "inline") {
        writer.u8(0)
        writer.u8(way.data.length)
        writer.raw(way.data)
        writer.raw(new Uint8Array(TransportAddr.maxInlineBytes - way.data.length))
      } else {
        if (way.layout === "heap") writer.u8(1)
        writer.byteString(way.data)
      }
  }
}

const readWay = (reader: Reader, layout: CustomLayout): TransportAddr.TransportAddr => {
  const start = reader.offset
  switch (reader.leb32()) {
    case 0: {
      const at = reader.offset
      const url = RelayUrl.parse(reader.str())
      return Result.isSuccess(url) ? TransportAddr.relay(url.success) : reader.fail("an absolute URL of a relay", at)
    }
    case 1: {
      const at = reader.offset
      const version = reader.leb32()
      if (version > 1) return reader.fail("0 for IPv4 or 1 for IPv6", at)
      const bytes = reader.raw(version === 0 ? 4 : 16)
      return TransportAddr.fromIpBytes(bytes, reader.leb16())
    }
    case 2:
      return readCustom(reader, layout)
    default:
      return reader.fail("0, 1 or 2 for relay, IP or custom address", start)
  }
}

const readCustom = (reader: Reader, layout: CustomLayout): TransportAddr.Custom => {
  const id = reader.leb64()
  if (layout === "bytes") return { _tag: "Custom", id, data: reader.byteString().slice(), layout }
  const start = reader.offset
  switch (reader.leb32()) {
    case 0: {
      const size = reader.u8()
      if (size > TransportAddr.maxInlineBytes) return reader.fail("at most 30 bytes of inline data", start)
      return { _tag: "Custom", id, data: reader.raw(TransportAddr.maxInlineBytes).slice(0, size), layout: "inline" }
    }
    case 1:
      return { _tag: "Custom", id, data: reader.byteString().slice(), layout: "heap" }
    default:
      return reader.fail("0 or 1 for inline or heap data", start)
  }
}
