/**
 * A group: an ordered list of frames that is written once and read by many (moq-lite section 1). Every frame is kept in the form
 * it has on the wire, its size in front, so that a session hands the same bytes to the transport for every viewer.
 */
import { Blocked, End } from "@effect-live/endpoint/Stream"
import * as Varint from "@effect-live/wire/Varint"
import { Effect, Schema } from "effect"
import * as ErrorCode from "./ErrorCode.ts"
import { Signal } from "./internal/Signal.ts"
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
  /** Of the next frame, from 0. */
  readonly index: number
  /** The next frame's payload: a view of shared bytes, not to be changed. `GroupError`: the rest is lost. */
  readonly tryRead: () => Uint8Array | Blocked | End | GroupError
  /** As `tryRead`, with the frame's size as a QUIC varint in front: what goes on the wire. */
  readonly tryReadEncoded: () => Uint8Array | Blocked | End | GroupError
  /** Waits until the next `tryRead` is not `Blocked`. */
  readonly readable: Effect.Effect<void>
  readonly read: Effect.Effect<Uint8Array | End, GroupError>
  /** Set when the group was aborted or evicted: what was not read is gone. */
  readonly error: GroupError | undefined
  /** Waits for that; never succeeds for a group that stays. */
  readonly lost: Effect.Effect<void>
}

/** What a group tells its track. */
export interface Owner {
  readonly grew: (bytes: number) => void
}

/** The writing half. Made by `TrackProducer.appendGroup`, or alone by `make`. */
export class GroupProducer {
  readonly sequence: number
  readonly #owner: Owner | undefined
  #frames: Array<Uint8Array> = []
  /** Where `write` puts the next frame, and how far it is filled. */
  #block: Uint8Array = nothing
  #blockBytes = 0
  /** Frames written, also after they were discarded. */
  #count = 0
  #bytes = 0
  #ended: "finished" | "aborted" | undefined
  #error: GroupError | undefined
  readonly #signal = new Signal()

  constructor(sequence: number, owner?: Owner) {
    this.sequence = sequence
    this.#owner = owner
  }

  /** Bytes kept, as the limits count them. */
  get bytes(): number {
    return this.#bytes
  }

  /** Frames written so far. */
  get frames(): number {
    return this.#count
  }

  /** No more frames will come: finished, aborted or evicted. */
  get ended(): boolean {
    return this.#ended !== undefined || this.#error !== undefined
  }

  /**
   * Appends a frame; its bytes are copied once, for all readers. `ended`: finished, aborted or evicted before. `tooLarge`: above
   * `Limits.maxFrameBytes`, or the group has reached `Limits.maxGroupBytes`; nothing was written.
   */
  write(frame: Uint8Array): "written" | "ended" | "tooLarge" {
    const refused = this.#refuses(frame.length)
    if (refused !== undefined) return refused
    const bytes = Varint.size(frame.length) + frame.length
    if (bytes > this.#block.length - this.#blockBytes) {
      // allocations are what a small frame costs most: the block grows with the group, which never holds more than twice its bytes
      this.#block = new Uint8Array(Math.max(bytes, Math.min(this.#bytes, blockBytes)))
      this.#blockBytes = 0
    }
    const start = this.#blockBytes
    this.#block.set(frame, Varint.write(this.#block, start, frame.length))
    this.#blockBytes = start + bytes
    this.#append(this.#block.subarray(start, this.#blockBytes))
    return "written"
  }

  /** As `write`, with the frame's size as a QUIC varint in front. Keeps the bytes without copying: they must not change. */
  writeEncoded(encoded: Uint8Array): "written" | "ended" | "tooLarge" {
    const refused = this.#refuses(encoded.length - Varint.sizeFrom(encoded[0] ?? 0))
    if (refused !== undefined) return refused
    this.#append(encoded)
    return "written"
  }

  /** No more frames: readers get what there is, then `End`. */
  finish(): void {
    if (this.ended) return
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

  /** Frame `index` in its wire form, or why there is none. For consumers. */
  at(index: number): Uint8Array | Blocked | End | GroupError {
    const frame = this.#frames[index]
    if (frame !== undefined) return frame
    if (this.#ended === "finished" && index >= this.#count) return End
    return this.#error ?? Blocked
  }

  /** Why the group was discarded. */
  get error(): GroupError | undefined {
    return this.#error
  }

  /** For consumers. */
  waitFor(ready: () => boolean): Effect.Effect<void> {
    return this.#signal.wait(ready)
  }

  #refuses(payloadBytes: number): "ended" | "tooLarge" | undefined {
    if (this.ended) return "ended"
    return payloadBytes > Limits.maxFrameBytes || this.#bytes >= Limits.maxGroupBytes ? "tooLarge" : undefined
  }

  #append(encoded: Uint8Array): void {
    this.#frames.push(encoded)
    this.#count++
    const bytes = encoded.length + Limits.frameOverheadBytes
    this.#bytes += bytes
    this.#owner?.grew(bytes)
    this.#signal.notify()
  }

  #discard(code: number): void {
    this.#error = new GroupError({ sequence: this.sequence, code })
    this.#frames = []
    this.#block = nothing
    this.#owner?.grew(-this.#bytes)
    this.#bytes = 0
    this.#signal.notify()
  }
}

/** A group that belongs to no track. */
export const make = (sequence: number): GroupProducer => new GroupProducer(sequence)

class Consumer implements GroupConsumer {
  readonly #group: GroupProducer
  readonly readable: Effect.Effect<void>
  readonly read: Effect.Effect<Uint8Array | End, GroupError>
  readonly lost: Effect.Effect<void>
  index = 0

  constructor(group: GroupProducer) {
    this.#group = group
    this.readable = group.waitFor(() => group.at(this.index) !== Blocked)
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

  get error(): GroupError | undefined {
    return this.#group.error
  }

  tryReadEncoded(): Uint8Array | Blocked | End | GroupError {
    const frame = this.#group.at(this.index)
    if (frame instanceof Uint8Array) this.index++
    return frame
  }

  tryRead(): Uint8Array | Blocked | End | GroupError {
    const frame = this.tryReadEncoded()
    return frame instanceof Uint8Array ? frame.subarray(Varint.sizeFrom(frame[0] ?? 0)) : frame
  }
}

/** Largest block that several frames share. */
const blockBytes = 65_536
const nothing = new Uint8Array(0)
