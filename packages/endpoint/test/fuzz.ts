import { EndpointAddr, EndpointId, EndpointTicket, RelayUrl, SecretKey, TransportAddr } from "@effect-live/endpoint"
import { Bytes } from "@effect-live/wire"
import type { Target } from "@effect-live/wire/testing/Fuzz"
import { Result } from "effect"
import { base, bytesOf, tickets, utf8 } from "./vectors.ts"

const hexSeeds = (prefix: string) => base.filter(({ what }) => what.startsWith(prefix)).map(({ hex }) => bytesOf(hex))
const textSeeds = (prefix: string) =>
  [...base, ...tickets].filter(({ what }) => what.startsWith(prefix)).map(({ text }) => utf8(text))

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes)

/** A refusal must not quote what it refused. */
const secretly = <A>(text: string, result: Result.Result<A, Error>): Result.Result<A, Error> => {
  if (text.length > 24 && Result.isFailure(result) && result.failure.message.includes(text.slice(8, 24))) {
    throw new Error("the error quotes the text")
  }
  return result
}

const mustBe = (same: boolean): void => {
  if (!same) throw new Error("decodes differently from its own encoding")
}

export const fuzzTargets: ReadonlyArray<Target> = [
  {
    name: "endpoint/EndpointAddr",
    decode: (bytes) => {
      const addr = EndpointAddr.decode(bytes)
      if (Result.isSuccess(addr)) {
        const canonical = EndpointAddr.encode(addr.success)
        // Only our own custom addresses are sure to come back: old and new layout may be mixed in what a stranger sends.
        if (addr.success.addrs.every(({ _tag }) => _tag !== "Custom")) {
          const again = Result.getOrThrow(EndpointAddr.decode(canonical, { trailing: "refuse" }))
          mustBe(Bytes.equals(EndpointAddr.encode(again), canonical))
        }
      }
      return addr
    },
    seeds: hexSeeds("EndpointAddr")
  },
  {
    name: "endpoint/EndpointTicket",
    decode: (bytes) => {
      const text = latin1(bytes)
      return secretly(text, EndpointTicket.decode(text))
    },
    seeds: [...textSeeds("EndpointTicket: "), ...textSeeds("ticket envelope: ")]
  },
  {
    name: "endpoint/EndpointId",
    decode: (bytes) => EndpointId.parse(latin1(bytes)),
    seeds: textSeeds("endpoint id text: ")
  },
  {
    name: "endpoint/SecretKey",
    decode: (bytes) => {
      const text = latin1(bytes)
      const key = secretly(text, SecretKey.parse(text))
      return Result.isSuccess(key) ? SecretKey.toHex(key.success) : key
    },
    seeds: textSeeds("endpoint id text: ")
  },
  {
    name: "endpoint/TransportAddr",
    decode: (bytes) => {
      const addr = TransportAddr.parseIp(latin1(bytes))
      if (Result.isSuccess(addr)) {
        const normal = TransportAddr.format(addr.success)
        mustBe(TransportAddr.format(Result.getOrThrow(TransportAddr.parseIp(normal))) === normal)
      }
      return addr
    },
    seeds: ["127.0.0.1:1024", "[2001:db8::1]:443", "[::ffff:192.0.2.1]:80", "[fe80::1%7]:1", "[1:2:3:4:5:6:7:8]:9"].map(
      (text) => utf8(text)
    )
  },
  {
    name: "endpoint/RelayUrl",
    decode: (bytes) => {
      const url = RelayUrl.parse(latin1(bytes))
      if (Result.isSuccess(url)) mustBe(Result.getOrThrow(RelayUrl.parse(url.success)) === url.success)
      return url
    },
    seeds: ["https://relay.example.com/", "HTTPS://Relay.Example.COM:443", "https://u:p@a/b/../c?x=1#f"].map((text) =>
      utf8(text)
    )
  }
]
