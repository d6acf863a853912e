/**
 * The reading side of a broadcast with a catalog, local or remote: the catalog and its changes, and the samples of its
 * renditions in order. What is lost on the way is a value, never an error.
 */
import { Blocked, End } from "@effect-live/endpoint/Stream"
import type { BroadcastConsumer, Ended, SubscribeError } from "@effect-live/moq/Broadcast"
import * as Broadcast from "@effect-live/moq/Broadcast"
import * as Frames from "@effect-live/moq/Frames"
import { type TrackConsumer, TrackError } from "@effect-live/moq/Track"
import { DecodeError } from "@effect-live/wire/DecodeError"
import { Deferred, Effect, Option, Result, Schema, type Scope, Stream, SubscriptionRef } from "effect"
import * as Catalog from "./Catalog.ts"
import * as Codec from "./Codec.ts"
import { compact } from "./internal/compact.ts"
import * as Legacy from "./Legacy.ts"
import * as Limits from "./Limits.ts"
import type { Sample, TrackInfo } from "./Sample.ts"

/** The broadcast has no catalog that can be had. */
export class NoCatalog extends Schema.TaggedError<NoCatalog>()("NoCatalog", { problem: Schema.String }) {}
/** The catalog ended without a rendition. */
export class NoRenditions extends Schema.TaggedError<NoRenditions>()("NoRenditions", {}) {}
/** The catalog lists no such rendition now. */
export class RenditionNotFound extends Schema.TaggedError<RenditionNotFound>()("RenditionNotFound", {
  name: Schema.String
}) {}
/** The rendition is a track of another broadcast, at this path relative to this one. */
export class Elsewhere extends Schema.TaggedError<Elsewhere>()("Elsewhere", {
  name: Schema.String,
  broadcast: Schema.String
}) {}

export class RemoteBroadcastError extends Schema.TaggedError<RemoteBroadcastError>()("RemoteBroadcastError", {
  reason: Schema.Union([NoCatalog, NoRenditions, RenditionNotFound, Elsewhere, Broadcast.SubscribeError])
}) {
  override get message(): string {
    const { reason } = this
    switch (reason._tag) {
      case "NoCatalog":
        return `the broadcast has no catalog (${reason.problem})`
      case "NoRenditions":
        return "the broadcast ended without offering video or audio"
      case "RenditionNotFound":
        return `the catalog lists no rendition ${reason.name}`
      case "Elsewhere":
        return `the rendition ${reason.name} belongs to the broadcast ${reason.broadcast}`
      case "SubscribeError":
        return `the track ${reason.track} cannot be had (${reason.reason._tag})`
    }
  }
}

/** The newest good catalog. */
export interface CatalogState extends Catalog.Decoded {
  /** A newer document could not be read, for this reason, and was passed over. */
  readonly problem?: Catalog.CatalogError
}

/** Why samples are missing: as in `Frames`, or because of a frame that is not in the legacy container. */
export type GapReason = Frames.Reason | "malformed"

/** So many groups, from this one on, are missing or incomplete here. The next sample begins a group. */
export interface Gap {
  readonly _tag: "Gap"
  readonly sequence: number
  readonly groups: number
  readonly reason: GapReason
}

/** What a reader of a rendition gets. */
export type Event = ({ readonly _tag: "Sample"; readonly sequence: number; readonly index: number } & Received) | Gap

interface Received {
  /** `durationUs` is 0: the legacy container has none. */
  readonly sample: Sample
}

/** One subscribed rendition. One fiber reads it. */
export interface Rendition {
  readonly info: TrackInfo
  /** The next sample or gap at once, or why there is none. */
  readonly tryNext: () => Event | Blocked | End | TrackError
  /** Waits until something has changed since the last `tryNext`. */
  readonly readable: Effect.Effect<void>
  readonly next: Effect.Effect<Event | End, TrackError>
  /** Groups lost so far, for whatever reason. */
  readonly lostGroups: () => number
}

