/**
 * A track: a sequence of groups, written once and read by many (moq-lite section 1). It keeps a bounded past for consumers that
 * are behind; whoever falls further behind loses groups and is told how many. Groups are handed over in the order in which they
 * arrived, which need not be the order of their sequence numbers.
 */
import { Blocked, End } from "@effect-live/endpoint/Stream"
import { type Clock, Effect, Schema } from "effect"
import type { Budget } from "./Budget.ts"
import * as ErrorCode from "./ErrorCode.ts"
import { type GroupConsumer, GroupProducer, type Owner, type Written } from "./Group.ts"
import { clockOfFiber } from "./internal/clockOfFiber.ts"
import { type Kept, Past } from "./internal/Past.ts"
import { Signal } from "@effect-live/actor/Signal"
import * as Limits from "./Limits.ts"
import type { TrackInfo } from "./Message.ts"

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
  /** 0 to 255, higher is more urgent; 0 by default. */
  readonly priority?: number
  /** Units of the frames' timestamps per second, at least 1; 1,000 by default: milliseconds. */
  readonly timescale?: number
  readonly retention?: Retention
  /** What the kept groups count against, beside the retention. A track leaves it with `abort` or `release`. */
  readonly budget?: Budget
  /** Measures the age of groups. Without it, the clock of the fiber that makes the track. */
  readonly clock?: Clock.Clock
}

/** One reader's place in a track. One fiber reads it. It counts as interest in the track until `close`. */
export interface TrackConsumer {
  readonly name: string
  /** What the publisher says of the track (section 3.5.2). */
  readonly info: TrackInfo
  /** The publisher's, from `info`. */
  readonly priority: number
  /** Units of the frames' timestamps per second, from `info`. */
  readonly timescale: number
  /** The end behind the last group, once the track has finished. */
  readonly final: number | undefined
  /** `Lagged` comes once, before the first group that is still there. */
  readonly tryNext: () => GroupConsumer | Lagged | Blocked | End | TrackError
  /** Waits until the next `tryNext` is not `Blocked`. */
  readonly readable: Effect.Effect<void>
  readonly next: Effect.Effect<GroupConsumer | Lagged | End, TrackError>
  /** Calls `changed` once, when the track changes next; answers how to call that off. For readers that wait for several things. */
  readonly watch: (changed: () => void) => () => void
  /** No more interest. Later tries answer `End`. Idempotent. */
  readonly close: () => void
}

/** Which groups a consumer wants (moq-lite section 1.3). */
export interface ConsumeOptions {
  /** The first group wanted. Without it: the newest one there is, else the first to come. */
  readonly start?: number
  /** The last one wanted. Groups above it are not handed over; the consumer goes on waiting for those below. */
  readonly end?: number
}

/** A new track without groups. */
export const make = (name: string, options?: Options): TrackProducer => new TrackProducer(name, options)

/** The writing half. */
export class TrackProducer {
  readonly name: string
  readonly #clock: Clock.Clock
  readonly #createdMs: number
  #info: TrackInfo
  #now = 0
  readonly #past: Past
  #next = 0
  /** Set by `finish`: no sequence number at or above it. */
  #final: number | undefined
  /** Groups below the end that never came and are not expected any more. */
  #missing = 0
  #released = false
  #error: TrackError | undefined
  readonly #consumers = new Set<Consumer>()
  readonly #arrived = new Signal()
  readonly #usage = new Signal()
  /** Waits until somebody consumes the track. */
  readonly used: Effect.Effect<void> = this.#usage.wait(() => this.#consumers.size > 0)
  /** Waits until nobody does. */
  readonly unused: Effect.Effect<void> = this.#usage.wait(() => this.#consumers.size === 0)

