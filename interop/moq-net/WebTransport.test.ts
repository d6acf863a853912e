/** The adapter over the W3C interface keeps the contract of connections and streams. */
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection } from "@effect-live/endpoint/Connection"
import {
  type BiStream,
  Blocked,
  End,
  type RecvStream,
  type SendStream,
  StreamError
} from "@effect-live/endpoint/Stream"
import * as StreamCode from "@effect-live/endpoint/StreamCode"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, type Scope } from "effect"
import { type Options, pair } from "./pair.ts"
import * as WebTransport from "./WebTransport.ts"

interface Ends {
  readonly a: Connection
  readonly b: Connection
}

const connected = (options: Partial<Options> = {}): Effect.Effect<Ends, never, Scope.Scope> =>
  Effect.gen(function* () {
    const sessions = pair({ protocol: "moq-lite-05", ...options })
    const [a, b] = yield* Effect.all(
      sessions.map((session) =>
        WebTransport.make({ session, remote: { _tag: "Anonymous", path: "/" }, name: "in process" })
      )
    ).pipe(Effect.orDie)
    if (a === undefined || b === undefined) return yield* Effect.die(new Error("two sessions, two connections"))
    return { a, b }
  })

/** A one-way stream from `a` to `b`; its first byte makes it known. */
const uni = ({ a, b }: Ends): Effect.Effect<readonly [SendStream, RecvStream]> =>
  Effect.orDie(
    Effect.gen(function* () {
      const send = yield* a.openUni
      return [send, yield* b.acceptUni] as const
    })
  )

const readAll = (recv: RecvStream): Effect.Effect<Uint8Array, StreamError> =>
  Effect.gen(function* () {
    const chunks: Array<Uint8Array> = []
    for (;;) {
      const chunk = yield* recv.read
      if (chunk === End) return Buffer.concat(chunks)
      chunks.push(chunk)
    }
  })

const noise = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, index) => (index * 31 + 7) & 0xff)

/** Why a stream is over, with the application's code. */
const reasonOf = (answer: unknown): string => {
  if (!(answer instanceof StreamError)) return String(answer)
  const { reason } = answer
  return "code" in reason ? `${reason._tag} ${StreamCode.fromQuic(reason.code)}` : reason._tag
}

