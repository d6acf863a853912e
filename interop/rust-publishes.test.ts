/** The moq-lite crate of iroh-live publishes, and we subscribe. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import { assertContent } from "./support/content.ts"
import { announced, ours, readAll } from "./support/ours.ts"
import { type Peer, rustPeer } from "./support/peer.ts"

/** A session of a node of ours. */
const sessionWith = (rust: Peer) => Effect.flatMap(ours(), ({ moq }) => moq.connect(rust.addr))

for (const version of ["moq-lite-03", "moq-lite-04"]) {
  const peer = rustPeer("--alpn", version)
  describe(`Rust publishes, TypeScript subscribes (${version})`, { concurrent: true }, () => {
    it.live("announce, many groups with the right content, end", () =>
      Effect.gen(function* () {
        const rust = yield* peer(
          "publish",
          "--wait",
          "--groups",
          "500",
          "--frames",
          "4",
          "--bytes",
          "3000",
          "--interval-ms",
          "4"
        )
        const session = yield* sessionWith(rust)
        yield* announced(session, "hello")
        const { lagged, received } = yield* readAll(yield* session.consume("hello").subscribe("data"))
        assert.strictEqual(lagged, 0)
        assert.deepStrictEqual(
          received.map(({ sequence }) => sequence),
          Array.from({ length: 500 }, (_, i) => i)
        )
        assert.isTrue(received.every(({ end, frames }) => end === "complete" && frames.length === 4))
        assertContent(received, 3000)
      })
    )

    it.live("Rust dials: its broadcast is there in the incoming session", () =>
      Effect.gen(function* () {
        const { at, moq } = yield* ours()
        const rust = yield* peer("--dial", at, "publish", "--wait", "--groups", "10")
        const session = yield* Effect.flatMap(Stream.runHead(moq.sessions), Effect.fromOption)
        yield* announced(session, "hello")
        const { received } = yield* readAll(yield* session.consume("hello").subscribe("data"))
        assert.lengthOf(received, 10)
        assertContent(received, 1000)
        assert.isDefined(rust.events.find(({ event }) => event === "finished"))
      })
    )

    it.live("a late subscriber begins with the newest group, whole", () =>
      Effect.gen(function* () {
        const rust = yield* peer("publish", "--interval-ms", "30", "--frames", "3")
        yield* Effect.sleep(500)
        const session = yield* sessionWith(rust)
        const { received } = yield* readAll(yield* session.consume("hello").subscribe("data"), { groups: 5 })
        const first = received[0]?.sequence ?? 0
        assert.isAbove(first, 10)
        assert.deepStrictEqual(
          received.map(({ sequence }) => sequence),
          [0, 1, 2, 3, 4].map((i) => first + i)
        )
        assert.isTrue(received.every(({ end, frames }) => end === "complete" && frames.length === 3))
        assertContent(received, 1000)
      })
    )

    it.live("unpublish and republish: the broadcast ends, begins anew, and its content is new", () =>
      Effect.gen(function* () {
        const rust = yield* peer("publish", "--wait", "--groups", "3")
        const session = yield* sessionWith(rust)
        for (const seed of [0, 1, 2]) {
          yield* announced(session, "hello")
          const consumer = session.consume("hello")
          const { received } = yield* readAll(yield* consumer.subscribe("data"))
          assert.lengthOf(received, 3)
          assertContent(received, 1000, seed)
          rust.tell("unpublish")
          yield* consumer.closed
          assert.deepStrictEqual(session.announcedNow(), [])
          rust.tell("publish")
        }
      })
    )

    it.live("a group that is reset is never taken for a complete one, and the track goes on", () =>
      Effect.gen(function* () {
        const rust = yield* peer("publish", "--wait", "--groups", "12", "--frames", "4", "--reset-every", "3")
        const session = yield* sessionWith(rust)
        const { received } = yield* readAll(yield* session.consume("hello").subscribe("data"))
        const of = (complete: boolean) =>
          received.filter(({ end }) => (end === "complete") === complete).map(({ sequence }) => sequence)
        assert.deepStrictEqual(of(true), [0, 2, 3, 5, 6, 8, 9, 11])
        // a group may be reset before its stream was opened: then there is only a gap
        assert.includeMembers([1, 4, 7, 10], of(false))
        for (const { end } of received) assert.include(["complete", 0], end)
        assertContent(received, 1000)
      })
    )

    it.live("unknown tracks and broadcasts are NotFound, and the session goes on", () =>
      Effect.gen(function* () {
        const rust = yield* peer("publish", "--wait", "--groups", "2")
        const session = yield* sessionWith(rust)
        for (const [path, track] of [
          ["hello", "nothing"],
          ["nobody", "data"]
        ] as const) {
          const error = yield* Effect.flip(session.consume(path).subscribe(track))
          assert.strictEqual(error.reason._tag, "NotFound", String(Cause.fail(error)))
        }
        const { received } = yield* readAll(yield* session.consume("hello").subscribe("data"))
        assert.lengthOf(received, 2)
      })
    )

    it.live("goodbye: the session ends with the peer's code 0, subscriptions with it", () =>
      Effect.gen(function* () {
        const rust = yield* peer("publish")
        const session = yield* sessionWith(rust)
        const track = yield* session.consume("hello").subscribe("data")
        yield* track.next
        const reading = yield* Effect.forkChild(Effect.exit(readAll(track)))
        yield* rust.stop
        const close = yield* session.closed
        assert.strictEqual(close._tag, "Remote")
        if (close._tag === "Remote") assert.strictEqual(close.code, 0)
        assert.isTrue(Exit.isFailure(yield* Fiber.join(reading)), "a track that was cut is not a track that ended")
      })
    )
  })
}
