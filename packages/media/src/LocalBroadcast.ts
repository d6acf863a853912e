/**
 * A file or pipe as a live broadcast: a catalog and one track for each rendition, in real time, in the legacy container. A group
 * of video begins with a key frame; audio has a group every `Limits.audioGroupUs`.
 */
import * as Broadcast from "@effect-live/moq/Broadcast"
import type { GroupProducer } from "@effect-live/moq/Group"
import * as Track from "@effect-live/moq/Track"
import { Deferred, Effect, Exit, Schema, type Scope } from "effect"
import * as Catalog from "./Catalog.ts"
import { type Import, ImportError, NotRewindable } from "./Import.ts"
import { compact } from "./internal/compact.ts"
import * as Legacy from "./Legacy.ts"
import * as Limits from "./Limits.ts"
import * as Pace from "./Pace.ts"
import type { Sample, TrackInfo } from "./Sample.ts"

/** A track has no key frame for so long that its group reached the largest size of a group or frame. */
export class GroupTooLarge extends Schema.TaggedError<GroupTooLarge>()("GroupTooLarge", {
  track: Schema.String,
  ptsUs: Schema.Int
}) {
  override get message(): string {
    return `${this.track} has no key frame for too long before ${this.ptsUs} µs; encode it with a key frame every second or two`
  }
}

export interface Options {
  /** Begins anew at the end of the file, for ever. */
  readonly loop?: boolean
  /**
   * Nothing is sent before every rendition has a subscriber, or `Limits.waitMs` after the first one: whoever comes in time
   * gets everything.
   */
  readonly wait?: boolean
}

export interface LocalBroadcast {
  readonly producer: Broadcast.BroadcastProducer
  readonly catalog: Catalog.Catalog
  /** Waits for the end: of the file, with every subscriber served or given up after `Limits.flushMs`, or of the Scope. */
  readonly ended: Effect.Effect<void, ImportError | GroupTooLarge>
}

/** Starts to publish; ends with the Scope. Errors: `NotRewindable` for a pipe that should loop. */
export const fromImport = (
  source: Import,
  { loop = false, wait = false }: Options = {}
): Effect.Effect<LocalBroadcast, ImportError, Scope.Scope> =>
  Effect.gen(function* () {
    if (loop && !source.rewindable) {
      return yield* new ImportError({ source: source.source, reason: new NotRewindable({}) })
    }
    const catalog = catalogOf(source.tracks)
    const producer = Broadcast.make()
    const catalogTrack = Track.make(Catalog.trackName, { priority: Catalog.priority })
    const group = catalogTrack.appendGroup()
    group.write(Catalog.encode(catalog))
    group.finish()
    producer.insertTrack(catalogTrack)
    const writers = new Map(source.tracks.map((info) => [info.name, new TrackWriter(info)] as const))
    const tracks = [...writers.values()].map(({ track }) => track)
    for (const track of tracks) producer.insertTrack(track)

    const ended = yield* Deferred.make<void, ImportError | GroupTooLarge>()
    const publish = Effect.gen(function* () {
      if (wait) yield* audience(tracks)
      const tooLarge = yield* Deferred.make<never, GroupTooLarge>()
      const deliver = (sample: Sample): void => {
        if (writers.get(sample.track)?.write(sample) === "tooLarge") {
          Deferred.doneUnsafe(tooLarge, Effect.fail(new GroupTooLarge({ track: sample.track, ptsUs: sample.ptsUs })))
        }
      }
      yield* Effect.raceFirst(Pace.run(source, { loop }, deliver), Deferred.await(tooLarge))
      for (const writer of writers.values()) writer.finish()
      catalogTrack.finish()
      const allRead = Effect.forEach([catalogTrack, ...tracks], (track) => track.unused, everyOne)
      yield* Effect.timeoutOption(allRead, Limits.flushMs)
      producer.finish()
    })
    yield* publish.pipe(
      Effect.onExit((exit) => {
        producer.abort() // unless it has finished
        const interrupted = Exit.isFailure(exit) && Exit.hasInterrupts(exit)
        return Deferred.done(ended, interrupted ? Exit.void : exit)
      }),
      Effect.forkScoped({ startImmediately: true })
    )
    return { producer, catalog, ended: Deferred.await(ended) }
  })

const everyOne = { concurrency: "unbounded", discard: true } as const

/** Waits until all tracks are used, or for a while after the first one is. */
const audience = (tracks: ReadonlyArray<Track.TrackProducer>): Effect.Effect<void> =>
  Effect.raceFirst(
    Effect.forEach(tracks, (track) => track.used, everyOne),
    Effect.andThen(Effect.raceAllFirst(tracks.map((track) => track.used)), Effect.sleep(Limits.waitMs))
  )

/** What the catalog says about tracks of samples. */
export const catalogOf = (tracks: ReadonlyArray<TrackInfo>): Catalog.Catalog => {
  const video = new Map<string, Catalog.VideoConfig>()
  const audio = new Map<string, Catalog.AudioConfig>()
  for (const info of tracks) {
    if (info.kind === "video") {
      const { bitrate, codec, codedHeight, codedWidth, description, framerate } = info
      const config = { codec, description, codedWidth, codedHeight, bitrate, framerate, optimizeForLatency: true }
      video.set(info.name, compact(config))
    } else {
      const { bitrate, codec, description, numberOfChannels, sampleRate } = info
      audio.set(info.name, compact({ codec, description, bitrate, sampleRate, numberOfChannels }))
    }
  }
  return { ...Catalog.empty, video, audio }
}

/** Cuts samples into groups. */
class TrackWriter {
  readonly track: Track.TrackProducer
  readonly #kind: TrackInfo["kind"]
  #group: GroupProducer | undefined
  #groupStartUs = 0

  constructor(info: TrackInfo) {
    this.#kind = info.kind
    this.track = Track.make(info.name, { priority: info.kind === "video" ? 1 : 2, timescale: 1_000_000 })
  }

  /** `skipped`: before the first key frame nothing can be decoded. `ended`: nobody is to get more. */
  write(sample: Sample): "written" | "skipped" | "ended" | "tooLarge" {
    const begins = this.#kind === "video" ? sample.key : sample.ptsUs >= this.#groupStartUs + Limits.audioGroupUs
    if (this.#group === undefined ? sample.key : begins) {
      this.#group?.finish()
      this.#group = this.track.ended ? undefined : this.track.appendGroup()
      this.#groupStartUs = sample.ptsUs
    }
    if (this.#group === undefined) return this.track.ended ? "ended" : "skipped"
    return this.#group.write([Legacy.prefix(sample.ptsUs), sample.data], sample.ptsUs)
  }

  finish(): void {
    this.#group?.finish()
    this.track.finish()
  }
}
