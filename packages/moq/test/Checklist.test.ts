/** The conformance checklist of moq-lite section 8 for lite-03, point by point in its order, towards a peer made of bytes. */
import type { Connection } from "@effect-live/endpoint/Connection"
import { type Stuck } from "@effect-live/sim/Simulation"
import { run, type SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import type { BiStream } from "@effect-live/endpoint/Stream"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Scope } from "effect"
import * as Broadcast from "../src/Broadcast.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Limits from "../src/Limits.ts"
import type * as Track from "../src/Track.ts"
import { ended, fromHex, heard, say, settle, toHex } from "./support/raw.ts"
import { allOf, bytes, camera, connected, framesOf, groupOf, type Node, sessionOn, write } from "./support/world.ts"

interface Scene extends Node {
  readonly peer: Connection
  /** The Announce stream that our session opened. */
  readonly announces: BiStream
  readonly video: Track.TrackProducer
}

/** A session of ours that publishes `alice` with a track `video`, towards the peer; settled. */
const scene = <A, E>(
  test: (scene: Scene) => Effect.Effect<A, E, SimNetwork | Scope.Scope>
): Effect.Effect<A, E | Stuck> =>
  run(
    Effect.gen(function* () {
      const [peer, connection] = yield* connected
      const { origin, session } = yield* sessionOn(connection)
      const { broadcast, video } = camera({ priority: 9 })
      origin.publish("alice", broadcast.consume())
      const announces = yield* Effect.orDie(peer.acceptBi)
      yield* settle
      return yield* test({ peer, origin, session, announces, video })
    }),
    { seed: 1 }
  )

const open = (peer: Connection) => Effect.orDie(peer.openBi)
const openUni = (peer: Connection) => Effect.orDie(peer.openUni)
const alive = ({ session, peer }: Scene) =>
  Effect.gen(function* () {
    const stream = yield* open(peer)
    yield* say(stream, "01 01 00")
    yield* settle
    assert.strictEqual(heard(stream.recv), "080105616c69636501", `${session.version} still serves`)
  })

const subscribeVideo = "02 12 00 05616c696365 05766964656f 00 00 00 00 00"

