import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Random, type Scope } from "effect"
import * as AddressBook from "../src/AddressBook.ts"
import type { Connection } from "../src/Connection.ts"
import { Endpoint } from "../src/Endpoint.ts"
import * as Limits from "../src/Limits.ts"
import { Blocked, End, type RecvStream, type SendStream, StreamError } from "../src/Stream.ts"
import * as EndpointCases from "../src/testing/EndpointCases.ts"
import * as SimNetwork from "../src/testing/SimNetwork.ts"

const party = Effect.fnUntraced(function* (name: string) {
  const network = yield* SimNetwork.SimNetwork
  const book = yield* AddressBook.make
  return { book, endpoint: yield* network.bind(name, book) }
})

const options = [
  ["", { seed: 1 }],
  [", shuffled and preempted", { seed: 2, order: "shuffle", preempt: 0.02 }],
  [", slow and lossy", { seed: 3, link: { latencyMs: 20, jitterMs: 10, loss: 0.02, bytesPerSecond: 2_000_000 } }]
] as const

for (const [how, world] of options) {
  describe(`Endpoint cases${how}`, () => {
    for (const row of EndpointCases.cases) {
      const why = row.needs.includes("microsecondRtt") ? ["its round trips are whole milliseconds"] : []
      const title = why.length === 0 ? row.name : `${row.name} (not here: ${why.join(", ")})`
      it.effect.skipIf(why.length > 0)(title, () =>
        SimNetwork.run(EndpointCases.run(row, party), { stepLimit: 5_000_000, ...world })
      )
    }
  })
}

const alpn = "test"

/** Nodes `a` and `b` and a connection from a to b. */
const connected = Effect.gen(function* () {
  const network = yield* SimNetwork.SimNetwork
  const a = yield* network.bind("a")
  const b = yield* network.bind("b")
  yield* b.setAlpns([alpn])
  const [here, there] = yield* Effect.all([a.connect(b.addr(), [alpn]), b.accept], { concurrency: "unbounded" })
  return { network, a, b, here, there }
})

const sim = <A, E>(
  program: Effect.Effect<A, E, SimNetwork.SimNetwork | Simulation.Simulation | Scope.Scope>,
  options?: SimNetwork.Options & { readonly seed?: number }
) => SimNetwork.run(program, { seed: 1, stepLimit: 3_000_000, ...options })

const now = Effect.map(Simulation.Simulation, (world) => world.nowMs())

const drain = (recv: RecvStream) =>
  Effect.gen(function* () {
    let bytes = 0
    for (let value = yield* recv.read; value !== End; value = yield* recv.read) bytes += value.length
    return bytes
  })

/** Writes what the stream takes without waiting. */
const fill = (send: SendStream, chunkBytes: number): number => {
  const chunk = new Uint8Array(chunkBytes)
  let written = 0
  for (let taken = send.tryWrite(chunk); typeof taken === "number"; taken = send.tryWrite(chunk)) written += taken
  return written
}

/** Datagrams that come until the world has been quiet for a second. */
const datagrams = (connection: Connection) =>
  Effect.gen(function* () {
    const got: Array<number> = []
    const reading = Effect.forever(Effect.map(connection.readDatagram, ([first]) => void got.push(first ?? -1)))
    yield* Effect.timeoutOption(reading, "1 second")
    return got
  })

const remote = (code: number, reason = "") => ({ _tag: "Remote", code, reason }) as const

