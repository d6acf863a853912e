/** Two endpoints on real sockets of this machine find each other by ticket, and one sends the other a line. */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointTicket from "@effect-live/endpoint/EndpointTicket"
import { End } from "@effect-live/endpoint/Stream"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import { Context, Effect, Layer } from "effect"

const alpn = "example/1"

const bind = Effect.map(
  Layer.build(Layer.fresh(Iroh.layer({ relayMode: "disabled" })).pipe(Layer.provide(AddressBook.layer))),
  (context) => Context.get(context, Endpoint)
)

const program = Effect.gen(function* () {
  const listener = yield* bind
  yield* listener.setAlpns([alpn])
  const ticket = EndpointTicket.encode(listener.addr())

  const dialer = yield* bind
  const addr = yield* Effect.fromResult(EndpointTicket.decode(ticket))
  const [here, there] = yield* Effect.all([dialer.connect(addr, [alpn]), listener.accept], { concurrency: 2 })

  const send = yield* here.openUni
  yield* send.write(new TextEncoder().encode("hello by public key"))
  send.finish()

  const recv = yield* there.acceptUni
  const decoder = new TextDecoder()
  let text = ""
  for (let read = yield* recv.read; read !== End; read = yield* recv.read)
    text += decoder.decode(read, { stream: true })
  return { text, path: here.paths()[0]?.kind }
})

const { text, path } = await Effect.runPromise(Effect.scoped(program))
if (text !== "hello by public key") throw new Error(`got ${text}`)
console.log(`received "${text}" over a ${path} path`)
