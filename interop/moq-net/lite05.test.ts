/** What only lite-05 has, between our session and @moq/net's, in both directions. */
import { End } from "@effect-live/endpoint/Stream"
import type { Group } from "@effect-live/moq"
import { lite05 } from "@effect-live/moq/Version"
import { assert, describe, it } from "@effect/vitest"
import * as Net from "@moq/net"
import { Effect, Exit, Fiber, Option } from "effect"
import {
  alice,
  bytes,
  cameraOfOurs,
  cameraOfTheirs,
  frame,
  nextOurs,
  nextTheirs,
  readOurs,
  readTheirs,
  scene,
  writeOurs,
  writeTheirs
} from "./scene.ts"

const path = Net.Path.from(alice)

describe("our publisher to @moq/net's subscriber, lite-05:", () => {
  it.live("datagrams arrive with their sequence and timestamp, between groups", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(lite05)
        const { track } = cameraOfOurs(it, alice, { timescale: 48_000 })
        const first = track.appendGroup()
        first.write(bytes("key"), 959)
        const audio = it.theirs.consume(path).subscribe("video")
        assert.strictEqual((yield* nextTheirs(audio)).sequence, 0)
        // theirs keeps a datagram for 50 ms only: whoever wants it waits for it
        const received = yield* Effect.forkScoped(
          Effect.promise(async () => [await audio.recvDatagram(), await audio.recvDatagram()]),
          { startImmediately: true }
        )
        track.appendDatagram(bytes("one"), 960)
        const group = track.appendGroup()
        group.write(bytes("key"), 961)
        group.finish()
        track.appendDatagram(bytes("two"), 1_920)
        assert.deepStrictEqual(
          (yield* Fiber.join(received)).map((datagram) => [
            datagram?.sequence,
            datagram?.timestamp.value,
            datagram?.payload.length
          ]),
          [
            [1, 960, 3],
            [3, 1_920, 3]
          ]
        )
        assert.strictEqual((yield* nextTheirs(audio)).sequence, 2)
      })
    )
  )

  it.live("a single group is served, from its first frame, and one that is not there is refused", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(lite05)
        const { track } = cameraOfOurs(it)
        for (const name of ["a", "b"]) {
          writeOurs(track, name, `${name}2`)
        }
        const handle = it.theirs.consume(path).track("video")
        const group = yield* Effect.promise(() => handle.fetchGroup(0))
        assert.deepStrictEqual(yield* readTheirs(group), [
          { timestamp: 0, text: "a" },
          { timestamp: 1, text: "a2" }
        ])
        const missing = Effect.tryPromise(async () => (await handle.fetchGroup(7)).readFrame())
        assert.isTrue(Exit.isFailure(yield* Effect.exit(missing)))
        const info = yield* Effect.promise<Net.Track.Info>(() => handle.info())
        assert.strictEqual(Number(info.timescale), 1_000)
        assert.strictEqual(info.latencyMax, 30_000)
      })
    )
  )

  it.live("wishes that change: the end of the range is raised", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(lite05)
        const { track } = cameraOfOurs(it)
        for (let n = 0; n < 5; n++) writeOurs(track, `${n}`)
        const video = it.theirs.consume(path).subscribe("video", { startGroup: 1, endGroup: 2 })
        const sequences: Array<number> = []
        for (let n = 0; n < 2; n++) sequences.push((yield* nextTheirs(video)).sequence)
        assert.sameMembers(sequences, [1, 2], "in the order of their arrival")
        const more = Effect.promise(() => video.recvGroup())
        assert.isTrue(Option.isNone(yield* Effect.timeoutOption(more, 50)), "nothing above the end")
        video.close()
        const further = it.theirs.consume(path).subscribe("video", { startGroup: 1, endGroup: 1 })
        assert.strictEqual((yield* nextTheirs(further)).sequence, 1)
        further.update({ startGroup: 1, endGroup: 3 })
        const raised = [(yield* nextTheirs(further)).sequence, (yield* nextTheirs(further)).sequence]
        assert.sameMembers(raised, [2, 3])
      })
    )
  )

  it.live("our measurements reach them", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(lite05, { stats: { smoothedRtt: 25, estimatedSendRate: 5_000_000 } })
        const probe = yield* Effect.promise(async () => {
          for (;;) {
            const probe = it.theirs.probe.peek()
            if (probe.rtt !== undefined) return probe
            await it.theirs.probe.changed()
          }
        })
        assert.strictEqual(probe.rtt, 25)
      })
    )
  )
})

