/** What moq-lite section 8 adds for lite-05, point by point in its order, towards a peer made of bytes. */
import type { Connection } from "@effect-live/endpoint/Connection"
import type { BiStream } from "@effect-live/endpoint/Stream"
import { run, type SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import type { Stuck } from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Scope } from "effect"
import * as Broadcast from "../src/Broadcast.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Limits from "../src/Limits.ts"
import type * as Track from "../src/Track.ts"
import { lite05 } from "../src/Version.ts"
import { ended, fromHex, heard, say, settle, toHex } from "./support/raw.ts"
import { allOf, bytes, camera, connectedOn, framesOf, groupOf, type Node, sessionOn } from "./support/world.ts"

interface Scene extends Node {
  readonly peer: Connection
  readonly broadcast: Broadcast.BroadcastProducer
  readonly video: Track.TrackProducer
  /** The Announce stream that our session opened. */
  readonly announces: BiStream
}

/** A session of ours, hop 42, that publishes `alice` with a track `video`; the peer has said its SETUP unless told otherwise. */
const scene = <A, E>(
  test: (scene: Scene) => Effect.Effect<A, E, SimNetwork | Scope.Scope>,
  { setup = "01 01 00" }: { readonly setup?: string } = {}
): Effect.Effect<A, E | Stuck> =>
  run(
    Effect.gen(function* () {
      const [peer, connection] = yield* connectedOn(lite05)
      const { origin, session } = yield* sessionOn(connection)
      const { broadcast, video } = camera({ priority: 9, timescale: 1_000 })
      origin.publish("alice", broadcast.consume())
      if (setup !== "") yield* sayUni(peer, setup)
      const announces = yield* Effect.orDie(peer.acceptBi)
      yield* settle
      return yield* test({ peer, origin, session, broadcast, announces, video })
    }),
    { seed: 1 }
  )

const open = (peer: Connection) => Effect.orDie(peer.openBi)
const sayUni = (peer: Connection, hex: string) =>
  Effect.flatMap(Effect.orDie(peer.openUni), (send) =>
    Effect.andThen(
      say(send, hex),
      Effect.sync(() => send.finish())
    )
  )
/** A request and what came back until now. */
const ask = (peer: Connection, hex: string) =>
  Effect.gen(function* () {
    const stream = yield* open(peer)
    yield* say(stream, hex)
    yield* settle
    return [stream, heard(stream.recv)] as const
  })
const nextUni = (peer: Connection) =>
  Effect.gen(function* () {
    const recv = yield* Effect.orDie(peer.acceptUni)
    yield* settle
    return heard(recv)
  })

const ourSetup = "01070201010105012a FIN"
const subscribeVideo = "02 12 00 05616c696365 05766964656f 00 00 00 00 00"
const askVideo = "06 0c 05616c696365 05766964656f"
/** Priority 9, unordered, 30 s, 1,000 units per second. */
const videoInfo = "0809008000753043e8"

