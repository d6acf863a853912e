import { assert, describe, it } from "@effect/vitest"
import { TransportAddr } from "@effect-live/endpoint"
import { Result, Schema } from "effect"
import fc from "fast-check"
import { bytesOf } from "./vectors.ts"

const shown = (text: string) => Result.map(TransportAddr.parseIp(text), TransportAddr.format)

describe("TransportAddr", () => {
  it("reads socket addresses as Rust does and prints them in their normal form", () => {
    for (const [text, normal] of [
      ["127.0.0.1:1024", "127.0.0.1:1024"],
      ["1.2.3.4:0080", "1.2.3.4:80"],
      ["[::1]:4433", "[::1]:4433"],
      ["[fe80::1%7]:1", "[fe80::1]:1"],
      ["[::ffff:192.0.2.1]:80", "[::ffff:192.0.2.1]:80"],
      ["[::FFFF:102:304]:9", "[::ffff:1.2.3.4]:9"],
      ["[::1.2.3.4]:2", "[::102:304]:2"],
      ["[2001:db8:0:0:1:0:0:1]:3", "[2001:db8::1:0:0:1]:3"],
      ["[1:2:3:4:5:6:7::]:1", "[1:2:3:4:5:6:7:0]:1"],
      ["[1:0:3:4:5:6:7:8]:1", "[1:0:3:4:5:6:7:8]:1"],
      ["[::]:0", "[::]:0"],
      ["255.255.255.255:65535", "255.255.255.255:65535"]
    ] as const) {
      assert.strictEqual(Result.getOrThrow(shown(text)), normal)
    }
  })

  it("refuses names, missing ports and everything that Rust refuses", () => {
    for (const text of [
      "example.com:80",
      "localhost:80",
      "1.2.3.4",
      "1.2.3.4:",
      "1.2.3.4:+8",
      "1.2.3.4:65536",
      "01.2.3.4:1",
      "1.2.3:1",
      "1.2.3.256:1",
      " 1.2.3.4:1",
      "::1:80",
      "[::1]",
      "[::1]80",
      "[1.2.3.4]:1",
      "[:::]:1",
      "[1::2::3]:1",
      "[::1:2:3:4:5:6:7:8]:1",
      "[1:2:3:4:5:6:7]:1",
      "[1:2:3:4:5:6:7:8:9]:1",
      "[12345::]:1",
      "[::1.2.3.4:5]:1",
      "[::1%]:1",
      "[::1%eth0]:1",
      "[::1%4294967296]:1",
      "[::1%1%2]:1",
      "1.2.3.4%1:1",
      ""
    ]) {
      assert.isTrue(Result.isFailure(shown(text)), text)
    }
  })

  it("prints every address so that it reads back", () => {
    const address = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.array(fc.constantFrom(0, 0, 1, 0xff), { minLength: 16, maxLength: 16 }).map((bytes) => Uint8Array.from(bytes))
    )
    fc.assert(
      fc.property(address, fc.nat(65_535), (bytes, port) => {
        const addr = TransportAddr.fromIpBytes(bytes, port)
        assert.deepStrictEqual(TransportAddr.ipBytes(addr), bytes)
        assert.deepStrictEqual(Result.getOrThrow(TransportAddr.parseIp(TransportAddr.format(addr))), addr)
        assert.isTrue(Schema.is(TransportAddr.TransportAddr)(addr))
        const [host] = /[^[\]]*(?=\]?:\d+$)/.exec(TransportAddr.format(addr)) ?? [""]
        const url = new URL(addr.ip.includes(":") ? `http://[${host}]/` : `http://${host}/`)
        if (!host.startsWith("::ffff:")) assert.strictEqual(url.hostname.replace(/[[\]]/g, ""), host)
      }),
      { numRuns: 500 }
    )
  })

  it("prints relays and custom addresses for people", () => {
    assert.strictEqual(TransportAddr.format(TransportAddr.custom(0x544f52n, bytesOf("aabb"))), "544f52_aabb")
  })

  it("is a schema that refuses addresses that were not made by its constructors", () => {
    const is = Schema.is(TransportAddr.TransportAddr)
    assert.isFalse(is({ _tag: "Ip", ip: "01.2.3.4", port: 1 }))
    assert.isFalse(is({ _tag: "Ip", ip: "::FFFF:1.2.3.4", port: 1 }))
    assert.isFalse(is({ _tag: "Ip", ip: "1.2.3.4", port: 65_536 }))
    assert.isTrue(is({ _tag: "Ip", ip: "1.2.3.4", port: 65_535 }))
  })
})
