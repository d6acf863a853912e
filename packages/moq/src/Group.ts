/**
 * A group: an ordered list of frames that is written once and read by many (moq-lite section 1). Every frame is kept in the form
 * it has on the wire, its timestamp and size in front, so that a session hands the same bytes to the transport for every viewer.
 */
import { Blocked, End } from "@effect-live/endpoint/Stream"
import * as Varint from "@effect-live/wire/Varint"
import { Effect, Schema } from "effect"
import * as ErrorCode from "./ErrorCode.ts"
import { Signal } from "@effect-live/actor/Signal"
import * as Timestamp from "./internal/Timestamp.ts"
import * as Limits from "./Limits.ts"

/** The group was given up, by its producer or by the track's retention, before this reader had all of it. */
export class GroupError extends Schema.TaggedError<GroupError>()("GroupError", {
  sequence: Schema.Int,
  code: Schema.Int
}) {
  override get message(): string {
    return `group ${this.sequence} is incomplete: ${ErrorCode.name(this.code)}`
  }
}

/** One reader's place in a group. One fiber reads it; make another consumer for another reader. */
export interface GroupConsumer {
  readonly sequence: number
  /** It came, or goes to those who can have it, as one datagram (section 3.5.4): a whole group of one frame. */
  readonly datagram: boolean
  /** Of the next frame, from 0. */
  readonly index: number
  /**
   * Of the frame that was read last, in units of the track's timescale. Undefined before the first frame, and for a frame whose
   * publisher said none (lite-03, lite-04).
   */
  readonly timestamp: number | undefined
  /** The next frame's payload: a view of shared bytes, not to be changed. `GroupError`: the rest is lost. */
  readonly tryRead: () => Uint8Array | Blocked | End | GroupError
  /**
   * As `tryRead`, in the form of the wire: the size as a QUIC varint in front, and before that, when `timed`, the timestamp as its
   * difference to the frame before (section 3.5.3). All readers of one form share the same bytes.
   */
  readonly tryReadEncoded: (timed: boolean) => Uint8Array | Blocked | End | GroupError
  /** The next `tryRead` would not be `Blocked`. */
  readonly ready: boolean
  /** Waits until `ready`. */
  readonly readable: Effect.Effect<void>
  readonly read: Effect.Effect<Uint8Array | End, GroupError>
  /** Calls `changed` once, when the group changes next; answers how to call that off. For readers that wait for several things. */
  readonly watch: (changed: () => void) => () => void
  /** Set when the group was aborted or evicted: what was not read is gone. */
  readonly error: GroupError | undefined
  /** Waits for that; never succeeds for a group that stays. */
  readonly lost: Effect.Effect<void>
}

/** What a group has from its track. */
export interface Owner {
  readonly grew: (bytes: number) => void
  /** The track's clock, in units of its timescale. */
  readonly now: () => number
}

/** What became of a frame. `ended`: the group had been finished, aborted or evicted; `tooLarge`: above a limit. */
export type Written = "written" | "ended" | "tooLarge"

/** The writing half. Made by `TrackProducer.appendGroup`, or alone by `make`. */
export class GroupProducer {
  readonly sequence: number
  readonly datagram: boolean
  readonly #owner: Owner | undefined
  /** All in the same form. */
  #frames: Array<Uint8Array> = []
  /** Whether that form has the timestamp in front. Decided by the first frame, and changed when somebody needs the other one. */
  #timed = false
  /** The frame that was last given without its timestamp. */
  #untimedIndex = -1
  #untimedFrame: Uint8Array = nothing
  /** Of every frame; `unknown` where nobody said. */
  #timestamps: Array<number> = []
  /** What the next frame's timestamp is written against: that of the newest frame, or of its arrival if it had none. */
  #previous = 0
  /** Where `write` puts the next frame, and how far it is filled. */
  #block: Uint8Array = nothing
  #blockBytes = 0
  /** Frames written, also after they were discarded. */
  #count = 0
  #bytes = 0
  /** Of a frame that is still arriving. */
  #heldBytes = 0
  #ended: "finished" | "aborted" | undefined
  #error: GroupError | undefined
  readonly #signal = new Signal()

  constructor(sequence: number, owner?: Owner, datagram = false) {
    this.sequence = sequence
    this.datagram = datagram
    this.#owner = owner
  }

  /** Bytes kept, as the limits count them. */
  get bytes(): number {
    return this.#bytes + this.#heldBytes
  }

  /** Frames written so far. */
  get frames(): number {
    return this.#count
  }

  /** Of the newest frame, or 0: what the difference in front of the next one counts from. */
  get timestamp(): number {
    return this.#previous
  }

  /** No more frames will come: finished, aborted or evicted. */
  get ended(): boolean {
    return this.#ended !== undefined || this.#error !== undefined
  }

