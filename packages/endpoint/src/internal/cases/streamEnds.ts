/** How streams end: finish, reset, stop, and what is left to read. */
import { Effect, Fiber } from "effect"
import { Blocked, End, type SendStream, StreamError } from "../../Stream.ts"
import {
  bi,
  type Case,
  check,
  connected,
  dies,
  lost,
  pattern,
  readAll,
  reasonOf,
  row,
  same,
  sameBytes,
  sendAll,
  tagOf,
  uni,
  waiting
} from "./kit.ts"

/** A write that must fail. */
const failed = (send: SendStream, expected: string) => {
  const error = send.tryWrite(pattern(10))
  return same(error instanceof StreamError ? tagOf(error.reason) : error, expected, "a small write")
}

export const streamEnds: ReadonlyArray<Case> = [
  row("codes and priorities that cannot be meant are a defect of the caller, and change nothing", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const { recv, send } = yield* uni(here, there)
      for (const wrong of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
        for (const call of [send.reset, recv.stop, send.setPriority, (code: number) => here.close(code, "")]) {
          const exit = yield* Effect.exit(Effect.sync(() => call(wrong)))
          yield* check(call === send.setPriority && wrong === -1 ? !dies(exit) : dies(exit), `${wrong} was taken`)
        }
      }
      yield* sendAll(send, pattern(10))
      yield* sameBytes(yield* readAll(recv), pattern(10), "still open")
    })
  ),
  row("a read into the caller's bytes is blocked or ends as any other read", ({ a, b }) =>
    Effect.gen(function* () {
      const { here, there } = yield* connected(a, b)
      const into = new Uint8Array(10)
      const nothing = into.subarray(0, 0)
      const finished = yield* uni(here, there)
      yield* same(finished.recv.tryReadInto(nothing), 0, "an empty room")
      yield* check(finished.recv.tryReadInto(into) === Blocked, "nothing there")
      const reader = yield* waiting(finished.recv.readable)
      yield* finished.send.write(pattern(11))
      yield* Fiber.join(reader)
      finished.send.finish()
      let bytes = 0
      for (let got = finished.recv.tryReadInto(into); got !== End; got = finished.recv.tryReadInto(into)) {
        if (got instanceof StreamError) return yield* got
        if (got === Blocked) yield* finished.recv.readable
        else bytes += got
      }
      yield* same(bytes, 11, "bytes before the end")
      yield* same(finished.recv.tryReadInto(nothing), 0, "an empty room, after the end")
      yield* check(finished.recv.tryRead() === End, "the end for chunks too")

      const reset = yield* uni(here, there)
      reset.send.reset(7)
      yield* reset.recv.readable
      for (let i = 0; i < 2; i++) {
        const error = reset.recv.tryReadInto(into)
        yield* check(error instanceof StreamError && tagOf(error.reason) === "PeerReset 7", "the reset, latched")
      }

      const stopped = yield* uni(here, there)
      yield* stopped.send.write(pattern(5))
      yield* stopped.recv.readable
      stopped.recv.stop(1)
      const error = stopped.recv.tryReadInto(into)
      yield* check(error instanceof StreamError && error.reason._tag === "StreamEnded", "our own stop")
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
  row("once the end of a stream or its connection is known, every write fails, however small", ({ a, b }) =>
    Effect.gen(function* () {
      const first = yield* connected(a, b)
      const stopped = yield* uni(first.here, first.there)
      stopped.recv.stop(3)
      yield* stopped.send.stopped
      yield* failed(stopped.send, "PeerStopped 3")
      const closed = yield* bi(first.here, first.there)
      first.here.close(4, "bye")
      yield* failed(closed.here.send, lost({ _tag: "Local", code: 4, reason: "bye" }))
      yield* first.there.closed
      yield* failed(closed.there.send, lost({ _tag: "Remote", code: 4, reason: "bye" }))
      const second = yield* connected(a, b)
      const { send } = yield* uni(second.here, second.there)
      yield* a.endpoint.close
      yield* failed(send, lost({ _tag: "Local", code: 0, reason: "" }))
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
  )
]
