/**
 * Encoding and decoding one message of 118 bytes: derived from its schema, and written by hand against the same Reader and Writer.
 * `npm run bench -- postcard`
 */
import * as Postcard from "@effect-live/wire/Postcard"
import { decode, type Reader } from "@effect-live/wire/Reader"
import { encode, type Writer } from "@effect-live/wire/Writer"
import { Result, Schema } from "effect"
import type { Row } from "./Row.ts"

const Message = Schema.Struct({
  id: Postcard.fixed(32),
  sequence: Postcard.u32,
  hops: Postcard.u8,
  topic: Schema.String,
  age: Schema.UndefinedOr(Postcard.u32),
  payload: Postcard.bytes
})
type Message = typeof Message.Type

const byHand = {
  write(writer: Writer, message: Message): void {
    writer.raw(message.id)
    writer.leb32(message.sequence)
    writer.u8(message.hops)
    writer.str(message.topic)
    writer.bool(message.age !== undefined)
    if (message.age !== undefined) writer.leb32(message.age)
    writer.byteString(message.payload)
  },
  read(reader: Reader): Message {
    return {
      id: reader.raw(32),
      sequence: reader.leb32(),
      hops: reader.u8(),
      topic: reader.str(),
      age: reader.bool() ? reader.leb32() : undefined,
      payload: reader.byteString()
    }
  }
}

const derived = Postcard.codec(Message)
const message: Message = {
  id: new Uint8Array(32).fill(7),
  sequence: 300_000,
  hops: 3,
  topic: "live/studio-ab",
  age: 17,
  payload: new Uint8Array(64).fill(9)
}
const bytes = derived.encode(message).slice()
if (bytes.length !== 118) throw new Error(`the message takes ${bytes.length} bytes, not 118`)

const batch = 100_000
const rounds = 25

/** Million calls per second of each, the best of several rounds in turn, so that a busy moment of the machine hits all alike. */
const race = (...runners: ReadonlyArray<() => unknown>): ReadonlyArray<number> => {
  const best = runners.map(() => 0)
  for (let round = 0; round < rounds; round++) {
    for (const [index, once] of runners.entries()) {
      const fromMs = performance.now()
      for (let count = 0; count < batch; count++) once()
      best[index] = Math.max(best[index] ?? 0, batch / 1000 / (performance.now() - fromMs))
    }
  }
  return best
}

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const [encoded = 0, encodedByHand = 0, decoded = 0, decodedByHand = 0] = race(
    () => derived.encode(message),
    () => encode((writer) => byHand.write(writer, message)),
    () => Result.isSuccess(derived.decode(bytes)),
    () => Result.isSuccess(decode(bytes, byHand.read))
  )
  const unit = "million/s"
  const reach = "above 1 million/s"
  const share = "at least 0.4"
  return [
    { what: "postcard, 118 bytes, derived: encode", value: encoded, unit, reach },
    { what: "postcard, 118 bytes, derived: decode", value: decoded, unit, reach },
    {
      what: "postcard, derived against hand-written: encode",
      value: encoded / encodedByHand,
      unit: "times",
      reach: share
    },
    {
      what: "postcard, derived against hand-written: decode",
      value: decoded / decodedByHand,
      unit: "times",
      reach: share
    }
  ]
}

if (import.meta.main) console.table(await run())
