/** moq-relay as a hop, over iroh, in every version that we speak; iroh-live's moq-lite reaches it in moq-lite-03. */
import { assert, describe, it } from "@effect/vitest"
import { End } from "@effect-live/endpoint/Stream"
import type { BroadcastConsumer } from "@effect-live/moq/Broadcast"
import type * as Track from "@effect-live/moq/Track"
import { Effect, type Scope } from "effect"
import { assertContent, content } from "./support/content.ts"
import { announced, ours, publish, readAll, type Received, write } from "./support/ours.ts"
import { peer } from "./support/peer.ts"
import { moqRelay } from "./support/relays.ts"

/**
 * Every group from the first one to arrive up to the last one is there, and every frame of it. The relay begins with the newest
 * group that it has when it has answered.
 */
const assertNoGap = (received: ReadonlyArray<Received>, last: number, bytes: number, seed = 0): void => {
  const first = received[0]?.sequence ?? assert.fail("no group at all")
  const sequences = Array.from({ length: last + 1 - first }, (_, index) => first + index)
  assert.deepStrictEqual(
    received.map(({ sequence }) => sequence),
    sequences
  )
  assert.isTrue(received.every(({ end, frames }) => end === "complete" && frames.length === 5))
  assertContent(received, bytes, seed)
}

/** Why there is no such track: refused at once, or where only the stream of the subscription tells it, as its end. */
const refusal = (consumer: BroadcastConsumer, track: string): Effect.Effect<never, string, Scope.Scope> =>
  consumer.subscribe(track).pipe(
    Effect.mapError(({ reason }) => reason._tag),
    Effect.flatMap((opened) => Effect.mapError(opened.next, ({ _tag }) => _tag)),
    Effect.flatMap((next) => Effect.die(new Error(`${track} is there: ${String(next)}`)))
  )

for (const version of ["moq-lite-03", "moq-lite-04", "moq-lite-05"]) {
  describe(`moq-relay between us and others (${version})`, { concurrent: true }, () => {
    it.live("TypeScript to TypeScript: announce, all groups, end, unpublish, and all of it again", () =>
      Effect.gen(function* () {
        const relay = yield* moqRelay(version)
        const [publisher, subscriber] = [yield* ours(), yield* ours()]
        const up = yield* publisher.moq.connect(relay.addr)
        const down = yield* subscriber.moq.connect(relay.addr)
        assert.deepStrictEqual([up.version, down.version], [version, version])
        for (const seed of [0, 1]) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { track } = yield* publish(publisher.moq, "room/hello", { priority: 3 })
              yield* announced(down, "room/hello")
              const consumer = down.consume("room/hello")
              const data = yield* consumer.subscribe("data")
              const plan = { groups: 100, bytes: 2000, intervalMs: 5, seed }
              yield* Effect.forkScoped(Effect.andThen(track.used, write(track, plan)))
              const { lagged, received } = yield* readAll(data)
              assert.strictEqual(lagged, 0)
              assertNoGap(received, 99, 2000, seed)
              yield* publisher.moq.unpublish("room/hello")
              yield* consumer.closed
            })
          )
        }
      })
    )

    it.live("an unknown track and an unknown broadcast are refused, and the session goes on", () =>
      Effect.gen(function* () {
        const relay = yield* moqRelay(version)
        const [publisher, subscriber] = [yield* ours(), yield* ours()]
        yield* publisher.moq.connect(relay.addr)
        const down = yield* subscriber.moq.connect(relay.addr)
        const { track } = yield* publish(publisher.moq)
        yield* announced(down, "hello")
        for (const [path, name] of [
          ["hello", "nothing"],
          ["nobody", "data"]
        ] as const) {
          const error = yield* Effect.flip(refusal(down.consume(path), name))
          assert.include(["NotFound", "Refused", "TrackError"], error, `${path} ${name}`)
        }
        const data = yield* down.consume("hello").subscribe("data")
        yield* Effect.forkScoped(Effect.andThen(track.used, write(track, { groups: 5 })))
        assertNoGap((yield* readAll(data)).received, 4, 1000)
      })
    )

    it.live("Rust to TypeScript: all groups, end", () =>
      Effect.gen(function* () {
        const relay = yield* moqRelay(version, "moq-lite-03")
        yield* peer("--dial", relay.at, "publish", "--wait", "--groups", "50", "--interval-ms", "10")
        const { moq } = yield* ours()
        const session = yield* moq.connect(relay.addr)
        assert.strictEqual(session.version, version)
        yield* announced(session, "hello")
        const data = yield* session.consume("hello").subscribe("data")
        assertNoGap((yield* readAll(data)).received, 49, 1000)
      })
    )

    it.live("TypeScript to Rust: all groups, end", () =>
      Effect.gen(function* () {
        const relay = yield* moqRelay(version, "moq-lite-03")
        const rust = yield* peer("--dial", relay.at, "subscribe")
        const { moq } = yield* ours()
        const session = yield* moq.connect(relay.addr)
        assert.strictEqual(session.version, version)
        const { track } = yield* publish(moq)
        yield* track.used
        // the peer states no latency that it would wait, so the relay skips what is late: see the README
        yield* write(track, { groups: 30, intervalMs: 50 })
        yield* rust.sees({ event: "end" })
        yield* rust.sees({ event: "group", group: 29, frames: 5 })
      })
    )
  })
}

