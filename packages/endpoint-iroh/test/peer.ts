/**
 * The other process of the tests: `node peer.ts ROLE`, speaking JSON lines, on the backing of `IROH_BACKING`. It does one thing and
 * ends by itself.
 */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointTicket from "@effect-live/endpoint/EndpointTicket"
import { End } from "@effect-live/endpoint/Stream"
import { Effect, Exit, Layer, Result, Scope } from "effect"
import * as Iroh from "../src/Iroh.ts"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"

const alpn = "effect-live/process-test"
const tell = (line: object) => Effect.sync(() => process.stdout.write(`${JSON.stringify(line)}\n`))
const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]

/** Accepts one connection, sends without end on one stream and discards what comes. */
const pour = Effect.gen(function* () {
  const endpoint = yield* Endpoint
  yield* endpoint.setAlpns([alpn])
  yield* tell({ ticket: EndpointTicket.encode(endpoint.addr()) })
  const connection = yield* endpoint.accept
  const send = yield* connection.openUni
  return yield* Effect.forever(Effect.andThen(send.write(new Uint8Array(10_000)), Effect.yieldNow))
})

/** Accepts one connection and answers every uni stream's bytes with their count on a stream of its own. */
const count = Effect.gen(function* () {
  const endpoint = yield* Endpoint
  yield* endpoint.setAlpns([alpn])
  yield* tell({ ticket: EndpointTicket.encode(endpoint.addr()) })
  const connection = yield* endpoint.accept
  for (;;) {
    const recv = yield* connection.acceptUni
    let bytes = 0
    let end: unknown = "end"
    for (;;) {
      const read = yield* Effect.exit(recv.read)
      if (Exit.isFailure(read)) {
        end = "error"
        break
      }
      if (read.value === End) break
      bytes += read.value.length
    }
    yield* tell({ bytes, end })
  }
})

/** Dials, and waits for everything that there is to wait for. */
const wait = (ticket: string) =>
  Effect.gen(function* () {
    const endpoint = yield* Endpoint
    const connection = yield* endpoint.connect(Result.getOrThrow(EndpointTicket.decode(ticket)), [alpn])
    const send = yield* connection.openUni
    yield* send.write(Uint8Array.of(1))
    yield* tell({ connected: true })
    const waits: ReadonlyArray<Effect.Effect<unknown, unknown, Scope.Scope>> = [
      Effect.forever(send.write(new Uint8Array(10_000))),
      send.stopped,
      connection.acceptUni,
      connection.acceptBi,
      connection.readDatagram,
      endpoint.accept
    ]
    const ends = waits.map(Effect.exit)
    yield* Effect.all(ends, { concurrency: "unbounded" })
  })

/** What carries the endpoint. */
const backing = Endpoint.use((endpoint) => tell({ backing: endpoint.backing.name }))

/** Nobody waits, and nobody closes the Layer. */
const leave = Effect.gen(function* () {
  yield* Layer.buildWithScope(endpointLayer, yield* Scope.make())
  yield* tell({ left: true })
})

/** Drops every reference to streams and connections in the middle of their work, and collects garbage. */
const forget = (ticket: string) =>
  Effect.gen(function* () {
    const endpoint = yield* Endpoint
    const connection = yield* endpoint.connect(Result.getOrThrow(EndpointTicket.decode(ticket)), [alpn])
    for (let i = 0; i < 20; i++) {
      yield* Effect.flatMap(connection.openUni, (send) => send.write(new Uint8Array(1000)))
      yield* Effect.sync(() => globalThis.gc?.())
      yield* Effect.sleep(10)
    }
    // Nothing was finished: no collected stream may look complete to the peer.
    yield* tell({ forgot: 20 })
  })

/** What a failed dial says. */
const fail = (ticket: string) =>
  Effect.gen(function* () {
    const endpoint = yield* Endpoint
    const addr = Result.getOrThrow(EndpointTicket.decode(ticket))
    const error = yield* Effect.flip(endpoint.connect(addr, ["nobody speaks this"]))
    yield* tell({ reason: error.reason._tag })
  })

const [role, ticket = "", idleTimeoutMs] = process.argv.slice(2)
const endpointLayer = Iroh.layer({
  bindAddrs,
  relayMode: role === "bind" ? "default" : "disabled",
  ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs: Number(idleTimeoutMs) })
}).pipe(Layer.provide(AddressBook.layer))
const programs = {
  pour,
  count,
  wait: wait(ticket),
  forget: forget(ticket),
  fail: fail(ticket),
  bind: Effect.void,
  backing,
  leave
}
if (role === undefined || !(role in programs)) throw new Error(`no such role: ${role}`)
const program: Effect.Effect<unknown, unknown, Endpoint | Scope.Scope> = programs[role as keyof typeof programs]
const exit = await Effect.runPromiseExit(Effect.scoped(program).pipe(Effect.provide(endpointLayer)))
await Effect.runPromise(tell({ exit: exit._tag, why: Exit.isFailure(exit) ? String(exit.cause) : "" }))
