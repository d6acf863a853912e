/** Streams: bytes, ends, waits. */
import * as Bytes from "@effect-live/wire/Bytes"
import { Effect, Exit, Fiber } from "effect"
import { Blocked, End, StreamError } from "../../Stream.ts"
import {
  type Case,
  check,
  connected,
  dies,
  fill,
  pattern,
  readAll,
  reasonOf,
  row,
  same,
  sameBytes,
  sendAll,
  uni,
  waiting
} from "./kit.ts"

const sizes = [0, 1, 2, 1199, 1200, 1201, 65_535, 65_536, 300_007, 1_250_001]

/** What is written to a stream, by its number. */
const parts = (stream: number) => Array.from({ length: 1 + (stream % 5) }, (_, i) => pattern(997 * i + stream, i))

export const streams: ReadonlyArray<Case> = [
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
  row("reads into the caller's bytes, all and in order, whatever their room, mixed with chunks", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const whole = pattern(300_007)
      const rooms = [1, 7, 1199, 65_536, 3, 100_000, 20_000]
      const read = Effect.gen(function* () {
        const recv = yield* there.acceptUni
        const into = new Uint8Array(100_001)
        const chunks: Array<Uint8Array> = []
        for (let turn = 0; ; turn++) {
          const room = rooms[turn % rooms.length] ?? 0
          const got = room === 3 ? recv.tryRead() : recv.tryReadInto(into.fill(0xee).subarray(0, room))
          if (got === Blocked) yield* recv.readable
          else if (got instanceof StreamError) return yield* got
          else if (got === End) return Bytes.concat(chunks)
          else if (got instanceof Uint8Array) chunks.push(got)
          else {
            yield* check(got >= 1 && got <= room, `${got} bytes for a room of ${room}`)
            yield* check(
              into.subarray(got).every((byte) => byte === 0xee),
              "nothing behind them"
            )
            chunks.push(into.slice(0, got))
          }
        }
      })
      const send = Effect.flatMap(here.openUni, (stream) => sendAll(stream, whole))
      const [, bytes] = yield* Effect.all([send, read], { concurrency: "unbounded" })
      yield* sameBytes(bytes, whole, "in order")
    })
  ),
  row("what one turn writes to many streams, as far as it is taken, arrives on each up to its end", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const sends = yield* Effect.all(Array.from({ length: 100 }, () => here.openUni))
      const taken = sends.map((send, stream) => {
        const written = parts(stream).map((part) => {
          const bytes = send.tryWrite(part)
          return typeof bytes === "number" ? part.subarray(0, bytes) : new Uint8Array(0)
        })
        if (stream % 10 === 9) send.reset(stream)
        else send.finish()
        return Bytes.concat(written)
      })
      for (const [stream, bytes] of taken.entries()) {
        const read = yield* Effect.exit(Effect.flatMap(there.acceptUni, readAll))
        yield* same(
          reasonOf(read),
          stream % 10 === 9 ? `PeerReset ${stream}` : "success",
          `the end of stream ${stream}`
        )
        if (Exit.isSuccess(read)) yield* sameBytes(read.value, bytes, `stream ${stream}`)
      }
    })
  ),
  row("small writes until there is no credit, and the end behind them: what was taken arrives", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const { recv, send } = yield* uni(here, there)
      const chunk = pattern(1000)
      const written = yield* fill(send, chunk)
      send.finish()
      const bytes = yield* readAll(recv)
      yield* same(bytes.length, written, "bytes")
      yield* send.flushed
    })
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
      const written = yield* fill(send, chunk)
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
