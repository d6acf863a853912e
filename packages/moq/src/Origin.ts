/**
 * A table of broadcasts by path (moq-lite section 1): one holds what is published here, one per session what its peer announces.
 * Whoever watches a prefix pulls: first what is there, then what changed since the last pull. Changes are merged per path, so a
 * slow watcher costs no more than the table, and always sees the end of a broadcast before its successor.
 */
import { Blocked, End } from "@effect-live/endpoint/Stream"
import { Array as Arr, Cause, Effect, Stream } from "effect"
import type { BroadcastConsumer } from "./Broadcast.ts"
import { Signal } from "@effect-live/actor/Signal"
import * as Limits from "./Limits.ts"
import type { HopId } from "./Message.ts"
import * as Path from "./Path.ts"

/** A broadcast came (`active`) or went. */
export interface Announcement {
  readonly path: string
  readonly active: boolean
  /** The hops that it passed on its way here, its origin first (section 3.4); none for what is published here, and when it goes. */
  readonly hops: ReadonlyArray<HopId>
}

/** One watcher's place. */
export interface AnnouncedConsumer {
  /** What changed since the last try, never empty; the first try gives what is there. `End`: the table was closed. */
  readonly tryNext: () => Arr.NonEmptyReadonlyArray<Announcement> | Blocked | End
  /** Waits until the next `tryNext` is not `Blocked`. */
  readonly readable: Effect.Effect<void>
  /** Forgets this watcher. Idempotent. */
  readonly close: () => void
}

/** An empty table. */
export const make = (): Origin => new Origin()

/** What is at a path; another one takes its place whenever anything about it changes. */
interface Entry {
  readonly broadcast: BroadcastConsumer
  readonly hops: ReadonlyArray<HopId>
}

export class Origin {
  readonly #entries = new Map<string, Entry>()
  readonly #watchers = new Set<Watcher>()
  readonly #signal = new Signal()
  #closed = false

  /** The paths in the table. */
  get paths(): ReadonlyArray<string> {
    return [...this.#entries.keys()]
  }

  /**
   * Puts a broadcast at a path, with the hops that it passed. One that is there is replaced: watchers see it end and the new one
   * come, next to each other. `tooMany`: `Limits.broadcastsPerOrigin`. `closed`: after `close`.
   */
  publish(
    path: string,
    broadcast: BroadcastConsumer,
    hops: ReadonlyArray<HopId> = []
  ): "published" | "tooMany" | "closed" {
    if (this.#closed) return "closed"
    const normal = Path.normalize(path)
    if (!this.#entries.has(normal) && this.#entries.size >= Limits.broadcastsPerOrigin) return "tooMany"
    const present = this.#entries.get(normal)
    if (present?.broadcast === broadcast && same(present.hops, hops)) return "published"
    this.#entries.set(normal, { broadcast, hops })
    this.#changed(normal)
    return "published"
  }

  /** Takes a path out of the table; with `broadcast`, only if it is still that one. */
  unpublish(path: string, broadcast?: BroadcastConsumer): boolean {
    const normal = Path.normalize(path)
    const present = this.#entries.get(normal)
    if (present === undefined || (broadcast !== undefined && present.broadcast !== broadcast)) return false
    this.#entries.delete(normal)
    this.#changed(normal)
    return true
  }

  /** The broadcast at a path, now. */
  consume(path: string): BroadcastConsumer | undefined {
    return this.#entries.get(Path.normalize(path))?.broadcast
  }

  /** For watchers. */
  entry(path: string): Entry | undefined {
    return this.#entries.get(path)
  }

  /** Watches the paths under a prefix; they are reported whole. Close the watcher when it is no longer read. */
  announced(prefix: string): AnnouncedConsumer {
    const watcher = new Watcher(this, Path.normalize(prefix), (forgotten) => this.#watchers.delete(forgotten))
    for (const path of this.#entries.keys()) watcher.changed(path)
    this.#watchers.add(watcher)
    return watcher
  }

  /** Ends the table: every watcher sees all broadcasts go, then `End`. */
  close(): void {
    this.#closed = true
    const paths = this.paths
    this.#entries.clear()
    for (const path of paths) for (const watcher of this.#watchers) watcher.changed(path)
    this.#signal.notify()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** For watchers. */
  waitFor(ready: () => boolean): Effect.Effect<void> {
    return this.#signal.wait(ready)
  }

  #changed(path: string): void {
    for (const watcher of this.#watchers) watcher.changed(path)
    this.#signal.notify()
  }
}

/** The announcements of a prefix as a Stream, which ends when the table is closed. */
export const announcements = (origin: Origin, prefix: string): Stream.Stream<Announcement> =>
  Stream.unwrap(
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => origin.announced(prefix)),
        (watcher) => Effect.sync(() => watcher.close())
      ),
      (watcher) => Stream.fromPull(Effect.succeed(pull(watcher)))
    )
  )

const pull = (watcher: AnnouncedConsumer): Effect.Effect<Arr.NonEmptyReadonlyArray<Announcement>, Cause.Done> =>
  Effect.suspend(() => {
    const next = watcher.tryNext()
    if (next === Blocked) return Effect.andThen(watcher.readable, pull(watcher))
    if (next === End) return Cause.done()
    return Effect.succeed(next)
  })

class Watcher implements AnnouncedConsumer {
  readonly #origin: Origin
  readonly #prefix: string
  readonly #forget: (watcher: Watcher) => void
  /** What this watcher was told is there. */
  readonly #told = new Map<string, Entry>()
  /** Paths whose entry may differ from what was told. */
  readonly #dirty = new Set<string>()
  #ended = false
  readonly readable: Effect.Effect<void>

  constructor(origin: Origin, prefix: string, forget: (watcher: Watcher) => void) {
    this.#origin = origin
    this.#prefix = prefix
    this.#forget = forget
    this.readable = origin.waitFor(() => this.#ended || origin.closed || this.#differs())
  }

  changed(path: string): void {
    if (Path.isPrefix(this.#prefix, path)) this.#dirty.add(path)
  }

  tryNext(): Arr.NonEmptyReadonlyArray<Announcement> | Blocked | End {
    if (this.#ended) return End
    const announcements: Array<Announcement> = []
    for (const path of this.#dirty) {
      const told = this.#told.get(path)
      const now = this.#origin.entry(path)
      if (told === now) continue
      if (told !== undefined) announcements.push({ path, active: false, hops: [] })
      if (now !== undefined) announcements.push({ path, active: true, hops: now.hops })
      if (now === undefined) this.#told.delete(path)
      else this.#told.set(path, now)
    }
    this.#dirty.clear()
    if (Arr.isReadonlyArrayNonEmpty(announcements)) return announcements
    return this.#origin.closed ? End : Blocked
  }

  close(): void {
    this.#ended = true
    this.#dirty.clear()
    this.#told.clear()
    this.#forget(this)
  }

  /** Drops what changed back before it was pulled. */
  #differs(): boolean {
    for (const path of this.#dirty) {
      if (this.#told.get(path) !== this.#origin.entry(path)) return true
      this.#dirty.delete(path)
    }
    return false
  }
}

const same = (a: ReadonlyArray<HopId>, b: ReadonlyArray<HopId>): boolean =>
  a.length === b.length && a.every((hop, index) => hop === b[index])
