import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, References, Scope } from "effect"
import { Endpoint } from "../src/Endpoint.ts"
import * as Limits from "../src/Limits.ts"
import * as Router from "../src/Router.ts"
import { End } from "../src/Stream.ts"
import * as SimNetwork from "../src/testing/SimNetwork.ts"

/** A node `server` with a Router, and the endpoint of a `client`. */
const world = Effect.gen(function* () {
  const network = yield* SimNetwork.SimNetwork
  const scope = yield* Scope.make()
  const server = yield* network.bind("server")
  const router = yield* Scope.provide(Effect.provideService(Router.make, Endpoint, server), scope)
  const client = yield* network.bind("client")
  const connect = (alpn: string) => client.connect(server.addr(), [alpn])
  return { network, scope, server, router, connect }
})

const sim = <A, E>(program: Effect.Effect<A, E, SimNetwork.SimNetwork | Simulation.Simulation | Scope.Scope>) =>
  SimNetwork.run(program, { seed: 1, stepLimit: 1_000_000 })

describe("Router", () => {
  it.effect("gives each connection to the handler of its protocol and closes it with code 0 when that returns", () =>
    sim(
      Effect.gen(function* () {
        const { connect, router } = yield* world
        const seen: Array<string> = []
        const note = (name: string) => (connection: { readonly alpn: string }) =>
          Effect.sync(() => void seen.push(`${name} ${connection.alpn}`))
        yield* router.handle(["a/1", "a/2"], note("a"))
        yield* router.handle(["b"], note("b"))
        for (const alpn of ["a/2", "b", "a/1"]) {
          const connection = yield* connect(alpn)
          assert.deepStrictEqual(yield* connection.closed, { _tag: "Remote", code: 0, reason: "" })
        }
        assert.deepStrictEqual(seen, ["a a/2", "b b", "a a/1"])
        assert.strictEqual((yield* Effect.flip(connect("c"))).reason._tag, "WrongAlpn")
      })
    )
  )

  it.effect("refuses a protocol that has a handler, until that handler's Scope closes", () =>
    sim(
      Effect.gen(function* () {
        const { connect, router } = yield* world
        const scope = yield* Scope.make()
        yield* Scope.provide(
          router.handle(["x"], () => Effect.never),
          scope
        )
        const error = yield* Effect.flip(router.handle(["y", "x"], () => Effect.void))
        assert.strictEqual(error.alpn, "x")
        assert.strictEqual((yield* Effect.flip(connect("y"))).reason._tag, "WrongAlpn")
        const connection = yield* connect("x")
        yield* Effect.sleep("1 second") // until it is accepted
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* connection.closed, { _tag: "Remote", code: 0, reason: "" })
        assert.strictEqual((yield* Effect.flip(connect("x"))).reason._tag, "WrongAlpn")
        yield* router.handle(["x"], () => Effect.void)
        yield* (yield* connect("x")).closed
      })
    )
  )

  it.effect("a handler that fails or dies takes only its own connection, and is logged with peer and protocol", () => {
    const lines: Array<string> = []
    const logger = Logger.make((entry) => {
      const { alpn, peer } = entry.fiber.getRef(References.CurrentLogAnnotations)
      lines.push(`${String(alpn)} ${String(peer)}`)
    })
    return sim(
      Effect.gen(function* () {
        const { connect, network, router } = yield* world
        yield* router.handle(["fails"], () => Effect.fail("no"))
        yield* router.handle(["dies"], (): Effect.Effect<void> => {
          throw new Error("a bug")
        })
        yield* router.handle(["lives"], (connection) =>
          Effect.gen(function* () {
            const { recv, send } = yield* connection.acceptBi
            yield* recv.read
            yield* send.write(new Uint8Array(1))
            return yield* Effect.never
          })
        )
        const lives = yield* connect("lives")
        for (const alpn of ["fails", "dies"]) {
          const close = yield* (yield* connect(alpn)).closed
          assert.deepStrictEqual(close, { _tag: "Remote", code: Router.failedCode, reason: "the handler failed" })
        }
        const { recv, send } = yield* lives.openBi
        yield* send.write(new Uint8Array(1))
        assert.notStrictEqual(yield* recv.read, End)
        const { id } = network.addr("client")
        assert.deepStrictEqual(lines, [`fails ${id}`, `dies ${id}`])
      }).pipe(Effect.provide(Logger.layer([logger])))
    )
  })

  it.effect("each handler has a Scope of its own, closed before its connection", () =>
    sim(
      Effect.gen(function* () {
        const { connect, router } = yield* world
        const events: Array<string> = []
        yield* router.handle(["x"], (connection) =>
          Effect.addFinalizer(() => Effect.sync(() => connection.close(5, "my own goodbye"))).pipe(
            Effect.andThen(Effect.sync(() => events.push("handled")))
          )
        )
        const connection = yield* connect("x")
        assert.deepStrictEqual(yield* connection.closed, { _tag: "Remote", code: 5, reason: "my own goodbye" })
        assert.deepStrictEqual(events, ["handled"])
      })
    )
  )

  it.effect("handles routerConnections at the same time; one more is closed with busyCode", () =>
    SimNetwork.run(
      Effect.gen(function* () {
        const { connect, router } = yield* world
        yield* router.handle(["x"], () => Effect.never)
        yield* Effect.forEach(Array.from({ length: Limits.routerConnections }), () => connect("x"))
        const refused = yield* connect("x")
        assert.deepStrictEqual(yield* refused.closed, {
          _tag: "Remote",
          code: Router.busyCode,
          reason: "too many connections"
        })
      }),
      { seed: 1 }
    )
  )

  it.effect(
    "closing its Scope stops accepting and closes every connection, also of handlers that stay registered",
    () =>
      sim(
        Effect.gen(function* () {
          const { connect, router, scope } = yield* world
          const events: Array<string> = []
          yield* router.handle(["x"], () =>
            Effect.onInterrupt(Effect.never, () => Effect.sync(() => events.push("ends")))
          )
          const connections = yield* Effect.all([connect("x"), connect("x")])
          yield* Effect.sleep("1 second")
          yield* Scope.close(scope, Exit.void)
          assert.deepStrictEqual(events, ["ends", "ends"])
          for (const { closed } of connections) {
            assert.deepStrictEqual(yield* closed, { _tag: "Remote", code: 0, reason: "" })
          }
        })
      )
  )

  it.effect("as a Layer it works on whatever Endpoint is below", () =>
    sim(
      Effect.gen(function* () {
        const network = yield* SimNetwork.SimNetwork
        const serve = Effect.gen(function* () {
          const router = yield* Router.Router
          yield* router.handle(["x"], (connection) => Effect.asVoid(connection.closed))
          return yield* Effect.never
        })
        yield* network.spawn("server", Effect.provide(serve, Router.layer))
        const client = yield* network.bind("client")
        const dial = client.connect(network.addr("server"), ["x"])
        const connection = yield* Effect.retry(dial, { times: 10 })
        connection.close(1, "")
      })
    )
  )

  it(
    "survives the race finder: handlers come and go while peers dial",
    () =>
      Effect.runPromise(
        Effect.gen(function* () {
          const found = yield* Simulation.explore(
            Effect.scoped(
              Effect.gen(function* () {
                const { connect, router, scope } = yield* world
                let running = 0
                const handler = () =>
                  Effect.acquireRelease(
                    Effect.sync(() => running++),
                    () => Effect.sync(() => running--)
                  ).pipe(Effect.andThen(Effect.sleep("3 millis")))
                const comeAndGo = Effect.forEach([1, 2], () =>
                  Effect.scoped(Effect.andThen(router.handle(["x"], handler), Effect.sleep("4 millis")))
                )
                const dialing = Effect.forEach([1, 2], () =>
                  Effect.scoped(Effect.flatMap(connect("x"), ({ closed }) => closed)).pipe(
                    Effect.catchTag("ConnectError", () => Effect.void)
                  )
                )
                yield* Effect.all([comeAndGo, dialing, dialing], { concurrency: "unbounded" })
                yield* Scope.close(scope, Exit.void)
                assert.strictEqual(running, 0)
              })
            ).pipe(Effect.provide(SimNetwork.layer())),
            { seeds: 1000, preempt: 0.05, stepLimit: 100_000 }
          )
          assert.isUndefined(found, `seed ${found?.seed}: ${String(found?.exit)}`)
        })
      ),
    120_000
  )
})
