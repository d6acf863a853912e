/**
 * A track: a sequence of groups, written once and read by many (moq-lite section 1). It keeps a bounded past for consumers that
 * are behind; whoever falls further behind loses groups and is told how many. Groups are handed over in the order in which they
 * arrived, which need not be the order of their sequence numbers.
 */
import { Blocked, End } from "@effect-live/endpoint/Stream"
import { Clock, Context, Effect, Fiber, Schema } from "effect"
import * as ErrorCode from "./ErrorCode.ts"
import { type GroupConsumer, GroupProducer } from "./Group.ts"
import { Signal } from "./internal/Signal.ts"
import * as Limits from "./Limits.ts"

/** The track was given up. */
export class TrackError extends Schema.TaggedError<TrackError>()("TrackError", {
  track: Schema.String,
  code: Schema.Int
}) {
  override get message(): string {
    return `track ${this.track} failed: ${ErrorCode.name(this.code)}`
  }
}

/** So many groups were evicted before this consumer took them. */
export interface Lagged {
  readonly _tag: "Lagged"
  readonly groups: number
}

/** What a track keeps. Whatever is not given is as in `Limits.retention`. */
export interface Retention {
  readonly groups?: number
  readonly bytes?: number
  readonly ageMs?: number
}

export interface Options {
  /** 0 to 255, higher is more urgent. */
  readonly priority?: number
  readonly retention?: Retention
  /** Measures the age of groups. Without it, the clock of the fiber that makes the track. */
  readonly clock?: Clock.Clock
}

/** One reader's place in a track. One fiber reads it. It counts as interest in the track until `close`. */
export interface TrackConsumer {
  readonly name: string
  /** The producer's. */
  readonly priority: number
  /** `Lagged` comes once, before the first group that is still there. */
  readonly tryNext: () => GroupConsumer | Lagged | Blocked | End | TrackError
  /** Waits until the next `tryNext` is not `Blocked`. */
  readonly readable: Effect.Effect<void>
  readonly next: Effect.Effect<GroupConsumer | Lagged | End, TrackError>
  /** No more interest. Later tries answer `End`. Idempotent. */
  readonly close: () => void
}

/** Where a consumer begins (moq-lite section 1.3). */
export interface ConsumeOptions {
  /** The first group wanted. Without it: the newest one there is, else the first to come. */
  readonly start?: number
}

/** A new track without groups. */
export const make = (name: string, options?: Options): TrackProducer => new TrackProducer(name, options)

/** The writing half. */
export class TrackProducer {
  readonly name: string
  readonly priority: number
  readonly #clock: Clock.Clock
  readonly #retention: Required<Retention>
  /** In order of arrival. */
  readonly #groups: Array<Kept> = []
  readonly #bySequence = new Map<number, Kept>()
  #arrivals = 0
  /** The group of the highest sequence number; never evicted. */
  #newest: Kept | undefined
  #next = 0
  #bytes = 0
  /** Set by `finish`: no sequence number at or above it. */
  #final: number | undefined
  #error: TrackError | undefined
  readonly #consumers = new Set<Consumer>()
  readonly #arrived = new Signal()
  readonly #usage = new Signal()
  /** Waits until somebody consumes the track. */
  readonly used: Effect.Effect<void> = this.#usage.wait(() => this.#consumers.size > 0)
  /** Waits until nobody does. */
  readonly unused: Effect.Effect<void> = this.#usage.wait(() => this.#consumers.size === 0)

  constructor(name: string, options: Options = {}) {
    this.name = name
    this.priority = options.priority ?? 0
    this.#clock = options.clock ?? clockOfFiber()
    this.#retention = { ...Limits.retention, ...options.retention }
  }

  /** Consumers now. */
  get consumers(): number {
    return this.#consumers.size
  }

