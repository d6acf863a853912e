import { assert, describe, it } from "@effect/vitest"
import { RelayUrl } from "@effect-live/endpoint"
import { Result, Schema } from "effect"

describe("RelayUrl", () => {
  it("is stored in the normal form in which the Rust peers send it", () => {
    for (const [text, stored] of [
      ["https://relay.example.com", "https://relay.example.com/"],
      ["https://relay.example.com./", "https://relay.example.com./"],
      ["HTTPS://Relay.Example.COM:443", "https://relay.example.com/"],
      ["https://relay.example.com:8443", "https://relay.example.com:8443/"],
      ["https://bücher.example", "https://xn--bcher-kva.example/"],
      ["https://relay.example.com/a/../b?x=1#f", "https://relay.example.com/b?x=1#f"],
      ["https://u:p@relay.example.com", "https://u:p@relay.example.com/"],
      ["foo:bar", "foo:bar"]
    ] as const) {
      assert.strictEqual<string>(Result.getOrThrow(RelayUrl.parse(text)), stored)
    }
  })

  it("refuses what is no absolute URL, without quoting it", () => {
    for (const text of ["", "relay.example.com", "/path", "https://relay:99999"]) {
      const error = Result.getOrThrow(Result.flip(RelayUrl.parse(text)))
      assert.strictEqual(error.message, "a relay is named by an absolute URL such as https://relay.example.com/")
    }
  })

  it("is a schema of normal forms only", () => {
    const decode = Schema.decodeUnknownResult(RelayUrl.RelayUrl)
    assert.isTrue(Result.isSuccess(decode("https://relay.example.com/")))
    assert.isTrue(Result.isFailure(decode("https://relay.example.com")))
  })
})
