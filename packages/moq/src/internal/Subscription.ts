import type { RecvStream } from "@effect-live/endpoint/Stream"
import type { Clock, Effect } from "effect"
import * as ErrorCode from "../ErrorCode.ts"
import { GroupProducer } from "../Group.ts"
import * as Limits from "../Limits.ts"
import type { SubscribeUpdate } from "../Message.ts"
import type { TrackProducer } from "../Track.ts"
import { Signal } from "@effect-live/actor/Signal"

/** One of our subscriptions, with what it brought: over one connection, or over several that took each other's place. */
export class Subscription {
  readonly id: number
  readonly broadcast: string
  readonly track: TrackProducer
  readonly #clock: Clock.Clock
  /** Groups that come in, and the streams that bring them. */
  readonly #reading = new Map<GroupProducer, RecvStream>()
  /** Groups whose streams were lost with a connection. */
  readonly #cut = new Set<GroupProducer>()
  /** A group below it would not be of the content that we know. */
  #floor = 0
  /** The publisher's first group, and the end behind its last one, where it says so. */
  #first: number | undefined
  #final: number | undefined
  #cap = Infinity
  /** Groups that came to their end, whole or not. */
  #received = 0
  /** The highest sequence number that came, and those below it that did not, with the time at which that was seen. */
  #highest = -1
  readonly #gaps = new Map<number, number>()
  readonly #updates: Array<SubscribeUpdate> = []
  readonly #signal = new Signal()
  /** Waits until the publisher has to be told something. */
  readonly updated: Effect.Effect<void> = this.#signal.wait(() => this.#updates.length > 0)

  constructor(id: number, broadcast: string, track: TrackProducer, clock: Clock.Clock) {
    this.#clock = clock
    this.id = id
    this.broadcast = broadcast
    this.track = track
  }

  /** How many of the groups that the publisher counts have not come; undefined when it did not count. */
  get missing(): number | undefined {
    if (this.#final === 0) return 0
    if (this.#final === undefined || this.#first === undefined) return undefined
    return Math.max(0, Math.min(this.#final, this.#cap) - this.#first - this.#received)
  }

  /** Groups behind this one are not wanted. */
  capAt(end: number | undefined): void {
    this.#cap = end === undefined ? Infinity : end + 1
  }

  /** SUBSCRIBE_START: also the first connection's, when there were several. */
  begins(group: number): void {
    this.#first ??= group
  }

  /** SUBSCRIBE_END. */
  ends(group: number): void {
    this.#final = group
  }

  /**
   * The group that a stream is to be read into, behind the frames that it has. `changed`: the publisher has something else there
   * than before.
   */
  accept(sequence: number, recv: RecvStream): GroupProducer | "changed" | "duplicate" | "ended" {
    if (sequence < this.#floor) return "changed"
    const cut = this.track.resumeGroup(sequence)
    if (cut !== undefined && this.#reading.has(cut)) return "duplicate"
    const group = cut ?? this.track.createGroup(sequence)
    if (!(group instanceof GroupProducer)) return group
    this.#cut.delete(group)
    if (this.#first !== undefined && sequence < this.#first) this.#first = sequence
    this.#reading.set(group, recv)
    this.#saw(sequence)
    if (this.#reading.size > Limits.openGroupsPerSubscription) this.#giveUpOldest()
    return group
  }

  /** What its publisher does not end must not keep the newer ones away. */
  #giveUpOldest(): void {
    const [oldest] = this.#reading
    if (oldest === undefined) return
    const [group, recv] = oldest
    this.read(group, "ended")
    group.abort(ErrorCode.old)
    recv.stop(ErrorCode.toStream(ErrorCode.old))
  }

  /** The group's stream was read. `lost`: its connection was, and it goes on with the next one, if there is one. */
  read(group: GroupProducer, how: "ended" | "lost"): void {
    if (!this.#reading.delete(group)) return
    if (how === "ended") {
      this.#received++
    } else {
      group.hold(0) // what came of a frame that was cut comes again
      this.#cut.add(group)
    }
  }

  /** A group came in one piece. */
  received(sequence: number): void {
    this.#received++
    this.#saw(sequence)
  }

  #saw(sequence: number): void {
    if (sequence <= this.#highest) return void this.#gaps.delete(sequence)
    const from = this.#highest < 0 ? (this.#first ?? sequence) : this.#highest + 1
    this.#highest = sequence
    if (from === sequence) return
    const now = this.#clock.currentTimeMillisUnsafe()
    for (let gap = Math.max(from, sequence - Limits.rememberedGaps); gap < sequence; gap++) this.#gaps.set(gap, now)
    for (const gap of this.#gaps.keys()) {
      if (this.#gaps.size <= Limits.rememberedGaps) return
      this.#gaps.delete(gap)
    }
  }

  /**
   * Where the next connection goes on: at the first group that was cut, or that was overtaken and may have been cut before anybody
   * saw it. Older gaps are the publisher's.
   */
  get resumePoint(): number {
    const sinceMs = this.#clock.currentTimeMillisUnsafe() - Limits.resumeGroupsMs
    let point = this.track.resumePoint
    for (const [gap, seenMs] of this.#gaps) if (seenMs >= sinceMs && gap < point) point = gap
    return point
  }

  /** The connection is gone. */
  cut(): void {
    for (const group of this.#reading.keys()) this.read(group, "lost")
    this.#updates.length = 0
  }

  /** From now on only the numbers of groups tell whether the content is the same: none is below the newest that we have. */
  check(): void {
    this.#floor = Math.max(0, this.track.latest)
  }

  /** From now on the content is known to be the same. */
  trust(): void {
    this.#floor = 0
  }

  /** What was cut and did not go on stays incomplete. */
  abortCut(): void {
    for (const group of this.#cut) group.abort(ErrorCode.dropped)
    this.#received += this.#cut.size
    this.#cut.clear()
  }

  /** The publisher is done, and nothing more can be expected. */
  finish(): void {
    this.abortCut()
    this.track.finish(this.missing ?? 0, this.#final)
  }

  /** Nobody here wants more of it. */
  stop(): void {
    for (const recv of this.#reading.values()) recv.stop(ErrorCode.toStream(ErrorCode.cancel))
  }

  /** The publisher is to be told. */
  update(wishes: SubscribeUpdate): void {
    this.capAt(wishes.end)
    this.#updates.push(wishes)
    this.#signal.notify()
  }

  /** What the publisher was not told yet, merged: the last wish counts, and the earliest start. */
  takeUpdate(): SubscribeUpdate | undefined {
    const updates = this.#updates.splice(0)
    const starts = updates.flatMap(({ start }) => (start === undefined ? [] : [start]))
    const last = updates.at(-1)
    return last === undefined ? undefined : { ...last, start: starts.length === 0 ? undefined : Math.min(...starts) }
  }
}
