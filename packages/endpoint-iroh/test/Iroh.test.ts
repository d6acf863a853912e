import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as EndpointCases from "@effect-live/endpoint/testing/EndpointCases"
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Result } from "effect"
import * as Iroh from "../src/Iroh.ts"

const loopback = [
  Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0")),
  Result.getOrThrow(TransportAddr.parseIp("[::1]:0"))
]

/** A fresh endpoint on the loopback interface. */
const party = Effect.fnUntraced(function* (_name: string) {
  const book = yield* AddressBook.make
  const layer = Iroh.layer({ bindAddrs: loopback, relayMode: "disabled", connectTimeoutMs: 3000 }).pipe(
    Layer.provide(Layer.succeed(AddressBook.AddressBook, book))
  )
  return { book, endpoint: Context.get(yield* Layer.build(layer), Endpoint) }
})

describe("Endpoint cases on @number0/iroh", () => {
  for (const row of EndpointCases.cases) {
    it.live(row.name, () => EndpointCases.run(row, party), 30_000)
  }
})
