/** The frames of the groups that a selection chooses: the plain part of `Frames`. */
import { Blocked, End } from "@effect-live/endpoint/Stream"
import * as ErrorCode from "../ErrorCode.ts"
import type { Frame } from "../Frames.ts"
import { type GroupConsumer, GroupError } from "../Group.ts"
import { TrackError } from "../Track.ts"
import type { Source } from "./Reading.ts"
import { type Lagged, lagged, type Reason, type Selection, type Watched } from "./Selection.ts"

export interface FrameSource extends Source<Frame | Lagged> {
  /** Reads no more of the group whose frame was taken last. */
  readonly leave: () => void
}

/** One group after the other. */
export class OneByOne implements FrameSource {
  readonly #selection: Selection
  #group: GroupConsumer | undefined

  constructor(selection: Selection) {
    this.#selection = selection
  }

  take(): Frame | Lagged | Blocked | End | TrackError {
    for (;;) {
      const group = this.#group
      if (group === undefined) {
        const next = this.#selection.next()
        if (next === Blocked || next === End || next instanceof TrackError || "_tag" in next) return next
        this.#group = next
        continue
      }
      const overtaken = this.#selection.leaves(false)
      const frame = takeFrame(group)
      if (overtaken !== undefined && frame !== End) return this.#drop(group, overtaken)
      if (frame === Blocked) {
        const late = this.#selection.leaves(true)
        return late === undefined ? Blocked : this.#drop(group, late)
      }
      if (frame === End) this.#group = undefined
      else if (frame instanceof GroupError) return this.#drop(group, reasonOf(frame))
      else return frame
    }
  }

  leave(): void {
    this.#group = undefined
  }

  watched(): ReadonlyArray<Watched> {
    return this.#group === undefined ? this.#selection.watched() : [this.#group, ...this.#selection.watched()]
  }

  dueMs(): number | undefined {
    return this.#selection.dueMs()
  }

  #drop({ sequence }: GroupConsumer, reason: Reason): Lagged {
    this.#group = undefined
    return lagged(sequence, 1, reason)
  }
}

/** All groups at once: whatever has come, the group that arrived first before the others. */
export class AllAtOnce implements FrameSource {
  readonly #selection: Selection
  readonly #groups: Array<GroupConsumer> = []
  #last: GroupConsumer | undefined

  constructor(selection: Selection) {
    this.#selection = selection
  }

  take(): Frame | Lagged | Blocked | End | TrackError {
    for (let index = 0; ;) {
      const group = this.#groups[index]
      if (group === undefined) {
        const next = this.#selection.next()
        if (next === End) return this.#groups.length === 0 ? End : Blocked
        if (next === Blocked || next instanceof TrackError || "_tag" in next) return next
        this.#groups.push(next)
        continue
      }
      const frame = takeFrame(group)
      if (frame === Blocked) {
        index++
        continue
      }
      this.#last = group
      if (frame !== End && !(frame instanceof GroupError)) return frame
      this.#groups.splice(index, 1)
      if (frame instanceof GroupError) return lagged(group.sequence, 1, reasonOf(frame))
    }
  }

  leave(): void {
    const index = this.#groups.findIndex((group) => group === this.#last)
    if (index >= 0) this.#groups.splice(index, 1)
  }

  watched(): ReadonlyArray<Watched> {
    return [...this.#groups, ...this.#selection.watched()]
  }

  dueMs(): number | undefined {
    return this.#selection.dueMs()
  }
}

const takeFrame = (group: GroupConsumer): Frame | Blocked | End | GroupError => {
  const { index, sequence } = group
  const payload = group.tryRead()
  return payload instanceof Uint8Array
    ? { _tag: "Frame", sequence, index, timestamp: group.timestamp, payload }
    : payload
}

const reasonOf = ({ code }: GroupError): Reason =>
  code === ErrorCode.evicted || code === ErrorCode.lagged || code === ErrorCode.old ? "lagged" : "reset"
