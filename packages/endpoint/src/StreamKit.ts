/**
 * What every implementation of `Stream.ts` and `Connection.ts` is built from, so that ends are latched, waits are undone and
 * resumes nest in one way only. All of it is plain synchronous state that a driver pushes into from its callbacks; nothing
 * here knows a transport.
 *
 * How a transport uses it:
 *
 * - one `RecvBuffer` per stream that the peer sends on: `push` chunks as they arrive, then `finish`, `reset` or `lose`;
 *   `taken` tells how many bytes the reader took, `stopped` that it gave up: that is the time to grant credit or read on;
 * - one `SendBuffer` per stream that we send on: the driver says how much `room` it has and gets the bytes with `take`; it
 *   calls `wake` when room grew and `stoppedByPeer`, `flushedByPeer`, `lose` when the peer or the connection says so;
 * - one `Opener` for each kind of stream that we open, where the transport opens them by promises;
 * - one `WaitQueue` for each of accepted streams, received datagrams, accepted connections;
 * - one `Outcome` for whatever happens once and has many waiters, such as `closed`.
 *
 * Resuming a fiber runs it inside the call that resumed it (`push`, `wake`, ...): finish your own bookkeeping first.
 */
import * as Resume from "@effect-live/actor/Resume"
import { Effect, Exit } from "effect"
import type { Close } from "./Close.ts"
import {
  Blocked,
  ConnectionLost,
  End,
  PeerReset,
  PeerStopped,
  type RecvStream,
  type SendStream,
  StreamEnded,
  StreamError
} from "./Stream.ts"

type Wake = (effect: Effect.Effect<void>) => void

/** We ended the stream ourselves. One for all: a stream that ends well makes no error object. */
export const streamEnded = new StreamError({ reason: new StreamEnded() })

/** The two errors with which a connection takes its streams along. Make them once per connection. */
export interface Loss {
  readonly connection: ConnectionLost
  readonly stream: StreamError
}
export const loss = (close: Close): Loss => {
  const connection = new ConnectionLost({ close })
  return { connection, stream: new StreamError({ reason: connection }) }
}

/** A code of a stream or a connection as it is. One that cannot be meant is a bug of the caller: it throws, and changes nothing. */
export const codeOf = (code: number): number => {
  if (Number.isSafeInteger(code) && code >= 0) return code
  throw new TypeError(`a code is an integer of 0 to 2^53-1, not ${code}`)
}

/** As `codeOf`, for a stream's priority. */
export const priorityOf = (priority: number): number => {
  if ((priority | 0) === priority) return priority
  throw new TypeError(`a priority is a signed 32-bit integer, not ${priority}`)
}

/** Lets one fiber wait for a condition. A second one at the same time is a bug of the caller and dies. */
export class Waiter {
  #wake: Wake | undefined
  /** Succeeds at once when the condition holds, else at the next `wake`. Made once. Interruption forgets the waiter. */
  readonly wait: Effect.Effect<void>

  /** `what` names the operation in the defect. */
  constructor(what: string, ready: () => boolean) {
    this.wait = Effect.callback<void>((resume) => {
      if (ready()) return resume(Effect.void)
      if (this.#wake !== undefined) {
        return resume(Effect.die(new Error(`two fibers wait in ${what} of one object: one waiter at a time`)))
      }
      this.#wake = resume
      return Effect.sync(() => {
        if (this.#wake === resume) this.#wake = undefined
      })
    })
  }

  /** Resumes the waiter, if there is one; it looks at the condition again itself. */
  wake(): void {
    const wake = this.#wake
    if (wake === undefined) return
    this.#wake = undefined
    Resume.now(wake, Effect.void)
  }
}

/** Lets any number of fibers wait for a condition; all are resumed and look again. */
export class Waiters {
  readonly #waiting = new Set<Wake>()
  readonly wait: Effect.Effect<void>

  constructor(ready: () => boolean) {
    this.wait = Effect.callback<void>((resume) => {
      if (ready()) return resume(Effect.void)
      this.#waiting.add(resume)
      return Effect.sync(() => {
        this.#waiting.delete(resume)
      })
    })
  }

  wakeAll(): void {
    const woken = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of woken) Resume.now(wake, Effect.void)
  }
}

/** Something that happens once; any number of fibers may wait for it, before and after. The first `done` counts. */
export class Outcome<A, E = never> {
  #exit: Exit.Exit<A, E> | undefined
  readonly #waiters = new Waiters(() => this.#exit !== undefined)
  readonly await: Effect.Effect<A, E> = Effect.suspend(
    () => this.#exit ?? Effect.flatMap(this.#waiters.wait, () => this.await)
  )

