/** What a media file holds, to compare a recording with its source. */
import { spawnSync } from "node:child_process"
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

/**
 * Where the recording begins in the source, whose units it must hold from there on without a hole, with the same bytes in the same
 * order; a looping publisher begins again at the first. Units may repeat, so every place is tried.
 */
export const assertRun = (
  kind: "video" | "audio",
  recorded: ReadonlyArray<Unit>,
  source: ReadonlyArray<Unit>
): number => {
  const fits = (start: number) =>
    recorded.findIndex((unit, index) => unit.sha256 !== source[(start + index) % source.length]?.sha256)
  const starts = source.flatMap((unit, start) => (unit.sha256 === recorded[0]?.sha256 ? start : []))
  const start = starts.find((candidate) => fits(candidate) < 0)
  if (start !== undefined) return start
  return assert.fail(
    `the ${recorded.length} ${kind} units are no run of the source; from ${starts.join()} they part at ${starts.map(fits).join()}`
  )
}

/** As `assertRun`, of both kinds. */
export const assertRuns = (recorded: Units, source: Units) => ({
  video: assertRun("video", recorded.video, source.video),
  audio: assertRun("audio", recorded.audio, source.audio)
})

/** The recording holds every unit of the source, in the same order. */
export const assertWhole = (recorded: Units, source: Units): void => {
  assert.deepStrictEqual(assertRuns(recorded, source), { video: 0, audio: 0 })
  assert.lengthOf(recorded.video, source.video.length)
  assert.lengthOf(recorded.audio, source.audio.length)
}

/** All times of a whole recording differ from the source's by one and the same shift, within a millisecond. */
export const assertOneShift = (recorded: Units, source: Units): void => {
  const shifts = (["video", "audio"] as const).flatMap((kind) =>
    recorded[kind].map((unit, index) => unit.ptsUs - (source[kind][index]?.ptsUs ?? Number.NaN))
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

/** ffmpeg, where it is installed, decodes the whole file without a word. */
export const assertDecodes = (path: string): void => {
  const { error, stderr } = spawnSync("ffmpeg", ["-v", "error", "-xerror", "-i", path, "-f", "null", "-"], {
    encoding: "utf8"
  })
  if (error === undefined) assert.strictEqual(stderr, "")
  else console.log(`ffmpeg is not installed: ${path} was compared, but not decoded`)
}
