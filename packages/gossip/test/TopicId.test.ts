import * as Postcard from "@effect-live/wire/Postcard"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as TopicId from "../src/TopicId.ts"
import { toHex } from "./support/messages.ts"

const text = "17".repeat(32)

describe("TopicId", () => {
  it("is its 64 lower-case hex digits", () => {
    const topic = Result.getOrThrow(TopicId.parse(text))
    assert.strictEqual(topic, text)
    assert.strictEqual(TopicId.fmtShort(topic), "1717171717")
    assert.deepStrictEqual(TopicId.toBytes(topic), new Uint8Array(32).fill(0x17))
    assert.strictEqual(Result.getOrThrow(TopicId.fromBytes(TopicId.toBytes(topic))), topic)
  })

  for (const [what, wrong] of [
    ["nothing", ""],
    ["one digit too few", text.slice(1)],
    ["one byte too many", `${text}17`],
    ["upper-case digits", text.replaceAll("17", "AB")],
    ["what is no digit", `${text.slice(1)}g`],
    ["white space", ` ${text}`]
  ] as const) {
    it(`refuses ${what}, without quoting it`, () => {
      const refused = TopicId.parse(wrong)
      assert.isTrue(Result.isFailure(refused))
      if (Result.isFailure(refused)) {
        assert.strictEqual(refused.failure.message, "a topic is named by 64 lower-case hex digits, which are 32 bytes")
      }
    })
  }

  it("refuses other than 32 bytes", () => {
    assert.isTrue(Result.isFailure(TopicId.fromBytes(new Uint8Array(31))))
    assert.isTrue(Result.isFailure(TopicId.fromBytes(new Uint8Array(33))))
  })

  it.effect("is another one each time it is drawn", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* TopicId.random, yield* TopicId.random]
      assert.notStrictEqual(one, other)
      assert.strictEqual(Result.getOrThrow(TopicId.parse(one)), one)
    })
  )

  it("is 32 raw bytes in postcard", () => {
    const codec = Postcard.codec(TopicId.TopicId)
    const topic = Result.getOrThrow(TopicId.parse(text))
    assert.strictEqual(toHex(codec.encode(topic)), text)
    assert.strictEqual(Result.getOrThrow(codec.decode(new Uint8Array(32).fill(0x17))), topic)
    assert.isTrue(Result.isFailure(codec.decode(new Uint8Array(31))))
  })
})
