/**
 * What every Endpoint Layer must do, as one table: each row runs over fresh endpoints that the Layer under test provides. A
 * Layer that cannot do something says so by capability, with the reason that the test prints.
 */
import * as Bytes from "@effect-live/wire/Bytes"
import { Cause, Effect, Equal, Exit, Fiber, Latch, Schema, Scope, Stream } from "effect"
import type { AddressBook } from "../AddressBook.ts"
import type { Connection } from "../Connection.ts"
import type { ConnectError, Endpoint } from "../Endpoint.ts"
import * as EndpointAddr from "../EndpointAddr.ts"
import { Blocked, End, type RecvStream, type SendStream, StreamError } from "../Stream.ts"
import * as TransportAddr from "../TransportAddr.ts"

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

/** Runs one row over three fresh endpoints, each with the name it gets. */
export const run = <E, R>(row: Case, make: (name: string) => Effect.Effect<Party, E, R>) =>
  Effect.scoped(Effect.flatMap(Effect.all({ a: make("a"), b: make("b"), c: make("c") }), (parties) => row.run(parties)))

const alpn = "effect-live/cases/1"

const check = (holds: boolean, what: string): Effect.Effect<void, CaseFailed> =>
  holds ? Effect.void : Effect.fail(new CaseFailed({ what }))

const show = (value: unknown): string => {
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return typeof value === "object" ? JSON.stringify(value) : String(value)
}

const same = (actual: unknown, expected: unknown, what: string): Effect.Effect<void, CaseFailed> =>
  check(Equal.equals(actual, expected), `${what}: ${show(actual)} instead of ${show(expected)}`)

/** Bytes that tell where they belong. */
const pattern = (length: number, salt = 0): Uint8Array => {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 7 + salt) & 0xff
  return bytes
}

const sameBytes = (actual: Uint8Array, expected: Uint8Array, what: string): Effect.Effect<void, CaseFailed> => {
  const at = expected.findIndex((byte, index) => actual[index] !== byte)
  return check(
    actual.length === expected.length && at < 0,
    `${what}: ${actual.length} of ${expected.length} bytes, first difference at ${at}`
  )
}

/** Two ends of one connection: the first dialed. */
const connected = (a: Party, b: Party) =>
  Effect.gen(function* () {
    yield* b.endpoint.setAlpns([alpn])
    const [here, there] = yield* Effect.all([a.endpoint.connect(b.endpoint.addr(), [alpn]), b.endpoint.accept], {
      concurrency: "unbounded"
    })
    return { here, there }
  })

const readAll = (recv: RecvStream): Effect.Effect<Uint8Array, StreamError> =>
  Effect.gen(function* () {
    const chunks: Array<Uint8Array> = []
    for (;;) {
      const value = yield* recv.read
      if (value === End) return Bytes.concat(chunks)
      chunks.push(value)
    }
  })

const sendAll = (send: SendStream, bytes: Uint8Array): Effect.Effect<void, StreamError> =>
  Effect.map(send.write(bytes), () => send.finish())

/** A uni stream that both ends know: one byte was sent and read. */
const uni = (from: Connection, to: Connection) =>
  Effect.gen(function* () {
    const send = yield* from.openUni
    yield* send.write(pattern(1))
    const recv = yield* to.acceptUni
    yield* recv.read
    return { send, recv }
  })

const bi = (from: Connection, to: Connection) =>
  Effect.gen(function* () {
    const here = yield* from.openBi
    yield* here.send.write(pattern(1))
    const there = yield* to.acceptBi
    yield* there.recv.read
    return { here, there }
  })

/** Forks, and lets the fiber come to where it waits. */
const waiting = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    for (let i = 0; i < 3; i++) yield* Effect.yieldNow
    return fiber
  })

const reasonOf = (exit: Exit.Exit<unknown, unknown>): unknown => {
  if (Exit.isSuccess(exit)) return "success"
  const error = Cause.squash(exit.cause)
  if (error instanceof StreamError) return tagOf(error.reason)
  return tagOf(error)
}

const tagOf = (error: unknown): unknown => {
  if (typeof error !== "object" || error === null || !("_tag" in error)) return error
  if ("code" in error) return `${String(error._tag)} ${String(error.code)}`
  if (!("close" in error)) return error._tag
  const { close } = error
  return `${String(error._tag)} ${JSON.stringify(close)}`
}

const lost = (close: object): string => `ConnectionLost ${JSON.stringify(close)}`

const dies = (exit: Exit.Exit<unknown, unknown>): boolean => Exit.isFailure(exit) && Cause.hasDies(exit.cause)