describe("SimNetwork links", () => {
  it.effect("latency delays, in each direction by its own", () =>
    sim(
      Effect.gen(function* () {
        const { here, network, there } = yield* connected
        network.setLink("a", "b", { latencyMs: 100 })
        network.setLink("b", "a", { latencyMs: 7 })
        const start = yield* now
        const send = yield* here.openUni
        yield* send.write(new Uint8Array(1))
        const recv = yield* there.acceptUni
        assert.strictEqual((yield* now) - start, 100)
        send.finish()
        yield* drain(recv)
        assert.strictEqual((yield* now) - start, 200)
        yield* send.flushed
        assert.strictEqual((yield* now) - start, 207)
        assert.strictEqual(here.paths()[0]?.rttMs, 107)
      })
    )
  )

  it.effect("a rate limits all streams together", () =>
    sim(
      Effect.gen(function* () {
        const { here, network, there } = yield* connected
        network.setLink("a", "b", { bytesPerSecond: 1_000_000 })
        const start = yield* now
        for (let i = 0; i < 3; i++) {
          const send = yield* here.openUni
          yield* send.write(new Uint8Array(400_000))
          send.finish()
        }
        const recvs = [yield* there.acceptUni, yield* there.acceptUni, yield* there.acceptUni]
        assert.deepStrictEqual(yield* Effect.all(recvs.map(drain), { concurrency: "unbounded" }), [4e5, 4e5, 4e5])
        assert.closeTo((yield* now) - start, 1240, 5) // 1.2 MB and 1,000 headers of 40 bytes at 1 MB/s
      })
    )
  )

  it.effect("streams of different priority finish in its order on a slow link", () =>
    sim(
      Effect.gen(function* () {
        const { here, network, there } = yield* connected
        network.setLink("a", "b", { bytesPerSecond: 500_000 })
        const finished: Array<number> = []
        for (const priority of [0, 10, -5]) {
          const send = yield* here.openUni
          send.setPriority(priority)
          yield* send.write(new Uint8Array(100_000))
          send.finish()
          yield* Effect.forkChild(Effect.map(send.flushed, () => void finished.push(priority)))
        }
        for (let i = 0; i < 3; i++) yield* Effect.forkChild(drain(yield* there.acceptUni))
        yield* (yield* Simulation.Simulation).until(() => finished.length === 3)
        assert.deepStrictEqual(finished, [10, 0, -5])
      })
    )
  )

  it.effect("loss delays streams and never damages them", () =>
    sim(
      Effect.gen(function* () {
        const { here, there } = yield* connected
        const send = yield* here.openUni
        const write = Effect.gen(function* () {
          for (let i = 0; i < 500; i++) yield* send.write(new Uint8Array(1000).fill(i))
          send.finish()
          yield* send.flushed
        })
        const read = Effect.gen(function* () {
          const recv = yield* there.acceptUni
          let at = 0
          for (let chunk = yield* recv.read; chunk !== End; chunk = yield* recv.read) {
            for (const byte of chunk) if (byte !== (Math.floor(at++ / 1000) & 255)) assert.fail(`byte ${at} is wrong`)
          }
          return at
        })
        const [, bytes] = yield* Effect.all([write, read], { concurrency: "unbounded" })
        assert.strictEqual(bytes, 500_000)
        assert.isAbove(here.paths()[0]?.lostPackets ?? 0, 50)
      }),
      { link: { loss: 0.3, jitterMs: 20 } }
    )
  )

  it.effect("datagrams get lost, come twice and overtake each other, as the link says", () =>
    sim(
      Effect.gen(function* () {
        const { here, network, there } = yield* connected
        const send = Effect.forEach(Array.from({ length: 200 }), (_, n) =>
          Effect.andThen(here.sendDatagram(Uint8Array.of(n)), Effect.sleep("1 millis"))
        )
        yield* send
        const perfect = yield* datagrams(there)
        assert.deepStrictEqual(perfect, Array.from(perfect.keys()))
        assert.strictEqual(perfect.length, 200)
        network.setLink("a", "b", { loss: 0.5 })
        yield* send
        const lossy = yield* datagrams(there)
        assert.isTrue(lossy.length > 60 && lossy.length < 140, `${lossy.length}`)
        network.setLink("a", "b", { loss: 0, duplicates: 0.5, jitterMs: 50 })
        yield* send
        const jumbled = yield* datagrams(there)
        assert.isAbove(jumbled.length, 240)
        assert.strictEqual(new Set(jumbled).size, 200)
        assert.isTrue(jumbled.some((n, index) => n < (jumbled[index - 1] ?? 0)))
      })
    )
  )

  it.effect("datagrams overflow the queue of a slow link; streams wait at the sender", () =>
    sim(
      Effect.gen(function* () {
        const { here, there } = yield* connected
        for (let n = 0; n < 100; n++) yield* here.sendDatagram(new Uint8Array(1000).fill(n))
        const got = yield* datagrams(there)
        assert.isTrue(got.length >= 9 && got.length <= 11, `${got.length}`)
        const send = yield* here.openUni
        yield* send.write(new Uint8Array(200_000))
        send.finish()
        const lostBefore = here.paths()[0]?.lostPackets
        assert.strictEqual(yield* Effect.flatMap(there.acceptUni, drain), 200_000)
        assert.strictEqual(here.paths()[0]?.lostPackets, lostBefore)
      }),
      { link: { bytesPerSecond: 100_000, queueBytes: 10_400 } }
    )
  )
})

