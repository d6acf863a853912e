/** What a session must withstand: readers that do not read, peers that vanish, crowds that come and go. */
import { type Watcher, Watchers } from "@effect-live/actor/Watcher"
import { End } from "@effect-live/endpoint/Stream"
import { run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Limits from "../src/Limits.ts"
import * as Origin from "../src/Origin.ts"
import * as Session from "../src/Session.ts"
import * as Track from "../src/Track.ts"
import { lite03 } from "../src/Version.ts"
import { heard, say, settle } from "./support/raw.ts"
import { allOf, camera, connected, framesOf, groupOf, sessionOn } from "./support/world.ts"

/** A group is larger than what a transport takes for a reader that does not read (1.25 MB per stream). */
const frame = new Uint8Array(40_000)
const framesPerGroup = 60
const groupBytes = framesPerGroup * (frame.length + Limits.frameOverheadBytes + 4)
const retention = { bytes: 4 * groupBytes }

/** A publisher on node `a`; `dial` opens a connection of a named node to it. */
const publisher = Effect.gen(function* () {
  const network = yield* SimNetwork
  const origin = Origin.make()
  const { broadcast, video } = camera({ retention })
  origin.publish("ada", broadcast.consume())
  const a = yield* network.bind("a")
  yield* a.setAlpns([lite03.alpn])
  const accept = Effect.flatMap(a.accept, (connection) =>
    Session.make({ connection, version: lite03, publish: origin, hop: 1 })
  )
  yield* Effect.forkScoped(Effect.forever(accept))
  const dial = (name: string) =>
    Effect.flatMap(network.bind(name), (endpoint) => endpoint.connect(network.addr("a"), [lite03.alpn]))
  /** A group every two seconds, as a camera makes them. */
  const film = (groups: number) =>
    Effect.gen(function* () {
      let most = 0
      for (let n = 0; n < groups; n++) {
        const group = video.appendGroup()
        for (let index = 0; index < framesPerGroup; index++) {
          group.write(frame)
          most = Math.max(most, video.kept.bytes)
          yield* Effect.sleep(2_000 / framesPerGroup)
        }
        group.finish()
      }
      video.finish()
      return most
    })
  return { network, video, dial, film }
})

/** Groups and frames that a well-behaved viewer got. */
const watch = (dial: Effect.Success<typeof publisher>["dial"], name: string) =>
  Effect.gen(function* () {
    const { session } = yield* sessionOn(yield* dial(name))
    const track = yield* session.consume("ada").subscribe("video")
    return yield* Effect.forkScoped(
      Effect.gen(function* () {
        let [groups, frames] = [0, 0]
        for (;;) {
          const next = yield* track.next
          if (next === End) return { groups, frames }
          if ("_tag" in next) return yield* Effect.die(new Error(`lagged ${next.groups}`))
          frames += (yield* framesOf(next)).length
          groups++
        }
      })
    )
  })

describe("a publisher withstands", () => {
  it.effect("a subscriber that stalls: its memory stays flat and the neighbour gets everything", () =>
    run(
      Effect.gen(function* () {
        const { dial, film, video } = yield* publisher
        const stalled = yield* dial("stalled")
        const stream = yield* stalled.openBi
        yield* say(stream, "02 10 00 03616461 05766964656f 00 00 00 00 00")
        const neighbour = yield* watch(dial, "neighbour")
        const most = yield* film(40)
        assert.isAtMost(most, retention.bytes + groupBytes)
        assert.deepStrictEqual(yield* Fiber.join(neighbour), { groups: 40, frames: 40 * framesPerGroup })
        // the oldest groups that it did not read were given up
        let [whole, lost] = [0, 0]
        for (;;) {
          const group = yield* Effect.timeoutOption(stalled.acceptUni, 1_000)
          if (group._tag === "None") break
          yield* Effect.sleep(10)
          if (/RESET (26|2)$/.test(heard(group.value))) lost++
          else whole++
        }
        assert.isAtLeast(lost, 30)
        assert.isAtMost(whole, 5)
        assert.isAtMost(video.kept.bytes, retention.bytes)
      }),
      { seed: 1 }
    )
  )

  it.effect("a subscriber that gets one byte a second: neither memory nor neighbours notice", () =>
    run(
      Effect.gen(function* () {
        const { dial, film, network } = yield* publisher
        const slow = yield* dial("slow")
        const { session } = yield* sessionOn(slow)
        const track = yield* session.consume("ada").subscribe("video")
        network.setLink("a", "slow", { bytesPerSecond: 1 })
        const neighbour = yield* watch(dial, "neighbour")
        const most = yield* film(20)
        assert.isAtMost(most, retention.bytes + groupBytes)
        assert.deepStrictEqual(yield* Fiber.join(neighbour), { groups: 20, frames: 20 * framesPerGroup })
        assert.strictEqual(track.name, "video")
      }),
      { seed: 2 }
    )
  )

  it.effect(
    "a subscriber whose peer grants no more streams: waiting groups are given up, oldest first, and the newest arrives",
    () =>
      run(
        Effect.gen(function* () {
          const { dial, video } = yield* publisher
          const stalled = yield* dial("stalled")
          const stream = yield* stalled.openBi
          yield* say(stream, "02 10 00 03616461 05766964656f 00 00 00 00 00")
          yield* video.used
          const groups = 1_600
          for (let n = 0; n < groups; n++) {
            const group = video.appendGroup()
            group.write(Uint8Array.of(n & 0xff))
            group.finish()
            yield* Effect.sleep(20)
          }
          const arrived = new Set<string>()
          for (;;) {
            const group = yield* Effect.timeoutOption(stalled.acceptUni, 5_000)
            if (group._tag === "None") break
            yield* Effect.sleep(10)
            arrived.add(heard(group.value))
          }
          const newest = groups - 1
          assert.isBelow(arrived.size, groups, "there were more than the peer takes and we keep")
          assert.isAtLeast(arrived.size, 1_000)
          assert.isTrue(arrived.has(`0003004${newest.toString(16)}01${(newest & 0xff).toString(16)} FIN`))
        }),
        { seed: 8 }
      )
  )

  it.effect(
    "a subscriber out of reach: what was sent and does not arrive is bounded, and the newest groups do arrive",
    () =>
      run(
        Effect.gen(function* () {
          const { dial, network, video } = yield* publisher
          const away = yield* dial("away")
          const stream = yield* away.openBi
          yield* say(stream, "02 10 00 03616461 05766964656f 00 00 00 00 00")
          yield* video.used
          network.partition([["a"], ["away"]])
          const groups = Limits.undeliveredGroupsPerSubscription + 200
          for (let n = 0; n < groups; n++) {
            const group = video.appendGroup()
            group.write(Uint8Array.of(n & 0xff))
            group.finish()
            yield* Effect.sleep(10)
          }
          network.heal()
          let whole = 0
          for (;;) {
            const group = yield* Effect.timeoutOption(away.acceptUni, 20_000)
            if (group._tag === "None") break
            yield* Effect.sleep(10)
            if (heard(group.value).endsWith("FIN")) whole++
          }
          assert.isAtLeast(whole, Limits.undeliveredGroupsPerSubscription)
          assert.isBelow(whole, groups - 100, "most of what was given up does not arrive")
        }),
        { seed: 9 }
      )
  )

  it.effect("a local consumer that does not read: it is told how many groups it lost", () =>
    run(
      Effect.gen(function* () {
        const { film, video } = yield* publisher
        const lazy = video.consume()
        yield* film(50)
        const groups = yield* Effect.forEach([1, 2], () => lazy.next)
        const [lagged, first] = groups
        assert.isTrue(
          lagged !== undefined && lagged !== End && "_tag" in lagged && lagged.groups === 50 - video.kept.groups
        )
        assert.isTrue(
          first !== undefined && first !== End && !("_tag" in first) && first.sequence === 50 - video.kept.groups
        )
      }),
      { seed: 3 }
    )
  )

  it.effect("a subscriber whose machine dies: its subscription ends with the connection", () =>
    run(
      Effect.gen(function* () {
        const { dial, network, video } = yield* publisher
        yield* watch(dial, "mortal")
        yield* video.used
        yield* network.crash("mortal")
        yield* video.unused
      }),
      { seed: 4 }
    )
  )
})

describe("a subscriber withstands", () => {
  it.effect("a publisher whose machine dies: tracks fail within 35 seconds and the session says why", () =>
    run(
      Effect.gen(function* () {
        const { dial, film, network } = yield* publisher
        const { session } = yield* sessionOn(yield* dial("b"))
        const track = yield* session.consume("ada").subscribe("video")
        yield* Effect.forkScoped(film(100))
        const group = yield* groupOf(track)
        yield* group.read
        const before = yield* Clock.currentTimeMillis
        yield* network.crash("a")
        assert.strictEqual((yield* Effect.flip(framesOf(group))).code, ErrorCode.transport)
        assert.strictEqual((yield* Effect.flip(allOf(track))).code, ErrorCode.transport)
        assert.strictEqual((yield* session.closed)._tag, "IdleTimeout")
        assert.isAtMost((yield* Clock.currentTimeMillis) - before, 35_000)
      }),
      { seed: 5 }
    )
  )

  it.effect("a lossy, slow and jittery link: every group that arrives is exact", () =>
    run(
      Effect.gen(function* () {
        const { dial, film } = yield* publisher
        const neighbour = yield* watch(dial, "b")
        yield* film(10)
        assert.deepStrictEqual(yield* Fiber.join(neighbour), { groups: 10, frames: 10 * framesPerGroup })
      }),
      { seed: 6, link: { latencyMs: 40, jitterMs: 20, loss: 0.05, bytesPerSecond: 5_000_000 } }
    )
  )
})

describe("a subscriber of lite-03 is not told that a track is complete", () => {
  /** The publisher ends the subscription, leaves this behind, and goes. */
  const left = (hex: string, test: (track: Track.TrackConsumer) => Effect.Effect<void, unknown>) =>
    run(
      Effect.gen(function* () {
        const [peer, connection] = yield* connected
        const { session } = yield* sessionOn(connection)
        yield* peer.acceptBi
        const subscribing = yield* Effect.forkScoped(session.consume("ada").subscribe("video"))
        const stream = yield* peer.acceptBi
        yield* say(stream, "00 05 00 00 00 00 00")
        const track = yield* Fiber.join(subscribing)
        const first = yield* peer.openUni
        yield* say(first, "00 02 00 00 01 61")
        first.finish()
        stream.send.finish()
        if (hex !== "") yield* say(yield* peer.openUni, hex)
        yield* settle
        peer.close(0, "gone")
        yield* test(track)
      }),
      { seed: 10 }
    )

  it.effect("when a stream was cut before its header came: it may have been one of its groups", () =>
    left("00 02 00", (track) =>
      Effect.map(Effect.flip(allOf(track)), ({ code }) => assert.strictEqual(code, ErrorCode.transport))
    )
  )

  it.effect("and is told so when nothing was cut", () =>
    left("", (track) => Effect.map(allOf(track), (groups) => assert.deepStrictEqual(groups, ["0:a"])))
  )
})

describe("nothing stays behind", () => {
  it("of 10,000 groups without a reader, but what the limits of retention allow", () => {
    const track = Track.make("video")
    for (let n = 0; n < 10_000; n++) {
      const group = track.appendGroup()
      group.write(frame)
      group.finish()
      assert.isAtMost(track.kept.groups, Limits.retention.groups)
      assert.isAtMost(track.kept.bytes, Limits.retention.bytes)
    }
  })

  it.effect("of 200 sessions that came, watched and went", () => {
    let running = 0
    const count: Watcher = () => {
      running++
      return { ended: () => void running-- }
    }
    return run(
      Effect.gen(function* () {
        const { dial, video } = yield* publisher
        const group = video.appendGroup()
        group.write(frame)
        for (let n = 0; n < 200; n++) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { session } = yield* sessionOn(yield* dial(`viewer${n % 7}`))
              const track = yield* session.consume("ada").subscribe("video")
              yield* (yield* groupOf(track)).read
            })
          )
        }
        yield* video.unused
        yield* Effect.sleep(1_000)
        assert.strictEqual(running, 0, "actors")
      }),
      { seed: 7 }
    ).pipe(Effect.provideService(Watchers, [count]))
  })
})
