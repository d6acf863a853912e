import { readFileSync } from "node:fs"
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { EndpointAddr, EndpointId, RelayUrl, TransportAddr } from "@effect-live/endpoint"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import { Hex } from "@effect-live/wire"
import { Effect, Logger, Result } from "effect"
import fc from "fast-check"

interface Vector {
  readonly what: string
  readonly text?: string
  readonly hex?: string
  readonly fields: {
    readonly endpointAddr?: string
    readonly name?: string
    readonly relayUrls?: ReadonlyArray<string>
    readonly accept?: boolean
    readonly reject?: boolean
    readonly rust_from_bytes?: "accept" | "reject"
  }
}

const vectors = (prefix: string): ReadonlyArray<Vector> => {
  const all: ReadonlyArray<Vector> = JSON.parse(
    readFileSync(new URL("./vectors/tickets.json", import.meta.url), "utf8")
  )
  const found = all.filter(({ what }) => what.startsWith(prefix))
  assert.isAbove(found.length, 0)
  return found
}

const addrOf = (hex: string) => Result.getOrThrow(EndpointAddr.decode(Result.getOrThrow(Hex.decode(hex))))
const id = Result.getOrThrow(EndpointId.parse("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"))
const A = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1wA"
const L = "rkeohxlubhyzl7ks3mwtzos5olfgocn7dwkbeg7toseadnapn5oaa"
const idOnly = EndpointAddr.make(id)

const parsed = (text: string) => {
  const ticket = Result.getOrThrow(LiveTicket.parse(text))
  return { addr: ticket.addr, name: ticket.name }
}
const refusal = (text: string) => Result.getOrThrow(Result.flip(LiveTicket.parse(text)))

