/** Connections: closing, datagrams, paths. */
import { Effect, Exit, Fiber, Latch, Scope, Stream } from "effect"
import type { Connection } from "../../Connection.ts"
import type { RecvStream, SendStream } from "../../Stream.ts"
import {
  alpn,
  bi,
  type Case,
  check,
  connected,
  lost,
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

const permutations = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  items.length < 2
    ? [items]
    : items.flatMap((first, index) => permutations(items.toSpliced(index, 1)).map((rest) => [first].concat(rest)))

/** Everything that can wait on a connection and one of its streams. */
const waits = (connection: Connection, { recv, send }: { readonly recv: RecvStream; readonly send: SendStream }) =>
  [
    ["acceptUni", connection.acceptUni],
    ["acceptBi", connection.acceptBi],
    ["readDatagram", connection.readDatagram],
    ["read", recv.read],
    ["write", Effect.forever(send.write(pattern(100_000)))],
    ["stopped", send.stopped],
    ["flushed", send.flushed]
  ] as const

export const connections: ReadonlyArray<Case> = [
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
  ),
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
