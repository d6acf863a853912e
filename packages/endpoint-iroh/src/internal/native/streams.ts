/**
 * Streams over the addon's. The state of a stream is the addon's own; kept here is only what the contract latches, and the one
 * error object for it.
 */
import {
  Blocked,
  type ConnectionLost,
  End,
  PeerReset,
  PeerStopped,
  StreamError,
  type RecvStream,
  type SendStream
} from "@effect-live/endpoint/Stream"
import { codeOf, type Loss, streamEnded, Waiter } from "@effect-live/endpoint/StreamKit"
import type * as Native from "@effect-live/native"
import { Effect, Exit } from "effect"
import * as Limits from "../../Limits.ts"
import { type Addon, Condition, Source, Wait } from "./waiting.ts"

/** The connection of a stream, as far as the stream needs it. */
export interface Owner {
  /** How it ended. Only for streams that were lost with it. */
  readonly lost: () => Loss
  /** Whether we closed it ourselves, and with it everything that is unread. */
  readonly closedByUs: () => boolean
  readonly closed: Effect.Effect<unknown>
  /** There is one more stream that we send on: `look` is called some time later, unless it is `over` before. */
  readonly opened: (look: () => void) => void
  readonly over: (look: () => void) => void
}

/** Why a stream gives or takes nothing any more. */
const errorOf = (native: Native.SendStream | Native.RecvStream, owner: Owner): StreamError => {
  const ended = native.ended()
  switch (ended?.kind) {
    case "reset":
      return new StreamError({ reason: new PeerReset({ code: ended.code ?? 0 }) })
    case "stopped":
      return new StreamError({ reason: new PeerStopped({ code: ended.code ?? 0 }) })
    case "lost":
      return owner.lost().stream
    default:
      return streamEnded
  }
}

// ---- receiving

/**
 * Where the addon puts what it reads. One buffer for all streams: a read is over before anything else runs. What fills less
 * than half of it is copied out, so that a small chunk that lives long holds nothing else; else the buffer itself is given away.
 */
const nothing = new Uint8Array(0)
let spare = nothing
const spareBuffer = (): Uint8Array => {
  if (spare.length === 0) spare = new Uint8Array(Limits.readBytes)
  return spare
}
const cut = (length: number): Uint8Array => {
  const buffer = spare
  if (2 * length < buffer.length) return buffer.slice(0, length)
  spare = nothing
  return length === buffer.length ? buffer : buffer.subarray(0, length)
}

/** What both kinds of streams that we receive on have in common: the Effects on top of their tries. */
abstract class Receiver implements RecvStream {
  #read: Effect.Effect<Uint8Array | typeof End, StreamError> | undefined

  abstract readonly tryRead: () => Uint8Array | Blocked | typeof End | StreamError
  abstract readonly tryReadInto: (into: Uint8Array) => number | Blocked | typeof End | StreamError
  abstract readonly stop: (code: number) => void
  abstract readonly readable: Effect.Effect<void>