describe("SimNetwork limits", () => {
  it.effect("a stream takes simStreamWindowBytes, a connection simSendBufferBytes that did not arrive", () =>
    sim(
      Effect.gen(function* () {
        const { here, network, there } = yield* connected
        assert.strictEqual(fill(yield* here.openUni, 65_536), Limits.simStreamWindowBytes)
        const first = yield* there.acceptUni
        yield* Effect.sleep("1 second") // until all of it has arrived
        network.cut("a", "b")
        let held = 0
        for (let i = 0; i < 20; i++) held += fill(yield* here.openUni, 65_536)
        assert.strictEqual(held, Limits.simSendBufferBytes)
        const waiting = yield* Effect.forkChild(Effect.flatMap(here.openUni, (send) => send.write(new Uint8Array(1))))
        yield* Effect.sleep("5 seconds")
        assert.isUndefined(waiting.pollUnsafe())
        network.heal()
        yield* Fiber.join(waiting)
        first.stop(0)
      })
    )
  )

  it.effect("resetting streams makes room for others at once, even while nothing gets through", () =>
    sim(
      Effect.gen(function* () {
        const { here, network } = yield* connected
        network.setLink("a", "b", { bytesPerSecond: 100_000 })
        network.cut("a", "b")
        const full = yield* Effect.forEach(Array.from({ length: 9 }), () => here.openUni)
        for (const send of full) fill(send, 65_536)
        const blocked = yield* here.openUni
        assert.strictEqual(blocked.tryWrite(new Uint8Array(1)), Blocked)
        const writing = yield* Effect.forkChild(blocked.write(new Uint8Array(100_000)))
        yield* Effect.sleep("1 second")
        assert.isUndefined(writing.pollUnsafe())
        full[0]?.reset(0)
        full[1]?.reset(0)
        yield* Fiber.join(writing)
      })
    )
  )

  it.effect("an opener waits for simConcurrentStreams; an interrupted one does not stand in the way", () =>
    sim(
      Effect.gen(function* () {
        const { here, there } = yield* connected
        for (let i = 0; i < Limits.simConcurrentStreams; i++) (yield* here.openUni).finish()
        const interrupted = yield* Effect.forkChild(here.openUni)
        const openers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(here.openUni))
        yield* Effect.sleep("1 minute")
        assert.isUndefined(openers[0]?.pollUnsafe())
        yield* Fiber.interrupt(interrupted)
        for (let i = 0; i < 200; i++) yield* Effect.flatMap(there.acceptUni, drain)
        yield* Fiber.joinAll(openers)
        const late = yield* Effect.forkChild(Effect.flip(Effect.forever(here.openUni)))
        yield* Effect.sleep("1 minute")
        assert.isUndefined(late.pollUnsafe())
        there.close(3, "")
        assert.deepStrictEqual((yield* Fiber.join(late)).close, remote(3))
      })
    )
  )

  it.effect("streams that were reset and never accepted use up the credit: rapid resets do not pile up", () =>
    sim(
      Effect.gen(function* () {
        const { here, there } = yield* connected
        let opened = 0
        const abuse = Effect.forever(Effect.map(here.openUni, (send) => void send.reset(opened++)))
        const attacker = yield* Effect.forkChild(abuse)
        yield* Effect.sleep("1 minute")
        assert.strictEqual(opened, Limits.simConcurrentStreams)
        const exit = yield* Effect.exit((yield* there.acceptUni).read)
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof StreamError)
        yield* Fiber.interrupt(attacker)
      })
    )
  )

  it.effect("unread datagrams are bounded and the newest are kept", () =>
    sim(
      Effect.gen(function* () {
        const { here, there } = yield* connected
        for (let n = 0; n < 5000; n++) yield* here.sendDatagram(new Uint8Array(1000).fill(n))
        yield* Effect.sleep("1 second")
        const got = yield* datagrams(there)
        assert.strictEqual(got.length, Math.floor(Limits.simDatagramBufferBytes / 1064))
        assert.strictEqual(got.at(-1), 4999 & 255)
      })
    )
  )

  it.effect("an endpoint that does not accept refuses after simAcceptBacklog connections", () =>
    sim(
      Effect.gen(function* () {
        const { a, b } = yield* connected
        for (let i = 0; i < Limits.simAcceptBacklog; i++) yield* a.connect(b.addr(), [alpn])
        assert.strictEqual((yield* Effect.flip(a.connect(b.addr(), [alpn]))).reason._tag, "Refused")
        yield* b.accept
        yield* a.connect(b.addr(), [alpn])
      })
    )
  )
})

