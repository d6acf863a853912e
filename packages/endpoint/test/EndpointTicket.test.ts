import { assert, describe, it } from "@effect/vitest"
import { EndpointAddr, EndpointId, EndpointTicket, RelayUrl, TransportAddr } from "@effect-live/endpoint"
import { Result } from "effect"
import { bytesOf, tickets, vectors } from "./vectors.ts"

const refusal = (text: string) => Result.getOrThrow(Result.flip(EndpointTicket.decode(text)))
const canonical = "endpointacfiry65oqe7dfp5klns2pf2lvzmuzyjx4ozieq36n2iqanub5xvyaa"

describe("EndpointTicket", () => {
  for (const { fields, text = "", what } of vectors(tickets, "EndpointTicket: ")) {
    it(`writes and reads ${what}`, () => {
      const addr = EndpointAddr.make(Result.getOrThrow(EndpointId.parse(fields.id ?? "")), [
        ...(fields.relay == null ? [] : [TransportAddr.relay(Result.getOrThrow(RelayUrl.parse(fields.relay)))]),
        ...(fields.ips ?? []).map((text) => Result.getOrThrow(TransportAddr.parseIp(text)))
      ])
      assert.strictEqual(EndpointTicket.encode(addr), text)
      assert.deepStrictEqual(Result.getOrThrow(EndpointTicket.decode(text)), addr)
      assert.deepStrictEqual(Result.getOrThrow(EndpointAddr.decode(bytesOf(fields.bytes).subarray(1))), addr)
    })
  }

  for (const { fields, text = "", what } of vectors(tickets, "ticket envelope: ")) {
    it(`${fields.reject === true ? "refuses" : "reads"} ${what}`, () => {
      const addr = EndpointTicket.decode(text)
      if (fields.reject === true) assert.isTrue(Result.isFailure(addr))
      else assert.strictEqual(EndpointTicket.encode(Result.getOrThrow(addr)), fields.canonical)
    })
  }

  it("says what is wrong and at which character, without quoting the ticket", () => {
    for (const [text, tag, offset] of [
      [canonical.toUpperCase(), "WrongKind", undefined],
      [` ${canonical}`, "WrongKind", undefined],
      [`${canonical}\n`, "BadText", 63],
      [canonical.replace("7dfp5", "7dfp1"), "BadText", 23],
      ["endpointa", "BadText", 9],
      [`endpoint\u212A${canonical.slice(9)}`, "BadText", 8],
      ["endpoint", "BadContent", 8],
      ["endpointagfiry65oqe7dfp5klns2pf2lvzmuzyjx4ozieq36n2iqanub5xvyaa", "BadContent", 8],
      // the key, one byte behind the start
      ["endpointaabaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "BadContent", 9]
    ] as const) {
      const error = refusal(text)
      assert.strictEqual(error.reason._tag, tag, text)
      assert.strictEqual("offset" in error.reason ? error.reason.offset : undefined, offset, error.message)
      if (text.length > 20) assert.notInclude(error.message, text.slice(8, 18))
    }
    assert.strictEqual(
      refusal("room").message,
      'not a ticket of kind endpoint: it must begin with "endpoint", in lower case'
    )
  })
})
