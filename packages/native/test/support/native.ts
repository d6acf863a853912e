/**
 * The addon under test, where it is built, and what a waiting program builds on it: each `until...` tries, and where that is
 * blocked waits for the token and tries again.
 */
import assert from "node:assert/strict"
import { createRequire } from "node:module"
import type * as Addon from "../../index.cjs"

/** The addon, or why there is none. */
const load = (): typeof Addon | Error => {
  try {
    return createRequire(import.meta.url)("../../index.cjs") as typeof Addon
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
}
export const loaded = load()

const native = (): typeof Addon => {
  if (loaded instanceof Error) throw loaded
  return loaded
}

/** Tries until the answer is another one than "not now". */
export const until = async <A>(token: number, attempt: () => A | Addon.Blocked | null): Promise<A> => {
  for (;;) {
    const value = attempt()
    if (value !== -1 && value !== null) return value as A
    await new Promise<void>((resolve) => native().wait(token, resolve))
  }
}

export const alpn = "effect-live/native-test"

export const bind = async (options: Addon.BindOptions = {}): Promise<Addon.Endpoint> => {
  const binding = native().bind({ alpns: [alpn], bindAddrs: ["127.0.0.1:0"], ...options })
  const endpoint = await until(binding.token, () => binding.poll())
  if (endpoint === native().OVER) throw new Error(JSON.stringify(binding.failure()))
  return endpoint
}

/** Where it is on this machine. */
export const addrOf = (endpoint: Addon.Endpoint): Addon.Addr => ({
  id: endpoint.id,
  relays: [],
  ips: endpoint.boundAddrs
})

export const dialed = (dial: Addon.Dial): Promise<Addon.Connection | Addon.Over> => until(dial.token, () => dial.poll())

export const connect = async (
  from: Addon.Endpoint,
  to: Addon.Addr,
  alpns: ReadonlyArray<string> = [alpn]
): Promise<Addon.Connection> => {
  const dial = from.connect(to, alpns)
  const connection = await dialed(dial)
  if (connection === native().OVER) throw new Error(JSON.stringify(dial.failure()))
  return connection
}

/** Why a dial came to nothing. */
export const failure = async (dial: Addon.Dial): Promise<Addon.ConnectFailure> => {
  assert.equal(await dialed(dial), native().OVER)
  const failure = dial.failure()
  assert(failure !== null)
  return failure
}

const some = <A>(value: A | Addon.Over): A => {
  if (value === native().OVER) throw new Error("it is over")
  return value as A
}

export const accept = async (endpoint: Addon.Endpoint): Promise<Addon.Connection> =>
  some(await until(endpoint.token + native().Token.Endpoint.accept, () => endpoint.tryAccept()))

export const openUni = async (connection: Addon.Connection): Promise<Addon.SendStream> =>
  some(await until(connection.token + native().Token.Connection.openUni, () => connection.tryOpenUni()))

export const acceptUni = async (connection: Addon.Connection): Promise<Addon.RecvStream> =>
  some(await until(connection.token + native().Token.Connection.acceptUni, () => connection.tryAcceptUni()))

export const openBi = async (connection: Addon.Connection): Promise<Addon.BiStream> =>
  some(await until(connection.token + native().Token.Connection.openBi, () => connection.tryOpenBi()))

export const acceptBi = async (connection: Addon.Connection): Promise<Addon.BiStream> =>
  some(await until(connection.token + native().Token.Connection.acceptBi, () => connection.tryAcceptBi()))

/** Everything, or `OVER` where the stream ended before. */
export const write = async (stream: Addon.SendStream, bytes: Uint8Array): Promise<number> => {
  let at = 0
  while (at < bytes.length) {
    const written = await until<number>(stream.token + native().Token.SendStream.writable, () =>
      stream.tryWrite(bytes.subarray(at))
    )
    if (written < 0) return written
    at += written
  }
  return at
}

/** The next piece of at most so many bytes, or `END` or `OVER`. */
export const read = async (stream: Addon.RecvStream, most = 65_536): Promise<Uint8Array | number> => {
  const room = new Uint8Array(most)
  const length = await until<number>(stream.token, () => stream.tryRead(room))
  return length < 0 ? length : room.subarray(0, length)
}

/** Everything up to the end, which must be a clean one. */
export const readAll = async (stream: Addon.RecvStream): Promise<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  for (;;) {
    const piece = await read(stream)
    if (typeof piece === "number") {
      assert.equal(piece, native().END, JSON.stringify(stream.ended()))
      return Buffer.concat(pieces)
    }
    pieces.push(piece)
  }
}

export const settled = (stream: Addon.SendStream): Promise<number> =>
  until<number>(stream.token + native().Token.SendStream.settled, () => stream.settled())

export const closed = (connection: Addon.Connection): Promise<Addon.Close> =>
  until(connection.token + native().Token.Connection.closed, () => connection.closed())

export const close = async (endpoint: Addon.Endpoint): Promise<void> => {
  endpoint.close()
  await until(endpoint.token + native().Token.Endpoint.closed, () => endpoint.closed() || null)
}

export interface Pair {
  readonly a: Addon.Endpoint
  readonly b: Addon.Endpoint
  /** From a to b, and the same one at b. */
  readonly dialed: Addon.Connection
  readonly accepted: Addon.Connection
}

/** Two endpoints with a connection, closed in the end whatever happens. */
export const withPair = async (body: (pair: Pair) => Promise<void>, options: Addon.BindOptions = {}): Promise<void> => {
  const [a, b] = await Promise.all([bind(options), bind(options)])
  try {
    const [dialed, accepted] = await Promise.all([connect(a, addrOf(b)), accept(b)])
    await body({ a, b, dialed, accepted })
  } finally {
    await Promise.all([close(a), close(b)])
  }
}

export const withEndpoints = async (
  options: ReadonlyArray<Addon.BindOptions>,
  body: (...endpoints: ReadonlyArray<Addon.Endpoint>) => Promise<void>
): Promise<void> => {
  const endpoints = await Promise.all(options.map(bind))
  try {
    await body(...endpoints)
  } finally {
    await Promise.all(endpoints.map(close))
  }
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
export const text = (bytes: Uint8Array | number): string => {
  assert(typeof bytes !== "number", `${bytes} instead of bytes`)
  return new TextDecoder().decode(bytes)
}

/** Bytes that tell where they belong. */
export const pattern = (length: number): Uint8Array => {
  const made = new Uint8Array(length)
  for (let i = 0; i < length; i++) made[i] = (i * 31 + (i >>> 8) * 7) & 0xff
  return made
}
