/**
 * Encoded media from a file or a pipe: MP4, fragmented MP4, QuickTime, Matroska, WebM, Ogg, MPEG-TS and ADTS. Nothing is decoded:
 * every access unit passes through as it is, except that AAC loses its ADTS headers, which the catalog has no place for.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import { Deferred, Effect, FileSystem, Option, type PlatformError, Schema, type Scope, Stream } from "effect"
import type { Input, Source } from "mediabunny"
import { BoxGuard, guardFile, HostileFile } from "./internal/boxGuard.ts"
import { describe, type OpenTrack } from "./internal/importTrack.ts"
import { type Library, mediabunny, watchProgress } from "./internal/mediabunny.ts"
import { Merge } from "./internal/Merge.ts"
import { problemOf } from "./internal/problemOf.ts"
import * as Limits from "./Limits.ts"
import type { Sample, TrackInfo } from "./Sample.ts"

/** The file cannot be opened or read, or the pipe broke. */
export class Unreadable extends Schema.TaggedError<Unreadable>()("Unreadable", { problem: Schema.String }) {}
/** The bytes are in no container that this package knows. */
export class NotMedia extends Schema.TaggedError<NotMedia>()("NotMedia", {}) {}
/** The container is known, but cut off or damaged. */
export class Truncated extends Schema.TaggedError<Truncated>()("Truncated", { problem: Schema.String }) {}
/** The file is whole and has neither video nor audio. */
export class NoTracks extends Schema.TaggedError<NoTracks>()("NoTracks", {}) {}
/** None of the tracks has a codec that this package carries. */
export class UnsupportedCodec extends Schema.TaggedError<UnsupportedCodec>()("UnsupportedCodec", {
  codecs: Schema.Array(Schema.String)
}) {}
/** A pipe cannot be read a second time. */
export class NotRewindable extends Schema.TaggedError<NotRewindable>()("NotRewindable", {}) {}

export class ImportError extends Schema.TaggedError<ImportError>()("ImportError", {
  /** Path of the file, or what the pipe was called. */
  source: Schema.String,
  reason: Schema.Union([Unreadable, NotMedia, Truncated, NoTracks, UnsupportedCodec, NotRewindable])
}) {
  override get message(): string {
    return `${this.source}: ${explain(this.reason)}`
  }
}

const explain = (reason: ImportError["reason"]): string => {
  switch (reason._tag) {
    case "Unreadable":
      return `cannot be read (${reason.problem})`
    case "NotMedia":
      return "is no MP4, Matroska, WebM, Ogg, MPEG-TS or ADTS; convert it with ffmpeg"
    case "Truncated":
      return `is cut off or damaged (${reason.problem})`
    case "NoTracks":
      return "has neither video nor audio"
    case "UnsupportedCodec":
      return `has only codecs that cannot be carried (${reason.codecs.join(", ")}); transcode it with ffmpeg`
    case "NotRewindable":
      return "is a pipe and can be read only once"
  }
}

/** A track that is left out, because of its codec or of `Limits.importTracks`. */
export interface Skipped {
  readonly kind: "video" | "audio" | "subtitle"
  readonly codec: string
}

export interface Import {
  /** Path of the file, or what the pipe was called. */
  readonly source: string
  readonly tracks: ReadonlyArray<TrackInfo>
  readonly skipped: ReadonlyArray<Skipped>
  /**
   * All samples: each track in decode order, the tracks interleaved by time, as fast as they can be read. The times of the whole
   * file are shifted once, so that its earliest sample is at 0 (a pipe, whose earliest sample nobody knows: near
   * `pipeStartUs`). A file can be read any number of times, a pipe once.
   */
  readonly samples: Stream.Stream<Sample, ImportError>
  readonly rewindable: boolean
}

/** A file in memory, or anything else with random access. */
export interface RandomAccess {
  readonly name: string
  readonly sizeBytes: number
  /** Exactly the bytes from `start` to before `end`, which lie inside the size. A rejection becomes `Unreadable`. */
  readonly read: (start: number, end: number) => Uint8Array | Promise<Uint8Array>
}

/** Where the first sample of a pipe is put, in microseconds: pictures may follow that are shown before it. */
export const pipeStartUs = 1_000_000

