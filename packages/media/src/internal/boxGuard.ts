/**
 * Looks at the boxes of an MP4 file (ISO 14496-12) before the library reads them: a table of a few bytes may claim billions of
 * samples, and the library believes it. Files in other containers pass.
 */
import { decode, type Reader } from "@effect-live/wire/Reader"
import { Result } from "effect"
import * as Limits from "../Limits.ts"

/** A file that would take the library too much time or memory. */
export class HostileFile extends Error {}

/** Follows the boxes of a file from front to back, over bytes in pieces of any size. Throws `HostileFile`. */
export class BoxGuard {
  #state: "header" | "skip" | "collect" | "off" = "header"
  #left = 0
  #parts: Array<Uint8Array> = []
  #collected = 0
  #wanted = 8

  push(chunk: Uint8Array): void {
    let rest = chunk
    while (rest.length > 0 && this.#state !== "off") {
      if (this.#state === "skip") {
        const skipped = Math.min(rest.length, this.#left)
        this.#left -= skipped
        rest = rest.subarray(skipped)
        if (this.#left === 0) this.#header()
        continue
      }
      const taken = rest.subarray(0, this.#wanted - this.#collected)
      this.#parts.push(taken.slice())
      this.#collected += taken.length
      rest = rest.subarray(taken.length)
      if (this.#collected < this.#wanted) return
      const bytes = concat(this.#parts, this.#collected)
      if (this.#state === "collect") {
        check(bytes)
        this.#header()
      } else this.#begin(bytes)
    }
  }

  /** Bytes that need not be shown: the guard does not look into the box that it is in. */
  get skippable(): number {
    return this.#state === "skip" ? this.#left : 0
  }

  /** Bytes that it wants to see next, when it does not skip. */
  get wanted(): number {
    return this.#wanted - this.#collected
  }

  get isOff(): boolean {
    return this.#state === "off"
  }

  /** Instead of `push` for bytes that were not read. */
  skip(bytes: number): void {
    this.#left -= bytes
    if (this.#left === 0) this.#header()
  }

  #header(): void {
    this.#state = "header"
    this.#reset(8)
  }

  #reset(wanted: number): void {
    this.#parts = []
    this.#collected = 0
    this.#wanted = wanted
  }

  #begin(header: Uint8Array): void {
    const view = new DataView(header.buffer, header.byteOffset, header.byteLength)
    const type = typeOf(header, 4)
    const size = view.getUint32(0)
    if (!topLevel.has(type)) this.#state = "off"
    else if (size === 1 && header.length === 8) this.#wanted = 16
    else {
      const total = size === 1 ? Number(view.getBigUint64(8)) : size
      const content = total - header.length
      if (content < 0) this.#state = "off" // 0: up to the end of the file
      else if (type === "moov" || type === "moof") {
        if (content > Limits.importHeaderBytes) throw new HostileFile(`its header claims ${content} bytes`)
        this.#state = "collect"
        this.#reset(content)
        if (content === 0) this.#header()
      } else {
        this.#state = "skip"
        this.#left = content
        if (content === 0) this.#header()
      }
    }
  }
}

/** Guards a file with random access: reads its headers and skips its media. */
export const guardFile = async (
  sizeBytes: number,
  read: (start: number, end: number) => Promise<Uint8Array>
): Promise<void> => {
  const guard = new BoxGuard()
  for (let at = 0; at < sizeBytes && !guard.isOff;) {
    const step = guard.skippable > 0 ? guard.skippable : guard.wanted
    if (guard.skippable > 0) guard.skip(step)
    else guard.push(await read(at, Math.min(sizeBytes, at + step)))
    at += step
  }
}

const topLevel = new Set(
  "ftyp styp moov moof mdat free skip wide sidx ssix emsg prft mfra uuid meta pdin udta".split(" ")
)
const containers = new Set("moov trak mdia minf stbl mvex moof traf".split(" "))

const typeOf = (bytes: Uint8Array, at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4))

const concat = (parts: ReadonlyArray<Uint8Array>, length: number): Uint8Array => {
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

const check = (header: Uint8Array): void => {
  const counts = decode(header, (reader) => {
    walk(reader, header.length, 0)
  })
  if (Result.isFailure(counts)) throw new HostileFile(`its header is damaged: ${counts.failure.message}`)
}

const walk = (reader: Reader, end: number, depth: number): void => {
  let samples = 0
  let timed = 0
  let hasOffsets = false
  while (end - reader.offset >= 8) {
    const start = reader.offset
    const size = u32(reader)
    const type = typeOf(reader.raw(4), 0)
    const total = size === 0 ? end - start : size
    if (size === 1 || total < 8 || start + total > end) break // the library stops here, too
    const boxEnd = start + total
    if (containers.has(type) && depth < maxDepth) walk(reader, boxEnd, depth + 1)
    else if (boxEnd - reader.offset >= 8) {
      if (type === "stts") timed += sumOfTable(reader, boxEnd)
      else if (type === "ctts") {
        hasOffsets = true
        samples += sumOfTable(reader, boxEnd)
      } else if (type === "stsc") samples += largestChunk(reader, boxEnd)
      else if (type === "trun") {
        u32(reader)
        samples += u32(reader)
      } else if (type === "saiz") {
        if ((u32(reader) & 1) !== 0) reader.raw(8)
        reader.u8()
        samples += u32(reader)
      }
    }
    reader.offset = boxEnd
  }
  // Beside a table of offsets, the library lists the durations one by one as well.
  if (samples + (hasOffsets ? timed : 0) > 2 * Limits.importSamples) {
    throw new HostileFile(`its tables claim more than ${Limits.importSamples} samples`)
  }
  reader.offset = end
}

const maxDepth = 8

/** Samples that a table of (count, value) pairs claims; no more pairs than there are bytes. */
const sumOfTable = (reader: Reader, end: number): number => {
  u32(reader)
  let samples = 0
  for (let left = Math.min(u32(reader), Math.floor((end - reader.offset) / 8)); left > 0; left--) {
    samples += u32(reader)
    reader.raw(4)
  }
  return samples
}

/** The library looks for a sample in a chunk one by one. */
const largestChunk = (reader: Reader, end: number): number => {
  u32(reader)
  let largest = 0
  for (let left = Math.min(u32(reader), Math.floor((end - reader.offset) / 12)); left > 0; left--) {
    reader.raw(4)
    largest = Math.max(largest, u32(reader))
    reader.raw(4)
  }
  return largest
}

const u32 = (reader: Reader): number => reader.u16be() * 65_536 + reader.u16be()
