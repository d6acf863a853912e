import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import fc from "fast-check"
import * as AddrInfo from "../src/AddrInfo.ts"
import * as Config from "../src/Config.ts"
import * as Limits from "../src/Limits.ts"
import * as Wire from "../src/Wire.ts"
import { fromHex, idA as id, toHex } from "./support/messages.ts"

const relay = (url: string) => TransportAddr.relay(Result.getOrThrow(RelayUrl.parse(url)))
const ip = (text: string) => Result.getOrThrow(TransportAddr.parseIp(text))
const encode = (...addrs: ReadonlyArray<TransportAddr.TransportAddr>) => AddrInfo.encode({ id, addrs }, Config.defaults)
const decode = (hex: string) => AddrInfo.decode(id, fromHex(hex))

const anyIp = fc
  .tuple(fc.boolean(), fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(65_535))
  .map(([v6, bytes, port]) => TransportAddr.fromIpBytes(v6 ? bytes : bytes.subarray(0, 4), port))
const anyRelay = fc.nat(300).map((length) => relay(`https://${"r".repeat(length % 60)}x.example/${"p".repeat(length)}`))

describe("AddrInfo", () => {
  it("carries the relay with the smallest URL and every socket address in ascending order", () => {
    const data = encode(
      ip("[2001:db8::1]:443"),
      relay("https://zz.example/"),
      ip("192.0.2.1:4434"),
      relay("https://relay.example/"),
      ip("192.0.2.1:4433"),
      ip("192.0.2.1:4433")
    )
    assert.deepStrictEqual(
      Result.getOrThrow(AddrInfo.decode(id, data)),
      EndpointAddr.make(id, [
        relay("https://relay.example/"),
        ip("192.0.2.1:4433"),
        ip("192.0.2.1:4434"),
        ip("[2001:db8::1]:443")
      ])
    )
  })

  it("leaves custom addresses out", () => {
    assert.strictEqual(toHex(encode(TransportAddr.custom(7n, Uint8Array.of(1)))), "0000")
  })

  it("says nothing when it is empty, with bytes or without", () => {
    assert.deepStrictEqual(Result.getOrThrow(decode("")), { id, addrs: [] })
    assert.deepStrictEqual(Result.getOrThrow(decode("0000")), { id, addrs: [] })
  })

  it("may come in any order, with repeats and with more behind it", () => {
    const read = decode("00 03 00c0000201d222 00c0000201d122 00c0000201d222 ffff")
    assert.deepStrictEqual(Result.getOrThrow(read).addrs, [ip("192.0.2.1:4433"), ip("192.0.2.1:4434")])
  })

  for (const [what, hex] of [
    ["a relay that is no URL", "01026869 00"],
    ["a relay that is no text", "0101ff 00"],
    ["a third version of IP", "00 01 02c0000201d122"],
    ["more addresses than there are bytes", "00 7f 00c0000201d122"],
    ["a port above 65,535", "00 01 00c0000201ffff04"]
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.isTrue(Result.isFailure(decode(hex)))
    })
  }

  it("believes no more addresses than a peer of ours would say", () => {
    const many = Array.from({ length: 3 * Limits.addressesPerPeer }, (_, port) => ip(`192.0.2.1:${port}`))
    const parts = many.map(({ port }) => `00c0000201${port.toString(16).padStart(2, "0")}`)
    assert.lengthOf(Result.getOrThrow(decode(`0030${parts.join("")}`)).addrs, Limits.addressesPerPeer)
    assert.deepStrictEqual(
      Result.getOrThrow(AddrInfo.decode(id, encode(...many))).addrs,
      many.slice(0, Limits.addressesPerPeer)
    )
  })

  it("may have 472 bytes by default", () => {
    assert.strictEqual(AddrInfo.maxBytes(Config.defaults), 472)
  })

  it("leaves out a relay that has no room, not the addresses behind it", () => {
    const config = { ...Config.defaults, maxMessageBytes: Limits.minMessageBytes }
    const addrs = [relay("https://a-relay-with-a-long-name.example/"), ip("192.0.2.1:4433")]
    assert.strictEqual(toHex(AddrInfo.encode({ id, addrs }, config)), "000100c0000201d122")
  })

  it("never takes a Shuffle of peers that say as much to the limit of a frame", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(anyIp, anyRelay), { maxLength: 60 }),
        fc.integer({ min: Limits.minMessageBytes, max: 20_000 }),
        (addrs, maxMessageBytes) => {
          const config = { ...Config.defaults, maxMessageBytes }
          const data = AddrInfo.encode({ id, addrs }, config)
          assert.isAtMost(data.length, AddrInfo.maxBytes(config))
          const nodes = Array.from({ length: 8 }, () => ({ id, data }))
          assert.isBelow(Wire.bodyBytes({ _tag: "Shuffle", origin: id, nodes, ttl: 65_535 }), maxMessageBytes)
          const known = EndpointAddr.make(id, addrs).addrs
          for (const way of Result.getOrThrow(AddrInfo.decode(id, data)).addrs) assert.deepInclude(known, way)
        }
      )
    )
  })
})
