/** What subscribers get when there is not room for everything, and what else two of our own sessions say to each other. */
import type { Connection } from "@effect-live/endpoint/Connection"
import { type Link, run, type SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import type { Stuck } from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Scope, Stream } from "effect"
import * as Broadcast from "../src/Broadcast.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import type * as Group from "../src/Group.ts"
import * as Limits from "../src/Limits.ts"
import * as Origin from "../src/Origin.ts"
import * as Track from "../src/Track.ts"
import * as Version from "../src/Version.ts"
import {
  allOf,
  bytes,
  camera,
  connectedOn,
  framesOf,
  groupOf,
  type Node,
  sessionOn,
  sessionsOn,
  text,
  write
} from "./support/world.ts"

interface Scene {
  readonly publisher: Node
  readonly viewer: Node
  readonly ends: readonly [Connection, Connection]
  readonly ada: Broadcast.BroadcastConsumer
  readonly video: Track.TrackProducer
  readonly audio: Track.TrackProducer
}

const scene = <A, E>(
  version: Version.Version,
  link: Partial<Link>,
  test: (scene: Scene) => Effect.Effect<A, E, SimNetwork | Scope.Scope>
): Effect.Effect<A, E | Stuck> =>
  run(
    Effect.gen(function* () {
      const ends = yield* connectedOn(version)
      const publisher = yield* sessionOn(ends[0], { hop: 1 })
      const viewer = yield* sessionOn(ends[1])
      const broadcast = Broadcast.make()
      const video = Track.make("video", { priority: 9 })
      const audio = Track.make("audio")
      broadcast.insertTrack(video)
      broadcast.insertTrack(audio)
      publisher.origin.publish("ada", broadcast.consume())
      return yield* test({ publisher, viewer, ends, ada: viewer.session.consume("ada"), video, audio })
    }),
    { seed: 1, link }
  )

/** Names of tracks and groups in the order in which they were complete, and codes of those that were not. */
const arrivals = (tracks: ReadonlyArray<Track.TrackConsumer>, groups: number) =>
  Effect.gen(function* () {
    const arrived: Array<string> = []
    const watch = (track: Track.TrackConsumer, group: Group.GroupConsumer) =>
      Effect.match(framesOf(group), {
        onSuccess: () => void arrived.push(`${track.name} ${group.sequence}`),
        onFailure: ({ code }) => void arrived.push(`${track.name} ${group.sequence} lost ${code}`)
      })
    const watching = yield* Effect.forEach(tracks, (track) =>
      Effect.forkScoped(
        Effect.forEach(Array.from({ length: groups }), () =>
          Effect.flatMap(groupOf(track), (group) => Effect.forkScoped(watch(track, group)))
        )
      )
    )
    return Effect.gen(function* () {
      const fibers = yield* Effect.forEach(watching, Fiber.join)
      yield* Effect.forEach(fibers.flat(), Fiber.join)
      return arrived
    })
  })

const large = "x".repeat(300_000)