describe("SimNetwork faults", () => {
  it.effect("a partition that heals in time only delays", () =>
    sim(
      Effect.gen(function* () {
        const { here, network, there } = yield* connected
        const send = yield* here.openUni
        yield* send.write(new Uint8Array(1))
        const recv = yield* there.acceptUni
        yield* recv.read
        network.partition([["a"], ["b"]])
        yield* send.write(new Uint8Array(5000))
        send.finish()
        yield* Effect.sleep("20 seconds")
        assert.strictEqual(recv.tryRead(), Blocked)
        network.heal()
        assert.strictEqual(yield* drain(recv), 5000)
        yield* send.flushed
        yield* Effect.sleep("1 hour")
        here.close(1, "")
        assert.deepStrictEqual(yield* there.closed, remote(1))
      })
    )
  )

  it.effect(
    "a partition that lasts ends connections by IdleTimeout on both sides, and new ones by ConnectTimeout",
    () =>
      sim(
        Effect.gen(function* () {
          const { a, b, here, network, there } = yield* connected
          const start = yield* now
          network.partition([["a"], ["b"]])
          assert.deepStrictEqual(yield* here.closed, { _tag: "IdleTimeout" })
          assert.deepStrictEqual(yield* there.closed, { _tag: "IdleTimeout" })
          assert.strictEqual((yield* now) - start, Limits.simIdleTimeoutMs)
          const error = yield* Effect.flip(a.connect(b.addr(), [alpn]))
          assert.strictEqual(error.reason._tag, "ConnectTimeout")
          network.heal()
          yield* a.connect(b.addr(), [alpn])
        })
      )
  )

  it.effect("a one-way cut silences one side only; the other learns it when the first gives up", () =>
    sim(
      Effect.gen(function* () {
        const { here, network, there } = yield* connected
        const start = yield* now
        network.cut("a", "b")
        const back = yield* there.openUni
        yield* back.write(new Uint8Array(1))
        yield* Effect.flatMap(here.acceptUni, ({ read }) => read) // b still reaches a
        assert.deepStrictEqual(yield* there.closed, { _tag: "IdleTimeout" })
        assert.strictEqual((yield* now) - start, Limits.simIdleTimeoutMs)
        assert.deepStrictEqual(yield* here.closed, { _tag: "IdleTimeout" })
        assert.strictEqual((yield* now) - start, 2 * Limits.simIdleTimeoutMs)
      })
    )
  )

  it.effect("mend undoes a cut in one direction, and nodes outside a partition still reach everybody", () =>
    sim(
      Effect.gen(function* () {
        const { a, b, network } = yield* connected
        const c = yield* network.bind("c")
        yield* a.setAlpns([alpn])
        network.partition([["a"], ["b"]])
        yield* c.connect(a.addr(), [alpn])
        yield* c.connect(b.addr(), [alpn])
        network.mend("a", "b")
        network.mend("b", "a")
        yield* a.connect(b.addr(), [alpn])
      })
    )
  )

  it.effect("a connection lives through days of silence", () =>
    sim(
      Effect.gen(function* () {
        const { here, there } = yield* connected
        yield* Effect.sleep("3 days")
        const send = yield* here.openUni
        send.finish()
        assert.strictEqual(yield* Effect.flatMap(there.acceptUni, drain), 0)
      })
    )
  )

  it.effect("a program that waits for ever on an open connection is Stuck, not endless", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        sim(
          Effect.gen(function* () {
            const { there } = yield* connected
            yield* there.acceptUni
          })
        )
      )
      assert.strictEqual(error._tag, "Stuck")
    })
  )

  it.effect("a crash loses all goodbyes: peers hear nothing and time out; finalizers of the node still run", () =>
    sim(
      Effect.gen(function* () {
        const network = yield* SimNetwork.SimNetwork
        const events: Array<string> = []
        const serve = Effect.gen(function* () {
          const endpoint = yield* Endpoint
          yield* endpoint.setAlpns([alpn])
          const connection = yield* endpoint.accept
          yield* Effect.addFinalizer(() => Effect.sync(() => connection.close(9, "a goodbye that nobody hears")))
          return yield* Effect.onInterrupt(Effect.never, () => Effect.sync(() => events.push("finalizer")))
        })
        const server = yield* network.spawn("server", serve)
        const client = yield* network.bind("client")
        const connection = yield* client.connect(network.addr("server"), [alpn])
        yield* Effect.sleep("1 second")
        const start = yield* now
        yield* network.crash("server")
        assert.deepStrictEqual(events, ["finalizer"])
        assert.isDefined(server.pollUnsafe())
        assert.deepStrictEqual(yield* connection.closed, { _tag: "IdleTimeout" })
        assert.strictEqual((yield* now) - start, Limits.simIdleTimeoutMs)
        const dead = yield* Effect.flip(client.connect(network.addr("server"), [alpn]))
        assert.strictEqual(dead.reason._tag, "ConnectTimeout")
        yield* network.spawn("server", serve) // the same key at the same address
        const again = yield* Effect.retry(client.connect(network.addr("server"), [alpn]), { times: 3 })
        assert.deepStrictEqual(again.remote, connection.remote)
      })
    )
  )

  it.effect("packets of an earlier life do not reach the next one", () =>
    sim(
      Effect.gen(function* () {
        const { here, network } = yield* connected
        yield* network.crash("b")
        const b = yield* network.bind("b")
        yield* b.setAlpns([alpn])
        const send = yield* here.openUni
        yield* send.write(new Uint8Array(10))
        assert.deepStrictEqual(yield* here.closed, { _tag: "IdleTimeout" })
        const accepting = yield* Effect.forkChild(b.accept)
        yield* Effect.sleep("1 minute")
        assert.isUndefined(accepting.pollUnsafe())
        yield* Fiber.interrupt(accepting)
      })
    )
  )

  it.effect("a goodbye that got lost is said again to whoever still talks", () =>
    sim(
      Effect.gen(function* () {
        const { here, network, there } = yield* connected
        network.cut("a", "b")
        here.close(4, "bye")
        network.heal()
        const send = yield* there.openUni
        yield* send.write(new Uint8Array(1))
        assert.deepStrictEqual(yield* there.closed, remote(4, "bye"))
      })
    )
  )

  it.effect("connects get through heavy loss, exactly once", () =>
    sim(
      Effect.gen(function* () {
        const network = yield* SimNetwork.SimNetwork
        const a = yield* network.bind("a")
        const b = yield* network.bind("b")
        yield* b.setAlpns([alpn])
        let accepted = 0
        yield* Effect.forkChild(Effect.forever(Effect.map(b.accept, () => accepted++)))
        for (let i = 0; i < 20; i++) yield* Effect.retry(a.connect(b.addr(), [alpn]), { times: 5 })
        yield* Effect.sleep("5 seconds")
        assert.strictEqual(accepted, 20)
      }),
      { link: { loss: 0.4, jitterMs: 30 } }
    )
  )
})

