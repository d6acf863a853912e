/**
 * Records a broadcast: the best video and the best audio that the format can hold, with one common shift of time, from the first
 * key frame on. A broadcast that went away and came back goes on in the same file, right behind what was recorded before.
 */
import { End } from "@effect-live/endpoint/Stream"
import type { TrackError } from "@effect-live/moq/Track"
import * as Bytes from "@effect-live/wire/Bytes"
import { Effect, Result, Schema, Scope } from "effect"
import type { Catalog } from "./Catalog.ts"
import * as Export from "./Export.ts"
import { frameUsOf, type Run, shiftUs } from "./internal/timeline.ts"
import * as Limits from "./Limits.ts"
import * as RemoteBroadcast from "./RemoteBroadcast.ts"
import type { Sample, TrackInfo } from "./Sample.ts"

/** The broadcast offers nothing for this format: no audio for an Ogg file, for example. */
export class NothingToRecord extends Schema.TaggedError<NothingToRecord>()("NothingToRecord", {
  format: Schema.String
}) {}
/** The broadcast came back with a track that does not fit the file: another codec, or none of its kind. */
export class Changed extends Schema.TaggedError<Changed>()("Changed", { track: Schema.String }) {}

export class RecordError extends Schema.TaggedError<RecordError>()("RecordError", {
  reason: Schema.Union([NothingToRecord, Changed, Export.ExportError, RemoteBroadcast.RemoteBroadcastError])
}) {
  override get message(): string {
    const { reason } = this
    switch (reason._tag) {
      case "NothingToRecord":
        return `the broadcast offers nothing that ${reason.format} holds`
      case "Changed":
        return `the broadcast came back without a match for ${reason.track}; record it to a new file`
      default:
        return reason.message
    }
  }
}

/** How one run ended. The file is as complete as it gets in each case. */
export type Ended =
  /** The publisher ended all tracks. */
  | { readonly _tag: "Finished" }
  /** A track was cut off: the publisher or the way to it is gone. */
  | { readonly _tag: "Lost"; readonly error: TrackError }
  /** `durationUs` are recorded. */
  | { readonly _tag: "DurationReached" }

export interface Progress {
  /** Tracks of the file; empty before the first sample. */
  readonly tracks: ReadonlyArray<{
    readonly info: TrackInfo
    readonly samples: number
    /** Of the samples. */
    readonly bytes: number
  }>
  /** Groups that are missing or incomplete in the file. */
  readonly lostGroups: number
  /** Bytes of the file. */
  readonly bytesWritten: number
  /** Media time in the file. */
  readonly durationUs: number
}

export interface Options<R> {
  readonly format: Export.Format
  /** Opens the file for these tracks; called once, when their first samples are there. */
  readonly open: (tracks: ReadonlyArray<TrackInfo>) => Effect.Effect<Export.Export, Export.ExportError, R | Scope.Scope>
  /** Ends every track after so much media time, over all runs. */
  readonly durationUs?: number
}

export interface Recorder<R> {
  readonly progress: () => Progress
  /** Records until the broadcast ends; interrupting it is a clean way to stop. One run at a time. */
  readonly run: (
    broadcast: RemoteBroadcast.RemoteBroadcast
  ) => Effect.Effect<Ended, RecordError, Exclude<R, Scope.Scope>>
  /** Completes the file. Idempotent; closing the Scope does it too. */
  readonly finish: Effect.Effect<void, RecordError>
}

/** A recording that ends with the Scope. Nothing is opened before there is something to write. */
export const make = <R>(options: Options<R>): Effect.Effect<Recorder<R>, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    const recording = new Recording(options, scope)
    return {
      progress: () => recording.progress(),
      run: (broadcast) => Effect.scoped(recording.run(broadcast)),
      finish: Effect.suspend(() => recording.finish())
    }
  })