describe("when there is not room for everything", () => {
  for (const version of Version.all) {
    it.effect(`tracks of equal priority alternate, each with its newest group (${version.alpn})`, () =>
      scene(version, { bytesPerSecond: 100_000 }, ({ ada, audio, video }) =>
        Effect.gen(function* () {
          const tracks = [yield* ada.subscribe("video"), yield* ada.subscribe("audio")]
          const arrived = yield* arrivals(tracks, 2)
          for (const track of [video, video, audio, audio]) {
            write(track, large)
            yield* Effect.sleep(100)
          }
          const order = yield* arrived
          assert.deepStrictEqual(
            [...order.slice(0, 2).toSorted(), ...order.slice(2).toSorted()],
            ["audio 1", "video 1", "audio 0", "video 0"]
          )
        })
      )
    )
  }

  it.effect("who wants the oldest first gets it so, and only where the version means it", () =>
    Effect.gen(function* () {
      for (const [version, expected] of [
        [Version.lite05, ["video 0", "video 1", "video 2"]],
        [Version.lite04, ["video 2", "video 1", "video 0"]]
      ] as const) {
        yield* scene(version, { bytesPerSecond: 100_000 }, ({ ada, video }) =>
          Effect.gen(function* () {
            const arrived = yield* arrivals([yield* ada.subscribe("video", { ordered: true })], 3)
            for (let n = 0; n < 3; n++) {
              write(video, large)
              yield* Effect.sleep(50)
            }
            assert.deepStrictEqual(yield* arrived, [...expected])
          })
        )
      }
    })
  )

  it.effect("a priority that rises moves what is already on its way", () =>
    scene(Version.lite05, { bytesPerSecond: 100_000 }, ({ ada, audio, video }) =>
      Effect.gen(function* () {
        const first = [yield* ada.subscribe("video", { priority: 5 }), yield* ada.subscribe("audio", { priority: 1 })]
        const arrived = yield* arrivals(first, 1)
        write(video, large)
        write(audio, large)
        yield* Effect.sleep(100)
        yield* ada.subscribe("audio", { priority: 9 })
        assert.deepStrictEqual(yield* arrived, ["audio 0", "video 0"])
      })
    )
  )

  for (const version of Version.all) {
    it.effect(
      `a group that is not the newest is given up when the viewer would not wait for it (${version.alpn})`,
      () =>
        scene(version, { bytesPerSecond: 100_000 }, ({ ada, publisher, video }) =>
          Effect.gen(function* () {
            const track = yield* ada.subscribe("video", { maxLatencyMs: 500 })
            const arrived = yield* arrivals([track], 3)
            for (let n = 0; n < 3; n++) {
              write(video, large)
              yield* Effect.sleep(100)
            }
            assert.deepStrictEqual(yield* arrived, [
              `video 0 lost ${ErrorCode.old}`,
              `video 1 lost ${ErrorCode.old}`,
              "video 2"
            ])
            assert.deepStrictEqual(publisher.session.counters().expiredGroups, 2)
          })
        )
    )
  }

  it.effect("the newest group is never too old", () =>
    scene(Version.lite05, { bytesPerSecond: 100_000 }, ({ ada, video }) =>
      Effect.gen(function* () {
        const arrived = yield* arrivals([yield* ada.subscribe("video", { maxLatencyMs: 1 })], 1)
        write(video, large)
        assert.deepStrictEqual(yield* arrived, ["video 0"])
      })
    )
  )

  it.effect("where the peer grants no streams, superseded groups are dropped and counted, and the newest arrives", () =>
    scene(Version.lite05, {}, ({ ada, ends, publisher, viewer, video }) =>
      Effect.gen(function* () {
        const track = yield* ada.subscribe("video")
        // the viewer's session takes what comes: a track that nobody reads keeps its groups, streams stay open while they last
        const open = Array.from({ length: Limits.undeliveredGroupsPerSubscription + 200 }, () => video.appendGroup())
        for (const group of open) group.write(bytes("x"))
        yield* Effect.sleep(2_000)
        assert.isAbove(publisher.session.counters().droppedGroups, 0)
        video.finish()
        for (const group of open) group.finish()
        let newest = -1
        for (;;) {
          const next = yield* track.next
          if (typeof next === "symbol") break
          if (!("_tag" in next)) newest = Math.max(newest, next.sequence)
        }
        assert.strictEqual(newest, open.length - 1)
        assert.isDefined(ends)
        assert.isDefined(viewer)
      })
    )
  )
})

