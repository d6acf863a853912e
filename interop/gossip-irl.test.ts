/** `irl gossip` and a Rust peer in one topic. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { bootstrap, member, topic, topics } from "./support/gossip-peer.ts"
import { irl } from "./support/irl.ts"

describe("irl gossip", { concurrent: true }, () => {
  it.live("joins a Rust peer: each hears what the other says, and Ctrl-C says goodbye", () =>
    Effect.gen(function* () {
      const id = topic()
      const rust = yield* member("Rust")(...topics(id))
      const person = yield* irl("gossip", id, ...bootstrap(rust), "--json")
      const { id: personId } = yield* person.sees({ event: "ready" })
      yield* rust.sees({ event: "neighborUp", peer: personId })
      yield* person.sees({ event: "neighborUp", id: rust.id })
      person.tell("hello, Rust")
      yield* rust.sees({ event: "received", text: "hello, Rust", from: personId })
      rust.tell("broadcast hello, person")
      yield* person.sees({ event: "received", text: "hello, person", from: rust.id })
      person.kill("SIGINT")
      yield* rust.sees({ event: "neighborDown", peer: personId })
      yield* person.sees({ event: "done", sent: 1, received: 1 })
    })
  )

  it.live("makes a topic that a Rust peer joins, and tells when it is gone", () =>
    Effect.gen(function* () {
      const person = yield* irl("gossip", "--json")
      const ready = yield* person.sees({ event: "ready" })
      const [place] = ready["addrs"] as ReadonlyArray<string>
      const rust = yield* member("Rust")("--topic", String(ready["topic"]), "--bootstrap", `${ready["id"]}@${place}`)
      yield* person.sees({ event: "neighborUp", id: rust.id })
      yield* rust.sees({ event: "neighborUp", peer: ready["id"] })
      rust.tell("broadcast hello")
      yield* person.sees({ event: "received", text: "hello" })
      rust.tell("quit")
      yield* person.sees({ event: "neighborDown", id: rust.id, reason: "left" })
      assert.strictEqual(yield* rust.ended, 0)
    })
  )
})