  get exit(): Exit.Exit<A, E> | undefined {
    return this.#exit
  }

  done(exit: Exit.Exit<A, E>): void {
    if (this.#exit !== undefined) return
    this.#exit = exit
    this.#waiters.wakeAll()
  }
}

/** Values in the order in which they came, then at most one failure for ever. One fiber waits at a time. */
export class WaitQueue<A, E = never> {
  readonly #items: Array<A> = []
  #failure: Exit.Exit<never, E> | undefined
  readonly #waiter: Waiter
  readonly #taken: ((item: A) => void) | undefined
  /** The next value, or the failure after the last one. A fiber that is interrupted while it waits takes nothing along. */
  readonly take: Effect.Effect<A, E>
  /** Waits until there is a value or the failure, and takes nothing. */
  readonly ready: Effect.Effect<void>

  /** `what` names `take` in the defect of a second waiter; `taken` hears of every value that leaves. */
  constructor(what: string, taken?: (item: A) => void) {
    this.#taken = taken
    this.#waiter = new Waiter(what, () => this.#items.length > 0 || this.#failure !== undefined)
    this.ready = this.#waiter.wait
    this.take = Effect.suspend((): Effect.Effect<A, E> => {
      const exit = this.poll()
      return exit ?? Effect.flatMap(this.ready, () => this.take)
    })
  }

  get length(): number {
    return this.#items.length
  }