  /**
   * Appends a frame, in one piece or several; its bytes are copied once, for all readers. `timestamp` is in units of the track's
   * timescale, an integer from 0 to 2^53 - 1 (a defect otherwise); without it, the track's clock. `tooLarge`: above `Limits.maxFrameBytes`, or the group
   * has reached `Limits.maxGroupBytes`; nothing was written.
   */
  write(frame: Uint8Array | ReadonlyArray<Uint8Array>, timestamp: number = this.#now()): Written {
    if (!(Number.isSafeInteger(timestamp) && timestamp >= 0)) {
      throw new RangeError(`a timestamp is an integer from 0 to 2^53 - 1, not ${timestamp}`)
    }
    const payloadBytes = frame instanceof Uint8Array ? frame.length : lengthOf(frame)
    const refused = this.#refuses(payloadBytes)
    if (refused !== undefined) return refused
    if (!this.#timed) this.#toTimed()
    const encoded = this.#place(payloadBytes, timestamp)
    let at = encoded.length - payloadBytes
    if (frame instanceof Uint8Array) encoded.set(frame, at)
    else {
      for (const piece of frame) {
        encoded.set(piece, at)
        at += piece.length
      }
    }
    this.#append(encoded, timestamp)
    return "written"
  }

  /**
   * Appends a frame as it came: its size in front, and before that, when it has a timestamp, the difference to `this.timestamp`.
   * Keeps the bytes without copying where the group keeps that form: they must not change.
   */
  writeEncoded(encoded: Uint8Array, timestamp?: number): Written {
    const sizeAt = timestamp === undefined ? 0 : Varint.sizeFrom(encoded[0] ?? 0)
    const payloadAt = sizeAt + Varint.sizeFrom(encoded[sizeAt] ?? 0)
    const refused = this.#refuses(encoded.length - payloadAt)
    if (refused !== undefined) return refused
    if (timestamp !== undefined) {
      if (!this.#timed) this.#toTimed()
      this.#previous = timestamp
      this.#append(encoded, timestamp)
    } else if (this.#timed) {
      const payload = encoded.subarray(payloadAt)
      const placed = this.#place(payload.length, this.#now())
      placed.set(payload, placed.length - payload.length)
      this.#append(placed, unknown)
    } else {
      this.#append(encoded, unknown)
    }
    return "written"
  }

  /** Counts the bytes of a frame that is still arriving; 0 when it is there. False when the group has ended meanwhile. */
  hold(bytes: number): boolean {
    if (this.ended) return false
    const grown = bytes - this.#heldBytes
    this.#heldBytes = bytes
    this.#owner?.grew(grown) // may evict this very group
    return !this.ended
  }

  /** No more frames: readers get what there is, then `End`. */
  finish(): void {
    if (this.ended) return
    this.hold(0)
    this.#ended = "finished"
    this.#block = nothing
    this.#signal.notify()
  }

  /** Gives the group up and discards it: every reader gets a `GroupError` with this code. */
  abort(code: number): void {
    if (this.ended) return
    this.#ended = "aborted"
    this.#discard(code)
  }

  /** Frees the bytes of a group, finished or not. A reader that had read all of a finished group still sees its clean end. */
  evict(code: number): void {
    if (this.#error === undefined) this.#discard(code)
  }

  /** A new reader, from the first frame. */
  consume(): GroupConsumer {
    return new Consumer(this)
  }

  /** Frame `index` as it is kept, or why there is none. For consumers. */
  at(index: number): Uint8Array | Blocked | End | GroupError {
    const frame = this.#frames[index]
    if (frame !== undefined) return frame
    if (this.#ended === "finished" && index >= this.#count) return End
    return this.#error ?? Blocked
  }

  /** For consumers: whether frames are kept with their timestamps. */
  get timed(): boolean {
    return this.#timed
  }

  /** For consumers: a frame that is kept with its timestamp, without it. All who read it at the same time share the view. */
  untimed(index: number, frame: Uint8Array): Uint8Array {
    if (index !== this.#untimedIndex) {
      this.#untimedIndex = index
      this.#untimedFrame = frame.subarray(Varint.sizeFrom(frame[0] ?? 0))
    }
    return this.#untimedFrame
  }

  /** For consumers: from now on they are. */
  keepTimed(): void {
    if (!this.#timed) this.#toTimed()
  }

  /** For consumers. */
  timestampAt(index: number): number | undefined {
    const timestamp = this.#timestamps[index]
    return timestamp === undefined || timestamp === unknown ? undefined : timestamp
  }

  /** Why the group was discarded. */
  get error(): GroupError | undefined {
    return this.#error
  }

  /** For consumers. */
  waitFor(ready: () => boolean): Effect.Effect<void> {
    return this.#signal.wait(ready)
  }

  /** For consumers. */
  watch(changed: () => void): () => void {
    return this.#signal.watch(changed)
  }

  #refuses(payloadBytes: number): "ended" | "tooLarge" | undefined {
    if (this.ended) return "ended"
    return payloadBytes > Limits.maxFrameBytes || this.#bytes >= Limits.maxGroupBytes ? "tooLarge" : undefined
  }

  #now(): number {
    return this.#owner?.now() ?? 0
  }

  /** Room for a frame in the timed form, with everything but its payload written. */
  #place(payloadBytes: number, timestamp: number): Uint8Array {
    const previous = this.#previous
    const bytes = Timestamp.size(timestamp, previous) + Varint.size(payloadBytes) + payloadBytes
    if (bytes > this.#block.length - this.#blockBytes) {
      // allocations are what a small frame costs most: the block grows with the group, which never holds more than twice its bytes
      this.#block = new Uint8Array(Math.max(bytes, Math.min(this.#bytes, blockBytes)))
      this.#blockBytes = 0
    }
    const start = this.#blockBytes
    Varint.write(this.#block, Timestamp.write(this.#block, start, timestamp, previous), payloadBytes)
    this.#previous = timestamp
    this.#blockBytes = start + bytes
    return this.#block.subarray(start, this.#blockBytes)
  }

  /** Puts timestamps in front of frames that came without: the time at which they are first asked for. */
  #toTimed(): void {
    this.#timed = true
    if (this.#frames.length === 0) return
    const now = this.#now()
    let grown = 0
    this.#frames = this.#frames.map((encoded) => {
      const payload = encoded.subarray(Varint.sizeFrom(encoded[0] ?? 0))
      const placed = this.#place(payload.length, now)
      placed.set(payload, placed.length - payload.length)
      grown += placed.length - encoded.length
      return placed
    })
    this.#bytes += grown
    this.#owner?.grew(grown)
  }

  #append(encoded: Uint8Array, timestamp: number): void {
    this.#frames.push(encoded)
    this.#timestamps.push(timestamp)
    this.#count++
    const bytes = encoded.length + Limits.frameOverheadBytes
    this.#bytes += bytes
    this.#owner?.grew(bytes)
    this.#signal.notify()
  }

