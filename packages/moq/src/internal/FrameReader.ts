import * as Varint from "@effect-live/wire/Varint"
import * as ErrorCode from "../ErrorCode.ts"
import type { GroupProducer } from "../Group.ts"
import * as Limits from "../Limits.ts"
import * as Timestamp from "./Timestamp.ts"

export interface Options {
  /** Whether every frame begins with its timestamp (lite-05). */
  readonly timed: boolean
  /** So many frames at the front of the stream are in the group already, and are passed over. */
  readonly skip?: number
}

/**
 * Cuts the bytes of a group's stream into its frames (moq-lite section 3.3: size, payload, repeated to the end; section 3.5.3: a
 * timestamp before each). A frame that lies in one chunk is handed over as a view of it; one that spans chunks is put together in
 * a buffer that grows with what has arrived, never with what was promised.
 */
export class FrameReader {
  readonly #group: GroupProducer
  readonly #timed: boolean
  /** Frames still to be passed over, and bytes of the one that is being passed over. */
  #skip: number
  #skipBytes = 0
  /** Timestamp of the frame before. */
  #previous = 0
  /** The beginning of a frame, while it is cut. */
  #partial: Uint8Array = empty
  #partialBytes = 0
  /** How far the chunk is read. */
  #offset = 0
  /** Of the frame that `#head` read: its timestamp, where its payload begins and where it ends, counted from its first byte. */
  #timestamp = 0
  #payloadAt = 0
  #frameBytes = 0

  constructor(group: GroupProducer, { skip = 0, timed }: Options = { timed: false }) {
    this.#group = group
    this.#timed = timed
    this.#skip = skip
    if (timed) group.keepTimed()
    group.hold(0) // what an earlier stream of the group had begun is not here
  }

  /** The stream may end here. */
  get atFrameEnd(): boolean {
    return this.#partialBytes === 0 && this.#skipBytes === 0
  }

  /** Writes every frame that is complete into the group. Answers the code with which the rest of the stream is refused. */
  push(chunk: Uint8Array): number | undefined {
    let offset = 0
    while (offset < chunk.length) {
      if (this.#skipBytes > 0) {
        const passed = Math.min(this.#skipBytes, chunk.length - offset)
        this.#skipBytes -= passed
        offset += passed
        continue
      }
      const refused = this.#partialBytes > 0 ? this.#complete(chunk, offset) : this.#cut(chunk, offset)
      if (refused !== undefined) return refused
      offset = this.#offset
    }
    return undefined
  }

  /** A frame that begins in this chunk. */
  #cut(chunk: Uint8Array, offset: number): number | undefined {
    const head = this.#head(chunk, offset, chunk.length)
    if (typeof head === "number") return head
    const end = offset + this.#frameBytes
    if (head === "whole" && (this.#skip > 0 || end <= chunk.length)) {
      this.#offset = this.#skip > 0 ? offset : end
      return this.#skip > 0 ? this.#pass(this.#frameBytes) : this.#write(chunk.subarray(offset, end))
    }
    this.#offset = chunk.length
    return this.#keep(chunk.subarray(offset), head === "whole" ? this.#frameBytes : maxHeadBytes)
  }

  /** A frame that began before this chunk. */
  #complete(chunk: Uint8Array, offset: number): number | undefined {
    // while the head itself is cut, one byte more
    const cut = this.#head(this.#partial, 0, this.#partialBytes) === "cut"
    const end = Math.min(offset + (cut ? 1 : this.#frameBytes - this.#partialBytes), chunk.length)
    this.#offset = end
    const ended = this.#keep(chunk.subarray(offset, end), cut ? maxHeadBytes : this.#frameBytes)
    if (ended !== undefined) return ended
    const head = this.#head(this.#partial, 0, this.#partialBytes)
    if (head === "cut") return undefined
    if (head !== "whole") return head
    const frame = this.#partial.subarray(0, this.#partialBytes)
    if (this.#skip > 0) {
      this.#forget()
      return this.#pass(this.#frameBytes - frame.length)
    }
    if (frame.length < this.#frameBytes) return undefined
    this.#forget()
    return this.#write(frame)
  }

  /** The frame whose head was just read is in the group already. */
  #pass(restBytes: number): undefined {
    this.#skip--
    this.#skipBytes = restBytes
    this.#previous = this.#timestamp
  }

  /** Reads what stands before the payload of the frame at `offset`, or answers why the stream is refused. */
  #head(bytes: Uint8Array, offset: number, end: number): "whole" | "cut" | number {
    let at = offset
    if (this.#timed) {
      const first = bytes[at]
      if (first === undefined || at + Varint.sizeFrom(first) > end) return "cut"
      this.#timestamp = Timestamp.tryRead(bytes, at, this.#previous)
      if (this.#timestamp === Varint.TooLarge) return ErrorCode.decode
      at += Varint.sizeFrom(first)
    }
    const first = bytes[at]
    if (at >= end || first === undefined || at + Varint.sizeFrom(first) > end) return "cut"
    const payloadBytes = Varint.tryRead(bytes, at)
    if (payloadBytes > Limits.maxFrameBytes || payloadBytes === Varint.TooLarge) return ErrorCode.frameTooLarge
    this.#payloadAt = at + Varint.sizeFrom(first) - offset
    this.#frameBytes = this.#payloadAt + payloadBytes
    return "whole"
  }

  /** A frame whose head was just read. */
  #write(encoded: Uint8Array): number | undefined {
    switch (this.#timed ? this.#writeTimed(encoded) : this.#group.writeEncoded(encoded)) {
      case "written":
        return undefined
      case "ended":
        return this.#ended()
      case "tooLarge":
        return ErrorCode.boundsExceeded
    }
  }

  #writeTimed(encoded: Uint8Array) {
    // where the group goes on with other timestamps than this stream, the difference in front of the frame would be wrong
    const fits = this.#previous === this.#group.timestamp
    this.#previous = this.#timestamp
    return fits
      ? this.#group.writeEncoded(encoded, this.#timestamp)
      : this.#group.write(encoded.subarray(this.#payloadAt), this.#timestamp)
  }

  #ended(): number {
    return this.#group.error?.code ?? ErrorCode.old
  }

  /** Adds to the beginning of a frame, which will have no more than `mostBytes`. */
  #keep(bytes: Uint8Array, mostBytes: number): number | undefined {
    const needed = this.#partialBytes + bytes.length
    if (needed > this.#partial.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(2 * needed, mostBytes)))
      grown.set(this.#partial.subarray(0, this.#partialBytes))
      this.#partial = grown
    }
    this.#partial.set(bytes, this.#partialBytes)
    this.#partialBytes = needed
    return this.#group.hold(this.#partial.length) ? undefined : this.#ended()
  }

  #forget(): void {
    this.#partial = empty
    this.#partialBytes = 0
    this.#group.hold(0)
  }
}

/** Timestamp and size. */
const maxHeadBytes = 16
const empty = new Uint8Array(0)