/** What to record in this format: the best video and the best audio, as far as it holds such. */
export const choose = (
  catalog: Catalog,
  format: Export.Format
): Result.Result<ReadonlyArray<TrackInfo>, NothingToRecord> => {
  const chosen = (["video", "audio"] as const).flatMap((kind) => {
    if (!Export.holds(format, kind)) return []
    const candidates = RemoteBroadcast.ranked(catalog, kind)
    // With no codec that fits, the export says which one it refuses.
    return candidates.find((info) => Result.isSuccess(Export.check(format, [info]))) ?? candidates[0] ?? []
  })
  return chosen.length > 0 ? Result.succeed(chosen) : Result.fail(new NothingToRecord({ format }))
}

/** One track of the file. */
interface Line {
  /** As it is called in the file: the name in the first run. */
  readonly info: TrackInfo
  samples: number
  bytes: number
}

interface Beginning {
  readonly _tag: "Sample"
  readonly rendition: RemoteBroadcast.Rendition
  readonly sample: Sample
}

type FirstSample = Beginning | { readonly _tag: "Ended"; readonly ended: Ended } | { readonly _tag: "Silent" }

class Recording<R> {
  readonly #options: Options<R>
  readonly #scope: Scope.Scope
  #file: Export.Export | undefined
  #lines: ReadonlyArray<Line> = []
  #renditions: ReadonlyArray<RemoteBroadcast.Rendition> = []
  /** Of earlier runs. */
  #lostGroups = 0
  /** Of the picture that was written last. */
  #pictureUs: number | undefined
  /** Where the file ends, and how long its last sample was taken to be. */
  #endUs = 0

  constructor(options: Options<R>, scope: Scope.Scope) {
    this.#options = options
    this.#scope = scope
  }

  progress(): Progress {
    return {
      tracks: this.#lines.map(({ bytes, info, samples }) => ({ info, samples, bytes })),
      lostGroups: this.#renditions.reduce((lost, rendition) => lost + rendition.lostGroups(), this.#lostGroups),
      bytesWritten: this.#file?.bytesWritten() ?? 0,
      durationUs: this.#endUs
    }
  }

  run(
    broadcast: RemoteBroadcast.RemoteBroadcast
  ): Effect.Effect<Ended, RecordError, Exclude<R, Scope.Scope> | Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const catalog = yield* Effect.mapError(broadcast.ready, recordError)
      const infos = yield* Effect.mapError(Effect.fromResult(this.#choose(catalog)), recordError)
      this.#lostGroups = this.progress().lostGroups
      this.#renditions = []
      this.#renditions = yield* Effect.mapError(
        Effect.forEach(infos, ({ name }) => broadcast.rendition(name), all),
        recordError
      )
      const first = yield* this.#firstSamples()
      if ("_tag" in first) return first
      const addUs = shiftUs(runOf(first), this.#file && { endUs: this.#endUs, pictureUs: this.#pictureUs })
      const file = yield* this.#open(first.map(({ rendition }) => rendition.info))
      const ends = yield* Effect.forEach(
        first,
        ({ rendition, sample }) => this.#follow(file, rendition, sample, addUs),
        all
      )
      return ends.find(({ _tag }) => _tag === "Lost") ?? ends[0] ?? finished
    })
  }

  finish(): Effect.Effect<void, RecordError> {
    return this.#file === undefined ? Effect.void : Effect.mapError(this.#file.finish, recordError)
  }

  /** In a later run: for each track of the file the rendition that goes on with it. */
  #choose(catalog: Catalog): Result.Result<ReadonlyArray<TrackInfo>, NothingToRecord | Changed> {
    if (this.#file === undefined) return choose(catalog, this.#options.format)
    const found: Array<TrackInfo> = []
    for (const { info } of this.#lines) {
      const match = RemoteBroadcast.ranked(catalog, info.kind).find((other) => isSameCodec(info, other))
      if (match === undefined) return Result.fail(new Changed({ track: info.name }))
      found.push(match)
    }
    return Result.succeed(found)
  }

  /** Of every rendition, or of those that have one when others stay silent. */
  #firstSamples(): Effect.Effect<ReadonlyArray<Beginning> | Ended> {
    return Effect.gen({ self: this }, function* () {
      for (;;) {
        const found = yield* Effect.forEach(this.#renditions, firstSample, all)
        const samples = found.flatMap((first) => (first._tag === "Sample" ? first : []))
        if (samples.length > 0) return samples
        const ends = found.flatMap((first) => (first._tag === "Ended" ? first.ended : []))
        if (ends.length === found.length) return ends.find(({ _tag }) => _tag === "Lost") ?? finished
      }
    })
  }

  #open(infos: ReadonlyArray<TrackInfo>): Effect.Effect<Export.Export, RecordError, Exclude<R, Scope.Scope>> {
    if (this.#file !== undefined) return Effect.succeed(this.#file)
    return this.#options.open(infos).pipe(
      Scope.provide(this.#scope),
      Effect.mapError(recordError),
      Effect.tap((file) =>
        Effect.sync(() => {
          this.#file = file
          this.#lines = infos.map((info) => ({ info, samples: 0, bytes: 0 }))
        })
      )
    )
  }

  /** Everything of one rendition from its first sample on. */
  #follow(
    file: Export.Export,
    rendition: RemoteBroadcast.Rendition,
    first: Sample,
    addUs: number
  ): Effect.Effect<Ended, RecordError> {
    const line = this.#lines.find(({ info }) => isSameCodec(info, rendition.info))
    const limitUs = this.#options.durationUs ?? Infinity
    if (line === undefined) return Effect.succeed(finished)
    return Effect.gen({ self: this }, function* () {
      let sample: Sample | undefined = first
      let lastUs: number | undefined
      for (;;) {
        if (sample !== undefined) {
          const ptsUs: number = sample.ptsUs + addUs
          if (ptsUs >= limitUs) {
            yield* Effect.mapError(file.endTrack(line.info.name), recordError)
            return durationReached
          }
          yield* Effect.mapError(file.write({ ...sample, track: line.info.name, ptsUs }), recordError)
          line.samples++
          line.bytes += sample.data.length
          this.#endUs = Math.max(this.#endUs, ptsUs + Math.max(0, ptsUs - (lastUs ?? ptsUs)))
          if (line.info.kind === "video") this.#pictureUs = ptsUs
          lastUs = ptsUs
        }
        const event = yield* Effect.result(rendition.next)
        if (Result.isFailure(event)) return { _tag: "Lost", error: event.failure }
        if (event.success === End) {
          yield* Effect.mapError(file.endTrack(line.info.name), recordError)
          return finished
        }
        sample = event.success._tag === "Sample" ? event.success.sample : undefined
      }
    })
  }
}

