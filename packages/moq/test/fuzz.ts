/** What of this package reads bytes of strangers. */
import * as Reader from "@effect-live/wire/Reader"
import type { Target } from "@effect-live/wire/testing/Fuzz"
import { Result } from "effect"
import * as Group from "../src/Group.ts"
import { FrameReader } from "../src/internal/FrameReader.ts"
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
    const reader = new Reader.Reader(encoded)
    const again = Message.decode(codec, reader.raw(reader.varint()))
    if (toHex(Message.encode(codec, Result.getOrThrow(again))) !== toHex(encoded))
      throw new Error("decodes to something else")
    return decoded
  }
})

/** The frames of a group's stream, in chunks whose size the first byte says: the same, however it is cut. */
const frames: Target = {
  name: "frames",
  seeds: ["07 036b6579 0564656c7461 0162", "01 40410000", "ff 00 00 00", "03 80000004 61626364", "20 82000001"].map(
    fromHex
  ),
  decode: (bytes) => {
    const [whole, code] = readFrames(bytes.subarray(1), bytes.length)
    const [cut, cutCode] = readFrames(bytes.subarray(1), (bytes[0] ?? 0) + 1)
    if (code !== cutCode || toHex(whole) !== toHex(cut)) throw new Error("the chunks make a difference")
    return whole
  }
}

const readFrames = (stream: Uint8Array, chunkBytes: number): readonly [Uint8Array, number | undefined] => {
  const group = Group.make(0)
  const reader = new FrameReader(group)
  let refused: number | undefined
  for (let at = 0; at < stream.length && refused === undefined; at += chunkBytes) {
    refused = reader.push(stream.subarray(at, at + chunkBytes))
  }
  const consumer = group.consume()
  const all: Array<number> = []
  for (let frame = consumer.tryRead(); frame instanceof Uint8Array; frame = consumer.tryRead())
    all.push(frame.length, ...frame)
  return [Uint8Array.from(all), refused]
}

export const fuzzTargets: ReadonlyArray<Target> = Version.all
  .flatMap((version): Array<Target> => [
    message(`${version.alpn} ANNOUNCE_REQUEST`, version.announceRequest, "00", "04726f6f6d"),
    message(`${version.alpn} ANNOUNCE_BROADCAST`, version.announceBroadcast, "0105616c69636501", "0005616c69636500"),
    message(
      `${version.alpn} SUBSCRIBE`,
      version.subscribe,
      "0005616c69636505766964656f0000000000",
      "4046096c6976652f726f6f6d05617564696f020041f40b4064"
    ),
    message(`${version.alpn} SUBSCRIBE_UPDATE`, version.subscribeUpdate, "0500000000", "c80143e80600"),
    message(`${version.alpn} GROUP`, version.group, "0105", "4046800186a0", "ffffffffffffffffc01fffffffffffff"),
    message(`${version.alpn} PROBE`, version.probe, "804c4b40", "00"),
    message(`${version.alpn} FETCH`, version.fetch, "05616c69636505766964656f0307"),
    {
      name: `${version.alpn} subscribe response`,
      seeds: ["000500000000", "0103050700"].map(fromHex),
      decode: (bytes) => version.decodeResponse(bytes[0] ?? 0, bytes.subarray(1))
    }
  ])
  .concat(frames)
