/**
 * The groups of one rendition in order, from frames that arrive in any order of groups: the pure part of `RemoteBroadcast`.
 * Frames of a group come in order. A group that is missing or unfinished is given up once newer ones are `reorderUs` ahead.
 */
import type { End } from "@effect-live/endpoint/Stream"
import { Blocked } from "@effect-live/endpoint/Stream"
import type { TrackError } from "@effect-live/moq/Track"
import { DecodeError } from "@effect-live/wire/DecodeError"
import * as Legacy from "../Legacy.ts"

/** Why samples are missing. */
export type GapReason =
  /** Never arrived. */
  | "missing"
  /** Did not end in time. */
  | "late"
  /** Given up by the publisher or on the way. */
  | "reset"
  /** This reader was too slow. */
  | "lagged"
  /** A frame that is not in the legacy container. */
  | "malformed"

/** So many groups, from this one on, are missing or incomplete here. The next sample begins a group. */
export interface Gap {
  readonly _tag: "Gap"
  readonly sequence: number
  readonly groups: number
  readonly reason: GapReason
}

export interface Frame {
  readonly _tag: "Frame"
  readonly sequence: number
  /** In its group, from 0. */
  readonly index: number
  readonly ptsUs: number
  readonly payload: Uint8Array
}

export interface Bounds {
  readonly reorderUs: number
  readonly reorderGroups: number
  readonly readAheadBytes: number
}

interface Group {
  readonly frames: Array<Legacy.LegacyFrame>
  /** Frames taken. */
  read: number
  state: "open" | "ended" | "reset" | "malformed"
  newestUs: number
}

export class OrderedGroups {
  readonly #bounds: Bounds
  readonly #groups = new Map<number, Group>()
  readonly #gaps: Array<Gap> = []
  /** The group that is read now; unknown before the first. */
  #current: number | undefined
  /** Time of the frame read last. */
  #deliveredUs: number | undefined
  #bytes = 0
  #ended: End | TrackError | undefined
  /** Groups lost so far. */
  lost = 0

  constructor(bounds: Bounds) {
    this.#bounds = bounds
  }

  /** A group arrived. False: it is older than what was read, or there twice, and its frames are not wanted. */
  begin(sequence: number): boolean {
    if (this.#groups.has(sequence) || (this.#current !== undefined && sequence < this.#current)) return false
    this.#groups.set(sequence, { frames: [], read: 0, state: "open", newestUs: -Infinity })
    return true
  }

  /** Its next frame. False: the group is not wanted any more. */
  push(sequence: number, frame: Uint8Array): boolean {
    const group = this.#groups.get(sequence)
    if (group === undefined) return false
    const decoded = Legacy.decode(frame)
    if (decoded instanceof DecodeError) {
      group.state = "malformed"
      return false
    }
    if (decoded.payload.length === 0) return true // a marker
    group.frames.push(decoded)
    group.newestUs = Math.max(group.newestUs, decoded.ptsUs)
    this.#bytes += decoded.payload.length
    if (this.#bytes > this.#bounds.readAheadBytes) this.#drop()
    return true
  }

  end(sequence: number): void {
    this.#close(sequence, "ended")
  }

  reset(sequence: number): void {
    this.#close(sequence, "reset")
  }

  /** The track gave up so many groups before they were taken. */
  lagged(groups: number): void {
    this.#gap(this.#current ?? 0, groups, "lagged")
  }

  /** No group will begin any more. */
  endTrack(ended: End | TrackError): void {
    this.#ended ??= ended
  }

  next(): Frame | Gap | Blocked | End | TrackError {
    for (;;) {
      const gap = this.#gaps.shift()
      if (gap !== undefined) return gap
      this.#current ??= this.#lowest(true)
      if (this.#current === undefined) return this.#idle()
      const group = this.#groups.get(this.#current)
      const frame = group?.frames[group.read]
      if (group !== undefined && frame !== undefined) {
        const index = group.read++
        this.#bytes -= frame.payload.length
        this.#deliveredUs = frame.ptsUs
        return { _tag: "Frame", sequence: this.#current, index, ptsUs: frame.ptsUs, payload: frame.payload }
      }
      if (group?.state === "ended") this.#goTo(this.#current + 1)
      else if (group?.state === "reset" || group?.state === "malformed") {
        this.#gap(this.#current, 1, group.state)
        this.#goTo(this.#current + 1)
      } else if (group !== undefined && !this.#isFarBehind()) return Blocked
      else {
        const target = group === undefined && !this.#isFarBehind() ? this.#afterEnd() : this.#lowest(true)
        if (target === undefined) return this.#groups.size === 0 ? this.#idle() : Blocked
        this.#gap(this.#current, target - this.#current, group === undefined ? "missing" : "late")
        this.#goTo(target)
      }
    }
  }

  #idle(): Blocked | End | TrackError {
    return this.#groups.size === 0 ? (this.#ended ?? Blocked) : Blocked
  }

  /** The next group there is, once no other can come before it. */
  #afterEnd(): number | undefined {
    return this.#ended === undefined ? undefined : this.#lowest(false)
  }

  /** The oldest group behind the current one, with something to read if so wanted. */
  #lowest(readable: boolean): number | undefined {
    let lowest: number | undefined
    for (const [sequence, group] of this.#groups) {
      if (sequence === this.#current || (lowest !== undefined && sequence > lowest)) continue
      if (!readable || group.frames.length > 0 || group.state !== "open") lowest = sequence
    }
    return lowest
  }

  /** Newer groups are too far ahead of what was read last, or too many. */
  #isFarBehind(): boolean {
    if (this.#groups.size > this.#bounds.reorderGroups) return true
    if (this.#deliveredUs === undefined) return false
    for (const [sequence, group] of this.#groups) {
      if (sequence !== this.#current && group.newestUs - this.#deliveredUs >= this.#bounds.reorderUs) return true
    }
    return false
  }

  #goTo(sequence: number): void {
    for (const [old, group] of this.#groups) if (old < sequence) this.#forget(old, group)
    this.#current = sequence
  }

  #forget(sequence: number, group: Group): void {
    for (let at = group.read; at < group.frames.length; at++) this.#bytes -= group.frames[at]?.payload.length ?? 0
    this.#groups.delete(sequence)
  }

  /** Gives up the oldest groups until half of the room is free; at least one. */
  #drop(): void {
    const from = this.#current ?? this.#lowest(false) ?? 0
    let to = from
    for (const sequence of [...this.#groups.keys()].toSorted((a, b) => a - b)) {
      if (to > from && this.#bytes <= this.#bounds.readAheadBytes / 2) break
      to = sequence + 1
      this.#goTo(to)
    }
    this.#gap(from, to - from, "lagged")
  }

  #close(sequence: number, state: "ended" | "reset"): void {
    const group = this.#groups.get(sequence)
    if (group?.state === "open") group.state = state
  }

  #gap(sequence: number, groups: number, reason: GapReason): void {
    this.lost += groups
    this.#gaps.push({ _tag: "Gap", sequence, groups, reason })
  }
}