export interface RemoteBroadcast {
  readonly catalog: () => CatalogState
  /** The catalog now, then every newer one; a slow reader sees only the newest. Ends with the catalog's track. */
  readonly changes: Stream.Stream<CatalogState>
  /** Waits until there is a rendition. Errors: `NoRenditions`. */
  readonly ready: Effect.Effect<Catalog.Catalog, RemoteBroadcastError>
  /** Subscribes to a rendition of the catalog, from its newest group on; video with priority 1, audio with 2. */
  readonly rendition: (name: string) => Effect.Effect<Rendition, RemoteBroadcastError, Scope.Scope>
  /** Waits for the end of the broadcast. */
  readonly closed: Effect.Effect<Ended>
}

/** Subscribes to the catalog and waits for the first one. Errors: `NoCatalog`, `SubscribeError`. */
export const make = (broadcast: BroadcastConsumer): Effect.Effect<RemoteBroadcast, RemoteBroadcastError, Scope.Scope> =>
  Effect.gen(function* () {
    const track = yield* subscribe(broadcast, Catalog.trackName, Catalog.priority)
    const first = yield* Deferred.make<CatalogState, RemoteBroadcastError>()
    const ended = yield* Deferred.make<void>()
    const state = yield* SubscriptionRef.make<CatalogState>({ catalog: Catalog.empty, warnings: [] })
    let current: CatalogState = { catalog: Catalog.empty, warnings: [] }
    const accept = (next: CatalogState) => {
      current = next
      return Effect.andThen(SubscriptionRef.set(state, next), Deferred.succeed(first, next))
    }
    const reject = (problem: Catalog.CatalogError) =>
      accept({ ...current, problem }).pipe(
        Effect.andThen(
          Effect.logWarning("the catalog could not be read and is passed over", { problem: problem.reason })
        )
      )
    yield* readCatalogs(track, accept, reject).pipe(
      Effect.catch((error) => Effect.succeed(error.message)),
      Effect.flatMap((problem) =>
        Deferred.fail(first, new RemoteBroadcastError({ reason: new NoCatalog({ problem }) }))
      ),
      Effect.ensuring(Deferred.succeed(ended, undefined)),
      Effect.forkScoped({ startImmediately: true })
    )
    yield* Deferred.await(first)
    const changes = Stream.interruptWhen(SubscriptionRef.changes(state), Deferred.await(ended))
    const hasRenditions = ({ catalog }: CatalogState) => catalog.video.size + catalog.audio.size > 0
    return {
      catalog: () => current,
      changes,
      ready: Effect.suspend(() =>
        hasRenditions(current)
          ? Effect.succeed(current.catalog)
          : Effect.flatMap(Stream.runHead(Stream.filter(changes, hasRenditions)), (found) =>
              Option.isSome(found)
                ? Effect.succeed(found.value.catalog)
                : Effect.fail(new RemoteBroadcastError({ reason: new NoRenditions({}) }))
            )
      ),
      rendition: (name) => Effect.suspend(() => openRendition(broadcast, current.catalog, name)),
      closed: broadcast.closed
    }
  })

/** The renditions of one kind as tracks, the best first: by picture size, then bit rate, then name. Unknown codecs are left out. */
export const ranked = (catalog: Catalog.Catalog, kind: "video" | "audio"): ReadonlyArray<TrackInfo> => {
  const names = [...(kind === "video" ? catalog.video : catalog.audio).keys()]
  const tracks = names.flatMap((name) => infoOf(catalog, name) ?? [])
  return tracks
    .filter(
      (info) =>
        info.kind === kind &&
        Codec.family(info.codec) !== undefined &&
        configOf(catalog, info.name)?.broadcast === undefined
    )
    .toSorted((a, b) => quality(b) - quality(a) || (b.bitrate ?? 0) - (a.bitrate ?? 0))
}

/** Lines of the picture, from the catalog or a name such as `video/h264-720p`; of audio `hq` before `lq`. */
const quality = (info: TrackInfo): number => {
  if (info.kind === "audio") return info.name.endsWith("-lq") ? 0 : 1
  return info.codedHeight ?? Number(/-(\d+)p$/.exec(info.name)?.[1] ?? 0)
}

const configOf = (catalog: Catalog.Catalog, name: string) => catalog.video.get(name) ?? catalog.audio.get(name)