const addrOf = (seed: number, name: string, before: ReadonlyArray<string>) =>
  sim(
    Effect.map(SimNetwork.SimNetwork, (network) => {
      for (const other of before) network.addr(other)
      return network.addr(name)
    }),
    { seed }
  )

describe("SimNetwork nodes", () => {
  class Counter extends Context.Service<Counter, { readonly id: string; readonly roll: number }>()("test/Counter") {
    static readonly layer = Layer.effect(
      Counter,
      Effect.gen(function* () {
        return Counter.of({ id: (yield* Endpoint).id, roll: yield* Random.next })
      })
    )
  }
  const program = Effect.provide(
    Effect.map(Counter, (counter) => counter),
    Counter.layer
  )

  it.effect("each node builds its own layers and rolls its own dice", () =>
    sim(
      Effect.gen(function* () {
        const network = yield* SimNetwork.SimNetwork
        const fibers = yield* Effect.forEach(["a", "b", "c"], (name) => network.spawn(name, program))
        const counters = yield* Fiber.joinAll(fibers)
        assert.deepStrictEqual(
          counters.map(({ id }) => id),
          ["a", "b", "c"].map((name) => network.addr(name).id)
        )
        assert.strictEqual(new Set(counters.map(({ roll }) => roll)).size, 3)
      }).pipe(Effect.provide(Layer.succeed(Counter, Counter.of({ id: "outside", roll: 0 }))))
    )
  )

  it.effect("a node as a Layer runs the same program, and dials by id through its own address book", () =>
    sim(
      Effect.gen(function* () {
        const network = yield* SimNetwork.SimNetwork
        const b = yield* network.bind("b")
        yield* b.setAlpns([alpn])
        yield* Effect.gen(function* () {
          assert.strictEqual((yield* program).id, network.addr("a").id)
          ;(yield* AddressBook.AddressBook).add(b.addr(), "test")
          yield* (yield* Endpoint).connect(b.id, [alpn])
        }).pipe(Effect.provide(SimNetwork.node("a")))
      })
    )
  )

  it.effect("binding a name that is up is a defect; afterwards it is free again", () =>
    sim(
      Effect.gen(function* () {
        const network = yield* SimNetwork.SimNetwork
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* network.bind("a")
            const exit = yield* Effect.exit(network.bind("a"))
            assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
          })
        )
        yield* network.bind("a")
      })
    )
  )

  it.effect("keys are real, and the same for the same seed and name", () =>
    Effect.gen(function* () {
      const addr = yield* addrOf(1, "ada", [])
      assert.deepStrictEqual(yield* addrOf(1, "ada", ["x", "y"]), addr)
      assert.notStrictEqual((yield* addrOf(2, "ada", [])).id, addr.id)
      assert.notStrictEqual((yield* addrOf(1, "bob", [])).id, addr.id)
    })
  )
})