/** The reason of a connect that must fail. */
const refusal = (connect: Effect.Effect<Connection, ConnectError, Scope.Scope>, peer: string) =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(connect)
    if (Exit.isSuccess(exit)) return yield* new CaseFailed({ what: "the connect succeeded" })
    const error = Cause.squash(exit.cause)
    if (typeof error !== "object" || error === null || !("reason" in error) || !("peer" in error)) return error
    yield* same(error.peer, peer, "the peer in the error")
    return error.reason
  })

const row = (
  name: string,
  run: (parties: Parties) => Effect.Effect<void, unknown, Scope.Scope>,
  needs: ReadonlyArray<Capability> = []
): Case => ({ name, needs, run })

const sizes = [0, 1, 2, 1199, 1200, 1201, 65_535, 65_536, 300_007, 1_250_001]

const permutations = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  items.length < 2
    ? [items]
    : items.flatMap((first, index) => permutations(items.toSpliced(index, 1)).map((rest) => [first].concat(rest)))

const connecting: ReadonlyArray<Case> = [
  row("connects by address; both ends know protocol and peer", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      yield* same([here.alpn, there.alpn], [alpn, alpn], "protocols")
      yield* same(here.remote, { _tag: "Peer", id: b.endpoint.id }, "whom we dialed")
      yield* same(there.remote, { _tag: "Peer", id: a.endpoint.id }, "who dialed")
      yield* same(b.endpoint.addr().id, b.endpoint.id, "the id in the address")
    })
  ),
  row("connects by id alone when the address book knows the peer", ({ a, b }) =>
    Effect.gen(function* () {
      yield* b.endpoint.setAlpns([alpn])
      a.book.add(b.endpoint.addr(), "test")
      const connection = yield* a.endpoint.connect(b.endpoint.id, [alpn])
      yield* same(connection.remote, { _tag: "Peer", id: b.endpoint.id }, "whom we dialed")
    })
  ),
  row("an address without ways is looked up in the address book", ({ a, b }) =>
    Effect.gen(function* () {
      yield* b.endpoint.setAlpns([alpn])
      a.book.add(b.endpoint.addr(), "test")
      yield* a.endpoint.connect(EndpointAddr.make(b.endpoint.id), [alpn])
    })
  ),
  row("of several common protocols the acceptor's first is taken in one handshake, else the dialer's", ({ a, b }) =>
    Effect.gen(function* () {
      const { severalAlpns } = a.endpoint.backing
      yield* b.endpoint.setAlpns(["one", "two"])
      const first = yield* a.endpoint.connect(b.endpoint.addr(), ["none", "two", "one"])
      yield* same(first.alpn, severalAlpns ? "one" : "two", "dialer's protocol")
      yield* same((yield* b.endpoint.accept).alpn, first.alpn, "acceptor's protocol")
      yield* b.endpoint.setAlpns(["two", "one"])
      const second = yield* a.endpoint.connect(b.endpoint.addr(), ["one", "two"])
      yield* same(second.alpn, severalAlpns ? "two" : "one", "the other order")
      yield* same((yield* a.endpoint.connect(b.endpoint.addr(), ["none", "one"])).alpn, "one", "the only common one")
    })
  ),
  row("no common protocol is WrongAlpn with what was offered", ({ a, b }) =>
    Effect.gen(function* () {
      yield* b.endpoint.setAlpns([alpn])
      const reason = yield* refusal(a.endpoint.connect(b.endpoint.addr(), ["x", "y"]), b.endpoint.id)
      yield* same(tagOf(reason), "WrongAlpn", "reason")
      yield* check(
        typeof reason === "object" &&
          reason !== null &&
          "offered" in reason &&
          Equal.equals(reason.offered, ["x", "y"]),
        "the protocols offered are in the error"
      )
    })
  ),
  row("protocols taken away are not accepted any more", ({ a, b }) =>
    Effect.gen(function* () {
      yield* connected(a, b)
      yield* b.endpoint.setAlpns(["other"])
      yield* same(
        tagOf(yield* refusal(a.endpoint.connect(b.endpoint.addr(), [alpn]), b.endpoint.id)),
        "WrongAlpn",
        "reason"
      )
    })
  ),
  row("dialing the own id is SelfDial, by id and by address", ({ a }) =>
    Effect.gen(function* () {
      yield* a.endpoint.setAlpns([alpn])
      for (const peer of [a.endpoint.id, a.endpoint.addr()] as const) {
        yield* same(tagOf(yield* refusal(a.endpoint.connect(peer, [alpn]), a.endpoint.id)), "SelfDial", "reason")
      }
    })
  ),
  row("a peer whose address nobody knows is NoAddress", ({ a, b }) =>
    Effect.gen(function* () {
      yield* same(
        tagOf(yield* refusal(a.endpoint.connect(b.endpoint.id, [alpn]), b.endpoint.id)),
        "NoAddress",
        "reason"
      )
    })
  ),
  row(
    "somebody else at the address is WrongId",
    ({ a, b, c }) =>
      Effect.gen(function* () {
        yield* b.endpoint.setAlpns([alpn])
        const wrong = EndpointAddr.make(c.endpoint.id, b.endpoint.addr().addrs)
        yield* same(tagOf(yield* refusal(a.endpoint.connect(wrong, [alpn]), c.endpoint.id)), "WrongId", "reason")
      }),
    ["wrongId"]
  ),
  row(
    "an address where nobody answers is ConnectTimeout",
    ({ a, b }) =>
      Effect.gen(function* () {
        const silent = EndpointAddr.make(b.endpoint.id, [TransportAddr.fromIpBytes(Uint8Array.of(127, 0, 0, 1), 9)])
        yield* same(
          tagOf(yield* refusal(a.endpoint.connect(silent, [alpn]), b.endpoint.id)),
          "ConnectTimeout",
          "reason"
        )
      }),
    ["connectTimeout"]
  ),
  row("a closed endpoint neither dials nor accepts, and says so", ({ a, b }) =>
    Effect.gen(function* () {
      yield* a.endpoint.setAlpns([alpn])
      const accepting = yield* waiting(Effect.exit(a.endpoint.accept))
      yield* a.endpoint.close
      yield* a.endpoint.close
      yield* same(reasonOf(yield* Fiber.join(accepting)), "EndpointClosed", "the accept that waited")
      yield* same(reasonOf(yield* Effect.exit(a.endpoint.accept)), "EndpointClosed", "a later accept")
      const reason = yield* refusal(a.endpoint.connect(b.endpoint.addr(), [alpn]), b.endpoint.id)
      yield* same(tagOf(reason), "EndpointClosed", "connect")
    })
  ),
  row("dialing in both directions gives two connections", ({ a, b }) =>
    Effect.gen(function* () {
      yield* a.endpoint.setAlpns([alpn])
      yield* b.endpoint.setAlpns([alpn])
      const [fromA, fromB, atA, atB] = yield* Effect.all(
        [
          a.endpoint.connect(b.endpoint.addr(), [alpn]),
          b.endpoint.connect(a.endpoint.addr(), [alpn]),
          a.endpoint.accept,
          b.endpoint.accept
        ],
        { concurrency: "unbounded" }
      )
      fromA.close(1, "a")
      fromB.close(2, "b")
      yield* same(yield* atB.closed, { _tag: "Remote", code: 1, reason: "a" }, "the one from a")
      yield* same(yield* atA.closed, { _tag: "Remote", code: 2, reason: "b" }, "the one from b")
    })
  ),
  row("accepts two peers at the same time and keeps them apart", ({ a, b, c }) =>
    Effect.gen(function* () {
      yield* b.endpoint.setAlpns([alpn])
      const dial = (party: Party, salt: number) =>
        Effect.gen(function* () {
          const connection = yield* party.endpoint.connect(b.endpoint.addr(), [alpn])
          yield* sendAll(yield* connection.openUni, pattern(70_000, salt))
          return connection
        })
      const serve = Effect.gen(function* () {
        const connection = yield* b.endpoint.accept
        const bytes = yield* readAll(yield* connection.acceptUni)
        return { remote: connection.remote, bytes }
      })
      const serveTwo = Effect.all([serve, serve])
      const [, , served] = yield* Effect.all([dial(a, 1), dial(c, 2), serveTwo], { concurrency: "unbounded" })
      for (const { bytes, remote } of served) {
        const salt = Equal.equals(remote, { _tag: "Peer", id: a.endpoint.id }) ? 1 : 2
        yield* sameBytes(bytes, pattern(70_000, salt), `from ${salt}`)
      }
      yield* check(!Equal.equals(served[0].remote, served[1].remote), "two peers")
    })
  ),
  row("interrupted connects and accepts leave nothing in the way", ({ a, b }) =>
    Effect.gen(function* () {
      yield* b.endpoint.setAlpns([alpn])
      for (let i = 0; i < 20; i++) {
        const fiber = yield* waiting(Effect.scoped(a.endpoint.connect(b.endpoint.addr(), [alpn])))
        for (let turn = 0; turn < i; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        yield* Fiber.interrupt(yield* waiting(Effect.scoped(b.endpoint.accept)))
      }
      const here = yield* a.endpoint.connect(b.endpoint.addr(), [alpn])
      yield* sendAll(yield* here.openUni, pattern(10))
      for (;;) {
        // what was given up late may still come up; it is closed
        const exit = yield* Effect.exit(Effect.flatMap((yield* b.endpoint.accept).acceptUni, readAll))
        if (Exit.isFailure(exit)) continue
        yield* sameBytes(exit.value, pattern(10), "stream of the connection that was kept")
        return
      }
    })
  ),
  row("tells its address and ends the changes when it closes", ({ a }) =>
    Effect.gen(function* () {
      const seen = yield* waiting(Stream.runCollect(a.endpoint.addrChanges))
      yield* a.endpoint.close
      const addrs = yield* Fiber.join(seen)
      yield* check(addrs.length > 0 && addrs.every(({ id }) => id === a.endpoint.id), "the own address, then the end")
    })
  )
]

