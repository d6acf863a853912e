/** What of this package reads bytes of strangers. */
import { Reader } from "@effect-live/wire/Reader"
import type { Target } from "@effect-live/wire/testing/Fuzz"
import * as Varint from "@effect-live/wire/Varint"
import { Result } from "effect"
import * as Group from "../src/Group.ts"
import { FrameReader } from "../src/internal/FrameReader.ts"
import * as Timestamp from "../src/internal/Timestamp.ts"
import * as Message from "../src/Message.ts"
import * as Version from "../src/Version.ts"
import { fromHex, toHex } from "./support/raw.ts"

/** A message's body; what decodes, encodes and decodes to the same. */
const message = <A>(name: string, codec: Message.Codec<A>, ...seeds: ReadonlyArray<string>): Target => ({
  name,
  seeds: seeds.map(fromHex),
  decode: (bytes) => {
    const decoded = Message.decode(codec, bytes)
    if (Result.isFailure(decoded)) return decoded
    const encoded = Message.encode(codec, decoded.success)
    const reader = new Reader(encoded)
    const again = Message.decode(codec, reader.raw(reader.varint()))
    if (toHex(Message.encode(codec, Result.getOrThrow(again))) !== toHex(encoded))
      throw new Error("decodes to something else")
    return decoded
  }
})

/** The frames of a group's stream, in chunks whose size the first byte says: the same, however it is cut. */
const frames = (name: string, timed: boolean, ...seeds: ReadonlyArray<string>): Target => ({
  name,
  seeds: seeds.map(fromHex),
  decode: (bytes) => {
    const [whole, code] = readFrames(bytes.subarray(1), timed, bytes.length)
    const [cut, cutCode] = readFrames(bytes.subarray(1), timed, (bytes[0] ?? 0) + 1)
    if (code !== cutCode || toHex(whole) !== toHex(cut)) throw new Error("the chunks make a difference")
    return whole
  }
})

const readFrames = (
  stream: Uint8Array,
  timed: boolean,
  chunkBytes: number
): readonly [Uint8Array, number | undefined] => {
  const group = Group.make(0)
  const reader = new FrameReader(group, { timed })
  let refused: number | undefined
  for (let at = 0; at < stream.length && refused === undefined; at += chunkBytes) {
    refused = reader.push(stream.subarray(at, at + chunkBytes))
  }
  const consumer = group.consume()
  const all: Array<number> = []
  for (let frame = consumer.tryRead(); frame instanceof Uint8Array; frame = consumer.tryRead())
    all.push(frame.length, (consumer.timestamp ?? 0) % 256, ...frame)
  return [Uint8Array.from(all), refused]
}

/** Written again, a datagram is the same but for varints that were longer than needed. */
const datagram: Target = {
  name: "datagram",
  seeds: ["072a43e868656c6c6f", "000000", "ffffffffffffffffc01fffffffffffffc01fffffffffffff00"].map(fromHex),
  decode: (bytes) => {
    const read = Message.decodeDatagram(bytes)
    if (read === undefined) return undefined
    const again = Message.decodeDatagram(Message.encodeDatagram(read))
    if (again === undefined || toHex(Message.encodeDatagram(again)) !== toHex(Message.encodeDatagram(read)))
      throw new Error("decodes to something else")
    return read
  }
}

/** Timestamps one after the other, and never one that is not an integer from 0 to 2^53 - 1. */
const timestamps: Target = {
  name: "timestamps",
  seeds: ["47d0405027", "c03ffffffffffffe", "01", "ffffffffffffffff", "c03ffffffffffffec03ffffffffffffd"].map(fromHex),
  decode: (bytes) => {
    let timestamp = 0
    for (let offset = 0; offset < bytes.length; offset += Varint.sizeFrom(bytes[offset] ?? 0)) {
      const next = Timestamp.tryRead(bytes, offset, timestamp)
      if (next === Varint.NeedMore || next === Varint.TooLarge) break
      if (!Number.isSafeInteger(next) || next < 0) throw new Error(`a timestamp of ${next}`)
      const written = new Uint8Array(Timestamp.size(next, timestamp))
      Timestamp.write(written, 0, next, timestamp)
      if (Timestamp.tryRead(written, 0, timestamp) !== next) throw new Error("decodes to something else")
      timestamp = next
    }
    return timestamp
  }
}

/** What every version has, with its own layout. */
const messagesOf = (version: Version.Version): ReadonlyArray<Target> => {
  const exclude = version.hops === "count" ? "" : "2a"
  return [
    message(`${version.alpn} ANNOUNCE_REQUEST`, version.announceRequest, `00${exclude}`, `04726f6f6d${exclude}`),
    message(
      `${version.alpn} ANNOUNCE_BROADCAST`,
      version.announceBroadcast,
      "0005616c69636500",
      version.hops === "count" ? "0105616c69636501" : "0105616c6963650307412cc01fffffffffffff"
    ),
    message(
      `${version.alpn} SUBSCRIBE`,
      version.subscribe,
      "0005616c69636505766964656f0000000000",
      "4046096c6976652f726f6f6d05617564696f020041f40b4064"
    ),
    message(`${version.alpn} SUBSCRIBE_UPDATE`, version.subscribeUpdate, "0500000000", "c80143e80600"),
    message(`${version.alpn} GROUP`, version.group, "0105", "4046800186a0", "ffffffffffffffffc01fffffffffffff"),
    message(
      `${version.alpn} PROBE`,
      version.probe,
      ...(version.hops === "count" ? ["804c4b40", "00"] : ["804c4b4019"])
    ),
    message(`${version.alpn} FETCH`, version.fetch, "05616c69636505766964656f0307"),
    {
      name: `${version.alpn} subscribe response`,
      seeds: ["000500000000", "0103050700", "0100", "0007", "0203050700"].map(fromHex),
      decode: (bytes) => {
        const decoded = version.decodeResponse(bytes[0] ?? 0, bytes.subarray(1))
        if (Result.isSuccess(decoded)) version.encodeResponse(decoded.success)
        return decoded
      }
    }
  ]
}

export const fuzzTargets: ReadonlyArray<Target> = [
  ...Version.all.flatMap(messagesOf),
  message(
    "SETUP",
    Message.setup,
    "00",
    "020101010508c01fffffffffffff",
    "0202112f726f6f6d2f3132333f6a77743d616263030101"
  ),
  message("ANNOUNCE_OK", Message.announceOk, "2a03", "c01fffffffffffff01"),
  message("TRACK", Message.trackRequest, "0a726f6f6d2f616c69636505766964656f"),
  message("TRACK_INFO", Message.trackInfo, "0000538843e8", "070147d0800f4240"),
  message("GOAWAY", Message.goaway, "00", "1368747470733a2f2f622e6578616d706c652f78"),
  datagram,
  timestamps,
  frames(
    "frames",
    false,
    "07 036b6579 0564656c7461 0162",
    "01 40410000",
    "ff 000000",
    "03 80000004 61626364",
    "2082000001"
  ),
  frames(
    "frames with timestamps",
    true,
    "07 47d0036b6579 40500564656c7461 270162",
    "01 c03ffffffffffffe00 00 00",
    "ff 01 00"
  )
]