const link = { latencyMs: 15, jitterMs: 10, loss: 0.05, bytesPerSecond: 200_000 }

/** Everybody dials everybody while the network splits and a node crashes. */
const swarm = (names: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const network = yield* SimNetwork.SimNetwork
    const fibers = yield* Effect.forEach(names, (name) =>
      network.spawn(
        name,
        Effect.gen(function* () {
          const endpoint = yield* Endpoint
          yield* endpoint.setAlpns([alpn])
          const serve = Effect.forever(
            Effect.gen(function* () {
              const connection = yield* endpoint.accept
              yield* Effect.forkScoped(Effect.exit(Effect.forever(Effect.flatMap(connection.acceptUni, drain))))
            })
          )
          const dial = Effect.forever(
            Effect.gen(function* () {
              const peer = names[yield* Random.nextIntBetween(0, names.length - 1)] ?? name
              const connection = yield* endpoint.connect(network.addr(peer), [alpn])
              const send = yield* connection.openUni
              yield* send.write(new Uint8Array(yield* Random.nextIntBetween(1, 5000)))
              send.finish()
              yield* send.flushed
            }).pipe(Effect.scoped, Effect.ignore, Effect.andThen(Effect.sleep("100 millis")))
          )
          yield* Effect.timeoutOption(Effect.all([serve, dial], { concurrency: "unbounded" }), "20 seconds")
        })
      )
    )
    yield* Effect.sleep("5 seconds")
    network.partition([names.slice(0, 2), names.slice(2)])
    yield* Effect.sleep("2 seconds")
    yield* network.crash(names[0] ?? "")
    network.heal()
    yield* Fiber.awaitAll(fibers)
  })

/** What the trace says about the links between a and b, with other busy nodes made before. */
const traceOf = (others: ReadonlyArray<string>) =>
  Effect.map(
    Simulation.runReport(
      Effect.scoped(
        Effect.gen(function* () {
          const network = yield* SimNetwork.SimNetwork
          for (const name of others) {
            const busy = yield* network.bind(name)
            yield* Effect.forkScoped(Effect.exit(busy.connect(network.addr("b"), ["x"])))
          }
          const { here, there } = yield* connected
          const send = yield* here.openUni
          for (let i = 0; i < 50; i++) yield* send.write(new Uint8Array(3000))
          send.finish()
          yield* Effect.flatMap(there.acceptUni, drain)
          yield* send.flushed
        })
      ).pipe(Effect.provide(SimNetwork.layer({ link }))),
      { seed: 3, keepTrace: true }
    ),
    ([, { trace }]) => trace.filter((line) => line.includes("a>b") || line.includes("b>a"))
  )

