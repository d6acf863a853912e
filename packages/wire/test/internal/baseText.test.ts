import { assert, describe, it } from "@effect/vitest"
import { Base32, Base64Url, Hex } from "@effect-live/wire"
import { Result } from "effect"
import fc from "fast-check"
import { bytesOf } from "../support.ts"

const refusal = (result: Result.Result<unknown, { readonly offset: number; readonly expected: string }>) => {
  const { expected, offset } = Result.getOrThrow(Result.flip(result))
  return `${offset}: ${expected}`
}

describe("Base32, Base64Url, Hex", () => {
  it("give back every byte string", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        for (const { decode, encode } of [Base32, Base64Url, Hex]) {
          assert.deepStrictEqual(Result.getOrThrow(decode(encode(bytes))), bytes)
        }
      })
    )
  })

  it("accept a text only if it is the one that encoding gives, letter case in base32 apart", () => {
    const text = fc.string({ unit: fc.constantFrom(..."abcXYZ0189-_=+/ \n2347é") })
    fc.assert(
      fc.property(text, (text) => {
        for (const form of [Base64Url, Hex]) {
          const decoded = form.decode(text)
          if (Result.isSuccess(decoded)) assert.strictEqual(form.encode(decoded.success), text)
        }
        const decoded = Base32.decode(text)
        if (Result.isSuccess(decoded)) assert.strictEqual(Base32.encode(decoded.success), text.toLowerCase())
      }),
      { numRuns: 2_000 }
    )
  })
})

describe("Base32", () => {
  it("writes lower case and reads any case", () => {
    assert.strictEqual(Base32.encode(bytesOf("12ab")), "ckvq")
    for (const text of ["ckvq", "CKVQ", "cKvQ"]) {
      assert.deepStrictEqual(Result.getOrThrow(Base32.decode(text)), bytesOf("12ab"))
    }
  })

  it("refuses padding, white space, foreign digits and letters that fold to ASCII", () => {
    for (const text of ["ckvq====", " ckvq", "ckvq\n", "ck1q", "ck0q", "\u212Akvq", "\u0131kvq", "\u017Fkvq", "ß"]) {
      assert.match(refusal(Base32.decode(text)), /^\d: a base32 character$/, JSON.stringify(text))
    }
    assert.strictEqual(refusal(Base32.decode("ckvq====")), "4: a base32 character")
  })

  it("refuses lengths that no bytes give", () => {
    for (let length = 0; length <= 16; length++) {
      const accepted = Result.isSuccess(Base32.decode("a".repeat(length)))
      assert.strictEqual(accepted, ![1, 3, 6].includes(length % 8), `length ${length}`)
    }
  })

  it("refuses unused bits that are not zero", () => {
    for (const text of ["ab", "aaab", "aaaab", "aaaaaab"]) {
      assert.strictEqual(
        refusal(Base32.decode(text)),
        `${text.length - 1}: the unused bits of the last character to be zero`
      )
    }
  })
})

describe("Base64Url", () => {
  it("refuses padding, the standard alphabet and garbage", () => {
    for (const text of ["AA==", "AA=", "++++", "////", "AA A", "A\nAA"]) {
      assert.match(refusal(Base64Url.decode(text)), /^\d: a base64url character$/, text)
    }
  })

  it("refuses a length of 1 modulo 4 and unused bits that are not zero", () => {
    assert.strictEqual(refusal(Base64Url.decode("AAAAA")), "5: more base64url characters: no bytes give 5")
    assert.strictEqual(refusal(Base64Url.decode("AB")), "1: the unused bits of the last character to be zero")
    assert.strictEqual(refusal(Base64Url.decode("AAB")), "2: the unused bits of the last character to be zero")
  })
})

describe("Hex", () => {
  it("reads lower case only", () => {
    assert.strictEqual(refusal(Hex.decode("0aA0")), "2: a lower-case hex character")
    assert.strictEqual(refusal(Hex.decode("0x00")), "1: a lower-case hex character")
    assert.strictEqual(refusal(Hex.decode("000")), "3: more lower-case hex characters: no bytes give 3")
  })
})
