/**
 * One message, described once as a schema: encoded to the bytes of postcard, decoded again, and refused with a reason when it is
 * cut or lies about its lengths.
 */
import * as Base32 from "@effect-live/wire/Base32"
import * as Hex from "@effect-live/wire/Hex"
import * as Postcard from "@effect-live/wire/Postcard"
import { Result, Schema } from "effect"
import { strict as assert } from "node:assert"

const Join = Schema.TaggedStruct("Join", { room: Schema.String, seats: Postcard.u16 })
const Say = Schema.TaggedStruct("Say", {
  from: Postcard.fixed(4),
  text: Schema.String,
  at: Schema.UndefinedOr(Postcard.u64)
})
const message = Postcard.codec(Schema.Union([Join, Say]))

const bytes = message.encode({ _tag: "Join", room: "lobby", seats: 300 })
console.log(`Join as bytes:  ${Hex.encode(bytes)}`)
console.log(`Join as base32: ${Base32.encode(bytes)}`)
assert.equal(Hex.encode(bytes), "00056c6f626279ac02")

const decoded = message.decode(bytes)
console.log("decoded again: ", Result.getOrThrow(decoded))
assert.deepEqual(Result.getOrThrow(decoded), { _tag: "Join", room: "lobby", seats: 300 })

for (const [what, hex] of [
  ["cut", "00056c6f62"],
  ["a room name of 2^35 bytes", "00ffffffffff7f6c6f"],
  ["a variant that does not exist", "07"]
] as const) {
  const error = Result.getOrThrow(Result.flip(message.decode(Result.getOrThrow(Hex.decode(hex)))))
  console.log(`${what}: ${error.message}`)
  assert.equal(error._tag, "DecodeError")
}