describe("what only moq-lite-05 can, through moq-relay", { concurrent: true }, () => {
  /** A publisher and a subscriber at a relay of their own, and a broadcast that is announced from one to the other. */
  const pair = (track: Track.Options = {}) =>
    Effect.gen(function* () {
      const relay = yield* moqRelay("moq-lite-05")
      const [publisher, subscriber] = [yield* ours(), yield* ours()]
      yield* publisher.moq.connect(relay.addr)
      const down = yield* subscriber.moq.connect(relay.addr)
      const made = yield* publish(publisher.moq, "hello", track)
      yield* announced(down, "hello")
      return { ...made, consumer: down.consume("hello") }
    })

  it.live("timestamps arrive as they were written, in the track's own units", () =>
    Effect.gen(function* () {
      const { consumer, track } = yield* pair({ timescale: 90_000, priority: 7 })
      const data = yield* consumer.subscribe("data")
      assert.deepStrictEqual([data.timescale, data.priority], [90_000, 7])
      const timestamps = [900_000, 903_003, 897_000, 906_006]
      const group = track.appendGroup()
      for (const [index, timestamp] of timestamps.entries()) group.write(content(0, 0, index, 100), timestamp)
      group.finish()
      track.finish()
      const first = yield* data.next
      if (first === End || "_tag" in first) return assert.fail("no group")
      const seen: Array<number | undefined> = []
      while ((yield* first.read) !== End) seen.push(first.timestamp)
      assert.deepStrictEqual(seen, timestamps)
    })
  )

  it.live("a group that is over is fetched by its number; one that never was is not there", () =>
    Effect.gen(function* () {
      const { consumer, track } = yield* pair()
      yield* Effect.forkScoped(write(track, { groups: 20, intervalMs: 1 }))
      yield* readAll(yield* consumer.subscribe("data"))
      const group = yield* consumer.fetch("data", 3)
      const frames: Array<Uint8Array> = []
      for (;;) {
        const frame = yield* group.read
        if (frame === End) break
        frames.push(frame)
      }
      assertContent([{ sequence: 3, frames }], 1000)
      assert.lengthOf(frames, 5)
    })
  )

  it.live("datagrams: groups of one frame, none of them on a stream", () =>
    Effect.gen(function* () {
      const { consumer, track } = yield* pair()
      const data = yield* consumer.subscribe("data")
      yield* track.used
      // a datagram may be lost: sent until some have come
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.andThen(
            Effect.sync(() => track.appendDatagram(content(0, track.latest + 1, 0, 200))),
            Effect.sleep(10)
          )
        )
      )
      for (let received = 0; received < 20; received++) {
        const group = yield* data.next
        if (group === End || "_tag" in group) return assert.fail("no group")
        assert.isTrue(group.datagram, `group ${group.sequence}`)
        assert.deepStrictEqual(yield* group.read, content(0, group.sequence, 0, 200))
        assert.strictEqual(yield* group.read, End)
      }
    })
  )
})
