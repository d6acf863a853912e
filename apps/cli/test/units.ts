/** What a media file holds, to compare a recording with its source. */
import { createHash } from "node:crypto"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Import from "@effect-live/media/Import"
import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"

export interface Unit {
  readonly ptsUs: number
  readonly key: boolean
  readonly sha256: string
}

export interface Units {
  readonly video: ReadonlyArray<Unit>
  readonly audio: ReadonlyArray<Unit>
}

/** The access units of the first video and the first audio track, in decode order. */
export const unitsOf = (path: string): Promise<Units> =>
  Effect.gen(function* () {
    const file = yield* Import.fromFile(path)
    const kinds = new Map(file.tracks.map((track) => [track.name, track.kind]))
    const units = { video: new Array<Unit>(), audio: new Array<Unit>() }
    yield* Stream.runForEach(file.samples, ({ data, key, ptsUs, track }) =>
      Effect.sync(() => {
        const kind = kinds.get(track)
        if (kind === undefined) return
        units[kind].push({ ptsUs, key, sha256: createHash("sha256").update(data).digest("hex") })
      })
    )
    return units
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer), Effect.runPromise)

/** Where the first recorded unit stands in the source; the run from there must be gapless, with the same bytes in the same order. */
export const assertRun = (kind: "video" | "audio", recorded: ReadonlyArray<Unit>, source: ReadonlyArray<Unit>): number => {
  const start = source.findIndex((unit) => unit.sha256 === recorded[0]?.sha256)
  assert.isAtLeast(start, 0, `the first recorded ${kind} unit is in the source`)
  recorded.forEach((unit, index) => {
    // A looping publisher begins again at the first unit.
    const original = source[(start + index) % source.length]
    assert.strictEqual(unit.sha256, original?.sha256, `${kind} unit ${index} of the recording`)
  })
  return start
}

/** All times differ from the source's by one and the same shift, within a millisecond. */
export const assertOneShift = (recorded: Units, source: Units, starts: { readonly video: number; readonly audio: number }): void => {
  const shifts = (["video", "audio"] as const).flatMap((kind) =>
    recorded[kind].map((unit, index) => unit.ptsUs - (source[kind][starts[kind] + index]?.ptsUs ?? Number.NaN))
  )
  const spread = Math.max(...shifts) - Math.min(...shifts)
  assert.isAtMost(spread, 1000, "microseconds between the largest and the smallest shift")
}

/** Times rise in presentation order, without holes larger than `maxGapUs`. */
export const assertOneTimeline = (units: ReadonlyArray<Unit>, maxGapUs: number): void => {
  const times = units.map((unit) => unit.ptsUs).toSorted((a, b) => a - b)
  times.forEach((time, index) => {
    const before = times[index - 1]
    if (before === undefined) return
    assert.isAbove(time, before, `presentation time of unit ${index}`)
    assert.isAtMost(time - before, maxGapUs, `microseconds before unit ${index}`)
  })
}
