/**
 * The receiving process of `iroh.ts`: `layer` receives through the Endpoint Layer, `bare` with the binding alone. It prints its
 * id and address as one line of JSON, reads every stream to its end and answers with a stream of one byte, until it is killed.
 */
import type { Connection } from "@effect-live/endpoint/Connection"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import { Blocked, End, StreamError } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as binding from "@number0/iroh"
import { Effect } from "effect"
import { alpn, endpointOn } from "./Loopback.ts"

const readBytes = 65_536
const tell = (id: string, addr: string | undefined) => process.stdout.write(`${JSON.stringify({ id, addr })}\n`)

const serve = (connection: Connection) =>
  Effect.gen(function* () {
    for (;;) {
      const recv = yield* connection.acceptUni
      for (;;) {
        const value = recv.tryRead()
        if (value === End) break
        if (value === Blocked) yield* recv.readable
        else if (value instanceof StreamError) return yield* value
      }
      const answer = yield* connection.openUni
      yield* answer.write(Uint8Array.of(1))
      answer.finish()
    }
  })

const layer = Effect.gen(function* () {
  const endpoint = yield* Endpoint
  yield* endpoint.setAlpns([alpn])
  tell(endpoint.id, EndpointAddr.ips(endpoint.addr()).map(TransportAddr.format)[0])
  for (;;) {
    const connection = yield* endpoint.accept
    // The end of a connection is how serving it ends.
    yield* Effect.forkScoped(Effect.exit(serve(connection)))
  }
})

const serveBare = async (connection: binding.Connection) => {
  for (;;) {
    const recv = await connection.acceptUni()
    while ((await recv.read(readBytes)).length > 0);
    const answer = await connection.openUni()
    await answer.writeAll([1])
    await answer.finish()
  }
}

const bare = async () => {
  const builder = binding.Endpoint.builder()
  binding.presetMinimal(builder)
  builder.alpns([[...new TextEncoder().encode(alpn)]])
  builder.relayMode(binding.RelayMode.disabled())
  builder.bindAddr("127.0.0.1:0")
  const endpoint = await builder.bind()
  tell(endpoint.id().toString(), endpoint.addr().directAddresses()[0])
  for (;;) {
    const incoming = await endpoint.acceptNext()
    if (incoming === null) return
    const connection = await (await incoming.accept()).connect()
    serveBare(connection).catch(() => {})
  }
}

if (process.argv[2] === "bare") await bare()
else await Effect.runPromise(Effect.provide(Effect.scoped(layer), endpointOn("number0")))
