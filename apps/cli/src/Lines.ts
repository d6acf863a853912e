/** Cuts bytes into lines, of which none is kept beyond a limit however long it goes on. */

export type Line =
  | { readonly _tag: "Line"; readonly bytes: Uint8Array }
  /** Above the limit: only its length in bytes is known. */
  | { readonly _tag: "TooLong"; readonly length: number }

const newline = 10
const carriageReturn = 13

export class Lines {
  readonly #maxBytes: number
  /** The line that has begun, as far as it is kept. */
  #parts: Array<Uint8Array> = []
  #length = 0
  /** Whether it ends with a carriage return so far, which is part of it only when it goes on. */
  #returned = false

  /** `maxBytes`: the longest line, without its end. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The lines that end in this chunk, with `\n` or `\r\n`. */
  push(chunk: Uint8Array): ReadonlyArray<Line> {
    const lines: Array<Line> = []
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      this.#keep(chunk.subarray(start, end))
      lines.push(this.#take())
      start = end + 1
    }
    this.#keep(chunk.subarray(start))
    return lines
  }

  /** The last line, when it has no end. */
  end(): ReadonlyArray<Line> {
    return this.#length === 0 && !this.#returned ? [] : [this.#take()]
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    if (this.#returned) this.#add(Uint8Array.of(carriageReturn))
    this.#returned = bytes.at(-1) === carriageReturn
    this.#add(this.#returned ? bytes.subarray(0, -1) : bytes)
  }

  #add(bytes: Uint8Array): void {
    this.#length += bytes.length
    if (this.#length <= this.#maxBytes) this.#parts.push(bytes.slice())
    else this.#parts = []
  }

  #take(): Line {
    const [parts, length] = [this.#parts, this.#length]
    this.#parts = []
    this.#length = 0
    this.#returned = false
    return length > this.#maxBytes ? { _tag: "TooLong", length } : { _tag: "Line", bytes: Buffer.concat(parts) }
  }
}