const streams: ReadonlyArray<Case> = [
  row("uni streams carry exactly the bytes, whatever their number", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      for (const size of sizes) {
        const send = Effect.flatMap(here.openUni, (stream) => sendAll(stream, pattern(size, size)))
        const recv = Effect.flatMap(there.acceptUni, readAll)
        const [, bytes] = yield* Effect.all([send, recv], { concurrency: "unbounded" })
        yield* sameBytes(bytes, pattern(size, size), `${size} bytes`)
      }
    })
  ),
  row("bi streams carry both directions at the same time, opened by either side", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      for (const [opener, acceptor] of [
        [here, there],
        [there, here]
      ] as const) {
        const answer = Effect.gen(function* () {
          const { recv, send } = yield* acceptor.acceptBi
          return (yield* Effect.all([readAll(recv), sendAll(send, pattern(400_000, 2))], {
            concurrency: "unbounded"
          }))[0]
        })
        const ask = Effect.gen(function* () {
          const { recv, send } = yield* opener.openBi
          return (yield* Effect.all([readAll(recv), sendAll(send, pattern(500_000, 1))], {
            concurrency: "unbounded"
          }))[0]
        })
        const [asked, answered] = yield* Effect.all([answer, ask], { concurrency: "unbounded" })
        yield* sameBytes(asked, pattern(500_000, 1), "there")
        yield* sameBytes(answered, pattern(400_000, 2), "back")
      }
    })
  ),
  row("keeps the order of many small writes, of one chunk or of many", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const whole = pattern(60_000)
      const write = Effect.gen(function* () {
        const send = yield* here.openUni
        yield* same(send.tryWrite(new Uint8Array(0)), 0, "an empty chunk")
        let at = 0
        for (let i = 0; at < whole.length; i++) {
          const chunks = Array.from({ length: i % 4 }, (_, part) => whole.subarray(at + part * i, at + (part + 1) * i))
          yield* send.write(chunks)
          at += i * (i % 4)
        }
        send.finish()
      })
      const read = Effect.flatMap(there.acceptUni, readAll)
      const [, bytes] = yield* Effect.all([write, read], { concurrency: "unbounded" })
      yield* sameBytes(bytes, whole, "in order")
    })
  ),
  row("the end is latched, and finishing again changes nothing", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const { recv, send } = yield* uni(here, there)
      send.finish()
      send.finish()
      for (let i = 0; i < 3; i++) yield* check((yield* recv.read) === End, "the end")
      yield* check(recv.tryRead() === End, "the end, at once")
      yield* send.flushed
      send.reset(3)
      yield* check((yield* recv.read) === End, "the end, after a reset that came too late")
      yield* same(reasonOf(yield* Effect.exit(send.write(pattern(1)))), "StreamEnded", "a write after the end")
      recv.stop(1)
      yield* check(recv.tryRead() === End, "the end, after a stop that came too late")
    })
  ),
  row("a reset is PeerReset with its code, again and again, and never an end", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      for (const code of [0, 7, 2 ** 40]) {
        const { recv, send } = yield* uni(here, there)
        send.reset(code)
        send.reset(code + 1)
        for (let i = 0; i < 3; i++) {
          yield* same(reasonOf(yield* Effect.exit(recv.read)), `PeerReset ${code}`, "what the reader gets")
        }
        const again = recv.tryRead()
        yield* check(again instanceof StreamError && tagOf(again.reason) === `PeerReset ${code}`, "latched")
        send.finish()
        yield* same(reasonOf(yield* Effect.exit(send.write(pattern(1)))), "StreamEnded", "a write after the reset")
        yield* same(reasonOf(yield* Effect.exit(send.flushed)), "StreamEnded", "flushed after the reset")
      }
    })
  ),
  row("a stream that is reset before its first byte still arrives as a reset", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const send = yield* here.openUni
      send.reset(9)
      const recv = yield* there.acceptUni
      yield* same(reasonOf(yield* Effect.exit(recv.read)), "PeerReset 9", "what the reader gets")
    })
  ),
  row("a stop reaches the writer as PeerStopped with its code", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const { recv, send } = yield* uni(here, there)
      const endless = Effect.forever(send.write(pattern(10_000)))
      const writer = yield* waiting(Effect.exit(endless))
      const stopped = yield* waiting(send.stopped)
      recv.stop(11)
      yield* same(reasonOf(yield* Effect.exit(recv.read)), "StreamEnded", "our own reads")
      yield* same(reasonOf(yield* Fiber.join(writer)), "PeerStopped 11", "the write that waited")
      yield* same(yield* Fiber.join(stopped), 11, "stopped")
      yield* same(reasonOf(yield* Effect.exit(send.write(pattern(1)))), "PeerStopped 11", "a later write")
      yield* same(reasonOf(yield* Effect.exit(send.flushed)), "PeerStopped 11", "flushed")
      send.finish()
      send.reset(1)
    })
  ),
  row("the two halves of a bi stream end independently", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const pair = yield* bi(here, there)
      pair.here.send.finish()
      yield* check((yield* pair.there.recv.read) === End, "one half ended")
      yield* pair.there.send.write(pattern(5))
      const first = yield* pair.here.recv.read
      yield* check(first !== End && first.length > 0, "the other half lives")
      pair.there.send.reset(4)
      yield* same(reasonOf(yield* Effect.exit(pair.here.recv.read)), "PeerReset 4", "then it is reset")
    })
  ),
  row("finish, flushed, close: nothing is lost", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const send = Effect.gen(function* () {
        const stream = yield* here.openUni
        yield* sendAll(stream, pattern(800_000))
        yield* stream.flushed
        here.close(5, "done")
      })
      const recv = Effect.flatMap(there.acceptUni, readAll)
      const [, bytes] = yield* Effect.all([send, recv], { concurrency: "unbounded" })
      yield* sameBytes(bytes, pattern(800_000), "all of it")
      yield* same(yield* there.closed, { _tag: "Remote", code: 5, reason: "done" }, "close")
    })
  ),
  row(
    "what arrived before the peer closed can still be accepted and read",
    ({ a, b }) =>
      Effect.gen(function* () {
        const { here, there } = yield* connected(a, b)
        const stream = yield* here.openUni
        yield* sendAll(stream, pattern(50_000))
        yield* stream.flushed
        here.close(5, "done")
        yield* there.closed
        yield* sameBytes(yield* Effect.flatMap(there.acceptUni, readAll), pattern(50_000), "all of it")
        yield* same(
          reasonOf(yield* Effect.exit(there.acceptUni)),
          lost({ _tag: "Remote", code: 5, reason: "done" }),
          "then the close"
        )
      }),
    ["readAfterClose"]
  ),
  row("far more streams than may be open at the same time, when the reader keeps up", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const count = 3000
      const writing = Effect.gen(function* () {
        for (let i = 0; i < count; i++) yield* sendAll(yield* here.openUni, Uint8Array.of(i >>> 8, i & 0xff))
      })
      const reading = Effect.gen(function* () {
        const seen = new Set<number>()
        for (let i = 0; i < count; i++) {
          const [high = 0, low = 0] = yield* readAll(yield* there.acceptUni)
          seen.add(high * 256 + low)
        }
        return seen.size
      })
      const [, seen] = yield* Effect.all([writing, reading], { concurrency: "unbounded" })
      yield* same(seen, count, "different streams")
    })
  ),
  row("streams that end by a stop or a reset make room for others too", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const count = 3000
      const writing = Effect.gen(function* () {
        for (let i = 0; i < count; i++) {
          const send = yield* here.openUni
          yield* send.write(Uint8Array.of(i & 1))
          if ((i & 1) === 1) send.reset(1)
          else yield* Effect.forkChild(Effect.exit(send.stopped))
        }
      })
      const reading = Effect.gen(function* () {
        for (let i = 0; i < count; i++) {
          const recv = yield* there.acceptUni
          const exit = yield* Effect.exit(recv.read)
          if (Exit.isSuccess(exit) && exit.value !== End && exit.value[0] === 0) recv.stop(2)
          else yield* Effect.exit(recv.read)
        }
      })
      yield* Effect.all([writing, reading], { concurrency: "unbounded" })
    })
  ),
  row("more bi streams than may be open at the same time, each answered", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const count = 1500
      const asking = Effect.gen(function* () {
        for (let i = 0; i < count; i++) {
          const { recv, send } = yield* here.openBi
          yield* sendAll(send, Uint8Array.of(i & 0xff))
          yield* same((yield* readAll(recv))[0], i & 0xff, "the answer")
        }
      })
      const answering = Effect.gen(function* () {
        for (let i = 0; i < count; i++) {
          const { recv, send } = yield* there.acceptBi
          yield* sendAll(send, yield* readAll(recv))
        }
      })
      yield* Effect.all([asking, answering], { concurrency: "unbounded" })
    })
  ),
  row("a reader that does not read makes the writer wait, and gets everything later", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const { recv, send } = yield* uni(here, there)
      const chunk = pattern(65_536)
      let written = 0
      for (;;) {
        const taken = send.tryWrite(chunk)
        if (taken === Blocked) break
        if (taken instanceof StreamError) return yield* taken
        written += taken
        yield* check(written < 64_000_000, "the writer is held back before 64 MB")
      }
      const draining = Effect.gen(function* () {
        let bytes = 0
        for (let value = yield* recv.read; value !== End; value = yield* recv.read) bytes += value.length
        return bytes
      })
      const more = Effect.gen(function* () {
        yield* send.writable
        yield* send.write(chunk)
        send.finish()
      })
      const [bytes] = yield* Effect.all([draining, more], { concurrency: "unbounded" })
      yield* same(bytes, written + chunk.length, "bytes")
    })
  ),
  row(
    "a write that waits for a reader can be reset, and the reader hears it before any of what waited",
    ({ a, b }) =>
      Effect.gen(function* () {
        const { here, there } = yield* connected(a, b)
        const { recv, send } = yield* uni(here, there)
        const writer = yield* waiting(Effect.exit(Effect.forever(send.write(pattern(100_000)))))
        while (send.tryWrite(pattern(100_000)) !== Blocked) yield* Effect.yieldNow
        send.reset(7)
        yield* same(reasonOf(yield* Fiber.join(writer)), "StreamEnded", "the write that waited")
        // Behind the reset, on another stream.
        const marker = yield* here.openUni
        yield* sendAll(marker, pattern(1))
        yield* readAll(yield* there.acceptUni)
        yield* marker.flushed
        yield* same(reasonOf(yield* Effect.exit(recv.read)), "PeerReset 7", "what the reader gets")
      }),
    ["blockedReset"]
  ),
  row("an interrupted read takes no bytes along, an interrupted accept no stream", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const { recv, send } = yield* uni(here, there)
      for (let i = 0; i < 10; i++) {
        yield* Fiber.interrupt(yield* waiting(recv.read))
        yield* Fiber.interrupt(yield* waiting(recv.readable))
        yield* Fiber.interrupt(yield* waiting(there.acceptUni))
        yield* Fiber.interrupt(yield* waiting(there.acceptBi))
        yield* Fiber.interrupt(yield* waiting(send.stopped))
      }
      yield* sendAll(send, pattern(5000))
      yield* sameBytes(yield* readAll(recv), pattern(5000), "the stream")
      yield* sendAll(yield* here.openUni, pattern(10))
      yield* sameBytes(yield* Effect.flatMap(there.acceptUni, readAll), pattern(10), "the next stream")
    })
  ),
  row("a second reader or acceptor at the same time is a defect and disturbs nobody", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const { recv, send } = yield* uni(here, there)
      const reader = yield* waiting(recv.read)
      yield* check(dies(yield* Effect.exit(recv.read)), "the second reader dies")
      yield* send.write(pattern(3))
      yield* check((yield* Fiber.join(reader)) !== End, "the first one reads")
      const acceptor = yield* waiting(there.acceptUni)
      yield* check(dies(yield* Effect.exit(there.acceptUni)), "the second acceptor dies")
      yield* (yield* here.openUni).write(pattern(3))
      yield* Fiber.join(acceptor)
    })
  )
]

