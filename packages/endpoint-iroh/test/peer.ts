/** The other process of the tests: `node peer.ts ROLE`, speaking JSON lines. It does one thing and ends by itself. */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointTicket from "@effect-live/endpoint/EndpointTicket"
import { End } from "@effect-live/endpoint/Stream"
import { Effect, Exit, Layer, Result, type Scope } from "effect"
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

const [role, ticket = ""] = process.argv.slice(2)
const programs = { pour, count, forget: forget(ticket), fail: fail(ticket), bind: Effect.void }
if (role === undefined || !(role in programs)) throw new Error(`no such role: ${role}`)
const program: Effect.Effect<unknown, unknown, Endpoint | Scope.Scope> = programs[role as keyof typeof programs]
const exit = await Effect.runPromiseExit(
  Effect.scoped(program).pipe(
    Effect.provide(
      Iroh.layer({ bindAddrs, relayMode: role === "bind" ? "default" : "disabled" }).pipe(
        Layer.provide(AddressBook.layer)
      )
    )
  )
)
await Effect.runPromise(tell({ exit: exit._tag, why: Exit.isFailure(exit) ? String(exit.cause) : "" }))