describe("@moq/net's publisher to our subscriber, lite-05:", () => {
  it.live("datagrams arrive with their sequence and timestamp, between groups", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(lite05)
        const { track } = cameraOfTheirs(it, alice, { timescale: Net.Time.Timescale(48_000) })
        const first = track.appendGroup()
        first.writeFrame(frame("first", 959, 48_000))
        first.close()
        const audio = yield* it.session.consume(alice).subscribe("video")
        yield* readOurs(yield* nextOurs(audio)) // served: what is sent as a datagram now is sent to us
        const at = (value: number) => new Net.Time.Timestamp(value, Net.Time.Timescale(48_000))
        track.appendDatagram(at(960), bytes("one"))
        const group = track.appendGroup()
        group.writeFrame(frame("key", 961, 48_000))
        group.close()
        track.appendDatagram(at(1_920), bytes("two"))
        const received: Array<readonly [number, boolean, ReadonlyArray<unknown>]> = []
        for (let n = 0; n < 3; n++) {
          const group: Group.GroupConsumer = yield* nextOurs(audio)
          received.push([group.sequence, group.datagram, yield* readOurs(group)])
        }
        assert.deepStrictEqual(
          received.toSorted((a, b) => a[0] - b[0]),
          [
            [1, true, [{ timestamp: 960, text: "one" }]],
            [2, false, [{ timestamp: 961, text: "key" }]],
            [3, true, [{ timestamp: 1_920, text: "two" }]]
          ]
        )
      })
    )
  )

  it.live("a single group is fetched, from its first frame, and one that is not there is refused", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(lite05)
        const { track } = cameraOfTheirs(it)
        for (const name of ["a", "b"]) {
          writeTheirs(track, name, `${name}2`)
        }
        const broadcast = it.session.consume(alice)
        const group = yield* broadcast.fetch("video", 0)
        assert.deepStrictEqual(yield* readOurs(group), [
          { timestamp: 0, text: "a" },
          { timestamp: 1, text: "a2" }
        ])
        track.writeGroup(new Net.Group.Producer(9))
        // theirs waits for a group that may still come, and refuses one that was passed over
        const missing = Effect.flatMap(broadcast.fetch("video", 7), (group) => group.read)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(missing)))
      })
    )
  )

  it.live("a range of groups, and wishes reach the publisher", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(lite05)
        const { track } = cameraOfTheirs(it)
        for (let n = 0; n < 5; n++) writeTheirs(track, `${n}`)
        const wishes = { start: 1, end: 3, priority: 200, ordered: true, maxLatencyMs: 700 }
        const video = yield* it.session.consume(alice).subscribe("video", wishes)
        const sequences: Array<number> = []
        for (let n = 0; n < 3; n++) sequences.push((yield* nextOurs(video)).sequence)
        assert.deepStrictEqual(sequences.toSorted(), [1, 2, 3])
        const asked = track.subscription.peek()
        assert.strictEqual(asked?.priority, 200)
        assert.strictEqual(asked?.ordered, true)
        assert.strictEqual(asked?.latencyMax, 700)
      })
    )
  )

  it.live("the end of a track is told by what it counted", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(lite05)
        const { track } = cameraOfTheirs(it)
        const first = track.appendGroup()
        first.close()
        const video = yield* it.session.consume(alice).subscribe("video")
        yield* nextOurs(video) // the subscription is served
        const reading = yield* Effect.forkScoped(
          Effect.gen(function* () {
            let groups = 0
            for (;;) {
              const next = yield* video.next
              if (next === End) return groups
              if ("_tag" in next) return yield* Effect.die(new Error("lagged"))
              yield* readOurs(next)
              groups++
            }
          })
        )
        for (let n = 0; n < 100; n++) writeTheirs(track, `${n}`)
        track.close()
        assert.strictEqual(yield* Fiber.join(reading), 100)
      })
    )
  )
})
