/** We publish, and the moq-lite crate of iroh-live subscribes. */
import * as Broadcast from "@effect-live/moq/Broadcast"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { content, sha256 } from "./support/content.ts"
import { ours, publish, write } from "./support/ours.ts"
import { type Peer, rustPeer } from "./support/peer.ts"

/** Every frame that the peer told has the length and hash of what was written; how many of each group. */
const assertFrames = (rust: Peer, bytes: number, seed = 0): ReadonlyMap<number, number> => {
  const frames = new Map<number, number>()
  for (const told of rust.events) {
    if (told.event !== "frame") continue
    const [group, index] = [Number(told["group"]), Number(told["index"])]
    assert.strictEqual(index, frames.get(group) ?? 0, `group ${group} in order`)
    frames.set(group, index + 1)
    assert.strictEqual(told["bytes"], bytes + index)
    assert.strictEqual(told["sha256"], sha256(content(seed, group, index, bytes + index)), `group ${group}, ${index}`)
  }
  return frames
}

const stays = (rust: Peer) =>
  assert.deepStrictEqual(
    rust.events.filter(({ event }) => event === "closed"),
    [],
    "nothing that we did made the peer close"
  )

for (const version of ["moq-lite-03", "moq-lite-04"]) {
  const peer = rustPeer("--alpn", version)
  describe(`TypeScript publishes, Rust subscribes (${version})`, { concurrent: true }, () => {
    for (const dials of ["Rust", "TypeScript"] as const) {
      it.live(`announce, many groups, end; ${dials} dials`, () =>
        Effect.gen(function* () {
          const { at, moq } = yield* ours()
          const { track } = yield* publish(moq)
          const rust = yield* peer(...(dials === "Rust" ? ["--dial", at] : []), "subscribe")
          if (dials === "TypeScript") yield* moq.connect(rust.addr)
          yield* rust.sees({ event: "announce", path: "hello", active: true })
          yield* track.used
          yield* write(track, { groups: 500, frames: 4, bytes: 3000, intervalMs: 4 })
          yield* rust.sees({ event: "end", track: "data" })
          const frames = assertFrames(rust, 3000)
          assert.deepStrictEqual(
            [...frames.keys()].toSorted((a, b) => a - b),
            Array.from({ length: 500 }, (_, i) => i)
          )
          assert.isTrue([...frames.values()].every((count) => count === 4))
          stays(rust)
        })
      )
    }

    it.live("a late subscriber begins with the newest group, whole, and misses nothing from there", () =>
      Effect.gen(function* () {
        const { at, moq } = yield* ours()
        const { track } = yield* publish(moq)
        for (let sequence = 0; sequence < 20; sequence++) {
          const group = track.appendGroup()
          for (let frame = 0; frame < 3; frame++) group.write(content(0, sequence, frame, 1000 + frame))
          if (sequence < 19) group.finish()
        }
        const rust = yield* peer("--dial", at, "subscribe")
        yield* rust.sees({ event: "frame", group: 19, index: 2 })
        const last = track.appendGroup()
        last.write(content(0, 20, 0, 1000))
        last.finish()
        track.finish()
        yield* rust.sees({ event: "group", group: 20 })
        assert.deepStrictEqual(
          assertFrames(rust, 1000),
          new Map([
            [19, 3],
            [20, 1]
          ])
        )
      })
    )

    it.live("unpublish and republish: Ended, then Active, and the new content", () =>
      Effect.gen(function* () {
        const { at, moq } = yield* ours()
        const rust = yield* peer("--dial", at, "subscribe")
        yield* rust.sees({ event: "session" })
        for (const seed of [0, 1, 2]) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { track } = yield* publish(moq)
              yield* rust.sees({ event: "announce", path: "hello", active: true }, seed + 1)
              yield* write(track, { groups: 3, frames: 2, bytes: 1000 + 100 * seed, seed })
              yield* rust.sees({ event: "end" }, seed + 1)
              yield* rust.sees({ event: "frame", bytes: 1001 + 100 * seed, group: 2, index: 1 })
            })
          )
          yield* rust.sees({ event: "announce", path: "hello", active: false }, seed + 1)
        }
        stays(rust)
      })
    )

    it.live("a broadcast that is replaced a hundred times is never announced twice: the peer would close", () =>
      Effect.gen(function* () {
        const { at, moq } = yield* ours()
        const rust = yield* peer("--dial", at, "subscribe")
        yield* rust.sees({ event: "session" })
        for (let i = 0; i < 100; i++) {
          yield* moq.publish("hello", Broadcast.make())
          if (i % 7 === 0) yield* Effect.sleep(1)
        }
        const { track } = yield* publish(moq)
        yield* track.used
        yield* write(track, { groups: 2, bytes: 777 })
        yield* rust.sees({ event: "frame", bytes: 778, group: 1 })
        yield* moq.publish("last", Broadcast.make())
        yield* rust.sees({ event: "announce", path: "last", active: true })
        stays(rust)
      })
    )

    it.live("forty tracks in a row end: the peer takes no end for a failure", () =>
      Effect.gen(function* () {
        const { at, moq } = yield* ours()
        const rust = yield* peer("--dial", at, "subscribe")
        for (let time = 1; time <= 40; time++) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { track } = yield* publish(moq)
              yield* track.used
              yield* write(track, { groups: 2, frames: 1, intervalMs: 5 })
              yield* rust.sees({ event: "frame", group: 1 }, time)
              const ended = rust.sees({ event: "end" }, time)
              yield* Effect.raceFirst(ended, Effect.flatMap(rust.sees({ event: "failed" }), Effect.fail))
            })
          )
          yield* rust.sees({ event: "announce", active: false }, time)
        }
        stays(rust)
      })
    )

    it.live("a group that is given up is reset with its code, and the track goes on", () =>
      Effect.gen(function* () {
        const { at, moq } = yield* ours()
        const { track } = yield* publish(moq)
        const rust = yield* peer("--dial", at, "subscribe")
        yield* track.used
        const begun = (group: number) => rust.sees({ event: "frame", group })
        yield* write(track, { groups: 9, frames: 4, bytes: 2000, resetEvery: 3, intervalMs: 20 }, begun)
        yield* rust.sees({ event: "end" })
        const complete = rust.events.filter(({ event }) => event === "group").map(({ group }) => Number(group))
        const reset = rust.events.filter(({ event }) => event === "reset").map(({ code, group }) => ({ code, group }))
        assert.sameMembers(complete, [0, 2, 3, 5, 6, 8])
        assert.sameDeepMembers(
          reset,
          [1, 4, 7].map((group) => ({ code: 0, group }))
        )
        assertFrames(rust, 2000)
      })
    )

    it.live("a subscriber that leaves ends the use of the track; when it joins again it is served again", () =>
      Effect.gen(function* () {
        const { at, moq } = yield* ours()
        const { track } = yield* publish(moq)
        const rust = yield* peer("--dial", at, "subscribe")
        for (let time = 1; time <= 3; time++) {
          yield* track.used
          track.appendGroup().write(content(0, time - 1, 0, 1000))
          yield* rust.sees({ event: "frame", group: time - 1, index: 0 })
          rust.tell("leave")
          yield* track.unused
          rust.tell("join")
        }
        stays(rust)
      })
    )

    it.live("an unknown track is refused with 13 (not found), and the session goes on", () =>
      Effect.gen(function* () {
        const { at, moq } = yield* ours()
        const { track } = yield* publish(moq)
        const rust = yield* peer("--dial", at, "subscribe", "--track", "nothing", "--track", "data")
        const refused = yield* rust.sees({ event: "failed", track: "nothing" })
        assert.strictEqual(refused["code"], 13, String(refused["error"]))
        yield* track.used
        yield* write(track, { groups: 1 })
        yield* rust.sees({ event: "end", track: "data" })
      })
    )

    it.live("a broadcast that comes after its subscriber is found", () =>
      Effect.gen(function* () {
        const { at, moq } = yield* ours()
        yield* moq.publish("other", Broadcast.make())
        const rust = yield* peer("--dial", at, "subscribe", "--path", "room/late")
        yield* rust.sees({ event: "announce", path: "other", active: true })
        const { track } = yield* publish(moq, "room/late")
        yield* track.used
        yield* write(track, { groups: 2 })
        yield* rust.sees({ event: "group", group: 1 })
      })
    )

    it.live("goodbye: whoever shuts down says so with code 0, after the announcements have ended", () =>
      Effect.gen(function* () {
        const { at, moq } = yield* ours()
        yield* moq.publish("hello", Broadcast.make())
        const rust = yield* peer("--dial", at, "announced")
        yield* rust.sees({ event: "announce", path: "hello", active: true })
        yield* moq.shutdown
        const closed = yield* rust.sees({ event: "closed" })
        assert.strictEqual(closed["code"], 0, String(closed["why"]))
        yield* rust.sees({ event: "announce", path: "hello", active: false })
      })
    )
  })
}
