import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as EndpointCases from "@effect-live/endpoint/testing/EndpointCases"
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Result } from "effect"
import { backings } from "./backings.ts"

const bindAddrs = [
  Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0")),
  Result.getOrThrow(TransportAddr.parseIp("[::1]:0"))
]

/** A fresh endpoint on the loopback interface. */
const on = (backing: (typeof backings)[number]) =>
  Effect.fnUntraced(function* (_name: string) {
    const book = yield* AddressBook.make
    const own = backing
      .layer({ bindAddrs, relayMode: "disabled", connectTimeoutMs: 3000 })
      .pipe(Layer.provide(Layer.succeed(AddressBook.AddressBook, book)))
    return { book, endpoint: Context.get(yield* Layer.build(own), Endpoint) }
  })

const [number0, native] = backings
const columns = [
  { who: "number0", cannot: number0.cannot, missing: undefined, party: on(number0) },
  { who: "native", cannot: native.cannot, missing: native.missing, party: on(native) },
  {
    who: "native against number0",
    cannot: number0.cannot,
    missing: native.missing,
    party: (name: string) => on(name === "b" ? number0 : native)(name)
  }
]

for (const { cannot, missing, party, who } of columns) {
  describe.skipIf(missing !== undefined)(`Endpoint cases on ${who}`, () => {
    for (const row of EndpointCases.cases) {
      const why = row.needs.flatMap((need) => cannot.get(need) ?? [])
      const title = why.length === 0 ? row.name : `${row.name} (not here: ${why.join(", ")})`
      it.live.skipIf(why.length > 0)(title, () => EndpointCases.run(row, party), 30_000)
    }
  })
}
