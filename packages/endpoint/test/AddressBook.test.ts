import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { TestClock } from "effect/testing"
import * as AddressBook from "../src/AddressBook.ts"
import * as EndpointAddr from "../src/EndpointAddr.ts"
import * as Limits from "../src/Limits.ts"
import * as SecretKey from "../src/SecretKey.ts"
import * as TransportAddr from "../src/TransportAddr.ts"

const idOf = (n: number) =>
  SecretKey.endpointId(Result.getOrThrow(SecretKey.fromBytes(Uint8Array.from({ length: 32 }, () => n))))
const way = (n: number) => TransportAddr.fromIpBytes(Uint8Array.of(10, 0, n >> 8, n & 255), 1)
const ada = idOf(1)

describe("AddressBook", () => {
  it.effect("merges what several sources say about a peer", () =>
    Effect.gen(function* () {
      const book = yield* AddressBook.make
      assert.isUndefined(book.lookup(ada))
      book.add(EndpointAddr.make(ada, [way(2)]), "ticket")
      book.add(EndpointAddr.make(ada, [way(1), way(2)]), "gossip")
      assert.deepStrictEqual(book.lookup(ada), EndpointAddr.make(ada, [way(1), way(2)]))
    })
  )

  it.effect("a source replaces what it said before, and takes it back with an empty address", () =>
    Effect.gen(function* () {
      const book = yield* AddressBook.make
      book.add(EndpointAddr.make(ada, [way(1)]), "ticket")
      book.add(EndpointAddr.make(ada, [way(2)]), "ticket")
      assert.deepStrictEqual(book.lookup(ada)?.addrs, [way(2)])
      book.add(EndpointAddr.make(ada), "ticket")
      assert.isUndefined(book.lookup(ada))
    })
  )

  it.effect("forgets what no source repeated for bookMaxAgeMs", () =>
    Effect.gen(function* () {
      const book = yield* AddressBook.make
      book.add(EndpointAddr.make(ada, [way(1)]), "ticket")
      yield* TestClock.adjust(Limits.bookMaxAgeMs / 2)
      book.add(EndpointAddr.make(ada, [way(2)]), "gossip")
      yield* TestClock.adjust(Limits.bookMaxAgeMs / 2 + 1)
      assert.deepStrictEqual(book.lookup(ada)?.addrs, [way(2)])
      yield* TestClock.adjust(Limits.bookMaxAgeMs)
      assert.isUndefined(book.lookup(ada))
    })
  )

  it.effect("remembers bookPeers peers and evicts the one not heard of for longest", () =>
    Effect.gen(function* () {
      const book = yield* AddressBook.make
      const ids = [ada, idOf(2), idOf(3)]
      const others = Array.from({ length: Limits.bookPeers - 2 }, (_, n) => n.toString(16).padStart(64, "0"))
      for (const id of ids) book.add(EndpointAddr.make(id, [way(1)]), "test")
      book.add(EndpointAddr.make(ada, [way(2)]), "test") // heard of again
      // made-up ids: the book does not look at them, and real keys take long to make
      for (const id of others) book.add({ id: id as typeof ada, addrs: [way(1)] }, "test")
      assert.deepStrictEqual(
        ids.map((id) => book.lookup(id) !== undefined),
        [true, false, true]
      )
    })
  )

  it.effect("bounds the sources of a peer and the addresses of a source", () =>
    Effect.gen(function* () {
      const book = yield* AddressBook.make
      for (let source = 0; source <= Limits.bookSourcesPerPeer; source++) {
        const ways = Array.from({ length: Limits.bookAddressesPerSource + 1 }, (_, n) => way(source * 100 + n))
        book.add(EndpointAddr.make(ada, ways), `source ${source}`)
      }
      const addrs = book.lookup(ada)?.addrs ?? []
      assert.strictEqual(addrs.length, Limits.bookSourcesPerPeer * Limits.bookAddressesPerSource)
      assert.notDeepInclude(addrs, way(0))
    })
  )
})