/** What the catalog says about a rendition. */
export const infoOf = (catalog: Catalog.Catalog, name: string): TrackInfo | undefined => {
  const video = catalog.video.get(name)
  if (video !== undefined) {
    const { bitrate, codec, codedHeight, codedWidth, description, framerate } = video
    return compact({ kind: "video", name, codec, description, codedWidth, codedHeight, framerate, bitrate } as const)
  }
  const audio = catalog.audio.get(name)
  if (audio === undefined) return undefined
  const { bitrate, codec, description, numberOfChannels, sampleRate } = audio
  return compact({ kind: "audio", name, codec, description, sampleRate, numberOfChannels, bitrate } as const)
}

const subscribe = (broadcast: BroadcastConsumer, name: string, priority: number) =>
  Effect.mapError(
    broadcast.subscribe(name, { priority }),
    (reason: SubscribeError) => new RemoteBroadcastError({ reason })
  )

/** Follows the newest group; succeeds with why there is no further one. */
const readCatalogs = (
  track: TrackConsumer,
  accept: (state: CatalogState) => Effect.Effect<unknown>,
  reject: (problem: Catalog.CatalogError) => Effect.Effect<unknown>
): Effect.Effect<string, TrackError> =>
  Effect.gen(function* () {
    // Older groups say what was true before; a lagging reader only wants the newest anyway.
    const frames = Frames.reader(track, { _tag: "Latest" })
    let decoder = new Catalog.GroupDecoder()
    let sequence: number | undefined
    for (;;) {
      const next = yield* frames.next
      if (next === End) return "its track ended"
      if (next._tag === "Lagged") continue
      if (next.sequence !== sequence) decoder = new Catalog.GroupDecoder()
      sequence = next.sequence
      const decoded = decoder.decode(next.payload)
      if (Result.isSuccess(decoded)) yield* accept(decoded.success)
      else {
        yield* reject(decoded.failure)
        frames.leave()
      }
    }
  })

const openRendition = (
  broadcast: BroadcastConsumer,
  catalog: Catalog.Catalog,
  name: string
): Effect.Effect<Rendition, RemoteBroadcastError, Scope.Scope> =>
  Effect.gen(function* () {
    const info = infoOf(catalog, name)
    if (info === undefined) return yield* new RemoteBroadcastError({ reason: new RenditionNotFound({ name }) })
    const elsewhere = configOf(catalog, name)?.broadcast
    if (elsewhere !== undefined) {
      return yield* new RemoteBroadcastError({ reason: new Elsewhere({ name, broadcast: elsewhere }) })
    }
    const track = yield* subscribe(broadcast, name, info.kind === "video" ? 1 : 2)
    const frames = Frames.reader(track, { _tag: "InOrder", latencyMs: Limits.reorderMs })
    let lostGroups = 0
    let sequence: number | undefined
    let index = 0
    const gap = (sequence: number, groups: number, reason: GapReason): Gap => {
      lostGroups += groups
      return { _tag: "Gap", sequence, groups, reason }
    }
    const tryNext = (): Event | Blocked | End | TrackError => {
      for (;;) {
        const next = frames.tryNext()
        if (next === Blocked || next === End || next instanceof TrackError) return next
        if (next._tag === "Lagged") return gap(next.sequence, next.groups, next.reason)
        const frame = Legacy.decode(next.payload)
        if (frame instanceof DecodeError) {
          frames.leave()
          return gap(next.sequence, 1, "malformed")
        }
        if (next.sequence !== sequence) index = 0
        sequence = next.sequence
        if (frame.payload.length === 0) continue // a marker
        const key = info.kind === "audio" || index === 0
        const sample = { track: name, ptsUs: frame.ptsUs, key, data: frame.payload, durationUs: 0 }
        return { _tag: "Sample", sequence, index: index++, sample }
      }
    }
    const { readable } = frames
    const next: Rendition["next"] = Effect.suspend(() => {
      const event = tryNext()
      if (event === Blocked) return Effect.andThen(readable, next)
      return event instanceof TrackError ? Effect.fail(event) : Effect.succeed(event)
    })
    return { info, tryNext, readable, next, lostGroups: () => lostGroups }
  })