const all = { concurrency: "unbounded" } as const
const finished: Ended = { _tag: "Finished" }
const durationReached: Ended = { _tag: "DurationReached" }

const recordError = (reason: RecordError["reason"]): RecordError => new RecordError({ reason })

const runOf = (first: ReadonlyArray<Beginning>): Run => {
  const startUs = Math.min(...first.map(({ sample }) => sample.ptsUs))
  const [picture] = first.flatMap(({ rendition: { info }, sample: { ptsUs } }) => {
    const frameUs = frameUsOf(info)
    return frameUs === undefined ? [] : { ptsUs, frameUs }
  })
  return { startUs, picture }
}

/** Whether samples of one can go on where those of the other stopped. */
const isSameCodec = (a: TrackInfo, b: TrackInfo): boolean => {
  if (a.kind !== b.kind || a.codec !== b.codec) return false
  const none = new Uint8Array(0)
  return Bytes.equals(a.description ?? none, b.description ?? none)
}

const firstSample = (rendition: RemoteBroadcast.Rendition): Effect.Effect<FirstSample> => {
  const search: Effect.Effect<FirstSample, TrackError> = Effect.flatMap(rendition.next, (event) =>
    event === End
      ? Effect.succeed<FirstSample>({ _tag: "Ended", ended: finished })
      : event._tag === "Sample" && event.sample.key
        ? Effect.succeed<FirstSample>({ _tag: "Sample", rendition, sample: event.sample })
        : search
  )
  return search.pipe(
    Effect.catch((error) => Effect.succeed<FirstSample>({ _tag: "Ended", ended: { _tag: "Lost", error } })),
    Effect.timeoutOrElse({
      duration: Limits.firstSampleMs,
      orElse: () => Effect.succeed<FirstSample>({ _tag: "Silent" })
    })
  )
}
