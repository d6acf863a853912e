/** What of this package reads bytes of strangers. */
import type { Target } from "@effect-live/wire/testing/Fuzz"
import { Result } from "effect"
import { readFileSync } from "node:fs"
import * as AddrInfo from "../src/AddrInfo.ts"
import * as Config from "../src/Config.ts"
import * as Wire from "../src/Wire.ts"
import { fromHex, idA, toHex } from "./support/messages.ts"

const vectors = JSON.parse(readFileSync(new URL("vectors/gossip.json", import.meta.url), "utf8")) as ReadonlyArray<{
  readonly message: string
  readonly hex: string
  readonly body?: string
}>
const seeds = (kind: RegExp): ReadonlyArray<Uint8Array> =>
  vectors.filter(({ message }) => kind.test(message)).map(({ body, hex }) => fromHex(body ?? hex))

/** The body of a message; what decodes, encodes to as many bytes as was said and decodes to the same. */
const messages: Target = {
  name: "message",
  seeds: seeds(/^(Swarm|Gossip)\.|^decode/),
  decode: (bytes) => {
    const decoded = Wire.decode(bytes)
    if (Result.isFailure(decoded)) return decoded
    const body = Wire.encode(decoded.success).subarray(4)
    if (body.length !== Wire.bodyBytes(decoded.success)) throw new Error("bodyBytes is wrong")
    if (toHex(Wire.encode(Result.getOrThrow(Wire.decode(body))).subarray(4)) !== toHex(body))
      throw new Error("decodes to something else")
    return decoded
  }
}

const header: Target = { name: "header", seeds: [new Uint8Array(32)], decode: Wire.decodeHeader }

/** Written again with our limits, what is left decodes to what was written. */
const addrInfo: Target = {
  name: "AddrInfo",
  seeds: seeds(/^AddrInfo/),
  decode: (bytes) => {
    const decoded = AddrInfo.decode(idA, bytes)
    if (Result.isFailure(decoded)) return decoded
    const data = AddrInfo.encode(decoded.success, Config.defaults)
    const again = Result.getOrThrow(AddrInfo.decode(idA, data))
    if (toHex(AddrInfo.encode(again, Config.defaults)) !== toHex(data)) throw new Error("decodes to something else")
    return decoded
  }
}

/** A stream in chunks whose size the first byte says: the same, however it is cut. The limit is small, so that it is met. */
const frames: Target = {
  name: "frames",
  seeds: [
    ...vectors.filter(({ message }) => message.startsWith("stream")).map(({ hex }) => fromHex(`03${hex}`)),
    ...["07 00000000 00000001aa 00000002bbcc", "00 000001f4", "02 00000201", "ff ffffffff"].map(fromHex)
  ],
  decode: (bytes) => {
    const stream = bytes.subarray(1)
    const [whole, cut] = [readFrames(stream, stream.length), readFrames(stream, (bytes[0] ?? 0) + 1)]
    if (whole.join() !== cut.join()) throw new Error("the chunks make a difference")
    return whole
  }
}

const readFrames = (stream: Uint8Array, chunkBytes: number): ReadonlyArray<string> => {
  const reader = new Wire.FrameReader(256)
  const read: Array<string> = []
  for (let at = 0; at < stream.length; at += chunkBytes) {
    reader.push(stream.slice(at, at + chunkBytes))
    for (let body = reader.next(); body !== undefined; body = reader.next()) {
      if (body === "tooLarge") return [...read, body]
      read.push(toHex(body))
    }
  }
  return [...read, `${reader.partialBytes} left`]
}

export const fuzzTargets: ReadonlyArray<Target> = [messages, header, addrInfo, frames]