const closing: ReadonlyArray<Case> = [
  row("code and reason arrive as they were given", ({ a, b }) =>
    Effect.gen(function* () {
      for (const [code, reason] of [
        [0, ""],
        [42, "bye"],
        [2 ** 40, "über (code 7)"],
        [7, "é".repeat(500)]
      ] as const) {
        const { here, there } = yield* connected(a, b)
        there.close(code, reason)
        yield* same(yield* here.closed, { _tag: "Remote", code, reason }, "at the peer")
        yield* same(yield* there.closed, { _tag: "Local", code, reason }, "at home")
      }
    })
  ),
  row("a reason that is too long is cut to 1,024 bytes", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      here.close(1, "é".repeat(2000))
      yield* same(yield* there.closed, { _tag: "Remote", code: 1, reason: "é".repeat(512) }, "at the peer")
    })
  ),
  row("the first close counts", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      here.close(1, "first")
      here.close(2, "second")
      yield* same(yield* here.closed, { _tag: "Local", code: 1, reason: "first" }, "at home")
      yield* same(yield* there.closed, { _tag: "Remote", code: 1, reason: "first" }, "at the peer")
      there.close(3, "late")
      yield* same(yield* there.closed, { _tag: "Remote", code: 1, reason: "first" }, "still")
    })
  ),
  row("a close ends everything that waits, on both sides, and says who closed", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const pair = yield* bi(here, there)
      const waits = (
        connection: Connection,
        { recv, send }: { readonly recv: RecvStream; readonly send: SendStream }
      ) =>
        [
          ["acceptUni", connection.acceptUni],
          ["acceptBi", connection.acceptBi],
          ["readDatagram", connection.readDatagram],
          ["read", recv.read],
          ["write", Effect.forever(send.write(pattern(100_000)))],
          ["stopped", send.stopped],
          ["flushed", send.flushed]
        ] as const
      const local = { _tag: "Local", code: 42, reason: "bye" }
      const remote = { _tag: "Remote", code: 42, reason: "bye" }
      const nobody = new Set(here.maxDatagramBytes() === 0 ? ["readDatagram"] : [])
      const fibers: Array<readonly [string, object, Fiber.Fiber<Exit.Exit<unknown, unknown>>]> = []
      for (const [connection, stream, close] of [
        [here, pair.here, local],
        [there, pair.there, remote]
      ] as const) {
        for (const [what, effect] of waits(connection, stream)) {
          // the bytes of one side would wake the reader of the other
          if (nobody.has(what) || (what === "write" && close === local) || (what === "read" && close === local))
            continue
          fibers.push([what, close, yield* waiting(Effect.exit<unknown, unknown, never>(effect))])
        }
      }
      here.close(42, "bye")
      for (const [what, close, fiber] of fibers) yield* same(reasonOf(yield* Fiber.join(fiber)), lost(close), what)
      for (const [what, effect] of waits(here, pair.here)) {
        yield* same(reasonOf(yield* Effect.exit<unknown, unknown, never>(effect)), lost(local), `${what}, later`)
      }
      yield* same(reasonOf(yield* Effect.exit(here.openUni)), lost(local), "openUni at home")
      yield* same(reasonOf(yield* Effect.exit(here.openBi)), lost(local), "openBi at home")
      yield* same(reasonOf(yield* Effect.exit(there.openUni)), lost(remote), "openUni at the peer")
      yield* same(reasonOf(yield* Effect.exit(there.sendDatagram(pattern(1)))), lost(remote), "sendDatagram")
    })
  ),
  row("closing the Scope of a connection closes it with code 0, on either side", ({ a, b }) =>
    Effect.gen(function* () {
      yield* b.endpoint.setAlpns([alpn])
      for (const who of ["dialer", "acceptor"] as const) {
        const scope = yield* Scope.make()
        const [here, there] = yield* Effect.all(
          [
            who === "dialer"
              ? Scope.provide(a.endpoint.connect(b.endpoint.addr(), [alpn]), scope)
              : a.endpoint.connect(b.endpoint.addr(), [alpn]),
            who === "acceptor" ? Scope.provide(b.endpoint.accept, scope) : b.endpoint.accept
          ],
          { concurrency: "unbounded" }
        )
        yield* Scope.close(scope, Exit.void)
        const other = who === "dialer" ? there : here
        yield* same(yield* other.closed, { _tag: "Remote", code: 0, reason: "" }, `the peer of the ${who}`)
      }
    })
  ),
  row("closing the endpoint closes its connections with code 0", ({ a, b, c }) =>
    Effect.gen(function* () {
      const first = yield* connected(a, b)
      const second = yield* connected(c, b)
      yield* b.endpoint.close
      for (const { here, there } of [first, second]) {
        yield* same(yield* here.closed, { _tag: "Remote", code: 0, reason: "" }, "the peer")
        yield* same(yield* there.closed, { _tag: "Local", code: 0, reason: "" }, "the closed endpoint's side")
      }
    })
  ),
  row("ending things in every order leaves nothing hanging", ({ a, b }) =>
    Effect.gen(function* () {
      for (const order of permutations(["finish", "reset", "stop", "here", "there"] as const)) {
        const { here, there } = yield* connected(a, b)
        const pair = yield* bi(here, there)
        const reader = yield* waiting(Effect.exit(readAll(pair.there.recv)))
        const writer = yield* waiting(Effect.exit(pair.here.send.flushed))
        for (const what of order) {
          if (what === "finish") pair.here.send.finish()
          else if (what === "reset") pair.there.send.reset(1)
          else if (what === "stop") pair.here.recv.stop(2)
          else if (what === "here") here.close(3, "here")
          else there.close(4, "there")
        }
        yield* Fiber.join(reader)
        yield* Fiber.join(writer)
        yield* here.closed
        yield* there.closed
      }
    })
  ),
  row("a thousand connections come and go", ({ a, b }) =>
    Effect.gen(function* () {
      for (let i = 0; i < 1000; i++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { here, there } = yield* connected(a, b)
            const { recv, send } = yield* uni(here, there)
            send.finish()
            yield* recv.read
          })
        )
      }
    })
  )
]

