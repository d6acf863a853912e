import * as Varint from "@effect-live/wire/Varint"
import * as ErrorCode from "../ErrorCode.ts"
import type { GroupProducer } from "../Group.ts"
import * as Limits from "../Limits.ts"

/**
 * Cuts the bytes of a group's stream into its frames (moq-lite section 3.3: size, payload, repeated to the end). A frame that lies
 * in one chunk is handed over as a view of it; one that spans chunks is put together in a buffer that grows with what has
 * arrived, never with what was promised.
 */
export class FrameReader {
  readonly #group: GroupProducer
  /** The beginning of a frame, while it is cut. */
  #partial: Uint8Array = empty
  #partialBytes = 0

  constructor(group: GroupProducer) {
    this.#group = group
  }

  /** The stream may end here. */
  get atFrameEnd(): boolean {
    return this.#partialBytes === 0
  }

  /** Writes every frame that is complete into the group. Answers the code with which the rest of the stream is refused. */
  push(chunk: Uint8Array): number | undefined {
    let offset = 0
    while (offset < chunk.length) {
      if (this.#partialBytes > 0) {
        const wanted = frameBytes(this.#partial, 0, this.#partialBytes)
        if (wanted === Varint.TooLarge) return ErrorCode.frameTooLarge
        // while the size itself is cut, one byte more
        const missing = wanted === Varint.NeedMore ? 1 : wanted - this.#partialBytes
        const taken = Math.min(missing, chunk.length - offset)
        this.#keep(chunk.subarray(offset, offset + taken))
        offset += taken
        const known = frameBytes(this.#partial, 0, this.#partialBytes)
        if (known === Varint.TooLarge) return ErrorCode.frameTooLarge
        if (known !== this.#partialBytes) continue
        const refused = this.#write(this.#partial.subarray(0, this.#partialBytes))
        this.#partial = empty
        this.#partialBytes = 0
        if (refused !== undefined) return refused
        continue
      }
      const bytes = frameBytes(chunk, offset, chunk.length)
      if (bytes === Varint.TooLarge) return ErrorCode.frameTooLarge
      if (bytes === Varint.NeedMore || offset + bytes > chunk.length) {
        this.#keep(chunk.subarray(offset))
        return undefined
      }
      const refused = this.#write(chunk.subarray(offset, offset + bytes))
      if (refused !== undefined) return refused
      offset += bytes
    }
    return undefined
  }

  #write(encoded: Uint8Array): number | undefined {
    switch (this.#group.writeEncoded(encoded)) {
      case "written":
        return undefined
      case "ended":
        return ErrorCode.old
      case "tooLarge":
        return ErrorCode.boundsExceeded
    }
  }

  #keep(bytes: Uint8Array): void {
    const needed = this.#partialBytes + bytes.length
    if (needed > this.#partial.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(2 * needed, Limits.maxFrameBytes + maxPrefixBytes)))
      grown.set(this.#partial.subarray(0, this.#partialBytes))
      this.#partial = grown
    }
    this.#partial.set(bytes, this.#partialBytes)
    this.#partialBytes = needed
  }
}

/** Bytes of the frame at `offset`, its size included; `NeedMore` while the size is cut, `TooLarge` above `Limits.maxFrameBytes`. */
const frameBytes = (bytes: Uint8Array, offset: number, end: number): number => {
  const first = bytes[offset]
  if (first === undefined || offset + Varint.sizeFrom(first) > end) return Varint.NeedMore
  const payload = Varint.tryRead(bytes, offset)
  return payload > Limits.maxFrameBytes || payload === Varint.TooLarge
    ? Varint.TooLarge
    : Varint.sizeFrom(first) + payload
}

const maxPrefixBytes = 8
const empty = new Uint8Array(0)