/** Opens a file; it stays open with the Scope. */
export const fromFile = (path: string): Effect.Effect<Import, ImportError, FileSystem.FileSystem | Scope.Scope> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const file = yield* files.open(path, { flag: "r" })
    const sizeBytes = Number((yield* file.stat).size)
    const run = Effect.runPromiseWith(yield* Effect.context())
    const read = (start: number, end: number) =>
      run(
        Effect.flatMap(Effect.mapError(file.readAlloc(end - start, { position: BigInt(start) }), unreadable), (bytes) =>
          Option.isSome(bytes) && bytes.value.length === end - start
            ? Effect.succeed(bytes.value)
            : Effect.fail(new Unreadable({ problem: "the file became shorter while it was read" }))
        )
      )
    return yield* fromReader({ name: path, sizeBytes, read })
  }).pipe(
    Effect.catchTag("PlatformError", (error) =>
      Effect.fail(new ImportError({ source: path, reason: unreadable(error) }))
    )
  )

const unreadable = (error: PlatformError.PlatformError) => new Unreadable({ problem: problemOf(error) })

/** Opens what can be read at any offset. */
export const fromReader = (access: RandomAccess): Effect.Effect<Import, ImportError, Scope.Scope> =>
  Effect.flatMap(mediabunny, (library) => {
    if (access.sizeBytes === 0) return Effect.fail(new ImportError({ source: access.name, reason: new NotMedia({}) }))
    const failed: Failed = { asked: 0 }
    const read = async (start: number, end: number): Promise<Uint8Array> => {
      try {
        return await access.read(start, end)
      } catch (cause) {
        failed.cause = cause
        throw cause
      }
    }
    const source = new library.CustomSource({
      getSize: () => access.sizeBytes,
      read,
      maxCacheSize: Limits.fileCacheBytes,
      prefetchProfile: "fileSystem",
      handleUnhandledError: () => failed.leave?.()
    })
    const guard = Effect.tryPromise({
      try: () => guardFile(access.sizeBytes, read),
      catch: (cause) => new ImportError({ source: access.name, reason: reasonOf(library, failed, cause) })
    })
    return Effect.andThen(guard, open(library, access.name, source, true, failed))
  })

/**
 * Opens a pipe, for example Matroska or MPEG-TS from an encoder. Waits for the first sample of every track. The stream is
 * cancelled with the Scope.
 */
export const fromStream = (
  name: string,
  stream: ReadableStream<Uint8Array>
): Effect.Effect<Import, ImportError, Scope.Scope> =>
  Effect.gen(function* () {
    const library = yield* mediabunny
    const failed: Failed = { asked: 0 }
    const ended = yield* Deferred.make<void>()
    const reader = yield* Effect.acquireRelease(
      Effect.sync(() => stream.getReader()),
      (reader) =>
        Effect.sync(() => {
          reader.cancel().catch(() => {}) // nobody is left to hear that it had failed before; not waited for: it may hang
        })
    )
    const guard = new BoxGuard()
    const watched = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        try {
          const next = await reader.read()
          if (next.done) {
            controller.close()
            Deferred.doneUnsafe(ended, Effect.void)
          } else {
            guard.push(next.value)
            controller.enqueue(next.value)
          }
        } catch (cause) {
          failed.cause = cause
          controller.error(cause)
        }
      }
    })
    const source = new library.ReadableStreamSource(watched, {
      maxCacheSize: Limits.pipeCacheBytes,
      handleUnhandledError: () => failed.leave?.()
    })
    yield* Effect.forkScoped(Effect.andThen(Deferred.await(ended), impatience(failed)))
    return yield* open(library, name, source, false, failed)
  })

/**
 * Samples that are there already, in the order of `Import.samples`. Touches neither files nor promises, so it runs in the
 * simulated world.
 */
export const fromSamples = (
  source: string,
  tracks: ReadonlyArray<TrackInfo>,
  samples: ReadonlyArray<Sample>
): Import => ({ source, tracks, skipped: [], samples: Stream.fromIterable(samples), rewindable: true })

/** Damage can leave the library without an answer. Once all bytes are there, none takes this long. */
const impatience = (failed: Failed): Effect.Effect<never> =>
  Effect.suspend(() => {
    const { asked } = failed
    const check = Effect.sync(() => {
      if (failed.asked === asked) failed.giveUp?.()
    })
    return Effect.sleep(Limits.pipeAnswerMs).pipe(Effect.andThen(check), Effect.andThen(impatience(failed)))
  })

