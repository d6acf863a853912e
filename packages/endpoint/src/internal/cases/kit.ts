/** What the rows of the case table are made of. */
import * as Bytes from "@effect-live/wire/Bytes"
import { Cause, Effect, Equal, Exit, Schema, type Scope } from "effect"
import type { AddressBook } from "../../AddressBook.ts"
import type { Connection } from "../../Connection.ts"
import type { ConnectError, Endpoint } from "../../Endpoint.ts"
import { Blocked, End, type RecvStream, type SendStream, StreamError } from "../../Stream.ts"

/** One endpoint with the address book that it asks. */
export interface Party {
  readonly endpoint: Endpoint["Service"]
  readonly book: AddressBook["Service"]
}

export interface Parties {
  readonly a: Party
  readonly b: Party
  readonly c: Party
}

/** What not every transport can do. */
export type Capability =
  | "datagrams"
  | "wrongId"
  | "connectTimeout"
  | "readAfterClose"
  /** Round trips are told more finely than in milliseconds. */
  | "microsecondRtt"
  /** A reset takes effect while the write before it waits for credit. */
  | "blockedReset"

export interface Case {
  readonly name: string
  readonly needs: ReadonlyArray<Capability>
  readonly run: (parties: Parties) => Effect.Effect<void, unknown, Scope.Scope>
}

/** What did not hold. */
export class CaseFailed extends Schema.TaggedError<CaseFailed>()("CaseFailed", { what: Schema.String }) {
  override get message(): string {
    return this.what
  }
}

export const alpn = "effect-live/cases/1"

export const check = (holds: boolean, what: string): Effect.Effect<void, CaseFailed> =>
  holds ? Effect.void : Effect.fail(new CaseFailed({ what }))

const show = (value: unknown): string => {
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return typeof value === "object" ? JSON.stringify(value) : String(value)
}

export const same = (actual: unknown, expected: unknown, what: string): Effect.Effect<void, CaseFailed> =>
  check(Equal.equals(actual, expected), `${what}: ${show(actual)} instead of ${show(expected)}`)

/** Bytes that tell where they belong. */
export const pattern = (length: number, salt = 0): Uint8Array => {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 7 + salt) & 0xff
  return bytes
}

export const sameBytes = (actual: Uint8Array, expected: Uint8Array, what: string): Effect.Effect<void, CaseFailed> => {
  const at = expected.findIndex((byte, index) => actual[index] !== byte)
  return check(
    actual.length === expected.length && at < 0,
    `${what}: ${actual.length} of ${expected.length} bytes, first difference at ${at}`
  )
}

/** Two ends of one connection: the first dialed. */
export const connected = (a: Party, b: Party) =>
  Effect.gen(function* () {
    yield* b.endpoint.setAlpns([alpn])
    const [here, there] = yield* Effect.all([a.endpoint.connect(b.endpoint.addr(), [alpn]), b.endpoint.accept], {
      concurrency: "unbounded"
    })
    return { here, there }
  })

export const readAll = (recv: RecvStream): Effect.Effect<Uint8Array, StreamError> =>
  Effect.gen(function* () {
    const chunks: Array<Uint8Array> = []
    for (;;) {
      const value = yield* recv.read
      if (value === End) return Bytes.concat(chunks)
      chunks.push(value)
    }
  })

export const sendAll = (send: SendStream, bytes: Uint8Array): Effect.Effect<void, StreamError> =>
  Effect.map(send.write(bytes), () => send.finish())

/** Writes a chunk over and over until there is no credit: how many bytes were taken. */
export const fill = (send: SendStream, chunk: Uint8Array): Effect.Effect<number, StreamError | CaseFailed> =>
  Effect.gen(function* () {
    let written = 0
    for (;;) {
      const taken = send.tryWrite(chunk)
      if (taken === Blocked) return written
      if (taken instanceof StreamError) return yield* taken
      written += taken
      yield* check(written < 64_000_000, "the writer is held back before 64 MB")
    }
  })

/** A uni stream that both ends know: one byte was sent and read. */
export const uni = (from: Connection, to: Connection) =>
  Effect.gen(function* () {
    const send = yield* from.openUni
    yield* send.write(pattern(1))
    const recv = yield* to.acceptUni
    yield* recv.read
    return { send, recv }
  })

export const bi = (from: Connection, to: Connection) =>
  Effect.gen(function* () {
    const here = yield* from.openBi
    yield* here.send.write(pattern(1))
    const there = yield* to.acceptBi
    yield* there.recv.read
    return { here, there }
  })

/** Forks, and lets the fiber come to where it waits. */
export const waiting = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    for (let i = 0; i < 3; i++) yield* Effect.yieldNow
    return fiber
  })

export const reasonOf = (exit: Exit.Exit<unknown, unknown>): unknown => {
  if (Exit.isSuccess(exit)) return "success"
  const error = Cause.squash(exit.cause)
  if (error instanceof StreamError) return tagOf(error.reason)
  return tagOf(error)
}

export const tagOf = (error: unknown): unknown => {
  if (typeof error !== "object" || error === null || !("_tag" in error)) return error
  if ("code" in error) return `${String(error._tag)} ${String(error.code)}`
  if (!("close" in error)) return error._tag
  const { close } = error
  return `${String(error._tag)} ${JSON.stringify(close)}`
}

export const lost = (close: object): string => `ConnectionLost ${JSON.stringify(close)}`

export const dies = (exit: Exit.Exit<unknown, unknown>): boolean => Exit.isFailure(exit) && Cause.hasDies(exit.cause)

/** The reason of a connect that must fail. */
export const refusal = (connect: Effect.Effect<Connection, ConnectError, Scope.Scope>, peer: string) =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(connect)
    if (Exit.isSuccess(exit)) return yield* new CaseFailed({ what: "the connect succeeded" })
    const error = Cause.squash(exit.cause)
    if (typeof error !== "object" || error === null || !("reason" in error) || !("peer" in error)) return error
    yield* same(error.peer, peer, "the peer in the error")
    return error.reason
  })

export const row = (
  name: string,
  run: (parties: Parties) => Effect.Effect<void, unknown, Scope.Scope>,
  needs: ReadonlyArray<Capability> = []
): Case => ({ name, needs, run })
