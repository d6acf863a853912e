import type { Connection } from "@effect-live/endpoint/Connection"
import { layer as networkLayer, run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import * as Broadcast from "../src/Broadcast.ts"
import * as Limits from "../src/Limits.ts"
import * as Moq from "../src/Moq.ts"
import type { Peer } from "../src/Peer.ts"
import type { Session } from "../src/Session.ts"
import { moqOn } from "./support/services.ts"
import { allOf, camera, framesOf, groupOf, sessionOn, write } from "./support/world.ts"

const nextOf = (session: Pick<Peer | Session, "announced">, prefix: string, count: number) =>
  session.announced(prefix).pipe(
    Stream.take(count),
    Stream.map(({ path, active }) => `${active ? "+" : "-"}${path}`),
    Stream.runCollect
  )

const settle = Effect.sleep(100)

describe("the Moq service", () => {
  it.effect("announces what is published to sessions that are open and to those that come later", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const a = yield* moqOn("a")
        const [b, c] = [yield* moqOn("b"), yield* moqOn("c")]
        const early = yield* b.connect(network.addr("a"))
        yield* a.publish("room/ada", Broadcast.make())
        assert.deepStrictEqual(yield* nextOf(early, "", 1), ["+room/ada"])
        const late = yield* c.connect(network.addr("a"))
        assert.deepStrictEqual(yield* nextOf(late, "room", 1), ["+room/ada"])
        assert.deepStrictEqual(yield* a.publishedBroadcasts, ["room/ada"])
        yield* a.unpublish("room/ada")
        yield* settle
        assert.deepStrictEqual([early.announcedNow(), late.announcedNow()], [[], []])
        assert.deepStrictEqual(yield* a.publishedBroadcasts, [])
      }),
      { seed: 1 }
    )
  )

  it.effect("announces to those who dialed and to those who were dialed", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b] = [yield* moqOn("a"), yield* moqOn("b")]
        yield* b.publish("from-b", Broadcast.make())
        const session = yield* b.connect(network.addr("a"))
        const incoming = yield* a.sessions.pipe(Stream.take(1), Stream.runCollect)
        assert.deepStrictEqual(yield* nextOf(incoming[0] ?? session, "", 1), ["+from-b"])
      }),
      { seed: 2 }
    )
  )

  it.effect("withdraws a broadcast when its Scope closes or when it ends", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b] = [yield* moqOn("a"), yield* moqOn("b")]
        const scope = yield* Scope.make()
        const ending = Broadcast.make()
        yield* Scope.provide(a.publish("scoped", Broadcast.make()), scope)
        yield* a.publish("ending", ending)
        const session = yield* b.connect(network.addr("a"))
        yield* settle
        assert.deepStrictEqual(session.announcedNow().toSorted(), ["ending", "scoped"])
        yield* Scope.close(scope, Exit.void)
        ending.finish()
        yield* settle
        assert.deepStrictEqual(session.announcedNow(), [])
      }),
      { seed: 3 }
    )
  )

  it.effect("replaces a broadcast at once, and the old Scope does not withdraw the new one", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b] = [yield* moqOn("a"), yield* moqOn("b")]
        const scope = yield* Scope.make()
        yield* Scope.provide(a.publish("camera", Broadcast.make()), scope)
        const session = yield* b.connect(network.addr("a"))
        const seen = yield* Effect.forkScoped(nextOf(session, "", 3))
        yield* settle
        const young = Broadcast.make()
        yield* a.publish("camera", young)
        assert.deepStrictEqual(yield* Fiber.join(seen), ["+camera", "-camera", "+camera"])
        yield* Scope.close(scope, Exit.void)
        yield* settle
        assert.deepStrictEqual(session.announcedNow(), ["camera"])
      }),
      { seed: 4 }
    )
  )

  it.effect("carries frames between nodes that found each other by id", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b] = [yield* moqOn("a"), yield* moqOn("b")]
        const { broadcast, video } = camera()
        yield* a.publish("ada", broadcast)
        const session = yield* b.connect(network.addr("a"))
        const track = yield* session.consume("ada").subscribe("video")
        write(video, "key", "delta")
        assert.deepStrictEqual(yield* framesOf(yield* groupOf(track)), ["key", "delta"])
      }),
      { seed: 5 }
    )
  )

  it.effect("shuts down after its tracks are unused without taking anything from subscribers, whoever dialed", () =>
    run(farewell, { seed: 10 })
  )

  it.effect("dials a peer once for concurrent and later callers, and hangs up when the last one is gone", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b] = [yield* moqOn("a"), yield* moqOn("b")]
        const scopes = yield* Effect.all(Array.from({ length: 5 }, () => Scope.make()))
        const connect = (scope: Scope.Scope) => Scope.provide(b.connect(network.addr("a")), scope)
        const shared = yield* Effect.all(scopes.slice(0, 4).map(connect), { concurrency: "unbounded" })
        const [session] = shared
        if (session === undefined) return assert.fail("no session")
        assert.isTrue(shared.every((one) => one === session))
        for (const scope of scopes.slice(0, 4)) yield* Scope.close(scope, Exit.void)
        yield* Effect.sleep(Limits.sessionLingerMs / 2)
        assert.strictEqual(yield* connect(scopes[4] ?? (yield* Scope.make())), session, "still there")
        yield* Effect.sleep(Limits.sessionLingerMs * 2)
        for (const scope of scopes.slice(4)) yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* session.closed, { _tag: "Local", code: 0, reason: "unused" })
        assert.notStrictEqual(yield* b.connect(network.addr("a")), session)
        const incoming = yield* a.sessions.pipe(Stream.take(1), Stream.runCollect)
        assert.strictEqual(incoming.length, 1)
      }),
      { seed: 6 }
    )
  )

  it.effect("says why there is no session", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const b = yield* moqOn("b")
        const self = yield* Effect.flip(b.connect(network.addr("b")))
        const nobody = yield* Effect.flip(b.connect(network.addr("nobody")))
        assert.strictEqual(self.reason._tag === "ConnectError" && self.reason.reason._tag, "SelfDial")
        assert.strictEqual(nobody.reason._tag === "ConnectError" && nobody.reason.reason._tag, "ConnectTimeout")
      }),
      { seed: 7 }
    )
  )

  it.effect("gives up a dial that nobody waits for any more", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const b = yield* moqOn("b")
        const dialing = yield* Effect.forkScoped(Effect.scoped(b.connect(network.addr("a"))))
        yield* Effect.sleep(10)
        yield* Fiber.interrupt(dialing)
        const a = yield* moqOn("a")
        yield* Effect.sleep(60_000)
        const came = yield* a.sessions.pipe(Stream.runHead, Effect.timeoutOption(1_000))
        assert.strictEqual(came._tag, "None")
      }),
      { seed: 8 }
    )
  )

  it.effect("turns peers away before anything is announced to them", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const asked: Array<string> = []
        const a = yield* moqOn("a", {
          admit: ({ remote, alpn }) =>
            Effect.sync(() => {
              asked.push(`${remote._tag} ${alpn}`)
              return asked.length === 1 ? Moq.reject : "accept"
            })
        })
        yield* a.publish("secret", Broadcast.make())
        const raw = yield* network.bind("raw")
        const told = yield* Effect.scoped(
          Effect.gen(function* () {
            const connection: Connection = yield* raw.connect(network.addr("a"), ["moq-lite-03"])
            const { session } = yield* sessionOn(connection)
            const close = yield* session.closed
            assert.deepStrictEqual(close, { _tag: "Remote", code: 1, reason: "rejected" })
            return session.announcedNow()
          })
        )
        assert.deepStrictEqual(told, [])
        const b = yield* moqOn("b")
        const session = yield* b.connect(network.addr("a"))
        assert.deepStrictEqual(yield* nextOf(session, "", 1), ["+secret"])
        assert.deepStrictEqual(asked, ["Peer moq-lite-03", "Peer moq-lite-05"])
      }),
      { seed: 9 }
    )
  )

  it.effect("gives every reader of `sessions` those there are and those that come", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const a = yield* moqOn("a")
        const [b, c] = [yield* moqOn("b"), yield* moqOn("c")]
        yield* b.connect(network.addr("a"))
        yield* settle
        const readers = yield* Effect.forkScoped(
          Effect.all(
            [1, 2].map(() => a.sessions.pipe(Stream.take(2), Stream.runCollect)),
            { concurrency: 2 }
          )
        )
        yield* c.connect(network.addr("a"))
        const [one, two] = yield* Fiber.join(readers)
        assert.deepStrictEqual(
          one?.map(({ remote }) => remote),
          two?.map(({ remote }) => remote)
        )
        assert.strictEqual(new Set(one).size, 2)
      }),
      { seed: 10 }
    )
  )

  it.effect("shuts down: ends announcements, then sessions, and refuses what comes", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const [a, b] = [yield* moqOn("a"), yield* moqOn("b")]
        yield* a.publish("ada", Broadcast.make())
        const session = yield* b.connect(network.addr("a"))
        const seen = yield* Effect.forkScoped(nextOf(session, "", 2))
        yield* settle
        yield* a.shutdown
        yield* a.shutdown
        assert.deepStrictEqual(yield* Fiber.join(seen), ["+ada", "-ada"])
        assert.deepStrictEqual(yield* session.closed, { _tag: "Remote", code: 0, reason: "cancelled" })
        assert.strictEqual((yield* Effect.flip(a.publish("eve", Broadcast.make()))).reason._tag, "ShutDown")
        assert.strictEqual((yield* Effect.flip(a.connect(network.addr("b")))).reason._tag, "ShutDown")
        assert.deepStrictEqual(yield* Stream.runCollect(a.sessions), [])
        const again = yield* b.connect(network.addr("a"))
        assert.deepStrictEqual(yield* again.closed, { _tag: "Remote", code: 0, reason: "cancelled" })
      }),
      { seed: 11 }
    )
  )

  it.effect("refuses paths that cannot be carried, and more than broadcastsPerOrigin", () =>
    run(
      Effect.gen(function* () {
        const a = yield* moqOn("a")
        const long = yield* Effect.flip(a.publish("x".repeat(Limits.nameBytes + 1), Broadcast.make()))
        assert.strictEqual(long.reason._tag, "InvalidPath")
        for (let n = 0; n < Limits.broadcastsPerOrigin; n++) yield* a.publish(`b${n}`, Broadcast.make())
        const more = yield* Effect.flip(a.publish("more", Broadcast.make()))
        assert.strictEqual(more.reason._tag, "TooManyBroadcasts")
      }),
      { seed: 12 }
    )
  )
})