  /** Kept groups and their bytes, for tests and metrics. */
  get kept(): { readonly groups: number; readonly bytes: number } {
    return { groups: this.#groups.length, bytes: this.#bytes }
  }

  /** Finished or aborted. */
  get ended(): boolean {
    return this.#final !== undefined || this.#error !== undefined
  }

  /** Highest sequence number so far, -1 before the first group. */
  get latest(): number {
    return this.#next - 1
  }

  /** The next group. After the end of the track: a group that nobody will read, already ended. */
  appendGroup(): GroupProducer {
    const group = this.createGroup(this.#next)
    if (group instanceof GroupProducer) return group
    const ended = new GroupProducer(this.#next)
    ended.abort(ErrorCode.closed)
    return ended
  }

  /**
   * A group with its own sequence number, in any order; groups below the end may still come after `finish`. `duplicate`: it is
   * there. After its eviction the same number is new. `ended`: at or above the end, or the track was aborted.
   */
  createGroup(sequence: number): GroupProducer | "duplicate" | "ended" {
    if (this.#error !== undefined || (this.#final !== undefined && sequence >= this.#final)) return "ended"
    if (this.#bySequence.has(sequence)) return "duplicate"
    const now = this.#clock.currentTimeMillisUnsafe()
    const group = new GroupProducer(sequence, this.#owner)
    const kept: Kept = { group, arrival: this.#arrivals++, createdMs: now }
    this.#groups.push(kept)
    this.#bySequence.set(sequence, kept)
    if (sequence >= this.#next) {
      this.#next = sequence + 1
      this.#newest = kept
    }
    this.#trim(now)
    this.#arrived.notify()
    return group
  }

  /** Fixes the end at the highest sequence number so far: consumers get what there is, then `End`. Open groups go on. */
  finish(): void {
    if (this.ended) return
    this.#final = this.#next
    this.#arrived.notify()
  }

  /** Discards everything: every reader of the track or one of its groups gets an error with this code. */
  abort(code: number): void {
    if (this.#error !== undefined) return
    this.#error = new TrackError({ track: this.name, code })
    const groups = this.#groups.splice(0)
    this.#bySequence.clear()
    this.#newest = undefined
    for (const { group } of groups) group.evict(code)
    this.#arrived.notify()
  }

  /** A new reader. Close it when it is no longer read. */
  consume(options?: ConsumeOptions): TrackConsumer {
    const start = options?.start
    const consumer = new Consumer(
      this,
      start ?? this.#newest?.group.sequence,
      start === undefined ? (this.#newest?.arrival ?? 0) : 0
    )
    this.#consumers.add(consumer)
    this.#usage.notify()
    return consumer
  }

  /** For consumers: the first kept group that arrived at or after `arrival`. */
  from(arrival: number): Kept | undefined {
    let low = 0
    let high = this.#groups.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const kept = this.#groups[middle]
      if (kept !== undefined && kept.arrival < arrival) low = middle + 1
      else high = middle
    }
    return this.#groups[low]
  }

  /** For consumers: why there is no group now. */
  get idle(): Blocked | End | TrackError {
    return this.#error ?? (this.#final === undefined ? Blocked : End)
  }

  /** For consumers. */
  waitFor(ready: () => boolean): Effect.Effect<void> {
    return this.#arrived.wait(ready)
  }

  /** For consumers. */
  leave(consumer: Consumer): void {
    if (this.#consumers.delete(consumer)) {
      this.#arrived.notify()
      this.#usage.notify()
    }
  }

  readonly #owner = {
    grew: (bytes: number): void => {
      this.#bytes += bytes
      if (bytes > 0 && this.#bytes > this.#retention.bytes) this.#trim(undefined)
    }
  }

  /** Evicts the oldest groups, never the newest, until every limit holds. Ages count only when `now` is known. */
  #trim(now: number | undefined): void {
    for (;;) {
      const index = this.#groups[0] === this.#newest ? 1 : 0
      const oldest = this.#groups[index]
      if (oldest === undefined) return
      const aged = now !== undefined && now - oldest.createdMs > this.#retention.ageMs
      if (!aged && this.#groups.length <= this.#retention.groups && this.#bytes <= this.#retention.bytes) return
      this.#groups.splice(index, 1)
      this.#bySequence.delete(oldest.group.sequence)
      for (const consumer of this.#consumers) consumer.evicted(oldest)
      oldest.group.evict(aged ? ErrorCode.old : ErrorCode.lagged)
    }
  }
}

interface Kept {
  readonly group: GroupProducer
  /** Counts the arrivals of the track. */
  readonly arrival: number
  readonly createdMs: number
}

class Consumer implements TrackConsumer {
  readonly #track: TrackProducer
  /** Groups below it are not wanted. Unknown until the first group when the track had none. */
  #floor: number | undefined
  /** The next arrival to look at. */
  #arrival: number
  #lagged = 0
  #closed = false
  readonly readable: Effect.Effect<void>
  readonly next: Effect.Effect<GroupConsumer | Lagged | End, TrackError>

  constructor(track: TrackProducer, floor: number | undefined, arrival: number) {
    this.#track = track
    this.#floor = floor
    this.#arrival = arrival
    this.readable = track.waitFor(
      () => this.#closed || this.#lagged > 0 || this.#peek() !== undefined || track.idle !== Blocked
    )
    this.next = Effect.suspend(() => {
      const next = this.tryNext()
      if (next === Blocked) return Effect.andThen(this.readable, this.next)
      return next instanceof TrackError ? Effect.fail(next) : Effect.succeed(next)
    })
  }

  get name(): string {
    return this.#track.name
  }

  get priority(): number {
    return this.#track.priority
  }

  tryNext(): GroupConsumer | Lagged | Blocked | End | TrackError {
    if (this.#closed) return End
    const idle = this.#track.idle
    if (idle instanceof TrackError) return idle
    if (this.#lagged > 0) {
      const groups = this.#lagged
      this.#lagged = 0
      return { _tag: "Lagged", groups }
    }
    const kept = this.#peek()
    if (kept === undefined) return idle
    this.#arrival = kept.arrival + 1
    this.#floor ??= kept.group.sequence
    return kept.group.consume()
  }

  close(): void {
    this.#closed = true
    this.#track.leave(this)
  }

  /** For the track, which forgets this group. */
  evicted(kept: Kept): void {
    if (kept.arrival >= this.#arrival && kept.group.sequence >= (this.#floor ?? 0)) this.#lagged++
  }

  #peek(): Kept | undefined {
    for (;;) {
      const kept = this.#track.from(this.#arrival)
      if (kept === undefined || kept.group.sequence >= (this.#floor ?? 0)) return kept
      this.#arrival = kept.arrival + 1
    }
  }
}

const clockOfFiber = (): Clock.Clock =>
  Fiber.getCurrent()?.getRef(Clock.Clock) ?? Context.get(Context.empty(), Clock.Clock)
