import { assert, describe, it } from "@effect/vitest"
import { EndpointId, TicketEnvelope } from "@effect-live/endpoint"
import { Hex, Postcard } from "@effect-live/wire"
import { Result, Schema } from "effect"
import { base, bytesOf, hexOf, tickets, vectors } from "./vectors.ts"

/** Any other kind of ticket is a schema and this envelope. */
const room = Postcard.codec(
  Schema.Struct({ bootstrap: Schema.Array(EndpointId.EndpointId), topicId: Postcard.fixed(32) })
)
const decodeRoom = (text: string) => TicketEnvelope.decode("room", text, room.decode)

describe("TicketEnvelope", () => {
  for (const { fields, text = "", what } of vectors(tickets, "RoomTicket")) {
    it(`carries ${what}`, () => {
      if (fields.reject === true) {
        const error = Result.getOrThrow(Result.flip(decodeRoom(text)))
        assert.strictEqual(error.reason._tag, "BadContent")
        return
      }
      const ticket = Result.getOrThrow(decodeRoom(text))
      assert.deepStrictEqual([...ticket.bootstrap], fields.bootstrap)
      assert.strictEqual(hexOf(ticket.topicId), fields.topicId)
      if (fields.bytes !== undefined) {
        assert.strictEqual(hexOf(room.encode(ticket)), fields.bytes)
        assert.strictEqual(TicketEnvelope.encode("room", bytesOf(fields.bytes)), text)
      }
    })
  }

  for (const { fields, text = "", what } of vectors(tickets, "IROH_LIVE_TOPIC")) {
    it(`${fields.reject === true ? "refuses" : "reads"} ${what} as strict hex`, () => {
      assert.strictEqual(Result.isSuccess(Hex.decode(text)), fields.reject !== true)
    })
  }

  it("leaves no recorded case untested", () => {
    const here = [
      "endpoint id text: ",
      "endpoint id bytes: ",
      "secret key to endpoint id",
      "ed25519 signature",
      "strict verify: ",
      "EndpointAddr: ",
      "EndpointAddr decode: ",
      "EndpointTicket: ",
      "ticket envelope: ",
      "RoomTicket: ",
      "IROH_LIVE_TOPIC"
    ]
    // packages/wire and packages/live run these
    const elsewhere = ["varint ", "option ", "bool ", "string", "map ", "LiveTicket "]
    for (const { what } of [...base, ...tickets]) {
      assert.isTrue(
        [...here, ...elsewhere].some((prefix) => what.startsWith(prefix)),
        what
      )
    }
  })
})
