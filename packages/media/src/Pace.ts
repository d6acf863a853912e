/**
 * Real time for recorded samples: one clock for all tracks, which starts with the first sample and never stands still. Uses the
 * Clock service, so it runs in the simulated world too.
 */
import { Clock, Effect, Stream } from "effect"
import type { Import, ImportError } from "./Import.ts"
import { frameUsOf, shiftUs } from "./internal/timeline.ts"
import type { Sample, TrackInfo } from "./Sample.ts"

/**
 * Hands every sample over when it is due; a source that is late catches up. With `loop`, a source that ends begins anew and its
 * times go on rising. Ends with the source; a pipe that should loop fails with `NotRewindable`.
 */
export const run = (
  source: Import,
  { loop }: { readonly loop: boolean },
  deliver: (sample: Sample) => void
): Effect.Effect<void, ImportError> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const timeline = new Timeline(source.tracks)
    let originMs: number | undefined
    const nowMs = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000n) / 1_000
    const round = Stream.runForEach(source.samples, (recorded) => {
      const sample = timeline.place(recorded)
      originMs ??= nowMs() - timeline.dueUs / 1_000
      const waitMs = originMs + timeline.dueUs / 1_000 - nowMs()
      if (waitMs >= 1)
        return Effect.andThen(
          Effect.sleep(waitMs),
          Effect.sync(() => deliver(sample))
        )
      deliver(sample)
      return Effect.void
    })
    yield* round
    while (loop && timeline.beginRound()) yield* round
  })

/** Places the samples of every round behind those of the round before, with all pictures whole frames apart. */
export class Timeline {
  /** Where this round begins. */
  #startUs = 0
  #endUs = 0
  readonly #lastUs = new Map<string, number>()
  readonly #video: { readonly name: string; readonly frameUs: number } | undefined
  /** In the source: of its second picture, because edit lists tend to displace the first. */
  #pictureUs: number | undefined
  /** When the sample placed last is to be sent: its time, but never before one that was placed earlier. */
  dueUs = 0

  constructor(tracks: ReadonlyArray<TrackInfo>) {
    this.#video = tracks.flatMap((info) => {
      const frameUs = frameUsOf(info)
      return frameUs === undefined ? [] : { name: info.name, frameUs }
    })[0]
  }

  place(sample: Sample): Sample {
    const ptsUs = sample.ptsUs + this.#startUs
    if (sample.track === this.#video?.name && this.#lastUs.has(sample.track)) this.#pictureUs ??= sample.ptsUs
    const gapUs = Math.max(0, ptsUs - (this.#lastUs.get(sample.track) ?? ptsUs))
    this.#lastUs.set(sample.track, ptsUs)
    this.#endUs = Math.max(this.#endUs, ptsUs + (sample.durationUs > 0 ? sample.durationUs : gapUs))
    this.dueUs = Math.max(this.dueUs, ptsUs)
    return this.#startUs === 0 ? sample : { ...sample, ptsUs }
  }

  /** False when the round before had no samples, or lasted no time: the next one would not either. */
  beginRound(): boolean {
    if (this.#endUs <= this.#startUs) return false
    const pictureUs = this.#video && this.#lastUs.get(this.#video.name)
    const picture =
      this.#video === undefined || this.#pictureUs === undefined
        ? undefined
        : { ptsUs: this.#pictureUs, frameUs: this.#video.frameUs }
    this.#startUs = shiftUs({ startUs: 0, picture }, { endUs: this.#endUs, pictureUs })
    this.#lastUs.clear()
    return true
  }
}