describe("lite-03 checklist", () => {
  it.effect("ALPN moq-lite-03; opens Announce with prefix empty at start and answers theirs", () =>
    scene((it) =>
      Effect.gen(function* () {
        assert.strictEqual(it.session.version, "moq-lite-03")
        assert.strictEqual(heard(it.announces.recv), "010100")
        const room = yield* open(it.peer)
        yield* say(room, "01 05 04 726f6f6d")
        yield* settle
        assert.strictEqual(heard(room.recv), "", "nothing is published under room/")
        it.origin.publish("room/bob", Broadcast.make().consume())
        yield* settle
        assert.strictEqual(heard(room.recv), "0601 03 626f62 01".replaceAll(" ", ""))
      })
    )
  )

  it.effect(
    "type and first message in one write; one response per subscription, nothing after it, FIN at the end",
    () =>
      scene((it) =>
        Effect.gen(function* () {
          const subscription = yield* open(it.peer)
          yield* say(subscription, subscribeVideo)
          yield* settle
          assert.strictEqual(heard(subscription.recv), "00050900000000", "the publisher's track has priority 9")
          write(it.video, "key", "delta", "b")
          yield* settle
          const group = yield* Effect.orDie(it.peer.acceptUni)
          assert.strictEqual(heard(group), "00020000036b65790564656c74610162 FIN")
          it.video.finish()
          yield* settle
          assert.strictEqual(heard(subscription.recv), "FIN")

          const asked = yield* Effect.forkScoped(
            Effect.scoped(it.session.consume("room/alice").subscribe("video", { priority: 3 }))
          )
          const ours = yield* Effect.orDie(it.peer.acceptBi)
          yield* settle
          const first = ours.recv.tryRead()
          assert.strictEqual(
            first instanceof Uint8Array ? toHex(first) : "nothing",
            "021a000a726f6f6d2f616c69636505766964656f0301800075300000",
            "whole, in the first chunk"
          )
          yield* Fiber.interrupt(asked)
        })
      )
  )

  it.effect("no SUBSCRIBE_UPDATE, DROP, second OK, Track, Fetch, Goaway, Setup", () =>
    scene((it) =>
      Effect.gen(function* () {
        const consumer = it.session.consume("bob")
        const track = yield* Effect.forkScoped(consumer.subscribe("video", { priority: 1 }))
        const stream = yield* Effect.orDie(it.peer.acceptBi)
        yield* settle
        heard(stream.recv)
        yield* say(stream, "00 05 00 00 00 00 00")
        yield* Fiber.join(track)
        yield* consumer.subscribe("video", { priority: 200, start: 7 })
        yield* settle
        assert.strictEqual(heard(stream.recv), "", "another wish for the same track is not sent")
        const more = yield* Effect.timeoutOption(Effect.race(it.peer.acceptBi, it.peer.acceptUni), 10_000)
        assert.strictEqual(more._tag, "None", "no other stream was opened")
      })
    )
  )

  it.effect("Announce stream: never RESET; Ended only after our Active; Ended before a new Active; hop count 1", () =>
    scene((it) =>
      Effect.gen(function* () {
        const stream = yield* open(it.peer)
        yield* say(stream, "01 01 00")
        yield* settle
        assert.strictEqual(heard(stream.recv), "080105616c69636501")
        it.origin.publish("alice", Broadcast.make().consume())
        yield* settle
        assert.strictEqual(heard(stream.recv), "080005616c69636500080105616c69636501")
        it.origin.unpublish("nobody")
        yield* settle
        assert.strictEqual(heard(stream.recv), "", "what was never announced does not end")
        it.origin.close()
        yield* settle
        assert.strictEqual(heard(stream.recv), "080005616c69636500 FIN")
        for (const broken of ["01 03 02 c328", "01 80010001", "01 02 00 00"]) {
          const bad = yield* open(it.peer)
          yield* say(bad, broken)
          yield* settle
          assert.strictEqual(heard(bad.recv), "FIN", broken)
        }
      })
    )
  )

  it.effect("unknown Ended, late groups, groups before OK, gaps, reordering: accepted", () =>
    scene((it) =>
      Effect.gen(function* () {
        yield* say(it.announces, "08 00 05 616c696365 00" + "05 01 03 626f62 00".replace("05", "06"))
        yield* settle
        assert.deepStrictEqual(it.session.announcedNow(), ["bob"], "an end that means nothing, then a beginning")
        const track = yield* Effect.forkScoped(it.session.consume("bob").subscribe("video"))
        const stream = yield* Effect.orDie(it.peer.acceptBi)
        const group = (sequence: string, text: string) =>
          Effect.gen(function* () {
            const send = yield* openUni(it.peer)
            yield* say(send, `00 02 00 ${sequence} 01 ${toHex(bytes(text))}`)
            send.finish()
          })
        yield* group("05", "a")
        yield* settle
        yield* say(stream, "00 05 00 00 00 00 00")
        yield* group("09", "b")
        yield* settle
        yield* group("07", "c")
        yield* settle
        stream.send.finish()
        yield* settle
        yield* group("08", "d")
        const all = yield* allOf(yield* Fiber.join(track))
        assert.deepStrictEqual(all, ["5:a", "9:b", "7:c", "8:d"], "the last one came after the end of the subscription")
      })
    )
  )

  it.effect("stream codes mapped (4.8), raw 0 and unmapped codes accepted, session codes unmapped", () =>
    scene((it) =>
      Effect.gen(function* () {
        for (const [raw, code] of [
          [ErrorCode.toStream(13), ErrorCode.notFound],
          [0, ErrorCode.cancel],
          [77, ErrorCode.transport]
        ] as const) {
          const refused = yield* Effect.forkScoped(Effect.flip(it.session.consume("bob").subscribe("video")))
          const stream = yield* Effect.orDie(it.peer.acceptBi)
          stream.send.reset(raw)
          const { reason } = yield* Fiber.join(refused)
          assert.strictEqual(reason._tag === "Refused" ? reason.code : ErrorCode.notFound, code)
        }
        const unknown = yield* open(it.peer)
        yield* say(unknown, "02 12 00 05616c696366 05766964656f 00 00 00 00 00")
        yield* settle
        assert.strictEqual(heard(unknown.recv), `RESET ${ErrorCode.notFound}`)
        it.session.close(5, "bad")
        assert.deepStrictEqual(yield* it.peer.closed, { _tag: "Remote", code: 5, reason: "bad" })
      })
    )
  )

  it.effect("Probe: single byte to open, bits per second come back; FIN ends it", () =>
    scene((it) =>
      Effect.gen(function* () {
        const probe = yield* open(it.peer)
        yield* say(probe, "04")
        yield* settle
        assert.match(heard(probe.recv), /^08c0[0-9a-f]{14}$/, "one varint, the window of the simulated link is large")
        probe.send.finish()
        yield* Effect.sleep(200)
        assert.strictEqual(heard(probe.recv), "FIN")
        yield* alive(it)
      })
    )
  )

  it.effect("every length checked against section 7 before buffering; trailing bytes rejected", () =>
    scene((it) =>
      Effect.gen(function* () {
        const large = yield* open(it.peer)
        yield* say(large, `02 80010001`)
        yield* settle
        assert.strictEqual(heard(large.recv), `RESET ${ErrorCode.decode}`, `above ${Limits.maxMessageBytes} bytes`)
        const trailing = yield* open(it.peer)
        yield* say(trailing, "02 13 00 05616c696365 05766964656f 00 00 00 00 00 00")
        yield* settle
        assert.strictEqual(heard(trailing.recv), `RESET ${ErrorCode.decode}`)

        const track = yield* Effect.forkScoped(it.session.consume("bob").subscribe("video"))
        const stream = yield* Effect.orDie(it.peer.acceptBi)
        yield* say(stream, "00 05 00 00 00 00 00")
        const received = yield* Fiber.join(track)
        const frame = yield* openUni(it.peer)
        yield* say(frame, "00 02 00 00 82000001 ff")
        const group = yield* groupOf(received)
        assert.strictEqual((yield* Effect.flip(group.read)).code, ErrorCode.frameTooLarge)
        yield* settle
        assert.strictEqual(ended(frame), `STOP ${ErrorCode.frameTooLarge}`)
        yield* alive(it)
      })
    )
  )
})