const rest: ReadonlyArray<Case> = [
  row(
    "datagrams arrive whole, also empty ones, and too large ones are refused",
    ({ a, b }) =>
      Effect.gen(function* () {
        const { here, there } = yield* connected(a, b)
        const max = here.maxDatagramBytes()
        yield* check(max >= 1000, `datagrams of 1,000 bytes fit: ${max}`)
        const exit = yield* Effect.exit(here.sendDatagram(pattern(100_000)))
        yield* same(reasonOf(exit), "DatagramTooLarge", "too large")
        for (const size of [0, 1, 1000]) {
          const reader = yield* waiting(there.readDatagram)
          const got = yield* Latch.make()
          const sending = Effect.gen(function* () {
            yield* here.sendDatagram(pattern(size))
            yield* Effect.sleep("200 millis") // they may be lost even here
          }).pipe(Effect.forever, Effect.raceFirst(got.await))
          const sender = yield* Effect.forkChild(sending)
          yield* sameBytes(yield* Fiber.join(reader), pattern(size), "the datagram")
          yield* got.open
          yield* Fiber.join(sender)
          // what was sent twice must not be taken for the next one
          yield* Effect.ignore(Effect.timeoutOption(Effect.forever(there.readDatagram), "300 millis"))
        }
      }),
    ["datagrams"]
  ),
  row(
    "datagrams that are written all leave, far more than any buffer holds",
    ({ a, b }) =>
      Effect.gen(function* () {
        const { here } = yield* connected(a, b)
        const [count, size] = [5000, 1000]
        for (let i = 0; i < count; i++) yield* here.writeDatagram(pattern(size))
        const sent = () => here.paths().reduce((sum, { sentBytes }) => sum + sentBytes, 0)
        while (sent() < count * size) yield* Effect.sleep("10 millis")
        const exit = yield* Effect.exit(here.writeDatagram(pattern(100_000)))
        yield* same(reasonOf(exit), "DatagramTooLarge", "too large")
        here.close(1, "done")
        const lostExit = yield* Effect.exit(here.writeDatagram(pattern(1)))
        yield* same(reasonOf(lostExit), lost({ _tag: "Local", code: 1, reason: "done" }), "after the close")
      }),
    ["datagrams"]
  ),
  row(
    "round trips are told in fractions of a millisecond",
    ({ a, b }) =>
      Effect.gen(function* () {
        const { here, there } = yield* connected(a, b)
        const { recv, send } = yield* uni(here, there)
        yield* sendAll(send, pattern(100_000))
        yield* Effect.all([readAll(recv), send.flushed], { concurrency: "unbounded" })
        for (const connection of [here, there]) {
          const rttMs = connection.paths().find(({ selected }) => selected)?.rttMs ?? 0
          yield* check(rttMs > 0 && !Number.isInteger(rttMs), `RTT ${rttMs} ms`)
        }
      }),
    ["microsecondRtt"]
  ),
  row("paths are told while the connection lives, and still afterwards", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const changes = yield* waiting(Stream.runCollect(here.pathChanges))
      const { recv, send } = yield* uni(here, there)
      yield* sendAll(send, pattern(100_000))
      yield* Effect.all([readAll(recv), send.flushed], { concurrency: "unbounded" })
      const selected = here.paths().filter(({ selected }) => selected)
      yield* same(selected.length, 1, "selected paths")
      for (const { congestionWindowBytes, receivedBytes, rttMs, sentBytes } of selected) {
        yield* check(rttMs >= 0 && rttMs < 10_000, `RTT ${rttMs} ms`)
        yield* check(sentBytes >= 100_000, `sent ${sentBytes} bytes`)
        yield* check(receivedBytes > 0, `received ${receivedBytes} bytes`)
        yield* check(congestionWindowBytes > 0, `window ${congestionWindowBytes} bytes`)
      }
      here.close(0, "")
      yield* check((yield* Fiber.join(changes)).length > 0, "paths now, then the end")
      here.paths()
    })
  ),
  row("priorities are taken at any time", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const send = yield* here.openUni
      for (const priority of [0, 2 ** 31 - 1, -(2 ** 31)]) send.setPriority(priority)
      yield* sendAll(send, pattern(10))
      send.setPriority(1)
      yield* sameBytes(yield* Effect.flatMap(there.acceptUni, readAll), pattern(10), "the stream")
      send.setPriority(1)
    })
  ),
  row("says what carries it", ({ a }) =>
    check(a.endpoint.backing.name.length > 0 && a.endpoint.backing.version.length > 0, "name and version")
  )
]

export const cases: ReadonlyArray<Case> = [...connecting, ...streams, ...closing, ...rest]