  get read(): Effect.Effect<Uint8Array | typeof End, StreamError> {
    if (this.#read !== undefined) return this.#read
    const read: Effect.Effect<Uint8Array | typeof End, StreamError> = Effect.suspend(() => {
      const value = this.tryRead()
      if (value === Blocked) return Effect.flatMap(this.readable, () => read)
      return value instanceof StreamError ? Exit.fail(value) : Exit.succeed(value)
    })
    return (this.#read = read)
  }
}

class Receiving extends Receiver {
  readonly #addon: Addon
  readonly #native: Native.RecvStream
  readonly #owner: Owner
  #end: typeof End | StreamError | undefined
  /** Made when it is first needed: most streams have everything at once. */
  #wait: Wait | undefined

  constructor(addon: Addon, native: Native.RecvStream, owner: Owner) {
    super()
    this.#addon = addon
    this.#native = native
    this.#owner = owner
  }

  readonly tryRead = (): Uint8Array | Blocked | typeof End | StreamError => {
    const read = this.#readInto(spareBuffer())
    return typeof read === "number" ? cut(read) : read
  }

  readonly tryReadInto = (into: Uint8Array): number | Blocked | typeof End | StreamError =>
    into.length === 0 ? 0 : this.#readInto(into)

  #readInto(into: Uint8Array): number | Blocked | typeof End | StreamError {
    if (this.#end !== undefined) return this.#end
    const read = this.#native.tryRead(into)
    if (read > 0) return read
    if (read === this.#addon.BLOCKED) return Blocked
    return (this.#end = read === this.#addon.END ? End : errorOf(this.#native, this.#owner))
  }

  get readable(): Effect.Effect<void> {
    const token = this.#native.token + this.#addon.Token.RecvStream.readable
    const holds = () => this.#end !== undefined || this.#native.readable()
    return (this.#wait ??= new Wait(this.#addon, "RecvStream.readable", token, holds)).ready
  }

  readonly stop = (code: number): void => {
    codeOf(code)
    if (this.#end !== undefined) return
    this.#end = streamEnded
    this.#native.stop(code)
  }
}

export const recv = (addon: Addon, native: Native.RecvStream, owner: Owner): RecvStream =>
  new Receiving(addon, native, owner)

/** A stream that was here whole when it was accepted: the addon knows nothing of it any more. */
class Received extends Receiver {
  #bytes: Uint8Array
  readonly #owner: Owner
  #end: typeof End | StreamError | undefined

  constructor(bytes: Uint8Array, owner: Owner) {
    super()
    this.#bytes = bytes
    this.#owner = owner
  }

  readonly tryRead = (): Uint8Array | typeof End | StreamError => {
    const end = this.#over()
    if (end !== undefined) return end
    const bytes = this.#bytes
    this.#bytes = nothing
    return bytes
  }

  readonly tryReadInto = (into: Uint8Array): number | typeof End | StreamError => {
    if (into.length === 0) return 0
    const end = this.#over()
    if (end !== undefined) return end
    const bytes = this.#bytes.subarray(0, into.length)
    into.set(bytes)
    this.#bytes = this.#bytes.subarray(bytes.length)
    return bytes.length
  }

  #over(): typeof End | StreamError | undefined {
    if (this.#end !== undefined) return this.#end
    if (this.#owner.closedByUs()) this.#end = this.#owner.lost().stream
    else if (this.#bytes.length === 0) this.#end = End
    return this.#end
  }

  readonly readable: Effect.Effect<void> = Effect.void

  /** The peer has nothing left to stop. */
  readonly stop = (code: number): void => {
    codeOf(code)
    if (this.#end === undefined && this.#bytes.length > 0) this.#end = streamEnded
    this.#bytes = nothing
  }
}

/** Where the addon puts what it accepts whole; what of it is a stream's is copied out at once. */
let wholeBytes = nothing
const wholeLengths = new Uint32Array(Limits.acceptWholeStreams)

/** The streams of a connection that the peer opened for us to receive on, in their order; `lost` is the answer after the last. */
export const accepting = (addon: Addon, native: Native.Connection, owner: Owner) => {
  /** Accepted whole and not taken yet, the next one last. */
  let whole: Array<Uint8Array> = []

  const accept = (): RecvStream | Blocked | ConnectionLost => {
    if (wholeBytes.length === 0) wholeBytes = new Uint8Array(Limits.readBytes)
    const count = native.tryAcceptWholeUni(wholeBytes, wholeLengths)
    if (count > 0) {
      let at = 0
      for (let i = 0; i < count; i++) whole.push(wholeBytes.slice(at, (at += wholeLengths[i] ?? 0)))
      whole.reverse()
      return new Received(whole.pop() ?? nothing, owner)
    }
    const stream = count === 0 ? native.tryAcceptUni() : count
    if (stream === addon.BLOCKED) return Blocked
    return typeof stream === "number" ? owner.lost().connection : new Receiving(addon, stream, owner)
  }

  const pull = (): RecvStream | Blocked | ConnectionLost => {
    if (owner.closedByUs()) return owner.lost().connection
    const bytes = whole.pop()
    return bytes === undefined ? accept() : new Received(bytes, owner)
  }
  const source = new Source(addon, "Connection.acceptUni", native.token + addon.Token.Connection.acceptUni, pull)
  return {
    source,
    drop: () => {
      whole = []
      source.drop()
    }
  }
}

// ---- sending

class Sending implements SendStream {
  readonly #addon: Addon
  readonly #native: Native.SendStream
  readonly #owner: Owner
  /** Why nothing is taken any more. */
  #error: StreamError | undefined
  /** The last write found no credit, and the addon has not called since. */
  #blocked = false
  /** Both made when they are first needed. */
  #waiter: Waiter | undefined
  #settled: Condition | undefined

  constructor(addon: Addon, native: Native.SendStream, owner: Owner) {
    this.#addon = addon
    this.#native = native
    this.#owner = owner
    owner.opened(this.#watch)
  }

  readonly tryWrite = (chunk: Uint8Array): number | Blocked | StreamError => {
    if (this.#error !== undefined) return this.#error
    if (chunk.length === 0) return 0
    const taken = this.#native.tryWrite(chunk)
    if (taken === this.#addon.BLOCKED) {
      if (!this.#blocked) {
        this.#blocked = true
        this.#addon.wait(this.#writable, this.#unblock)
      }
      return Blocked
    }
    if (this.#blocked) {
      this.#addon.forget(this.#writable)
      this.#unblock()
    }
    if (taken > 0) return taken
    this.#owner.over(this.#watch)
    return (this.#error = errorOf(this.#native, this.#owner))
  }

  get #writable(): number {
    return this.#native.token + this.#addon.Token.SendStream.writable
  }

  readonly #unblock = (): void => {
    this.#blocked = false
    this.#waiter?.wake()
  }

  get writable(): Effect.Effect<void> {
    return (this.#waiter ??= new Waiter("SendStream.writable", () => !this.#blocked)).wait
  }

  readonly write = (chunk: Uint8Array | ReadonlyArray<Uint8Array>): Effect.Effect<void, StreamError> =>
    Effect.suspend(() => this.#writeFrom(chunk instanceof Uint8Array ? [chunk] : chunk, 0, 0))

  /** The rest of the chunks from this byte of this chunk on. */
  #writeFrom(chunks: ReadonlyArray<Uint8Array>, index: number, offset: number): Effect.Effect<void, StreamError> {
    for (;;) {
      const chunk = chunks[index]
      if (chunk === undefined) return Effect.void
      const taken = this.tryWrite(joined(chunks, index, offset))
      if (taken instanceof StreamError) return Effect.fail(taken)
      if (taken === Blocked) return Effect.flatMap(this.writable, () => this.#writeFrom(chunks, index, offset))
      offset += taken
      for (let at = chunks[index]; at !== undefined && offset >= at.length; at = chunks[++index]) offset -= at.length
    }
  }

  readonly finish = (): void => {
    if (this.#error !== undefined) return
    this.#native.finish()
    this.#over()
  }

  /**
   * A stream that the peer stopped gives its credit back when that is noticed: by the next write, or here, where it stays open and
   * nobody may be writing for long. Most streams are over before.
   */
  readonly #watch = (): void => {
    if (this.#error === undefined) this.#outcome.keepTrying()
  }

  readonly reset = (code: number): void => {
    this.#native.reset(code)
    this.#over()
  }

  #over(): void {
    this.#error ??= streamEnded
    this.#owner.over(this.#watch)
    if (!this.#blocked) return
    this.#addon.forget(this.#writable)
    this.#unblock()
  }

  readonly setPriority = (priority: number): void => this.#native.setPriority(priority)

  get #outcome(): Condition {
    const { BLOCKED, Token } = this.#addon
    return (this.#settled ??= new Condition(
      this.#addon,
      "wait",
      this.#native.token + Token.SendStream.settled,
      () => this.#native.settled() !== BLOCKED
    ))
  }

  get stopped(): Effect.Effect<number, StreamError> {
    return Effect.flatMap(this.#outcome.wait, () => {
      const ended = this.#native.ended()
      if (ended?.kind === "stopped") return Effect.succeed(ended.code ?? 0)
      // It came out some other way: that it was stopped will never be heard.
      return Effect.flatMap(this.#owner.closed, () => Effect.fail(this.#owner.lost().stream))
    })
  }

  get flushed(): Effect.Effect<void, StreamError> {
    return Effect.flatMap(this.#outcome.wait, () =>
      this.#native.settled() === this.#addon.END ? Effect.void : Effect.fail(errorOf(this.#native, this.#owner))
    )
  }
}

export const send = (addon: Addon, native: Native.SendStream, owner: Owner): SendStream =>
  new Sending(addon, native, owner)

/** Small chunks are put together for one crossing, which costs as much as copying this many bytes. */
const together = new Uint8Array(Limits.joinBytes)

/** What to hand over next, from this byte of this chunk on: a large chunk as it is, small ones together. */
const joined = (chunks: ReadonlyArray<Uint8Array>, index: number, offset: number): Uint8Array => {
  const first = chunks[index] ?? nothing
  const rest = offset === 0 ? first : first.subarray(offset)
  if (index + 1 >= chunks.length || rest.length >= together.length) return rest
  let length = 0
  for (let next: Uint8Array | undefined = rest; next !== undefined; next = chunks[++index]) {
    if (length + next.length > together.length) break
    together.set(next, length)
    length += next.length
  }
  return together.subarray(0, length)
}
