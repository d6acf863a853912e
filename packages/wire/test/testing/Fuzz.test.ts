import { assert, describe, it } from "@effect/vitest"
import * as Fuzz from "@effect-live/wire/testing/Fuzz"
import { Result } from "effect"

const seeds = [new Uint8Array([1, 2, 3]), new Uint8Array(100)]
const sound: Fuzz.Target = { name: "sound", seeds, decode: (bytes) => (bytes[0] === 1 ? bytes : Result.fail("no")) }
const throws: Fuzz.Target = {
  name: "throws",
  seeds,
  decode: (bytes) => {
    if (bytes.length === 2) throw new Error("two bytes")
  }
}
const greedy: Fuzz.Target = { name: "greedy", seeds, decode: (bytes) => new Uint8Array(10_000 + 300 * bytes.length) }

const inputsOf = (seed: number, count = 100) =>
  Array.from({ length: count }, (_, index) => Fuzz.inputAt([sound], seed, index)[1])

describe("Fuzz", () => {
  it("gives the same inputs for the same seed, and others for another", () => {
    assert.deepStrictEqual(inputsOf(7), inputsOf(7))
    assert.notDeepEqual(inputsOf(7), inputsOf(8))
  })

  it("reports a decoder that throws, with what is needed to see it again", () => {
    const report = Fuzz.run([sound, throws], { count: 10_000, seed: 3 })
    assert.strictEqual(report.failures.length, Fuzz.maxFailures)
    assert.isAbove(report.accepted, 0)
    for (const { input, target } of report.failures) {
      assert.strictEqual(target, "throws")
      assert.strictEqual(input.length, 2)
    }
    assert.throws(
      () => Fuzz.assertSound([throws], [], { count: 10_000, seed: 3 }),
      /throws broke on input \d+ of seed 3/
    )
  })

  it("reports a decoder whose value is far larger than its input", () => {
    const report = Fuzz.replay([greedy, sound], [{ what: "one zero", hex: "00", target: "greedy" }])
    assert.strictEqual(report.inputs, 1)
    assert.include(
      Fuzz.format(report.failures),
      'greedy broke on the kept input "one zero": Error: 1 bytes became a value of 10316 bytes'
    )
  })

  it("takes a kept input for a decoder that does not exist for a mistake", () => {
    assert.throws(() => Fuzz.replay([sound], [{ what: "", hex: "00", target: "another" }]), RangeError)
  })

  it("keeps inputs small however often they are mutated", () => {
    let left = 20_000
    for (const [, input] of Fuzz.inputs([sound], 1)) {
      if (left-- === 0) break
      assert.isAtMost(input.length, 2 * Fuzz.maxInputBytes)
    }
  })
})