describe("lite-05 checklist", () => {
  it.effect("SETUP first and once", () =>
    scene((it) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* nextUni(it.peer), ourSetup, "probe 1, origin 42")
        assert.strictEqual(heard(it.announces.recv), "0102002a", "everything, but what passed hop 42")
        assert.deepStrictEqual(it.session.peerSetup(), { probe: 0 })
        yield* sayUni(it.peer, "01 04 01 05 01 2a")
        const close = yield* it.peer.closed
        assert.strictEqual(close._tag === "Remote" ? close.code : -1, ErrorCode.protocolViolation, "a second one")
      })
    )
  )

  it.effect("nothing is answered before the peer's SETUP, which has ten seconds", () =>
    scene(
      (it) =>
        Effect.gen(function* () {
          const [stream, before] = yield* ask(it.peer, askVideo)
          assert.strictEqual(before, "")
          yield* sayUni(it.peer, "01 01 00")
          yield* settle
          assert.strictEqual(heard(stream.recv), `${videoInfo} FIN`)
        }),
      { setup: "" }
    )
  )

  it.effect("a peer without a SETUP is left after ten seconds, one with a SETUP that cannot be read at once", () =>
    Effect.gen(function* () {
      for (const [setup, code] of [
        ["", ErrorCode.timeout],
        ["01 02 01 05", ErrorCode.decode],
        ["01", ErrorCode.decode]
      ] as const) {
        yield* scene(
          (it) =>
            Effect.gen(function* () {
              const close = yield* it.peer.closed
              assert.strictEqual(close._tag === "Remote" ? close.code : -1, code)
            }),
          { setup }
        )
      }
    })
  )

  it.effect("ANNOUNCE_OK with a non-zero 53-bit hop id, and as many announcements as it says", () =>
    scene((it) =>
      Effect.gen(function* () {
        it.origin.publish("room/bob", it.broadcast.consume(), [7, 300])
        const [all, said] = yield* ask(it.peer, "01 02 00 00")
        assert.strictEqual(said, "022a02080105616c696365000e0108726f6f6d2f626f620207412c")
        const [, room] = yield* ask(it.peer, "01 06 04 726f6f6d 07")
        assert.strictEqual(room, "022a00", "what passed hop 7 is not for it")
        it.origin.unpublish("room/bob")
        yield* settle
        assert.strictEqual(heard(all.recv), "0b0008726f6f6d2f626f6200")
      })
    )
  )

  it.effect("we hear of a broadcast by the way it took, its sender last; what passed ourselves we do not take", () =>
    scene((it) =>
      Effect.gen(function* () {
        yield* say(it.announces, "02 0c 0206 01 03 626f62 0007 01 03 657665 01 2a")
        yield* settle
        assert.deepStrictEqual(it.session.announcedNow(), ["bob"])
        yield* say(it.announces, "06 00 03 657665 00")
        yield* settle
        assert.deepStrictEqual(it.session.announcedNow(), ["bob"], "its end means nothing")
        assert.strictEqual((yield* it.session.closed.pipe(Effect.timeoutOption(100)))._tag, "None")
      })
    )
  )

  it.effect("restart by duplicate Active: another origin is another broadcast, the same one another way", () =>
    scene((it) =>
      Effect.gen(function* () {
        yield* say(it.announces, "02 0c 0107 01 03 626f62 01 07")
        yield* settle
        const bob = it.session.consume("bob")
        const over = yield* Effect.forkScoped(bob.closed)
        yield* say(it.announces, "08 01 03 626f62 02 07 08")
        yield* settle
        assert.isUndefined(over.pollUnsafe())
        yield* say(it.announces, "07 01 03 626f62 01 09")
        yield* Fiber.join(over)
        yield* settle
        assert.deepStrictEqual(it.session.announcedNow(), ["bob"])
      })
    )
  )

  it.effect("we say a restart where that says what happened: other content of another origin, or another way", () =>
    scene((it) =>
      Effect.gen(function* () {
        const first = it.broadcast.consume()
        it.origin.publish("bob", first, [7])
        const [stream, said] = yield* ask(it.peer, "01 05 03 626f62 00")
        assert.strictEqual(said, "022a010401000107")
        it.origin.publish("bob", first, [7, 8])
        yield* settle
        assert.strictEqual(heard(stream.recv), "050100020708", "another way")
        it.origin.publish("bob", Broadcast.make().consume(), [9])
        yield* settle
        assert.strictEqual(heard(stream.recv), "0401000109", "another origin")
        it.origin.publish("bob", Broadcast.make().consume(), [9])
        yield* settle
        assert.strictEqual(heard(stream.recv), "030000000401000109", "other content of the same origin")
      })
    )
  )

  it.effect("TRACK_INFO before frames: asked for with the subscription, which is accepted by it", () =>
    scene((it) =>
      Effect.gen(function* () {
        const [, said] = yield* ask(it.peer, askVideo)
        assert.strictEqual(said, `${videoInfo} FIN`)
        assert.strictEqual((yield* ask(it.peer, "06 0c 05616c696365 05617564696f"))[1], `RESET ${ErrorCode.notFound}`)
        assert.strictEqual((yield* ask(it.peer, "06 0b 03626f62 05617564696f 00"))[1], `RESET ${ErrorCode.decode}`)

        const subscribing = yield* Effect.forkScoped(
          it.session.consume("bob").subscribe("video", { priority: 3, maxLatencyMs: 500, start: 2, end: 9 })
        )
        const streams = [yield* Effect.orDie(it.peer.acceptBi), yield* Effect.orDie(it.peer.acceptBi)]
        yield* settle
        const [subscription, info] = streams
        if (subscription === undefined || info === undefined) return assert.fail("two streams")
        assert.strictEqual(heard(subscription.recv), "02110003626f6205766964656f030041f4030a")
        assert.strictEqual(heard(info.recv), "060a03626f6205766964656f")
        // frames may overtake the answer
        yield* sayUni(it.peer, "00 02 00 02 47d0 03 6b6579 4050 05 64656c7461 27 01 62")
        yield* settle
        assert.isUndefined(subscribing.pollUnsafe())
        yield* say(info, "08 07 01 47d0 800f4240")
        info.send.finish()
        const track = yield* Fiber.join(subscribing)
        assert.deepStrictEqual(track.info, { priority: 7, ordered: true, maxLatencyMs: 2_000, timescale: 1_000_000 })
        const group = yield* groupOf(track)
        const timestamps: Array<number | undefined> = []
        for (let n = 0; n < 3; n++) {
          yield* group.read
          timestamps.push(group.timestamp)
        }
        assert.deepStrictEqual(timestamps, [1_000, 1_040, 1_020])
      })
    )
  )

  it.effect(
    "a track that was asked about counts as used for a second; what comes meanwhile is for the subscription",
    () =>
      scene((it) =>
        Effect.gen(function* () {
          yield* Effect.orDie(it.peer.acceptUni)
          yield* ask(it.peer, askVideo)
          yield* ask(it.peer, askVideo)
          assert.strictEqual(it.video.consumers, 1, "one offer at a time")
          for (const frame of ["a", "b"]) {
            const group = it.video.appendGroup()
            group.write(bytes(frame), 0)
            group.finish()
          }
          const [stream, said] = yield* ask(it.peer, subscribeVideo)
          assert.strictEqual(said, "000100", "the first group since then, not the newest")
          stream.send.finish()
          yield* it.video.unused
          yield* ask(it.peer, askVideo)
          assert.strictEqual(it.video.consumers, 1)
          yield* Effect.sleep(Limits.trackLingerMs)
          assert.strictEqual(it.video.consumers, 0)
          assert.strictEqual((yield* ask(it.peer, subscribeVideo))[1], "000101", "then it is the newest again")
          yield* ask(it.peer, askVideo)
          assert.strictEqual(it.video.consumers, 1, "a subscription is there")
        })
      )
  )

  it.effect("a track that ends before the peer has asked about it counts as used until it has, or for a second", () =>
    scene((it) =>
      Effect.gen(function* () {
        yield* Effect.orDie(it.peer.acceptUni)
        const [stream] = yield* ask(it.peer, subscribeVideo)
        const group = it.video.appendGroup()
        group.write(bytes("a"), 0)
        group.finish()
        it.video.finish()
        yield* settle
        stream.send.finish()
        yield* settle
        assert.strictEqual(it.video.consumers, 1, "the question may still be on its way")
        const [, info] = yield* ask(it.peer, askVideo)
        assert.isAbove(info.length, 0)
        yield* settle
        assert.strictEqual(it.video.consumers, 0)
        const [silent] = yield* ask(it.peer, subscribeVideo)
        silent.send.finish()
        yield* Effect.sleep(Limits.trackLingerMs)
        assert.strictEqual(it.video.consumers, 0)
      })
    )
  )

  it.effect("START with the first group, END before FIN; zigzag deltas", () =>
    scene((it) =>
      Effect.gen(function* () {
        yield* Effect.orDie(it.peer.acceptUni)
        const [stream, before] = yield* ask(it.peer, subscribeVideo)
        assert.strictEqual(before, "", "acceptance says nothing")
        for (const [timestamps, frames] of [
          [
            [1_000, 1_040, 1_020],
            ["key", "delta", "b"]
          ],
          [[5], ["x"]]
        ] as const) {
          const group = it.video.appendGroup()
          for (const [index, frame] of frames.entries()) group.write(bytes(frame), timestamps[index] ?? 0)
          group.finish()
        }
        assert.strictEqual(yield* nextUni(it.peer), "0002000047d0036b657940500564656c7461270162 FIN")
        assert.strictEqual(yield* nextUni(it.peer), "000200010a0178 FIN")
        assert.strictEqual(heard(stream.recv), "000100")
        it.video.finish()
        yield* settle
        assert.strictEqual(heard(stream.recv), "010102 FIN")
        assert.strictEqual(
          (yield* ask(it.peer, subscribeVideo.replace("00 00 00 00 00", "00 00 00 10 00")))[1],
          "010102 FIN"
        )
      })
    )
  )

  it.effect("a track without groups ends with END 0, and ours then at once", () =>
    scene((it) =>
      Effect.gen(function* () {
        it.video.finish()
        assert.strictEqual((yield* ask(it.peer, subscribeVideo))[1], "010100 FIN")
        const subscribing = yield* Effect.forkScoped(it.session.consume("bob").subscribe("video"))
        const [subscription, info] = [yield* Effect.orDie(it.peer.acceptBi), yield* Effect.orDie(it.peer.acceptBi)]
        yield* say(info, videoInfo)
        yield* say(subscription, "01 01 00")
        subscription.send.finish()
        assert.deepStrictEqual(yield* allOf(yield* Fiber.join(subscribing)), [])
      })
    )
  )

  it.effect("a gap at the end is known: the groups that END counts and that do not come are told before the end", () =>
    scene((it) =>
      Effect.gen(function* () {
        const subscribing = yield* Effect.forkScoped(it.session.consume("bob").subscribe("video"))
        const [subscription, info] = [yield* Effect.orDie(it.peer.acceptBi), yield* Effect.orDie(it.peer.acceptBi)]
        yield* say(info, videoInfo)
        yield* say(subscription, "00 01 0501 01 09")
        subscription.send.finish()
        for (const sequence of ["05", "07"]) yield* sayUni(it.peer, `00 02 00 ${sequence} 00 01 78`)
        assert.deepStrictEqual(yield* allOf(yield* Fiber.join(subscribing)), ["5:x", "7:x", "lagged 2"])
      })
    )
  )

  it.effect("a close before an announced group had come is no clean end", () =>
    scene((it) =>
      Effect.gen(function* () {
        const subscribing = yield* Effect.forkScoped(it.session.consume("bob").subscribe("video"))
        const [subscription, info] = [yield* Effect.orDie(it.peer.acceptBi), yield* Effect.orDie(it.peer.acceptBi)]
        yield* say(info, videoInfo)
        yield* say(subscription, "00 01 0501 01 07")
        subscription.send.finish()
        yield* sayUni(it.peer, "00 02 00 05 00 01 78")
        const track = yield* Fiber.join(subscribing)
        yield* settle
        it.peer.close(0, "gone")
        assert.strictEqual((yield* Effect.flip(allOf(track))).code, ErrorCode.transport)
      })
    )
  )

  it.effect("datagrams only where the connection has them, whole groups with an absolute timestamp", () =>
    scene((it) =>
      Effect.gen(function* () {
        yield* Effect.orDie(it.peer.acceptUni)
        const [stream] = yield* ask(it.peer, subscribeVideo.replace("02 12 00", "02 12 07"))
        it.video.appendDatagram(bytes("hello"), 1_000)
        assert.strictEqual(toHex(yield* Effect.orDie(it.peer.readDatagram)), "070043e868656c6c6f")
        assert.strictEqual(heard(stream.recv), "000100")
        it.video.appendDatagram(new Uint8Array(it.peer.maxDatagramBytes()), 1_001)
        yield* settle
        assert.strictEqual(
          it.session.counters().droppedDatagrams,
          1,
          "too large for a datagram, and there is no other way"
        )

        const subscribing = yield* Effect.forkScoped(it.session.consume("bob").subscribe("video"))
        const [subscription, info] = [yield* Effect.orDie(it.peer.acceptBi), yield* Effect.orDie(it.peer.acceptBi)]
        yield* say(info, videoInfo)
        const track = yield* Fiber.join(subscribing)
        for (const hex of ["00 2a 43e8 68656c6c6f", "05 2a 43e8 00", "40"]) {
          yield* Effect.orDie(it.peer.sendDatagram(fromHex(hex)))
        }
        const group = yield* groupOf(track)
        assert.strictEqual(group.sequence, 42)
        assert.isTrue(group.datagram)
        assert.deepStrictEqual(yield* framesOf(group), ["hello"])
        assert.strictEqual(group.timestamp, 1_000)
        yield* settle
        assert.strictEqual(it.session.counters().droppedDatagrams, 3, "an unknown subscription, and no datagram at all")
        yield* say(subscription, "00 01 2a01 01 2b")
        subscription.send.finish()
        assert.deepStrictEqual(yield* allOf(track), [])
      })
    )
  )
})