const report = (seed: number, order: "fifo" | "shuffle") =>
  Effect.map(
    Simulation.runReport(Effect.scoped(Effect.provide(swarm(["a", "b", "c", "d", "e"]), SimNetwork.layer({ link }))), {
      seed,
      order,
      preempt: order === "shuffle" ? 0.01 : 0,
      keepTrace: true
    }),
    ([exit, { digest, steps, trace }]) => {
      assert.isTrue(Exit.isSuccess(exit), String(exit))
      return { digest, steps, trace }
    }
  )

describe("SimNetwork from one seed", () => {
  for (const order of ["fifo", "shuffle"] as const) {
    it.effect(`the same seed gives the same trace byte for byte, another one another (${order})`, () =>
      Effect.gen(function* () {
        const first = yield* report(7, order)
        const second = yield* report(7, order)
        assert.isAbove(first.trace.length, 1000)
        assert.deepStrictEqual(second.trace, first.trace)
        assert.strictEqual(second.digest, first.digest)
        assert.strictEqual(second.steps, first.steps)
        assert.notStrictEqual((yield* report(8, order)).digest, first.digest)
      })
    )
  }

  it.effect("a node more, or nodes made in another order, change nothing on links between others", () =>
    Effect.gen(function* () {
      const alone = yield* traceOf([])
      assert.isAbove(alone.length, 100)
      assert.deepStrictEqual(yield* traceOf(["x", "y"]), alone)
      assert.deepStrictEqual(yield* traceOf(["y", "x", "z"]), alone)
    })
  )

  it(
    "is clean under the race finder for 1,000 seeds: echo with loss, a crash and interruptions",
    () =>
      Effect.runPromise(
        Effect.gen(function* () {
          const echo = Effect.gen(function* () {
            const endpoint = yield* Endpoint
            yield* endpoint.setAlpns([alpn])
            for (;;) {
              const connection = yield* endpoint.accept
              yield* Effect.forkScoped(
                Effect.gen(function* () {
                  for (;;) {
                    const { recv, send } = yield* connection.acceptBi
                    for (let value = yield* recv.read; value !== End; value = yield* recv.read) yield* send.write(value)
                    send.finish()
                  }
                }).pipe(Effect.exit)
              )
            }
          })
          const ask = Effect.gen(function* () {
            const network = yield* SimNetwork.SimNetwork
            const endpoint = yield* Endpoint
            const connection = yield* Effect.retry(endpoint.connect(network.addr("server"), [alpn]), { times: 5 })
            const { recv, send } = yield* connection.openBi
            const write = Effect.map(send.write([new Uint8Array(3000), new Uint8Array(10)]), () => send.finish())
            const [, bytes] = yield* Effect.all([write, drain(recv)], { concurrency: "unbounded" })
            assert.strictEqual(bytes, 3010)
            yield* send.flushed
          })
          const world = Effect.gen(function* () {
            const network = yield* SimNetwork.SimNetwork
            yield* network.spawn("server", echo)
            const steady = yield* network.spawn("steady", ask)
            const victim = yield* network.spawn("victim", ask)
            const nervous = yield* network.spawn("nervous", ask)
            yield* Effect.sleep("4 millis")
            yield* network.crash("victim")
            yield* Fiber.interrupt(nervous)
            assert.isDefined(victim.pollUnsafe())
            yield* Fiber.join(steady)
            const again = yield* network.spawn("victim", ask)
            yield* Fiber.join(again)
          })
          const found = yield* Simulation.explore(
            Effect.scoped(world).pipe(Effect.provide(SimNetwork.layer({ link: { loss: 0.1, jitterMs: 3 } }))),
            { seeds: 1000, preempt: 0.05, stepLimit: 200_000 }
          )
          assert.isUndefined(found, `seed ${found?.seed}: ${String(found?.exit)}`)
        })
      ),
    120_000
  )
})
