import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { EndpointId, SecretKey, Signature } from "@effect-live/endpoint"
import { Effect, Logger, Result } from "effect"
import { base, bytesOf, hexOf, utf8, vectors } from "./vectors.ts"

describe("SecretKey", () => {
  for (const { fields, hex } of vectors(base, "secret key to endpoint id")) {
    it(`has the public key ${hex}`, () => {
      const key = Result.getOrThrow(SecretKey.parse(fields.secret ?? ""))
      const id = SecretKey.endpointId(key)
      assert.strictEqual(id, hex)
      assert.strictEqual(EndpointId.fmtShort(id), fields.fmtShort)
      assert.strictEqual(Result.getOrThrow(EndpointId.parse(fields.base32 ?? "")), id)
      assert.strictEqual(SecretKey.toHex(key), fields.secret)
    })
  }

  for (const { fields, hex = "" } of vectors(base, "ed25519 signature")) {
    it(`signs as RFC 8032 says: ${hex.slice(0, 16)}`, () => {
      const key = Result.getOrThrow(SecretKey.fromBytes(bytesOf(fields.secret)))
      assert.strictEqual(hexOf(SecretKey.sign(key, utf8(fields.message_utf8))), hex)
    })
  }

  it("reads hex in lower case and base32 in any case, and says what is wrong without quoting it", () => {
    const base32 = "aeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaq"
    for (const text of ["01".repeat(32), base32, base32.toUpperCase()]) {
      assert.strictEqual(SecretKey.toHex(Result.getOrThrow(SecretKey.parse(text))), "01".repeat(32))
    }
    for (const text of ["", "AB".repeat(32), `${"01".repeat(32)}\n`, base32.replace("q", "1"), `${base32.slice(1)}b`]) {
      const error = Result.getOrThrow(Result.flip(SecretKey.parse(text)))
      assert.match(error.message, /^not a secret key: /)
      if (text !== "") assert.notInclude(error.message, text.slice(0, 8))
    }
    assert.isTrue(Result.isFailure(SecretKey.fromBytes(new Uint8Array(31))))
  })

  it("is its own copy of the seed", () => {
    const seed = new Uint8Array(32).fill(1)
    const key = Result.getOrThrow(SecretKey.fromBytes(seed))
    seed.fill(0)
    assert.strictEqual(SecretKey.toHex(key), "01".repeat(32))
  })

  it.effect("is new each time it is generated, and signs for its id", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* SecretKey.generate, yield* SecretKey.generate]
      assert.notStrictEqual(SecretKey.toHex(a), SecretKey.toHex(b))
      const signature = SecretKey.sign(a, utf8("hello"))
      assert.isTrue(Signature.verify(SecretKey.endpointId(a), utf8("hello"), signature))
      assert.isFalse(Signature.verify(SecretKey.endpointId(b), utf8("hello"), signature))
    })
  )

  it.effect("shows itself in no printout", () =>
    Effect.gen(function* () {
      const key = Result.getOrThrow(SecretKey.parse("17".repeat(32)))
      const lines = [String(key), JSON.stringify({ key }), inspect(key), inspect([{ key }], { depth: 10 })]
      const collect = <A>(format: Logger.Logger<unknown, A>) =>
        Logger.map(format, (line) => void lines.push(inspect(line, { depth: 10 })))
      yield* Effect.logInfo("key", key, { key }).pipe(
        Effect.annotateLogs({ key }),
        Effect.provide(
          Logger.layer([collect(Logger.formatLogFmt), collect(Logger.formatStructured), collect(Logger.formatJson)])
        )
      )
      assert.strictEqual(lines.length, 7)
      for (const line of lines) {
        assert.include(line, "<redacted:SecretKey>")
        assert.notInclude(line, "1717")
        assert.notInclude(line, "23, 23")
        assert.notInclude(line, "23,23")
      }
    })
  )
})