/** A publisher that shuts down when nobody uses its track any more: towards one who dialed it, and one whom it dialed. */
const farewell = Effect.gen(function* () {
  const network = yield* SimNetwork
  const [a, b, c] = [yield* moqOn("a"), yield* moqOn("b"), yield* moqOn("c")]
  const { broadcast, video } = camera()
  yield* a.publish("camera", broadcast)
  yield* a.connect(network.addr("c"))
  const incoming = yield* c.sessions.pipe(Stream.take(1), Stream.runCollect)
  const sessions = [yield* b.connect(network.addr("a")), ...incoming]
  const tracks = yield* Effect.forEach(sessions, (session) => session.consume("camera").subscribe("video"))
  const reading = yield* Effect.forEach(tracks, (track) => Effect.forkScoped(allOf(track)))
  for (const key of ["one", "two"]) write(video, key, "delta")
  video.finish()
  yield* video.unused
  yield* a.shutdown
  for (const fiber of reading) {
    assert.deepStrictEqual((yield* Fiber.join(fiber)).toSorted(), ["0:one,delta", "1:two,delta"])
  }
  assert.strictEqual(reading.length, 2)
})

/** Everything at once: publishing, replacing, dialing from both sides, leaving; in the end all agree. */
const crowd = Effect.gen(function* () {
  const network = yield* SimNetwork
  const [a, b] = [yield* moqOn("a"), yield* moqOn("b")]
  const { broadcast, video } = camera()
  const watch = Effect.scoped(
    Effect.gen(function* () {
      const session = yield* b.connect(network.addr("a"))
      yield* session.announced("").pipe(
        Stream.filter(({ path, active }) => active && path === "camera"),
        Stream.runHead
      )
      const track = yield* session.consume("camera").subscribe("video")
      return yield* framesOf(yield* groupOf(track))
    })
  )
  const brief = Effect.scoped(b.connect(network.addr("a")))
  const publishing = Effect.gen(function* () {
    yield* Effect.scoped(a.publish("camera", Broadcast.make()))
    yield* a.publish("camera", broadcast)
    write(video, "frame")
  })
  const other = Effect.scoped(Effect.andThen(a.connect(network.addr("b")), Effect.sleep(5)))
  const results = yield* Effect.all([watch, brief, publishing, watch, other, brief, watch], {
    concurrency: "unbounded"
  })
  assert.deepStrictEqual([results[0], results[3], results[6]], [["frame"], ["frame"], ["frame"]])
  assert.deepStrictEqual(yield* a.publishedBroadcasts, ["camera"])
  yield* Effect.all([a.shutdown, b.shutdown], { concurrency: 2 })
})

describe("under the race finder", () => {
  it.effect(
    "publishing, connecting and leaving at once has no race in 1,000 seeds",
    () => Simulation.clean(Effect.scoped(Effect.provide(crowd, networkLayer())), { seeds: 1_000 }),
    120_000
  )

  it.effect(
    "shutting down after the last track is unused has no race in 1,000 seeds",
    () => Simulation.clean(Effect.scoped(Effect.provide(farewell, networkLayer())), { seeds: 1_000 }),
    120_000
  )
})
