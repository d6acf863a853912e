import { assert, describe, it } from "@effect/vitest"
import { Pace } from "@effect-live/media"
import * as fc from "fast-check"
import { shiftUs } from "../src/internal/timeline.ts"

const rates = [24_000 / 1_001, 24, 25, 30_000 / 1_001, 30, 50, 60_000 / 1_001, 60]

/** Times of pictures from the first one on. */
const pictures = (firstUs: number, frameUs: number, count: number): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, index) => firstUs + Math.round(index * frameUs))

/** As Matroska keeps it. */
const toMs = (us: number): number => Math.round(us / 1_000)

/** On which tick of the frame rate each picture of a Matroska file lands when the first sample of the file is at 0. */
const ticks = (timesUs: ReadonlyArray<number>, fileStartUs: number, frameUs: number): ReadonlyArray<number> =>
  timesUs.map((us) => Math.round(((toMs(us) - toMs(fileStartUs)) * 1_000) / frameUs + 1e-6))

const assertOneEach = (numbers: ReadonlyArray<number>): void =>
  assert.strictEqual(new Set(numbers).size, numbers.length, `two pictures on one tick: ${numbers.join(" ")}`)

/** Sound begins a file, and the first picture follows: anywhere, or hardly off half a frame. */
const beginnings = fc.record({
  startUs: fc.integer({ min: 0, max: 2 ** 50 }),
  frameUs: fc.constantFrom(...rates.map((rate) => 1_000_000 / rate)),
  frames: fc.integer({ min: 0, max: 5 }),
  part: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constant(0.5)),
  offUs: fc.integer({ min: -1_500, max: 1_500 })
})

type Beginning = typeof beginnings extends fc.Arbitrary<infer A> ? A : never

/** Behind the start. Within two microseconds of half a frame the rounding to microseconds decides, which nobody can help. */
const delayUs = ({ frameUs, frames, offUs, part }: Beginning): number => {
  const us = Math.max(0, Math.round((frames + part) * frameUs) + offUs)
  return Math.abs((us % frameUs) - frameUs / 2) < 2 ? us + 4 : us
}

describe("the one shift of a recording", () => {
  it("begins a file in its first half millisecond, with every picture on a tick of its own", () => {
    fc.assert(
      fc.property(beginnings, (beginning) => {
        const { frameUs, startUs } = beginning
        const ptsUs = startUs + delayUs(beginning)
        const addUs = shiftUs({ startUs, picture: { ptsUs, frameUs } }, undefined)
        assert.isTrue(Number.isInteger(addUs))
        assert.isAtLeast(startUs + addUs, 0)
        assert.isAtMost(startUs + addUs, 500)
        assertOneEach(ticks(pictures(ptsUs + addUs, frameUs, 300), startUs + addUs, frameUs))
      }),
      { numRuns: 2_000 }
    )
  })

  it("goes on less than a frame behind the end of what is there, a whole number of frames behind its pictures", () => {
    fc.assert(
      fc.property(beginnings, beginnings, (one, two) => {
        const { frameUs } = one
        const firstUs = one.startUs + delayUs(one)
        const firstAdd = shiftUs({ startUs: one.startUs, picture: { ptsUs: firstUs, frameUs } }, undefined)
        const before = pictures(firstUs + firstAdd, frameUs, 100)
        const pictureUs = before.at(-1) ?? 0
        const endUs = pictureUs + Math.round(frameUs)
        const again = { ...two, frameUs }
        const ptsUs = two.startUs + delayUs(again)
        const addUs = shiftUs({ startUs: two.startUs, picture: { ptsUs, frameUs } }, { endUs, pictureUs })
        assert.isTrue(Number.isInteger(addUs))
        assert.isAtLeast(two.startUs + addUs, endUs)
        assert.isBelow(two.startUs + addUs, endUs + frameUs + 1)
        const frames = (ptsUs + addUs - pictureUs) / frameUs
        assert.closeTo(frames, Math.round(frames), 1 / frameUs)
        const after = pictures(ptsUs + addUs, frameUs, 100)
        assertOneEach(ticks([...before, ...after], one.startUs + firstAdd, frameUs))
      }),
      { numRuns: 2_000 }
    )
  })

  it("keeps the pictures of a source that loops whole frames apart, whatever its length", () => {
    const frameUs = 1_000_000 / 30
    const timeline = new Pace.Timeline([
      { kind: "video", name: "v", codec: "vp8", framerate: 30 },
      { kind: "audio", name: "a", codec: "opus", sampleRate: 48_000, numberOfChannels: 2 }
    ])
    const data = new Uint8Array(0)
    const seen: Array<number> = []
    for (let round = 0; round < 50; round++) {
      if (round > 0) assert.isTrue(timeline.beginRound())
      for (const us of pictures(6_500, frameUs, 30))
        seen.push(timeline.place({ track: "v", ptsUs: us, key: true, data, durationUs: 33_333 }).ptsUs)
      timeline.place({ track: "a", ptsUs: 1_000_000, key: true, data, durationUs: 10_006 })
    }
    seen.slice(1).forEach((us, index) => {
      const frames = (us - (seen[index] ?? 0)) / frameUs
      assert.closeTo(frames, Math.round(frames), 2 / frameUs)
      assert.isAtMost(frames, 2.1)
    })
  })

  it("is the plain distance where no frame rate is known", () => {
    assert.strictEqual(shiftUs({ startUs: 7_000, picture: undefined }, undefined), -7_000)
    assert.strictEqual(shiftUs({ startUs: 7_000, picture: undefined }, { endUs: 9_000, pictureUs: 8_000 }), 2_000)
    const picture = { ptsUs: 8_000, frameUs: 40_000 }
    assert.strictEqual(shiftUs({ startUs: 7_000, picture }, { endUs: 9_000, pictureUs: undefined }), 2_000)
  })
})