describe("lite-03 streams", () => {
  it.effect("subscription ids count from 0 and end with FIN and STOP_SENDING(0)", () =>
    scene((it) =>
      Effect.gen(function* () {
        for (const id of ["00", "01"]) {
          const asked = yield* Effect.forkScoped(
            Effect.scoped(Effect.andThen(it.session.consume("b").subscribe("v"), Effect.never))
          )
          const stream = yield* Effect.orDie(it.peer.acceptBi)
          yield* settle
          assert.strictEqual(heard(stream.recv), `020d${id}016201760001 80007530 0000`.replaceAll(" ", ""))
          yield* say(stream, "00 05 00 00 00 00 00")
          yield* settle
          yield* Fiber.interrupt(asked)
          yield* settle
          assert.strictEqual(heard(stream.recv), "FIN")
          assert.strictEqual(ended(stream.send), "STOP 0")
          const late = yield* openUni(it.peer)
          yield* say(late, `00 02 ${id} 00 01 78`)
          yield* settle
          assert.strictEqual(ended(late), "STOP 0", "late groups of it are not wanted")
        }
      })
    )
  )

  it.effect(
    "group streams of unknown subscriptions, of known sequences and above the end are stopped, with the codes of 4.4",
    () =>
      scene((it) =>
        Effect.gen(function* () {
          const track = yield* Effect.forkScoped(it.session.consume("b").subscribe("v"))
          const stream = yield* Effect.orDie(it.peer.acceptBi)
          yield* say(stream, "00 05 00 00 00 00 00")
          const received = yield* Fiber.join(track)
          const answer = (hex: string) =>
            Effect.gen(function* () {
              const send = yield* openUni(it.peer)
              yield* say(send, hex)
              yield* settle
              return ended(send)
            })
          assert.strictEqual(yield* answer("00 02 05 00"), "STOP 0")
          assert.strictEqual(yield* answer("00 02 00 03 01 78"), "open")
          assert.strictEqual(yield* answer("00 02 00 03"), "STOP 12")
          assert.strictEqual(yield* answer("00 03 00 03 00"), "STOP 5")
          assert.strictEqual(yield* answer("01 01 00"), "STOP 0", "Setup has no place here")
          assert.strictEqual(yield* answer("21"), "STOP 0")
          assert.strictEqual((yield* groupOf(received)).sequence, 3)
          yield* alive(it)
        })
      )
  )

  it.effect("a group whose stream ends inside a frame, or is reset, is incomplete, and the track goes on", () =>
    scene((it) =>
      Effect.gen(function* () {
        const track = yield* Effect.forkScoped(it.session.consume("b").subscribe("v"))
        const stream = yield* Effect.orDie(it.peer.acceptBi)
        yield* say(stream, "00 05 00 00 00 00 00")
        const received = yield* Fiber.join(track)
        const cut = yield* openUni(it.peer)
        yield* say(cut, "00 02 00 00 01 61 05 6162")
        cut.finish()
        const first = yield* groupOf(received)
        assert.strictEqual((yield* Effect.flip(framesOf(first))).code, ErrorCode.wrongSize)
        const reset = yield* openUni(it.peer)
        yield* say(reset, "00 02 00 01 01 61")
        yield* settle
        const second = yield* groupOf(received)
        yield* second.read
        reset.reset(ErrorCode.toStream(ErrorCode.old))
        assert.strictEqual((yield* Effect.flip(second.read)).code, ErrorCode.old)
        const whole = yield* openUni(it.peer)
        yield* say(whole, "00 02 00 02")
        whole.finish()
        assert.deepStrictEqual(yield* framesOf(yield* groupOf(received)), [], "a group without frames is legal")
      })
    )
  )

  it.effect("an unknown request is refused and the session goes on; a Fetch and a Goaway too", () =>
    scene((it) =>
      Effect.gen(function* () {
        for (const type of ["06", "03", "05 01 00", "20", "4041"]) {
          const stream = yield* open(it.peer)
          yield* say(stream, type)
          yield* settle
          assert.strictEqual(heard(stream.recv), "RESET 0", type)
          assert.strictEqual(ended(stream.send), "STOP 0", type)
        }
        yield* alive(it)
      })
    )
  )

  it.effect("an announcement that cannot be decoded closes the session with 5", () =>
    scene((it) =>
      Effect.gen(function* () {
        yield* say(it.announces, "08 03 05 616c696365 00")
        const close = yield* it.peer.closed
        assert.strictEqual(close._tag === "Remote" ? close.code : -1, ErrorCode.decode)
      })
    )
  )

  it.effect("the end of the peer's Announce stream ends what it announced, and nothing else", () =>
    scene((it) =>
      Effect.gen(function* () {
        yield* say(it.announces, "06 01 03 626f62 00")
        yield* settle
        const closed = yield* Effect.forkScoped(it.session.consume("bob").closed)
        it.announces.send.finish()
        yield* Fiber.join(closed)
        assert.deepStrictEqual(it.session.announcedNow(), [])
        yield* alive(it)
      })
    )
  )

  it.effect("a stream without its first message is given ten seconds", () =>
    scene((it) =>
      Effect.gen(function* () {
        const [bi, uni] = [yield* open(it.peer), yield* openUni(it.peer)]
        yield* say(bi, "02")
        yield* say(uni, "00")
        yield* Effect.sleep(Limits.answerTimeoutMs + 100)
        assert.strictEqual(heard(bi.recv), `RESET ${ErrorCode.timeout}`)
        assert.strictEqual(ended(uni), `STOP ${ErrorCode.timeout}`)
      })
    )
  )

  it.effect(
    "a subscriber that finishes or resets its stream ends the subscription; unfinished groups are reset with 0",
    () =>
      scene((it) =>
        Effect.gen(function* () {
          for (const leave of ["finish", "reset"] as const) {
            const stream = yield* open(it.peer)
            yield* say(stream, subscribeVideo)
            yield* settle
            const open_ = it.video.appendGroup()
            open_.write(bytes("a"))
            yield* settle
            const group = yield* Effect.orDie(it.peer.acceptUni)
            assert.match(heard(group), /0161$/)
            if (leave === "finish") stream.send.finish()
            else stream.send.reset(ErrorCode.toStream(0))
            yield* settle
            assert.strictEqual(heard(group), "RESET 0")
            assert.strictEqual(it.video.consumers, 0)
          }
        })
      )
  )

  it.effect("an update of a peer that sends one changes the priority, and nothing breaks", () =>
    scene((it) =>
      Effect.gen(function* () {
        const stream = yield* open(it.peer)
        yield* say(stream, subscribeVideo + "05 07 00 00 00 00")
        write(it.video, "a")
        yield* settle
        assert.strictEqual(heard(yield* Effect.orDie(it.peer.acceptUni)), "000200000161 FIN")
        assert.strictEqual(heard(stream.recv), "00050900000000")
        yield* say(stream, "05 07 02 00 00 00")
        yield* settle
        assert.strictEqual(heard(stream.recv), `RESET ${ErrorCode.decode}`)
      })
    )
  )

  it.effect("limits: announce streams, subscriptions and announcements of a peer", () =>
    scene((it) =>
      Effect.gen(function* () {
        const streams: Array<BiStream> = []
        for (let n = 0; n <= Limits.announceStreamsPerSession; n++) {
          const stream = yield* open(it.peer)
          yield* say(stream, "01 01 00")
          streams.push(stream)
        }
        yield* settle
        assert.match(heard(streams.at(-1)?.recv ?? it.announces.recv), /^FIN$/)
        const twice = [yield* open(it.peer), yield* open(it.peer)]
        for (const stream of twice) yield* say(stream, subscribeVideo)
        yield* settle
        assert.deepStrictEqual(
          twice.map(({ recv }) => heard(recv)).toSorted(),
          ["00050900000000", `RESET ${ErrorCode.duplicate}`],
          "an id is used once at a time"
        )
        for (let n = 0; n <= Limits.broadcastsPerOrigin; n++) {
          const name = toHex(bytes(String(n).padStart(5, "0")))
          yield* it.announces.send.write(fromHex(`08 01 05 ${name} 01`)).pipe(Effect.ignore)
        }
        const close = yield* it.peer.closed
        assert.strictEqual(close._tag === "Remote" ? close.code : -1, ErrorCode.boundsExceeded)
      })
    )
  )
})
