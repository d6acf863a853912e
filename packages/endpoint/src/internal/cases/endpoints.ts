/** Endpoints: dialing, accepting, protocols, closing. */
import { Effect, Equal, Exit, Fiber, Stream } from "effect"
import * as EndpointAddr from "../../EndpointAddr.ts"
import * as TransportAddr from "../../TransportAddr.ts"
import {
  alpn,
  type Case,
  check,
  connected,
  type Party,
  pattern,
  readAll,
  reasonOf,
  refusal,
  row,
  same,
  sameBytes,
  sendAll,
  tagOf,
  waiting
} from "./kit.ts"

export const endpoints: ReadonlyArray<Case> = [
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
