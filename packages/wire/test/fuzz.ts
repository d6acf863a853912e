import { Base32, Base64Url, Bytes, Hex, Postcard } from "@effect-live/wire"
import { decode, type Reader } from "@effect-live/wire/Reader"
import type { Target } from "@effect-live/wire/testing/Fuzz"
import { encode } from "@effect-live/wire/Writer"
import { Result, Schema } from "effect"
import { bytesOf } from "./support.ts"

const message = Postcard.codec(
  Schema.Struct({
    id: Postcard.fixed(4),
    kind: Schema.Union([
      Schema.TaggedStruct("Ping", { seq: Postcard.u32 }),
      Schema.TaggedStruct("Data", { tags: Schema.Array(Schema.String), hops: Schema.UndefinedOr(Postcard.u16) })
    ]),
    names: Schema.ReadonlyMap(Schema.String, Postcard.u64),
    numbers: Schema.Tuple([Postcard.i8, Postcard.i16, Postcard.i32, Postcard.i64, Postcard.u53]),
    color: Schema.Literals(["red", "green"]),
    payload: Postcard.bytes
  })
)
const numbers = [-1, -300, 70_000, -(2n ** 40n), 2 ** 50] as const
const names = new Map([
  ["a", 1n],
  ["é", 2n ** 63n]
])
const messages: ReadonlyArray<(typeof message)["encode"] extends (value: infer A) => unknown ? A : never> = [
  {
    id: new Uint8Array(4),
    kind: { _tag: "Ping", seq: 300 },
    names,
    numbers,
    color: "red",
    payload: new Uint8Array(40)
  },
  {
    id: new Uint8Array(4).fill(0xff),
    kind: { _tag: "Data", tags: ["", "x".repeat(30), "€"], hops: 9 },
    names: new Map(),
    numbers,
    color: "green",
    payload: new Uint8Array(0)
  }
]

/** What decodes, comes back the same from its own encoding. */
const lawful =
  <A>(decode: (bytes: Uint8Array) => Result.Result<A, unknown>, encode: (value: A) => Uint8Array) =>
  (bytes: Uint8Array): Result.Result<A, unknown> => {
    const decoded = decode(bytes)
    if (Result.isFailure(decoded)) return decoded
    const canonical = encode(decoded.success)
    const again = Result.getOrThrow(decode(canonical))
    if (!Bytes.equals(encode(again), canonical)) throw new Error("decodes differently from its own encoding")
    return decoded
  }

const ascii = (bytes: Uint8Array): string => String.fromCharCode(...bytes)
const fromText = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0))

/** Every read in turn, as often as the bytes allow; the first byte of each step picks the method. */
const steps = (reader: Reader): ReadonlyArray<unknown> => {
  const values: Array<unknown> = []
  while (reader.remaining > 0) {
    switch (reader.u8() % 12) {
      case 0:
        values.push(reader.varint())
        break
      case 1:
        values.push(reader.varint64())
        break
      case 2:
        values.push(reader.leb16())
        break
      case 3:
        values.push(reader.leb32())
        break
      case 4:
        values.push(reader.leb53())
        break
      case 5:
        values.push(reader.leb64())
        break
      case 6:
        values.push(reader.zigzag16(), reader.zigzag32(), reader.zigzag64())
        break
      case 7:
        values.push(reader.str())
        break
      case 8:
        values.push(reader.byteString())
        break
      case 9:
        values.push(reader.bool(), reader.i8(), reader.u16be())
        break
      case 10:
        values.push(Array.from({ length: reader.count(2) }))
        break
      default:
        values.push(reader.utf8(reader.u8()))
    }
  }
  return values
}

export const fuzzTargets: ReadonlyArray<Target> = [
  {
    name: "wire/Postcard",
    decode: lawful(message.decode, message.encode),
    seeds: messages.map((value) => message.encode(value).slice())
  },
  {
    name: "wire/Reader",
    decode: (bytes) => decode(bytes, steps),
    seeds: [
      bytesOf(
        ["0025", "019d7f3e7d", "02808001", "03ffffffff0f", "04ffffffffffffff0f", "05ffffffffffffffffff01"].join("")
      ),
      bytesOf(
        ["06010203", "0703e282ac", "0802aabb", "0901ff1234", "0a0200000000", "0b0161", "00c2197c5eff14e88c"].join("")
      ),
      encode((writer) => {
        writer.u8(7)
        writer.str("a longer text with é in the middle, so that the decoder of the platform is used")
      }).slice()
    ]
  },
  {
    name: "wire/Base32",
    decode: lawful(
      (bytes) => Base32.decode(ascii(bytes)),
      (value) => fromText(Base32.encode(value))
    ),
    seeds: [fromText("acfiry65oqe7dfp5"), fromText("CKVQ")]
  },
  {
    name: "wire/Base64Url",
    decode: lawful(
      (bytes) => Base64Url.decode(ascii(bytes)),
      (value) => fromText(Base64Url.encode(value))
    ),
    seeds: [fromText("iojj3XQJ8ZX9Uts-_Q"), fromText("AQ")]
  },
  {
    name: "wire/Hex",
    decode: lawful(
      (bytes) => Hex.decode(ascii(bytes)),
      (value) => fromText(Hex.encode(value))
    ),
    seeds: [fromText("00ff8a88e3dd7409")]
  }
]