/** What the source itself failed with: tells a broken disk from a broken file. */
interface Failed {
  cause?: unknown
  /** Makes every read fail that waits, or is still to come. */
  leave?: () => void
  /** Fails the one question to the library that is open, and counts them. */
  giveUp?: () => void
  asked: number
}

const open = (
  library: Library,
  name: string,
  source: Source,
  rewindable: boolean,
  failed: Failed
): Effect.Effect<Import, ImportError, Scope.Scope> =>
  Effect.gen(function* () {
    const fail = (reason: ImportError["reason"]) => new ImportError({ source: name, reason })
    watchProgress(source)
    const attempt = <A>(run: () => Promise<A>) =>
      Effect.callback<A, ImportError>((resume) => {
        failed.asked++
        const refuse = (cause: unknown) => resume(Effect.fail(fail(reasonOf(library, failed, cause))))
        const settled = () => delete failed.giveUp
        failed.giveUp = () => refuse(new HostileFile("it cannot be read on from here"))
        run().then(
          (value) => (settled(), resume(Effect.succeed(value))),
          (cause: unknown) => (settled(), refuse(cause))
        )
      })
    const input = yield* Effect.acquireRelease(
      Effect.sync(() => new library.Input({ source, formats: formats(library) })),
      (input) => Effect.sync(() => input.dispose())
    )
    failed.leave = () => input.dispose()
    const found = yield* attempt(() => input.getTracks())
    if (found.length === 0) {
      return yield* fail(rewindable && (yield* attempt(() => hasMovie(input))) ? new NoTracks({}) : noTracks)
    }
    const names = new Set<string>()
    const skipped: Array<Skipped> = []
    const tracks: Array<OpenTrack> = []
    let startUs = Infinity
    for (const track of found) {
      const described = yield* attempt(() => describe(library, track, rewindable, names))
      if (described === undefined || tracks.length === Limits.importTracks) {
        const codec = (yield* attempt(() => track.getCodec())) ?? (yield* attempt(() => track.getInternalCodecId()))
        skipped.push({ kind: track.type, codec: typeof codec === "string" ? codec : "unknown" })
        continue
      }
      if (described === "empty") continue
      names.add(described.info.name)
      tracks.push(described)
      startUs = Math.min(startUs, described.startUs)
    }
    if (tracks.length === 0 && skipped.length > 0) {
      return yield* fail(new UnsupportedCodec({ codecs: skipped.map(({ codec }) => codec) }))
    }
    if (tracks.length === 0) return yield* fail(noSamples)
    const shiftUs = rewindable ? -startUs : pipeStartUs - startUs
    let used = false
    const samples = Stream.fromPull(
      Effect.suspend(() => {
        if (used && !rewindable) return Effect.fail(fail(new NotRewindable({})))
        used = true
        const merge = new Merge(library, tracks, shiftUs)
        return Effect.succeed(
          Effect.flatMap(
            attempt(() => merge.next()),
            (sample) => (sample === undefined ? Cause.done() : Effect.succeed(Arr.of(sample)))
          )
        )
      })
    )
    return { source: name, tracks: tracks.map(({ info }) => info), skipped, samples, rewindable }
  })

const noTracks = new Truncated({ problem: "its table of tracks is missing" })
const noSamples = new Truncated({ problem: "it has no whole sample" })

/** HLS is left out: it would open other files and addresses. */
const formats = (library: Library) => [
  library.MP4,
  library.QTFF,
  library.MATROSKA,
  library.WEBM,
  library.OGG,
  library.MPEG_TS,
  library.ADTS
]

/** An empty table of tracks, as against none: only then is its duration known. */
const hasMovie = async (input: Input): Promise<boolean> => (await input.getDurationFromMetadata()) !== null

const reasonOf = (library: Library, failed: Failed, cause: unknown): ImportError["reason"] => {
  for (const hostile of [cause, failed.cause]) {
    if (hostile instanceof HostileFile) return new Truncated({ problem: hostile.message })
  }
  if ("cause" in failed) {
    return failed.cause instanceof Unreadable ? failed.cause : new Unreadable({ problem: textOf(failed.cause) })
  }
  if (cause instanceof library.UnsupportedInputFormatError) return new NotMedia({})
  return new Truncated({ problem: textOf(cause) })
}

const textOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
