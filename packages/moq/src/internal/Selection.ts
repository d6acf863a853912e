/** Which groups of a track its reader takes, and which it passes over: the plain part of `Frames`. */
import { Blocked, End } from "@effect-live/endpoint/Stream"
import type { Clock } from "effect"
import type { GroupConsumer } from "../Group.ts"
import * as Limits from "../Limits.ts"
import { type TrackConsumer, TrackError } from "../Track.ts"

/** Why groups were passed over. */
export type Reason =
  /** They never arrived. */
  | "missing"
  /** They arrived or ended too late. */
  | "late"
  /** They were given up by the publisher or on the way. */
  | "reset"
  /** They were too old, here or at the publisher, before this reader came to them. */
  | "lagged"

/** So many groups, or the rest of one, were passed over. */
export interface Lagged {
  readonly _tag: "Lagged"
  readonly groups: number
  /** The first of them; where nobody knows, the one behind the last that was handed over. */
  readonly sequence: number
  readonly reason: Reason
}

/** Something that tells once when it changes next. */
export interface Watched {
  readonly watch: (changed: () => void) => () => void
}

export interface Selection {
  /** The next group, or groups that are passed over. */
  readonly next: () => GroupConsumer | Lagged | Blocked | End | TrackError
  /** Why the group that is being read is to be left for another one now, if it is. `blocked`: nothing of it can be read. */
  readonly leaves: (blocked: boolean) => Reason | undefined
  /** What may change the answers. */
  readonly watched: () => ReadonlyArray<Watched>
  /** When time alone changes them, in milliseconds of the clock. */
  readonly dueMs: () => number | undefined
}

export const lagged = (sequence: number, groups: number, reason: Reason): Lagged => ({
  _tag: "Lagged",
  groups,
  sequence,
  reason
})

/** What every selection does: it takes the groups from the track as they arrive. */
abstract class FromTrack {
  readonly #track: TrackConsumer
  /** The first group that was handed over: what arrives below it later on was never counted. */
  #first: number | undefined
  protected ended: End | TrackError | undefined
  #passed: Lagged | undefined

  constructor(track: TrackConsumer) {
    this.#track = track
  }