describe("lite-05 streams", () => {
  it.effect("FETCH: frames without a header, then FIN; a code for what is not there", () =>
    scene((it) =>
      Effect.gen(function* () {
        const group = it.video.appendGroup()
        group.write(bytes("key"), 1_000)
        const [stream, said] = yield* ask(it.peer, "03 0e 05616c696365 05766964656f 03 00")
        assert.strictEqual(said, "47d0036b6579")
        group.write(bytes("b"), 999)
        group.finish()
        yield* settle
        assert.strictEqual(heard(stream.recv), "010162 FIN")
        assert.strictEqual(
          (yield* ask(it.peer, "03 0e 05616c696365 05766964656f 03 07"))[1],
          `RESET ${ErrorCode.notFound}`
        )
        assert.strictEqual((yield* ask(it.peer, "03 0c 03626f62 05766964656f 03 07"))[1], `RESET ${ErrorCode.notFound}`)
      })
    )
  )

  it.effect("we fetch: TRACK_INFO first, then the frames, or why there are none", () =>
    scene((it) =>
      Effect.gen(function* () {
        const bob = it.session.consume("bob")
        const fetching = yield* Effect.forkScoped(bob.fetch("video", 7, { priority: 3 }))
        const info = yield* Effect.orDie(it.peer.acceptBi)
        yield* settle
        assert.strictEqual(heard(info.recv), "060a03626f6205766964656f")
        yield* say(info, videoInfo)
        info.send.finish()
        const stream = yield* Effect.orDie(it.peer.acceptBi)
        yield* settle
        // our half stays open until the answer is complete: moq-net takes its end for a withdrawal
        assert.strictEqual(heard(stream.recv), "030c03626f6205766964656f0307")
        yield* say(stream, "47d0 03 6b6579")
        const group = yield* Fiber.join(fetching)
        assert.strictEqual(group.sequence, 7)
        yield* say(stream, "01 01 62")
        stream.send.finish()
        assert.deepStrictEqual(yield* framesOf(group), ["key", "b"])
        assert.strictEqual(group.timestamp, 999)
        yield* settle
        assert.strictEqual(heard(stream.recv), "FIN")
        const missing = yield* Effect.forkScoped(Effect.flip(bob.fetch("audio", 0)))
        const refused = yield* Effect.orDie(it.peer.acceptBi)
        refused.send.reset(ErrorCode.toStream(ErrorCode.notFound))
        assert.strictEqual((yield* Fiber.join(missing)).reason._tag, "NotFound")
        const silent = yield* Effect.forkScoped(Effect.flip(bob.fetch("audio", 0)))
        assert.strictEqual((yield* Fiber.join(silent)).reason._tag, "NoAnswer")
      })
    )
  )

  it.effect("an update changes what is sent: the cap is raised, the priority and the latency too", () =>
    scene((it) =>
      Effect.gen(function* () {
        yield* Effect.orDie(it.peer.acceptUni)
        const [stream] = yield* ask(it.peer, "02 12 00 05616c696365 05766964656f 00 00 00 01 01")
        for (let n = 0; n < 3; n++) {
          const group = it.video.appendGroup()
          group.write(Uint8Array.of(n), 0)
          group.finish()
        }
        assert.strictEqual(yield* nextUni(it.peer), "00020000000100 FIN")
        const capped = yield* Effect.timeoutOption(it.peer.acceptUni, 100)
        assert.strictEqual(capped._tag, "None", "the stream stays open, groups above the end wait")
        yield* say(stream, "06 09 00 4064 00 03")
        assert.strictEqual(yield* nextUni(it.peer), "00020001000101 FIN")
        assert.strictEqual(yield* nextUni(it.peer), "00020002000102 FIN")
        it.video.finish()
        yield* settle
        assert.strictEqual(heard(stream.recv), "000100010103 FIN")
      })
    )
  )

  it.effect("our wishes are told again when they change", () =>
    scene((it) =>
      Effect.gen(function* () {
        const bob = it.session.consume("bob")
        const first = yield* Effect.forkScoped(bob.subscribe("video", { priority: 3 }))
        const [subscription, info] = [yield* Effect.orDie(it.peer.acceptBi), yield* Effect.orDie(it.peer.acceptBi)]
        yield* say(info, videoInfo)
        yield* Fiber.join(first)
        yield* settle
        heard(subscription.recv)
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* bob.subscribe("video", { priority: 200, start: 5 })
            yield* settle
            assert.strictEqual(heard(subscription.recv), "08c800800075300600")
          })
        )
        yield* settle
        assert.strictEqual(heard(subscription.recv), "080300800075300000")
      })
    )
  )

  it.effect("Probe: rate and RTT, at once and when they change; only where the peer measures", () =>
    scene(
      (it) =>
        Effect.gen(function* () {
          const [probe, said] = yield* ask(it.peer, "04")
          assert.match(said, /^09c0[0-9a-f]{14}02$/, "2 ms")
          yield* Effect.sleep(10_000)
          assert.match(heard(probe.recv), /^(09c0[0-9a-f]{14}02){1,2}$/, "again after ten seconds")
        }),
      { setup: "01 04 01 01 01 00" }
    )
  )

  it.effect("GOAWAY: told, and nothing new is asked for", () =>
    scene((it) =>
      Effect.gen(function* () {
        yield* ask(it.peer, "05 06 05 7468657265")
        assert.strictEqual(yield* it.session.goaway, "there")
        assert.strictEqual((yield* Effect.flip(it.session.consume("bob").subscribe("video"))).reason._tag, "GoingAway")
        yield* it.session.sendGoaway("x")
        const said = yield* Effect.orDie(it.peer.acceptBi)
        yield* settle
        assert.strictEqual(heard(said.recv), "05020178 FIN")
      })
    )
  )

  it.effect("an unknown request is refused and the session goes on", () =>
    scene((it) =>
      Effect.gen(function* () {
        for (const type of ["07", "20", "00"]) {
          const [stream, said] = yield* ask(it.peer, type)
          assert.strictEqual(said, "RESET 0")
          assert.strictEqual(ended(stream.send), "STOP 0")
        }
        assert.strictEqual((yield* ask(it.peer, askVideo))[1], `${videoInfo} FIN`)
      })
    )
  )
})