  #discard(code: number): void {
    this.#error = new GroupError({ sequence: this.sequence, code })
    this.#frames = []
    this.#timestamps = []
    this.#untimedIndex = -1
    this.#untimedFrame = nothing
    this.#block = nothing
    const bytes = this.bytes
    this.#bytes = 0
    this.#heldBytes = 0
    this.#owner?.grew(-bytes)
    this.#signal.notify()
  }
}

/** A group that belongs to no track: frames without a timestamp get 0. */
export const make = (sequence: number): GroupProducer => new GroupProducer(sequence)

class Consumer implements GroupConsumer {
  readonly #group: GroupProducer
  readonly readable: Effect.Effect<void>
  readonly read: Effect.Effect<Uint8Array | End, GroupError>
  readonly lost: Effect.Effect<void>
  index = 0

  constructor(group: GroupProducer) {
    this.#group = group
    this.readable = group.waitFor(() => this.ready)
    this.lost = group.waitFor(() => group.error !== undefined)
    this.read = Effect.suspend(() => {
      const frame = this.tryRead()
      if (frame === Blocked) return Effect.andThen(this.readable, this.read)
      return frame instanceof GroupError ? Effect.fail(frame) : Effect.succeed(frame)
    })
  }

  get sequence(): number {
    return this.#group.sequence
  }

  get datagram(): boolean {
    return this.#group.datagram
  }

  get timestamp(): number | undefined {
    return this.#group.timestampAt(this.index - 1)
  }

  get error(): GroupError | undefined {
    return this.#group.error
  }

  get ready(): boolean {
    return this.#group.at(this.index) !== Blocked
  }

  watch(changed: () => void): () => void {
    return this.#group.watch(changed)
  }

  tryReadEncoded(timed: boolean): Uint8Array | Blocked | End | GroupError {
    if (timed) this.#group.keepTimed()
    const frame = this.#group.at(this.index)
    if (!(frame instanceof Uint8Array)) return frame
    this.index++
    return timed || !this.#group.timed ? frame : this.#group.untimed(this.index - 1, frame)
  }

  tryRead(): Uint8Array | Blocked | End | GroupError {
    const frame = this.#group.at(this.index)
    if (!(frame instanceof Uint8Array)) return frame
    this.index++
    const sizeAt = this.#group.timed ? Varint.sizeFrom(frame[0] ?? 0) : 0
    return frame.subarray(sizeAt + Varint.sizeFrom(frame[sizeAt] ?? 0))
  }
}

const lengthOf = (pieces: ReadonlyArray<Uint8Array>): number => {
  let bytes = 0
  for (const piece of pieces) bytes += piece.length
  return bytes
}

/** No timestamp is negative. A number, so that the array of them stays one of plain numbers. */
const unknown = -1
/** Largest block that several frames share. */
const blockBytes = 65_536
const nothing = new Uint8Array(0)