  watched(): ReadonlyArray<Watched> {
    return [this.#track]
  }

  dueMs(): number | undefined {
    return undefined
  }

  next(): GroupConsumer | Lagged | Blocked | End | TrackError {
    this.fill()
    if (this.ended instanceof TrackError) return this.ended
    if (this.#passed === undefined) return this.choose()
    const passed = this.#passed
    this.#passed = undefined
    return passed
  }

  /** So many groups behind this one will not come, because the track has ended without them. */
  protected missing(next: number): number {
    return this.ended === End ? Math.max(0, (this.#track.final ?? 0) - next) : 0
  }

  protected begin(sequence: number): void {
    this.#first ??= sequence
  }

  /** Counts what came below the first group, which no number tells. */
  protected late(sequence: number): void {
    if (sequence < (this.#first ?? 0)) this.pass(sequence, 1, "late")
  }

  protected pass(sequence: number, groups: number, reason: Reason): void {
    const passed = this.#passed
    this.#passed =
      passed === undefined ? lagged(sequence, groups, reason) : { ...passed, groups: passed.groups + groups }
  }

  protected fill(): void {
    while (this.ended === undefined) {
      const next = this.#track.tryNext()
      if (next === Blocked) return
      if (next === End || next instanceof TrackError) this.ended = next
      else if ("_tag" in next) this.evicted(next.groups)
      else this.arrived(next)
    }
  }

  protected abstract arrived(group: GroupConsumer): void
  /** So many groups are gone that arrived before the next one. */
  protected abstract evicted(groups: number): void
  protected abstract choose(): GroupConsumer | Lagged | Blocked | End
}

/** Only ever the newest group. */
export class Latest extends FromTrack implements Selection {
  #newest: GroupConsumer | undefined
  /** Everything up to here was handed over or passed over. */
  #reached: number | undefined

  leaves(): Reason | undefined {
    this.fill()
    return this.#newest === undefined ? undefined : "late"
  }

  protected arrived(group: GroupConsumer): void {
    const { sequence } = group
    if (this.#reached !== undefined && sequence <= this.#reached) return this.late(sequence)
    this.begin(sequence)
    const passed = sequence - (this.#reached ?? sequence - 1) - 1
    if (this.#newest !== undefined) this.pass(this.#newest.sequence, passed + 1, "late")
    else if (passed > 0) this.pass(sequence - passed, passed, "missing")
    this.#newest = group
    this.#reached = sequence
  }

  protected evicted(groups: number): void {
    if (this.#reached === undefined) this.pass(0, groups, "lagged") // later ones show in the numbers
  }

  protected choose(): GroupConsumer | Lagged | Blocked | End {
    const newest = this.#newest
    this.#newest = undefined
    if (newest !== undefined || this.#reached === undefined) return newest ?? (this.ended === End ? End : Blocked)
    const next = this.#reached + 1
    const missing = this.missing(next)
    this.#reached += missing
    return missing > 0 ? lagged(next, missing, "missing") : this.ended === End ? End : Blocked
  }
}

interface Held {
  readonly group: GroupConsumer
  readonly sinceMs: number
}

/** By sequence number. What is missing or does not end is waited for, until something newer has waited for it so long. */
export class InOrder extends FromTrack implements Selection {
  readonly #latencyMs: number
  readonly #clock: Clock.Clock
  /** Groups that have not had their turn, in order of arrival. */
  readonly #held = new Map<number, Held>()
  /** Whose turn it is; unknown before the first. */
  #turn: number | undefined
  /** Groups below it that are not here will not come: they were evicted before we saw them. */
  #goneBelow = 0
  #evicted = false

  constructor(track: TrackConsumer, latencyMs: number, clock: Clock.Clock) {
    super(track)
    this.#latencyMs = latencyMs
    this.#clock = clock
  }

  leaves(blocked: boolean): Reason | undefined {
    if (!blocked) return undefined
    this.fill()
    return this.#isOverdue() && this.#lowest(true) !== undefined ? "late" : undefined
  }

  override watched(): ReadonlyArray<Watched> {
    // when the time is over, whatever has something to read first gets the turn
    return this.#isOverdue()
      ? [...super.watched(), ...[...this.#held.values()].map(({ group }) => group)]
      : super.watched()
  }

  override dueMs(): number | undefined {
    const [oldest] = this.#held.values()
    if (oldest === undefined || this.#latencyMs === Number.POSITIVE_INFINITY || this.#isOverdue()) return undefined
    return oldest.sinceMs + this.#latencyMs
  }

  protected arrived(group: GroupConsumer): void {
    const { sequence } = group
    if (this.#evicted) this.#goneBelow = Math.max(this.#goneBelow, sequence)
    this.#evicted = false
    if (this.#turn !== undefined && sequence < this.#turn) return this.late(sequence)
    this.#held.set(sequence, { group, sinceMs: this.#clock.currentTimeMillisUnsafe() })
  }

  protected evicted(groups: number): void {
    this.#evicted = true
    if (this.#turn === undefined && this.#held.size === 0) this.pass(0, groups, "lagged") // later ones show in the numbers
  }

  protected choose(): GroupConsumer | Lagged | Blocked | End {
    const turn = this.#turn ?? this.#lowest(false)
    if (turn === undefined) return this.ended === End ? End : Blocked
    const held = this.#held.get(turn)
    if (held !== undefined) {
      this.begin(turn)
      this.#goTo(turn + 1)
      return held.group
    }
    if (this.#held.size === 0) {
      const missing = this.missing(turn)
      this.#goTo(turn + missing)
      return missing > 0 ? lagged(turn, missing, "missing") : this.ended === End ? End : Blocked
    }
    const hopeless = this.ended === End || turn < this.#goneBelow
    const next = hopeless ? this.#lowest(false) : this.#isOverdue() ? this.#lowest(true) : undefined
    if (next === undefined) return Blocked
    this.#goTo(next)
    return lagged(turn, next - turn, turn < this.#goneBelow ? "lagged" : "missing")
  }

  /** Something has waited for the whole latency, or too many have. */
  #isOverdue(): boolean {
    const [oldest] = this.#held.values()
    if (oldest === undefined) return false
    return (
      this.#held.size > Limits.reorderGroups ||
      this.#clock.currentTimeMillisUnsafe() - oldest.sinceMs >= this.#latencyMs
    )
  }

  /** The lowest sequence number that is held, of those with something to read if so wanted. */
  #lowest(ready: boolean): number | undefined {
    let lowest: number | undefined
    for (const [sequence, { group }] of this.#held) {
      if ((lowest === undefined || sequence < lowest) && (!ready || group.ready)) lowest = sequence
    }
    return lowest
  }

  #goTo(turn: number): void {
    for (const sequence of this.#held.keys()) if (sequence < turn) this.#held.delete(sequence)
    this.#turn = turn
  }
}

/** Every group as it arrives. */
export class Everything implements Selection {
  readonly #track: TrackConsumer
  #next = 0

  constructor(track: TrackConsumer) {
    this.#track = track
  }

  next(): GroupConsumer | Lagged | Blocked | End | TrackError {
    const next = this.#track.tryNext()
    if (next === Blocked || next === End || next instanceof TrackError) return next
    if ("_tag" in next) return lagged(this.#next, next.groups, "lagged")
    this.#next = next.sequence + 1
    return next
  }

  leaves(): undefined {
    return undefined
  }

  watched(): ReadonlyArray<Watched> {
    return [this.#track]
  }

  dueMs(): undefined {
    return undefined
  }
}