describe("two sessions of lite-05", () => {
  const { lite05 } = Version

  it.effect("carry timestamps, in the units of the track", () =>
    run(
      Effect.gen(function* () {
        const [a, b] = yield* sessionsOn(lite05)
        const { broadcast, video: track } = camera({ timescale: 90_000, priority: 4 })
        a.origin.publish("ada", broadcast.consume())
        const received = yield* b.session.consume("ada").subscribe("video")
        assert.deepStrictEqual(received.info, { ...track.info })
        assert.strictEqual(received.timescale, 90_000)
        const group = track.appendGroup()
        for (const timestamp of [90_000, 93_000, 91_500]) group.write(bytes(String(timestamp)), timestamp)
        group.finish()
        const read = yield* groupOf(received)
        for (;;) {
          const frame = yield* read.read
          if (typeof frame === "symbol") break
          assert.strictEqual(text(frame), String(read.timestamp))
        }
      }),
      { seed: 1 }
    )
  )

  it.effect("end a track with its last group, without waiting for late ones", () =>
    scene(lite05, {}, ({ ada, video }) =>
      Effect.gen(function* () {
        const track = yield* ada.subscribe("video")
        for (let n = 0; n < 3; n++) write(video, `${n}`)
        video.finish()
        const all = yield* Effect.timeoutOption(allOf(track), Limits.lateGroupsMs / 2)
        assert.strictEqual(all._tag === "Some" ? all.value.length : 0, 3)
      })
    )
  )

  it.effect("let a consumer join that begins earlier than those before it", () =>
    scene(lite05, {}, ({ ada, video }) =>
      Effect.gen(function* () {
        for (let n = 0; n < 5; n++) write(video, `${n}`)
        const late = yield* ada.subscribe("video")
        assert.strictEqual((yield* groupOf(late)).sequence, 4)
        const early = yield* ada.subscribe("video", { start: 2 })
        const sequences: Array<number> = []
        for (let n = 0; n < 3; n++) sequences.push((yield* groupOf(early)).sequence)
        assert.deepStrictEqual(sequences.toSorted(), [2, 3, 4])
        video.finish()
        assert.deepStrictEqual(yield* allOf(early), [])
        yield* video.unused
      })
    )
  )

  it.effect("serve a range and go on when it is widened", () =>
    scene(lite05, {}, ({ ada, video }) =>
      Effect.gen(function* () {
        for (let n = 0; n < 6; n++) write(video, `${n}`)
        const some = yield* ada.subscribe("video", { start: 1, end: 2 })
        assert.strictEqual((yield* groupOf(some)).sequence + (yield* groupOf(some)).sequence, 3)
        const more = yield* ada.subscribe("video", { start: 1, end: 4 })
        const sequences: Array<number> = []
        for (let n = 0; n < 4; n++) sequences.push((yield* groupOf(more)).sequence)
        assert.deepStrictEqual(sequences.toSorted(), [1, 2, 3, 4])
        video.finish()
        assert.deepStrictEqual(yield* allOf(some), [], "groups behind the range are no gap")
      })
    )
  )

  it.effect("fetch one group, whole, growing, or missing", () =>
    scene(lite05, {}, ({ ada, video }) =>
      Effect.gen(function* () {
        write(video, "old", "frames")
        const open = video.appendGroup()
        open.write(bytes("key"), 77)
        assert.deepStrictEqual(yield* framesOf(yield* ada.fetch("video", 0)), ["old", "frames"])
        const growing = yield* ada.fetch("video", 1, { priority: 9 })
        yield* growing.read
        assert.strictEqual(growing.timestamp, 77)
        open.write(bytes("delta"))
        open.finish()
        assert.deepStrictEqual(yield* framesOf(growing), ["delta"])
        assert.strictEqual((yield* Effect.flip(ada.fetch("video", 9))).reason._tag, "NotFound")
        assert.strictEqual((yield* Effect.flip(ada.fetch("text", 0))).reason._tag, "NotFound")
        const lost = yield* ada.fetch("video", 0)
        assert.strictEqual(lost.sequence, 0)
      })
    )
  )

  it.effect("fetch nothing where the version knows only subscriptions, or too much at once", () =>
    Effect.andThen(
      scene(Version.lite04, {}, ({ ada }) =>
        Effect.gen(function* () {
          const { reason } = yield* Effect.flip(ada.fetch("video", 0))
          assert.deepStrictEqual(reason, new Broadcast.Unsupported({ version: "moq-lite-04" }))
        })
      ),
      scene(lite05, { latencyMs: 1_000 }, ({ ada, video }) =>
        Effect.gen(function* () {
          write(video, "frame")
          const fetching = yield* Effect.forEach(Array.from({ length: Limits.fetchesPerSession }), () =>
            Effect.forkScoped(ada.fetch("video", 0))
          )
          yield* Effect.sleep(1)
          const { reason } = yield* Effect.flip(ada.fetch("video", 0))
          assert.deepStrictEqual(reason, new Broadcast.LimitReached({ limit: "fetchesPerSession" }))
          for (const fiber of fetching) yield* framesOf(yield* Fiber.join(fiber))
          yield* ada.fetch("video", 0)
        })
      )
    )
  )

  it.effect("carry datagrams both ways, each as a group of its own", () =>
    run(
      Effect.gen(function* () {
        const nodes = yield* sessionsOn(lite05)
        for (const [from, to] of [
          [0, 1],
          [1, 0]
        ] as const) {
          const { broadcast, video: track } = camera({}, "positions")
          nodes[from].origin.publish("ada", broadcast.consume())
          const received = yield* nodes[to].session.consume("ada").subscribe("positions")
          yield* track.used
          for (let n = 0; n < 3; n++) track.appendDatagram(bytes(`${n}`), n * 10)
          write(track, "a stream")
          track.finish()
          assert.deepStrictEqual((yield* allOf(received)).toSorted(), ["0:0", "1:1", "2:2", "3:a stream"])
        }
      }),
      { seed: 2 }
    )
  )

  it.effect("tell each other what they measure, from 03 on", () =>
    Effect.gen(function* () {
      for (const version of Version.all) {
        yield* scene(version, { latencyMs: 20 }, ({ viewer }) =>
          Effect.gen(function* () {
            const [first] = yield* viewer.session.estimates.pipe(Stream.take(1), Stream.runCollect)
            assert.isAbove(first?.bitrate ?? 0, 0)
            assert.strictEqual(first?.rttMs, version === Version.lite03 ? undefined : 40)
          })
        )
      }
    })
  )

  it.effect("say goodbye", () =>
    scene(lite05, {}, ({ ada, publisher, viewer }) =>
      Effect.gen(function* () {
        const goaway = yield* Effect.forkScoped(viewer.session.goaway)
        yield* publisher.session.sendGoaway("https://b.example/x")
        assert.strictEqual(yield* Fiber.join(goaway), "https://b.example/x")
        const { reason } = yield* Effect.flip(ada.subscribe("video"))
        assert.deepStrictEqual(reason, new Broadcast.GoingAway({ uri: "https://b.example/x" }))
        // what the peer that leaves may still ask of us is served
        viewer.origin.publish("bob", Broadcast.make().consume())
        assert.strictEqual(
          (yield* Effect.flip(publisher.session.consume("bob").subscribe("video"))).reason._tag,
          "NotFound"
        )
      })
    )
  )

  it.effect("are drained when everything asked for has arrived", () =>
    scene(lite05, { latencyMs: 50 }, ({ ada, publisher, video }) =>
      Effect.gen(function* () {
        const track = yield* ada.subscribe("video")
        yield* Effect.sleep(200)
        const drained = yield* Effect.forkScoped(publisher.session.drained)
        write(video, large)
        video.finish()
        yield* Effect.sleep(1_000)
        assert.isUndefined(drained.pollUnsafe(), "the table of announcements is not closed")
        publisher.origin.close()
        yield* Fiber.join(drained)
        assert.strictEqual((yield* allOf(track)).length, 1)
      })
    )
  )

  it.effect("do not hear of their own broadcasts through each other", () =>
    run(
      Effect.gen(function* () {
        const ends = yield* connectedOn(lite05)
        const table = Origin.make()
        const a = yield* sessionOn(ends[0], { hop: 1, publish: table })
        const b = yield* sessionOn(ends[1], { hop: 2 })
        table.publish("own", Broadcast.make().consume())
        table.publish("theirs", Broadcast.make().consume(), [2])
        table.publish("relayed", Broadcast.make().consume(), [5, 2, 6])
        table.publish(
          "far",
          Broadcast.make().consume(),
          Array.from({ length: Limits.hops }, (_, n) => n + 10)
        )
        table.publish("near", Broadcast.make().consume(), [5])
        const heard = yield* b.session.announced("").pipe(Stream.take(2), Stream.runCollect)
        assert.deepStrictEqual(heard, [
          { path: "own", active: true, hops: [1] },
          { path: "near", active: true, hops: [5, 1] }
        ])
        assert.deepStrictEqual(a.session.announcedNow(), [])
      }),
      { seed: 3 }
    )
  )
})
