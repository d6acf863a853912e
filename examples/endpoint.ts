/**
 * A program against Endpoint, Router and AddressBook, on a simulated network: the very program would run on a real node. The
 * network loses packets, splits, heals, and the server crashes and comes back under the same id.
 */
import { AddressBook, Endpoint, type EndpointId, Router, Stream } from "@effect-live/endpoint"
import { SimNetwork } from "@effect-live/endpoint/testing"
import { Effect, Fiber } from "effect"
import assert from "node:assert/strict"

const alpn = "example/shout/1"

const server = Effect.gen(function* () {
  const router = yield* Router.Router
  yield* router.handle([alpn], (connection) =>
    Effect.gen(function* () {
      const { recv, send } = yield* connection.acceptBi
      for (let chunk = yield* recv.read; chunk !== Stream.End; chunk = yield* recv.read) {
        yield* send.write(new TextEncoder().encode(new TextDecoder().decode(chunk).toUpperCase()))
      }
      send.finish()
      yield* send.flushed // or the answer is lost with the connection
    })
  )
  return yield* Effect.never
}).pipe(Effect.scoped, Effect.provide(Router.layer))

const shout = Effect.fnUntraced(function* (id: EndpointId.EndpointId, text: string) {
  const endpoint = yield* Endpoint.Endpoint
  const connection = yield* endpoint.connect(id, [alpn]) // by id: the address book knows where
  const { recv, send } = yield* connection.openBi
  yield* send.write(new TextEncoder().encode(text))
  send.finish()
  let answer = ""
  for (let chunk = yield* recv.read; chunk !== Stream.End; chunk = yield* recv.read) {
    answer += new TextDecoder().decode(chunk)
  }
  return answer
}, Effect.scoped)

const program = Effect.gen(function* () {
  const network = yield* SimNetwork.SimNetwork
  const client = Effect.gen(function* () {
    const book = yield* AddressBook.AddressBook
    const addr = network.addr("server")
    book.add(addr, "example")

    console.log(yield* shout(addr.id, "over a line that loses every tenth packet"))

    network.partition([["client"], ["server"]])
    const split = yield* Effect.flip(shout(addr.id, "does anybody hear me?"))
    assert.equal(split._tag, "ConnectError")
    console.log(`split: ${split._tag}, ${split.reason._tag}`)
    network.heal()

    yield* network.crash("server")
    yield* network.spawn("server", server)
    return yield* Effect.retry(shout(addr.id, "back again under the same id"), { times: 3 })
  })
  yield* network.spawn("server", server)
  return yield* Fiber.join(yield* network.spawn("client", client))
})

const link = { latencyMs: 20, jitterMs: 5, loss: 0.1 }
const answer = await Effect.runPromise(SimNetwork.run(program, { seed: 1, link }))
assert.equal(answer, "BACK AGAIN UNDER THE SAME ID")
console.log(answer)