  /** What `take` would answer, or undefined where it would wait. */
  poll(): Exit.Exit<A, E> | undefined {
    if (this.#items.length === 0) return this.#failure
    const [item] = this.#items.splice(0, 1) as [A]
    this.#taken?.(item)
    return Exit.succeed(item)
  }

  push(item: A): void {
    if (this.#failure !== undefined) return
    this.#items.push(item)
    this.#waiter.wake()
  }

  /** What was pushed before can still be taken; `drop` says that it must not be. */
  fail(error: E, options?: { readonly drop: boolean }): ReadonlyArray<A> {
    if (this.#failure !== undefined) return []
    this.#failure = Exit.fail(error)
    const dropped = options?.drop === true ? this.#items.splice(0) : []
    this.#waiter.wake()
    return dropped
  }
}

/**
 * Opens streams for whoever waits, in their order, where the transport opens them by promises. A call cannot be taken back: the
 * stream of a fiber that went away goes to the next one, since dropping it would show the peer an empty stream.
 */
export class Opener<N, A> {
  readonly #call: () => Promise<N>
  readonly #made: (native: N) => A
  readonly #failed: (error: unknown) => void
  readonly #waiting = new Set<(exit: Exit.Exit<A, ConnectionLost>) => void>()
  readonly #spares: Array<N> = []
  #calls = 0
  #error: ConnectionLost | undefined
  /** The next stream, or why there is none any more. */
  readonly open: Effect.Effect<A, ConnectionLost>

  /** `failed` hears why a call failed; whoever waits for it hears it from `fail`. */
  constructor(call: () => Promise<N>, made: (native: N) => A, failed: (error: unknown) => void) {
    this.#call = call
    this.#made = made
    this.#failed = failed
    this.open = Effect.callback<A, ConnectionLost>((resume) => {
      if (this.#error !== undefined) return resume(Exit.fail(this.#error))
      const spare = this.#spares.pop()
      if (spare !== undefined) return resume(Exit.succeed(made(spare)))
      this.#waiting.add(resume)
      this.#callForAll()
      return Effect.sync(() => {
        this.#waiting.delete(resume)
      })
    })
  }

  /** The connection is over. */
  fail(error: ConnectionLost): void {
    this.#error ??= error
    const failing = [...this.#waiting]
    this.#waiting.clear()
    for (const resume of failing) resume(Exit.fail(error))
  }

  #callForAll(): void {
    if (this.#calls >= this.#waiting.size) return
    this.#calls++
    this.#call().then(
      (native) => {
        this.#calls--
        this.#opened(native)
      },
      (error: unknown) => {
        this.#calls--
        this.#failed(error)
      }
    )
  }

  #opened(native: N): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#spares.push(native)
      return
    }
    this.#waiting.delete(next)
    next(Exit.succeed(this.#made(native)))
  }
}

const nothing = new Uint8Array(0)

/** The receiving half of a stream. The driver bounds it by what it pushes before the reader took it. */
export class RecvBuffer implements RecvStream {
  readonly #chunks: Array<Uint8Array> = []
  #head = 0
  #bufferedBytes = 0
  #end: typeof End | StreamError | undefined
  readonly #waiter = new Waiter(
    "RecvStream.readable",
    () => this.#head < this.#chunks.length || this.#end !== undefined
  )
  readonly #driver: RecvDriver

  constructor(driver: RecvDriver) {
    this.#driver = driver
  }

  /** Pushed and not taken yet. */
  get bufferedBytes(): number {
    return this.#bufferedBytes
  }

  readonly tryRead = (): Uint8Array | Blocked | End | StreamError => {
    const chunk = this.#chunks[this.#head]
    if (chunk === undefined) return this.#none()
    this.#next()
    this.#took(chunk.length)
    return chunk
  }

  readonly tryReadInto = (into: Uint8Array): number | Blocked | End | StreamError => {
    if (into.length === 0) return 0
    let filled = 0
    for (let chunk = this.#chunks[this.#head]; chunk !== undefined; chunk = this.#chunks[this.#head]) {
      const room = into.length - filled
      if (chunk.length > room) {
        into.set(chunk.subarray(0, room), filled)
        this.#chunks[this.#head] = chunk.subarray(room)
        filled = into.length
        break
      }
      into.set(chunk, filled)
      filled += chunk.length
      this.#next()
    }
    if (filled === 0) return this.#none()
    this.#took(filled)
    return filled
  }

  /** Why there are no bytes. */
  #none(): Blocked | End | StreamError {
    if (this.#end === undefined) {
      this.#driver.wanted?.()
      return Blocked
    }
    this.#driver.drained()
    return this.#end
  }

  /** The first chunk is taken. */
  #next(): void {
    this.#chunks[this.#head++] = nothing
    if (this.#head === this.#chunks.length) this.#clear()
    else if (this.#head === 1024) {
      this.#chunks.splice(0, this.#head)
      this.#head = 0
    }
  }

  #took(bytes: number): void {
    this.#bufferedBytes -= bytes
    this.#driver.taken(bytes)
  }

  readonly readable: Effect.Effect<void> = Effect.suspend(() => {
    if (this.#head === this.#chunks.length && this.#end === undefined) this.#driver.wanted?.()
    return this.#waiter.wait
  })

  readonly read: Effect.Effect<Uint8Array | End, StreamError> = Effect.suspend(() => {
    const value = this.tryRead()
    if (value === Blocked) return this.#readAfterWait
    return value instanceof StreamError ? Exit.fail(value) : Exit.succeed(value)
  })
  readonly #readAfterWait: Effect.Effect<Uint8Array | End, StreamError> = Effect.flatMap(
    this.#waiter.wait,
    () => this.read
  )

  readonly stop = (code: number): void => {
    codeOf(code)
    if (this.#end !== undefined && this.#head === this.#chunks.length) return this.#driver.drained()
    this.#clear()
    this.#bufferedBytes = 0
    this.#end = streamEnded
    this.#driver.stopped(code)
    this.#waiter.wake()
  }

  /** Bytes from the peer. Empty chunks and what comes after an end are dropped. */
  push(chunk: Uint8Array): void {
    if (this.#end !== undefined || chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#bufferedBytes += chunk.length
    this.#waiter.wake()
  }

  /** The peer finished: readers get the end after the last chunk. */
  finish(): void {
    if (this.#end !== undefined) return
    this.#end = End
    this.#waiter.wake()
  }

  /** The peer gave up: what was unread is lost, even when the end had arrived behind it. */
  reset(code: number): void {
    if (this.#end !== undefined && (this.#end !== End || this.#head === this.#chunks.length)) return
    this.#clear()
    this.#bufferedBytes = 0
    this.#end = new StreamError({ reason: new PeerReset({ code }) })
    this.#waiter.wake()
  }

  /** The connection ended: what arrived before can still be read, unless `drop` says that we closed it ourselves. */
  lose(error: StreamError, options?: { readonly drop: boolean }): void {
    if (options?.drop === true && this.#head < this.#chunks.length) {
      this.#clear()
      this.#bufferedBytes = 0
      this.#end = error
    }
    this.#end ??= error
    this.#waiter.wake()
  }

  #clear(): void {
    this.#chunks.length = 0
    this.#head = 0
  }
}

export interface RecvDriver {
  /** The reader found nothing: a driver that must ask for bytes does it now. Called again with every look. */
  readonly wanted?: () => void
  /** The reader took so many bytes. */
  readonly taken: (bytes: number) => void
  /** The reader knows of the end, whatever it was, or gave up after it arrived. May be called again. */
  readonly drained: () => void
  /** The reader gave up; nothing more is read. */
  readonly stopped: (code: number) => void
}

/** The sending half of a stream: its states and waits. The bytes themselves go to the driver at once. */
export class SendBuffer implements SendStream {
  #error: StreamError | undefined
  #over = false
  readonly #waiter = new Waiter("SendStream.writable", () => this.#error !== undefined || this.#driver.room() > 0)
  readonly #stopped = new Outcome<number, StreamError>()
  readonly #flushed = new Outcome<void, StreamError>()
  readonly #driver: SendDriver

  constructor(driver: SendDriver) {
    this.#driver = driver
  }

  readonly tryWrite = (chunk: Uint8Array): number | Blocked | StreamError => {
    if (this.#error !== undefined) return this.#error
    if (chunk.length === 0) return 0
    const room = this.#driver.room()
    if (room <= 0) return Blocked
    if (room >= chunk.length) {
      this.#driver.take(chunk)
      return chunk.length
    }
    this.#driver.take(chunk.subarray(0, room))
    return room
  }

  readonly writable: Effect.Effect<void> = this.#waiter.wait

  readonly write = (chunk: Uint8Array | ReadonlyArray<Uint8Array>): Effect.Effect<void, StreamError> =>
    Effect.suspend(() => (chunk instanceof Uint8Array ? this.#writeFrom([chunk], 0, 0) : this.#writeFrom(chunk, 0, 0)))

  #writeFrom(chunks: ReadonlyArray<Uint8Array>, index: number, offset: number): Effect.Effect<void, StreamError> {
    for (;;) {
      const chunk = chunks[index]
      if (chunk === undefined) return Effect.void
      const taken = this.tryWrite(offset === 0 ? chunk : chunk.subarray(offset))
      if (taken instanceof StreamError) return Effect.fail(taken)
      if (taken === Blocked) return Effect.flatMap(this.writable, () => this.#writeFrom(chunks, index, offset))
      offset += taken
      if (offset === chunk.length) {
        index++
        offset = 0
      }
    }
  }

  readonly finish = (): void => {
    if (this.#error !== undefined) return
    this.#error = streamEnded
    this.#driver.finish()
    this.#waiter.wake()
  }

  readonly reset = (code: number): void => {
    codeOf(code)
    if (this.#over) return
    this.#over = true
    this.#error ??= streamEnded
    this.#driver.reset(code)
    this.#flushed.done(Exit.fail(streamEnded))
    this.#waiter.wake()
  }

  readonly setPriority = (priority: number): void => {
    priorityOf(priority)
    if (!this.#over) this.#driver.setPriority(priority)
  }

  get stopped(): Effect.Effect<number, StreamError> {
    return this.#stopped.await
  }

  get flushed(): Effect.Effect<void, StreamError> {
    return this.#flushed.await
  }

  /** The driver's room may have grown. */
  wake(): void {
    this.#waiter.wake()
  }

  /** The peer stopped the stream: what was not sent is dropped by the driver. */
  stoppedByPeer(code: number): void {
    if (this.#over) return
    this.#over = true
    const error = new StreamError({ reason: new PeerStopped({ code }) })
    this.#error ??= error
    this.#stopped.done(Exit.succeed(code))
    this.#flushed.done(Exit.fail(error))
    this.#waiter.wake()
  }

  /** After `finish`: the peer has everything. */
  flushedByPeer(): void {
    if (this.#over) return
    this.#over = true
    this.#flushed.done(Exit.void)
  }

  /** The connection ended under the stream. */
  lose(error: StreamError): void {
    this.#over = true
    this.#error ??= error
    this.#flushed.done(Exit.fail(error))
    this.#stopped.done(Exit.fail(error))
    this.#waiter.wake()
  }
}

export interface SendDriver {
  /** Bytes that `take` accepts now. It grows only together with `SendBuffer.wake`. */
  readonly room: () => number
  /** At most `room()` bytes, never empty; the driver owns them. */
  readonly take: (chunk: Uint8Array) => void
  /** The end, after everything taken. Called once. */
  readonly finish: () => void
  /** Gives up everything taken and not yet sent. Called once, also after `finish`. */
  readonly reset: (code: number) => void
  readonly setPriority: (priority: number) => void
}