  constructor(name: string, options: Options = {}) {
    const { budget, clock = clockOfFiber(), priority = 0, retention, timescale = 1_000 } = options
    this.name = name
    this.#clock = clock
    this.#createdMs = clock.currentTimeMillisUnsafe()
    const kept = { ...Limits.retention, ...retention }
    this.#past = new Past(kept, budget, (gone) => {
      for (const consumer of this.#consumers) consumer.evicted(gone)
    })
    this.#info = { priority, ordered: false, maxLatencyMs: kept.ageMs, timescale }
  }

  /** What is said of the track to those who ask (section 3.5.2). */
  get info(): TrackInfo {
    return this.#info
  }

  /** What the publisher of a remote track says of it. It never changes once frames are there. */
  setInfo(info: TrackInfo): void {
    this.#info = info
  }

  get priority(): number {
    return this.#info.priority
  }

  get timescale(): number {
    return this.#info.timescale
  }

  /** Consumers now. */
  get consumers(): number {
    return this.#consumers.size
  }

  /** Kept groups and their bytes, for tests and metrics. */
  get kept(): { readonly groups: number; readonly bytes: number } {
    return this.#past.size
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
    const refused = this.#refuses(sequence)
    if (refused !== undefined) return refused
    const group = new GroupProducer(sequence, this.#owner)
    this.#add(group)
    return group
  }

  /** The next group, made of one frame, to be sent as a datagram (section 3.5.4). Answers as `GroupProducer.write` does. */
  appendDatagram(payload: Uint8Array, timestamp?: number): Written {
    const made = this.createDatagram(this.#next, payload, timestamp)
    return made === "duplicate" ? "ended" : made
  }

  /** As `appendDatagram`, with its own sequence number: what came as a datagram. `duplicate` and `ended` as `createGroup`. */
  createDatagram(sequence: number, payload: Uint8Array, timestamp?: number): Written | "duplicate" {
    const refused = this.#refuses(sequence)
    if (refused !== undefined) return refused
    const group = new GroupProducer(sequence, this.#owner, true)
    const written = group.write(payload, timestamp)
    if (written !== "written") return written
    group.finish()
    this.#add(group)
    return written
  }

  /** The group of this sequence number, if it is kept. */
  group(sequence: number): GroupProducer | undefined {
    return this.#past.get(sequence)
  }

  /**
   * A group whose stream was cut: it can go on where it stopped, behind the `frames` that it has. Undefined when it is not there or
   * has ended.
   */
  resumeGroup(sequence: number): GroupProducer | undefined {
    const group = this.group(sequence)
    return group?.ended === false ? group : undefined
  }

  /** From where the track must be asked for again for nothing to be missing: its first group that has not ended, else the next. */
  get resumePoint(): number {
    return this.#past.firstOpen ?? this.#next
  }

  /**
   * Fixes the end at the highest sequence number so far: consumers get what there is, then `End`. Open groups go on. `missing`: so
   * many groups of a remote track are known not to come; every consumer hears of them as `Lagged` before the end. `final`: the end
   * that the publisher said, where it is higher.
   */
  finish(missing = 0, final: number = this.#next): void {
    if (this.ended) return
    this.#final = Math.max(final, this.#next)
    this.#missing = missing
    this.#arrived.notify()
  }

  /** For consumers: the end behind the last group, once there is one. */
  get final(): number | undefined {
    return this.#final
  }

  /** For consumers. */
  get missing(): number {
    return this.#missing
  }

  /** Discards everything: every reader of the track or one of its groups gets an error with this code. */
  abort(code: number): void {
    if (this.#error !== undefined) return
    this.#error = new TrackError({ track: this.name, code })
    this.#past.clear(code)
    this.#arrived.notify()
  }

  /**
   * Nobody will read the track any more: discards what is kept, and aborts the track unless it has finished. No late groups come
   * after it. Idempotent.
   */
  release(): void {
    if (!this.ended) return this.abort(ErrorCode.cancel)
    this.#released = true
    this.#past.clear(ErrorCode.cancel)
  }

  /** A new reader. Close it when it is no longer read. */
  consume(options?: ConsumeOptions): TrackConsumer {
    const start = options?.start
    const { newest } = this.#past
    const consumer = new Consumer(
      this,
      start ?? newest?.group.sequence,
      options?.end ?? Number.POSITIVE_INFINITY,
      start === undefined ? (newest?.arrival ?? 0) : 0
    )
    this.#consumers.add(consumer)
    this.#usage.notify()
    return consumer
  }

  /** For consumers: the first kept group that arrived at or after `arrival`. */
  from(arrival: number): Kept | undefined {
    return this.#past.from(arrival)
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
  watch(changed: () => void): () => void {
    return this.#arrived.watch(changed)
  }

  /** For consumers. */
  leave(consumer: Consumer): void {
    if (this.#consumers.delete(consumer)) {
      this.#arrived.notify()
      this.#usage.notify()
    }
  }

  readonly #owner: Owner = {
    grew: (bytes) => this.#past.grew(bytes),
    now: () => {
      const units = Math.floor(((this.#clock.currentTimeMillisUnsafe() - this.#createdMs) * this.timescale) / 1_000)
      this.#now = Math.max(this.#now, units) // a clock may be set back
      return this.#now
    }
  }

  #refuses(sequence: number): "duplicate" | "ended" | undefined {
    const behind = this.#final !== undefined && sequence >= this.#final
    if (this.#error !== undefined || this.#released || behind) return "ended"
    return this.#past.get(sequence) === undefined ? undefined : "duplicate"
  }

  #add(group: GroupProducer): void {
    this.#next = Math.max(this.#next, group.sequence + 1)
    this.#past.add(group, this.#clock.currentTimeMillisUnsafe())
    this.#arrived.notify()
  }
}

class Consumer implements TrackConsumer {
  readonly #track: TrackProducer
  /** Groups below it are not wanted. Unknown until the first group when the track had none. */
  #floor: number | undefined
  /** Groups above it are not wanted. */
  readonly #ceiling: number
  /** The next arrival to look at. */
  #arrival: number
  #lagged = 0
  #toldMissing = false
  #closed = false
  readonly readable: Effect.Effect<void>
  readonly next: Effect.Effect<GroupConsumer | Lagged | End, TrackError>

  constructor(track: TrackProducer, floor: number | undefined, ceiling: number, arrival: number) {
    this.#track = track
    this.#floor = floor
    this.#ceiling = ceiling
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

  get info(): TrackInfo {
    return this.#track.info
  }

  get priority(): number {
    return this.#track.priority
  }

  get timescale(): number {
    return this.#track.timescale
  }

  watch(changed: () => void): () => void {
    return this.#track.watch(changed)
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
    if (kept === undefined) return idle === End ? this.#end() : idle
    this.#arrival = kept.arrival + 1
    this.#floor ??= kept.group.sequence
    return kept.group.consume()
  }

  get final(): number | undefined {
    const final = this.#track.final
    return final === undefined || this.#closed ? undefined : Math.min(final, this.#ceiling + 1)
  }

  #end(): Lagged | End {
    const groups = this.#track.missing
    if (groups === 0 || this.#toldMissing) return End
    this.#toldMissing = true
    return { _tag: "Lagged", groups }
  }

  close(): void {
    this.#closed = true
    this.#track.leave(this)
  }

  /** For the track, which forgets this group. */
  evicted(kept: Kept): void {
    if (kept.arrival >= this.#arrival && this.#wants(kept)) this.#lagged++
  }

  #wants({ group }: Kept): boolean {
    return group.sequence >= (this.#floor ?? 0) && group.sequence <= this.#ceiling
  }

  #peek(): Kept | undefined {
    for (;;) {
      const kept = this.#track.from(this.#arrival)
      if (kept === undefined || this.#wants(kept)) return kept
      this.#arrival = kept.arrival + 1
    }
  }
}