describe("LiveTicket", () => {
  for (const { fields, text = "", what } of vectors("LiveTicket uri: ")) {
    it(`prints and reads: ${what}`, () => {
      const addr = addrOf(fields.endpointAddr ?? "")
      const ticket = new LiveTicket.LiveTicket(addr, fields.name ?? "", [])
      assert.strictEqual(LiveTicket.format(ticket), text)
      assert.deepStrictEqual(parsed(text), { addr, name: fields.name })
    })
  }

  for (const { fields, text = "", what } of vectors("LiveTicket parse: ")) {
    it(`${fields.reject === true ? "refuses" : "reads"}: ${what}`, () => {
      if (fields.reject === true) assert.isTrue(Result.isFailure(LiveTicket.parse(text)))
      else assert.deepStrictEqual(parsed(text), { addr: addrOf(fields.endpointAddr ?? ""), name: fields.name })
    })
  }

  for (const { fields, hex = "", what } of vectors("LiveTicket to_bytes: ")) {
    it(`reads and writes the binary form: ${what}`, () => {
      const bytes = Result.getOrThrow(Hex.decode(hex))
      const ticket = Result.getOrThrow(LiveTicket.fromBytes(bytes))
      assert.deepStrictEqual(ticket.addr, addrOf(fields.endpointAddr ?? ""))
      assert.strictEqual(ticket.name, fields.name)
      assert.deepStrictEqual(ticket.relayUrls, fields.relayUrls)
      const readableByRust = fields.rust_from_bytes !== "reject"
      assert.strictEqual(Hex.encode(LiveTicket.toBytes(ticket)), readableByRust ? hex : `${hex}00`)
      if (fields.rust_from_bytes !== "accept")
        assert.strictEqual(Hex.encode(LiveTicket.toBytesAsRustWrites(ticket)), hex)
    })
  }

  it("reads every row of the table of accepted texts", () => {
    for (const [text, name] of [
      [`iroh-live:${A}/a/b/c`, "a/b/c"],
      [`iroh-live:${A}//a`, "/a"],
      [`iroh-live:${A}/a@b`, "a@b"],
      [`iroh-live:${A}/`, ""],
      [`iroh-live:${A}/trail  `, "trail"],
      [`iroh-live:${A}/  lead`, "  lead"],
      [`iroh-live:${A}/a%20b`, "a%20b"],
      [`iroh-live:${A}/?q=1#f`, "?q=1#f"],
      [`iroh-live:${A}/line\nbreak 🎥 é`, "line\nbreak 🎥 é"],
      [`\u0085iroh-live:${A}/x\u3000`, "x"],
      [`iroh-live:${A}/x\uFEFF`, "x\uFEFF"],
      [`${A}/x`, "x"],
      [`hello@${L}`, "hello"],
      [`hello@${L.toUpperCase()}`, "hello"],
      [`@${L}`, ""],
      [`a/b@${L}`, "a/b"]
    ] as const) {
      assert.deepStrictEqual(parsed(text), { addr: idOnly, name }, JSON.stringify(text))
    }
  })

  it("says what is wrong and where, in characters of the text as it was given", () => {
    for (const [text, tag, offset] of [
      [`iroh-live:${A}`, "BadText", 54],
      [`IROH-LIVE:${A}/x`, "WrongKind", undefined],
      [`iroh-live://${A}/x`, "BadContent", 10],
      ["iroh-live:/x", "BadContent", 10],
      [`iroh-live:${A}=/x`, "BadText", 54],
      [` iroh-live: ${A}/x`, "BadText", 11],
      [`\uFEFFiroh-live:${A}/x`, "BadText", 0],
      [`${A}/a@b`, "BadText", 48],
      [`a@b@${L}`, "BadText", 3],
      [`hello@${L}====`, "BadText", 59],
      ["hello@", "BadContent", 6],
      [`hello@${L}/x`, "BadText", 59],
      [`iroh-live:hello@${L}`, "BadText", 69],
      ["hello", "WrongKind", undefined],
      ["my-stream-360p", "WrongKind", undefined],
      ["", "WrongKind", undefined],
      ["endpointacfiry65oqe7dfp5klns2pf2lvzmuzyjx4ozieq36n2iqanub5xvyaa", "WrongKind", undefined],
      // the id's 32 bytes are no public key
      [`iroh-live:${"AgAA".padEnd(43, "A")}A/x`, "BadContent", 10],
      // an address of a kind that does not exist, byte 33
      [`iroh-live:${A.slice(0, -1)}BAwA/x`, "BadContent", 54]
    ] as const) {
      const { reason } = refusal(text)
      assert.strictEqual(reason._tag, tag, text)
      if ("offset" in reason) assert.strictEqual(reason.offset, offset, `${text}: ${reason.message}`)
    }
    assert.strictEqual(
      refusal("hello").message,
      'not a ticket of kind iroh-live: it must begin with "iroh-live:", in lower case'
    )
    assert.include(refusal(`${A}/a@b`).message, 'without "iroh-live:" in front, a text with "@" is NAME@ADDRESS')
    assert.include(refusal(`iroh-live:${A}`).message, 'at character 54: expected "/" and the name of the broadcast')
  })

  it("never quotes the ticket in an error", () => {
    fc.assert(
      fc.property(fc.nat(A.length), fc.constantFrom("é", "=", " ", ":", "@"), (at, wrong) => {
        const result = LiveTicket.parse(`iroh-live:${A.slice(0, at)}${wrong}${A.slice(at)}/name-of-it`)
        if (Result.isFailure(result)) {
          assert.notInclude(result.failure.message, A.slice(0, 8))
          assert.notInclude(result.failure.message, "name-of-it")
        }
      })
    )
  })

  it("refuses names that would not survive on the way", () => {
    for (const [name, problem] of [
      ["", "must not be empty"],
      [" x", "must not begin or end with white space"],
      ["x\u0085", "must not begin or end with white space"],
      ["x\ny", "must not contain control characters"],
      ["x\u0000y", "must not contain control characters"],
      ["\uD800", "must be valid Unicode, without lone surrogates"],
      ["/x", 'must not begin or end with "/" or contain "//"'],
      ["x/", 'must not begin or end with "/" or contain "//"'],
      ["a//b", 'must not begin or end with "/" or contain "//"'],
      ["a/./b", 'must not contain "." or ".." as a segment'],
      ["..", 'must not contain "." or ".." as a segment']
    ] as const) {
      const { reason } = Result.getOrThrow(Result.flip(LiveTicket.make(idOnly, name)))
      assert.deepInclude(reason, { _tag: "BadName", problem }, JSON.stringify(name))
    }
  })

  it("comes back from its text and its bytes with every name that it accepts", () => {
    const url = Result.getOrThrow(RelayUrl.parse("https://relay.example.com"))
    const addr = EndpointAddr.make(id, [
      TransportAddr.relay(url),
      Result.getOrThrow(TransportAddr.parseIp("[::1]:4433"))
    ])
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), (name) => {
        const made = LiveTicket.make(addr, name)
        if (Result.isFailure(made)) return
        const ticket = made.success
        assert.deepStrictEqual(Result.getOrThrow(LiveTicket.parse(LiveTicket.format(ticket))), ticket)
        assert.deepStrictEqual(Result.getOrThrow(LiveTicket.fromBytes(LiveTicket.toBytes(ticket))), ticket)
      }),
      { numRuns: 1_000 }
    )
  })

  it("dials relay URLs of the binary form too, and keeps them in the text", () => {
    const ticket = new LiveTicket.LiveTicket(idOnly, "x", ["https://relay.example.com", "free text"])
    assert.deepStrictEqual(EndpointAddr.relays(LiveTicket.dialAddr(ticket)).map(String), ["https://relay.example.com/"])
    assert.deepStrictEqual(parsed(LiveTicket.format(ticket)).addr, LiveTicket.dialAddr(ticket))
  })

  it.effect("shows itself in no printout", () =>
    Effect.gen(function* () {
      const ticket = Result.getOrThrow(LiveTicket.make(idOnly, "secret-name"))
      const printed = [String(ticket), `${ticket}`, JSON.stringify({ ticket }), inspect(ticket), inspect([{ ticket }])]
      const lines: Array<string> = []
      const collect = <A>(format: Logger.Logger<unknown, A>) =>
        Logger.map(format, (line) => void lines.push(inspect(line, { depth: 10 }), JSON.stringify(line)))
      yield* Effect.logInfo("publishing", ticket, { ticket }).pipe(
        Effect.annotateLogs({ ticket }),
        Effect.provide(
          Logger.layer([
            collect(Logger.formatSimple),
            collect(Logger.formatLogFmt),
            collect(Logger.formatStructured),
            collect(Logger.formatJson)
          ])
        )
      )
      assert.strictEqual(lines.length, 8)
      for (const line of [...printed, ...lines]) {
        assert.include(line, "redacted")
        assert.notInclude(line, "secret-name")
        assert.notInclude(line, id.slice(0, 8))
        assert.notInclude(line, A.slice(0, 8))
      }
    })
  )
})
