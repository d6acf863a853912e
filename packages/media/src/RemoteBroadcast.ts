/**
 * The reading side of a broadcast with a catalog, local or remote: the catalog and its changes, and the samples of its
 * renditions in order. What is lost on the way is a value, never an error.
 */
import { Blocked, End } from "@effect-live/endpoint/Stream"
import type { BroadcastConsumer, Ended, SubscribeError } from "@effect-live/moq/Broadcast"
import * as Broadcast from "@effect-live/moq/Broadcast"
import { type GroupConsumer, GroupError } from "@effect-live/moq/Group"
import { type TrackConsumer, TrackError } from "@effect-live/moq/Track"
import { Deferred, Effect, Latch, Option, Result, Schema, type Scope, Stream, SubscriptionRef } from "effect"
import * as Catalog from "./Catalog.ts"
import * as Codec from "./Codec.ts"
import { compact } from "./internal/compact.ts"
import { type Gap, OrderedGroups } from "./internal/OrderedGroups.ts"
import * as Limits from "./Limits.ts"
import type { Sample, TrackInfo } from "./Sample.ts"

export type { Gap, GapReason } from "./internal/OrderedGroups.ts"

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
    let group: GroupConsumer | undefined
    let decoder = new Catalog.GroupDecoder()
    let newest = -1
    for (;;) {
      const next = track.tryNext()
      if (next instanceof TrackError) return yield* next
      if (next !== Blocked && next !== End) {
        // Older groups that arrive late say what was true before; a lagging reader only wants the newest anyway.
        if ("sequence" in next && next.sequence > newest) {
          group = next
          newest = next.sequence
          decoder = new Catalog.GroupDecoder()
        }
        continue
      }
      const frame = group?.tryRead() ?? End
      if (frame instanceof Uint8Array) {
        const decoded = decoder.decode(frame)
        if (Result.isSuccess(decoded)) yield* accept(decoded.success)
        else {
          yield* reject(decoded.failure)
          group = undefined
        }
      } else if (frame === Blocked && group !== undefined) {
        yield* next === End ? group.readable : Effect.raceFirst(track.readable, group.readable)
      } else {
        if (frame instanceof GroupError || frame === End) group = undefined
        if (next === End) return "its track ended"
        yield* track.readable
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
    const groups = new OrderedGroups(Limits)
    const changed = Latch.makeUnsafe(false)
    yield* Effect.forkScoped(pumpTrack(track, groups, changed), { startImmediately: true })
    const tryNext = (): Event | Blocked | End | TrackError => {
      changed.closeUnsafe()
      const next = groups.next()
      if (next === Blocked || next === End || next instanceof TrackError || next._tag === "Gap") return next
      const { index, payload: data, ptsUs, sequence } = next
      const key = info.kind === "audio" || index === 0
      return { _tag: "Sample", sequence, index, sample: { track: name, ptsUs, key, data, durationUs: 0 } }
    }
    const next: Rendition["next"] = Effect.suspend(() => {
      const event = tryNext()
      if (event === Blocked) return Effect.andThen(changed.await, next)
      return event instanceof TrackError ? Effect.fail(event) : Effect.succeed(event)
    })
    return { info, tryNext, readable: changed.await, next, lostGroups: () => groups.lost }
  })

/** One fiber for the track and one for each open group; frames go straight into `groups`. */
const pumpTrack = (
  track: TrackConsumer,
  groups: OrderedGroups,
  changed: Latch.Latch
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    for (;;) {
      const next = track.tryNext()
      if (next === Blocked) {
        yield* track.readable
        continue
      }
      if (next === End || next instanceof TrackError) {
        groups.endTrack(next)
        changed.openUnsafe()
        return
      }
      if ("sequence" in next) {
        if (groups.begin(next.sequence)) {
          yield* Effect.forkScoped(pumpGroup(next, groups, changed), { startImmediately: true })
        }
      } else {
        groups.lagged(next.groups)
        changed.openUnsafe()
      }
    }
  })

const pumpGroup = (group: GroupConsumer, groups: OrderedGroups, changed: Latch.Latch): Effect.Effect<void> =>
  Effect.suspend(() => {
    for (;;) {
      const frame = group.tryRead()
      if (frame === Blocked) return Effect.andThen(group.readable, pumpGroup(group, groups, changed))
      const goesOn = frame instanceof Uint8Array && groups.push(group.sequence, frame)
      if (frame === End) groups.end(group.sequence)
      else if (frame instanceof GroupError) groups.reset(group.sequence)
      changed.openUnsafe() // runs the reader inside: only once everything is in its place
      if (!goesOn) return Effect.void
    }
  })