describe("a connection over a session of the W3C interface", () => {
  it.live("carries bytes exactly, more than its windows hold, and says when the peer has them", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const ends = yield* connected({ windowBytes: 10_000 })
        const [send, recv] = yield* uni(ends)
        const bytes = noise(1_000_000)
        const writing = yield* Effect.forkScoped(
          Effect.gen(function* () {
            yield* send.write([bytes.subarray(0, 3), bytes.subarray(3)])
            send.finish()
            yield* send.flushed
          })
        )
        assert.deepStrictEqual(Buffer.compare(yield* readAll(recv), bytes), 0)
        yield* Fiber.join(writing)
        assert.strictEqual(recv.tryRead(), End)
        assert.strictEqual(ends.a.alpn, "moq-lite-05")
      })
    )
  )

  it.live("slows a writer down to what its reader takes", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const ends = yield* connected({ windowBytes: 10_000 })
        const [send, recv] = yield* uni(ends)
        const chunk = noise(10_000)
        let taken = 0
        for (let answer = send.tryWrite(chunk); answer !== Blocked; answer = send.tryWrite(chunk)) {
          if (answer instanceof StreamError) return yield* answer
          taken += answer
        }
        const more = yield* Effect.forkScoped(send.writable)
        yield* Effect.sleep(20)
        assert.isUndefined(more.pollUnsafe(), "nobody reads")
        let read = 0
        while (read < taken) {
          const next = yield* recv.read
          if (next === End) break
          read += next.length
        }
        yield* Fiber.join(more)
        assert.strictEqual(read, taken)
      })
    )
  )

  it.live("both ways on one stream", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { a, b } = yield* connected()
        const ours: BiStream = yield* a.openBi
        const theirs = yield* b.acceptBi
        yield* ours.send.write(noise(100))
        ours.send.finish()
        assert.strictEqual((yield* readAll(theirs.recv)).length, 100)
        yield* theirs.send.write(noise(200))
        theirs.send.finish()
        assert.strictEqual((yield* readAll(ours.recv)).length, 200)
      })
    )
  )

  it.live("a reset and a stop arrive with their codes, as QUIC's", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const ends = yield* connected()
        const [send, recv] = yield* uni(ends)
        yield* send.write(noise(5))
        send.reset(StreamCode.toQuic(26))
        assert.strictEqual(reasonOf(yield* Effect.flip(readAll(recv))), "PeerReset 26")
        const [stopped, stopper] = yield* uni(ends)
        stopper.stop(StreamCode.toQuic(12))
        assert.strictEqual(yield* stopped.stopped, StreamCode.toQuic(12))
        assert.strictEqual(reasonOf(stopped.tryWrite(noise(1))), "PeerStopped 12")
        assert.strictEqual(reasonOf(stopper.tryRead()), "StreamEnded")
        // neither is a word of the session
        const [send3, recv3] = yield* uni(ends)
        send3.finish()
        assert.strictEqual(yield* recv3.read, End)
      })
    )
  )

  it.live("a code outside of the application's range is 0 there", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const ends = yield* connected()
        const [send, recv] = yield* uni(ends)
        send.reset(0)
        assert.strictEqual(reasonOf(yield* Effect.flip(readAll(recv))), "PeerReset 0")
      })
    )
  )

  it.live("closing tells both ends how, and every stream and waiter with them", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { a, b } = yield* connected()
        const ours = yield* a.openBi
        const theirs = yield* b.acceptBi
        const ends = [a.acceptUni, b.acceptBi, b.readDatagram, theirs.recv.read, ours.send.stopped]
        const waiting = yield* Effect.forEach(ends, (end: Effect.Effect<unknown, unknown>) =>
          Effect.forkScoped(Effect.exit(end))
        )
        yield* Effect.yieldNow
        a.close(15, `a reason ${"é".repeat(2_000)}`)
        const local: Close = yield* a.closed
        const remote = yield* b.closed
        assert.strictEqual(local._tag, "Local")
        assert.strictEqual(remote._tag, "Remote")
        if (remote._tag !== "Remote") return
        assert.strictEqual(remote.code, 15)
        assert.isAtMost(Buffer.byteLength(remote.reason), 1_024)
        assert.isTrue(remote.reason.endsWith("é"))
        for (const fiber of waiting) assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)))
        assert.strictEqual((yield* Effect.flip(b.openUni))._tag, "ConnectionLost")
        assert.strictEqual(reasonOf(theirs.send.tryWrite(noise(1))), "ConnectionLost")
        a.close(0, "again")
        assert.deepStrictEqual(yield* a.closed, local)
      })
    )
  )

  it.live("closes with its Scope", () =>
    Effect.gen(function* () {
      const [near, far] = pair({ protocol: "x" })
      const remote = { _tag: "Anonymous" as const, path: "/" }
      yield* Effect.scoped(WebTransport.make({ session: near, remote, name: "" }))
      assert.deepStrictEqual(yield* Effect.promise(() => far.closed), { closeCode: 0, reason: "" })
    })
  )

  it.live("datagrams arrive, up to the size that it says", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { a, b } = yield* connected({ datagramBytes: 100 })
        assert.strictEqual(a.maxDatagramBytes(), 100)
        for (let size = 1; size <= 10; size++) yield* a.sendDatagram(noise(size))
        for (let size = 1; size <= 10; size++) assert.deepStrictEqual(yield* b.readDatagram, noise(size))
        assert.strictEqual((yield* Effect.flip(a.sendDatagram(noise(101))))._tag, "DatagramTooLarge")
        assert.strictEqual((yield* connected({ datagramBytes: 0 })).a.maxDatagramBytes(), 0)
        // more at once than are held: one kind waits for room, the other loses the rest
        const counted = Effect.gen(function* () {
          let arrived = 0
          while ((yield* Effect.timeoutOption(b.readDatagram, 20))._tag === "Some") arrived++
          return arrived
        })
        for (let n = 0; n < 500; n++) yield* a.writeDatagram(noise(10))
        assert.strictEqual(yield* counted, 500)
        for (let n = 0; n < 500; n++) yield* a.sendDatagram(noise(10))
        assert.isBelow(yield* counted, 500)
      })
    )
  )

  it.live("opening waits for credit, and a fiber that gives up takes no stream along", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { a, b } = yield* connected({ streams: 2 })
        const first = yield* a.openUni
        yield* a.openUni
        const impatient = yield* Effect.forkScoped(a.openUni)
        const patient = yield* Effect.forkScoped(a.openUni)
        yield* Effect.sleep(10)
        yield* Fiber.interrupt(impatient)
        first.finish()
        const third = yield* Fiber.join(patient)
        third.finish()
        for (const finished of [true, false, true]) {
          const recv = yield* b.acceptUni
          if (finished) assert.strictEqual(yield* recv.read, End)
        }
        const fourth = yield* a.openUni
        yield* fourth.write(noise(1))
        assert.deepStrictEqual(yield* (yield* b.acceptUni).read, noise(1))
      })
    )
  )

  it.live("a platform that refuses a stream without reason ends the connection, and says so", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const [near, far] = pair({ protocol: "x" })
        const session = Object.assign(Object.create(near), {
          ready: near.ready,
          closed: near.closed,
          incomingUnidirectionalStreams: near.incomingUnidirectionalStreams,
          incomingBidirectionalStreams: near.incomingBidirectionalStreams,
          datagrams: near.datagrams,
          close: near.close,
          getStats: () => Promise.reject(new Error("no statistics")),
          createUnidirectionalStream: () => Promise.reject(new Error("out of streams"))
        }) as typeof near
        const remote = { _tag: "Anonymous" as const, path: "/" }
        const connection = yield* Effect.orDie(WebTransport.make({ session, remote, name: "" }))
        const lost = yield* Effect.flip(connection.openUni)
        assert.deepStrictEqual(lost.close, { _tag: "TransportFailed", message: "out of streams" })
        assert.deepStrictEqual(yield* connection.closed, lost.close)
        yield* Effect.promise(() => far.closed)
      })
    )
  )

  it.live("whoever waits for a stream when the peer closes hears how it closed", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { a, b } = yield* connected({ streams: 0 })
        const waiting = yield* Effect.forkScoped(Effect.flip(a.openUni))
        yield* Effect.sleep(5)
        b.close(11, "enough")
        assert.deepStrictEqual((yield* Fiber.join(waiting)).close, { _tag: "Remote", code: 11, reason: "enough" })
      })
    )
  )

  it.live("a session that never becomes ready is a connection lost", () =>
    Effect.gen(function* () {
      const [near] = pair({ protocol: "x" })
      const session = Object.assign(Object.create(near), { ready: Promise.reject(new Error("handshake failed")) })
      const remote = { _tag: "Anonymous" as const, path: "/" }
      const lost = yield* Effect.flip(Effect.scoped(WebTransport.make({ session, remote, name: "" })))
      assert.deepStrictEqual(lost.close, { _tag: "TransportFailed", message: "handshake failed" })
    })
  )

  it.live("priorities are the send order, and measurements those of the session", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const stats = { smoothedRtt: 25, estimatedSendRate: 5_000_000, bytesSent: 7, packetsLost: 1 }
        const { a } = yield* connected({ stats })
        const path = a.paths()[0]
        assert.strictEqual(path?.kind, "web")
        assert.strictEqual(path?.rttMs, 25)
        assert.strictEqual(path?.sentBytes, 7)
        assert.strictEqual(((path?.congestionWindowBytes ?? 0) * 8_000) / 25, 5_000_000)
        const send = yield* a.openUni
        send.setPriority(-7)
      })
    )
  )

  it.live("many short streams leave nothing behind", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const ends = yield* connected({ streams: 3 })
        for (let n = 0; n < 500; n++) {
          const [send, recv] = yield* uni(ends)
          if (n % 3 === 0) recv.stop(StreamCode.toQuic(0))
          else yield* send.write(noise(10))
          if (n % 5 === 0) send.reset(StreamCode.toQuic(0))
          else send.finish()
          yield* Effect.ignore(readAll(recv))
        }
      })
    )
  )
})
