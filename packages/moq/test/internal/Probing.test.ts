import { assert, describe, it } from "@effect/vitest"
import { Schedule } from "../../src/internal/Probing.ts"

const measured = (bitrate: number, rttMs: number) => ({ bitrate, rttMs })
const unknown = { bitrate: undefined, rttMs: undefined }

describe("when a publisher reports what it measured (moq-lite section 4.5)", () => {
  it("at once the first time, and never before it knows something", () => {
    const schedule = new Schedule()
    assert.isUndefined(schedule.due(undefined, 0))
    assert.deepStrictEqual(schedule.due(measured(1_000, 20), 100), measured(1_000, 20))
  })

  it("a change of a quarter at once, a smaller one later, and the same after ten seconds", () => {
    const after = (elapsedMs: number, bitrate: number, rttMs = 20) => {
      const schedule = new Schedule()
      schedule.due(measured(1_000, 20), 0)
      return schedule.due(measured(bitrate, rttMs), elapsedMs) !== undefined
    }
    assert.isTrue(after(100, 1_250))
    assert.isFalse(after(100, 1_240))
    assert.isTrue(after(100, 750))
    assert.isTrue(after(5_050, 1_125))
    assert.isFalse(after(5_050, 1_120))
    assert.isTrue(after(100, 1_000, 25))
    assert.isFalse(after(9_999, 1_000))
    assert.isTrue(after(10_000, 1_000))
  })

  it("that it knows nothing any more, once", () => {
    const schedule = new Schedule()
    schedule.due(measured(1_000, 20), 0)
    assert.deepStrictEqual(schedule.due(undefined, 100), unknown)
    assert.isUndefined(schedule.due(undefined, 200))
    assert.deepStrictEqual(schedule.due(measured(2_000, 20), 300), measured(2_000, 20))
  })
})
