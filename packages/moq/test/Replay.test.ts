/** Whole conversations that were recorded between sessions of the JavaScript package, with one end replaced by ours. */
import { run } from "@effect-live/endpoint/testing/SimNetwork"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { readFileSync } from "node:fs"
import * as Version from "../src/Version.ts"
import { heard, say, settle } from "./support/raw.ts"
import { bytes, camera, connectedOn, groupOf, sessionOn, text } from "./support/world.ts"

interface Vector {
  readonly version: string
  readonly message: string
  readonly hex: string
}

const vectors: ReadonlyArray<Vector> = JSON.parse(
  readFileSync(new URL("./vectors/moq-lite.json", import.meta.url), "utf8")
)

/** What was said on the streams of one version. */
const recorded =
  ({ alpn }: Version.Version) =>
  (stream: string): string =>
    vectors.find(({ message, version }) => version === alpn && message === `STREAM:${stream}`)?.hex ??
    assert.fail(`no ${stream} of ${alpn}`)

const frames = [
  ["key", 1_000],
  ["delta", 1_040],
  ["b", 1_020]
] as const

for (const version of Version.all) {
  const stream = recorded(version)
  describe(`the recorded conversation of ${version.alpn}`, () => {
    it.effect("with our publisher: it answers as the one that was recorded", () =>
      run(
        Effect.gen(function* () {
          const [peer, connection] = yield* connectedOn(version)
          const { origin } = yield* sessionOn(connection, { hop: 42 })
          const open = (hex: string) =>
            Effect.tap(Effect.orDie(peer.openBi), (opened) => Effect.andThen(say(opened, hex), settle))
          if (version.setup) {
            const setup = yield* Effect.orDie(peer.openUni)
            yield* say(setup, "01 01 00")
            yield* Effect.orDie(peer.acceptUni)
          }
          // what the recorded publisher says of its tracks
          const { broadcast, video } = camera({ priority: version.subscribeOk ? 3 : 0, retention: { ageMs: 5_000 } })
          origin.publish("room/alice", broadcast.consume())
          const announces = yield* open(stream("ANNOUNCE subscriber->publisher"))
          const subscription = yield* open(stream("SUBSCRIBE subscriber->publisher"))
          if (version.trackInfo) {
            const info = yield* open(stream("TRACK subscriber->publisher"))
            assert.strictEqual(heard(info.recv), `${stream("TRACK publisher->subscriber")} FIN`)
          }
          const group = video.appendGroup()
          for (const [frame, timestamp] of frames) group.write(bytes(frame), timestamp)
          group.finish()
          const recv = yield* Effect.orDie(peer.acceptUni)
          yield* settle
          assert.strictEqual(heard(recv), `${stream("GROUP")} FIN`)
          video.finish()
          yield* settle
          assert.strictEqual(heard(subscription.recv), `${stream("SUBSCRIBE publisher->subscriber")} FIN`)
          origin.unpublish("room/alice")
          yield* settle
          // the hop ids of both are random: where the recorded ones stand, ours is 42
          const expected = stream("ANNOUNCE publisher->subscriber")
            .replace("09c00d5eb06aad8e1101", "022a01")
            .replace("100105616c69636501c01bb1913609624b", "090105616c696365012a")
          assert.strictEqual(heard(announces.recv), expected)
        }),
        { seed: 1 }
      )
    )

    it.effect("with our subscriber: it takes what the recorded publisher said", () =>
      run(
        Effect.gen(function* () {
          const [peer, connection] = yield* connectedOn(version)
          const { session } = yield* sessionOn(connection)
          if (version.setup) yield* say(yield* Effect.orDie(peer.openUni), "01 01 00")
          const announces = yield* Effect.orDie(peer.acceptBi)
          const events = stream("ANNOUNCE publisher->subscriber")
          const end = "080005616c69636500"
          yield* say(announces, events.slice(0, -end.length))
          yield* settle
          assert.deepStrictEqual(session.announcedNow(), ["alice"])
          const alice = session.consume("alice")
          const closed = yield* Effect.forkScoped(alice.closed)
          const subscribing = yield* Effect.forkScoped(alice.subscribe("video", { priority: 3 }))
          const subscription = yield* Effect.orDie(peer.acceptBi)
          const group = yield* Effect.orDie(peer.openUni)
          yield* say(group, stream("GROUP"))
          group.finish()
          if (version.trackInfo) {
            const info = yield* Effect.orDie(peer.acceptBi)
            yield* say(info, stream("TRACK publisher->subscriber"))
            info.send.finish()
          }
          yield* say(subscription, stream("SUBSCRIBE publisher->subscriber"))
          subscription.send.finish()
          const track = yield* Fiber.join(subscribing)
          const received = yield* groupOf(track)
          const read: Array<readonly [string, number | undefined]> = []
          for (;;) {
            const frame = yield* received.read
            if (typeof frame === "symbol") break
            read.push([text(frame), received.timestamp])
          }
          assert.deepStrictEqual(
            read,
            frames.map(([frame, timestamp]) => [frame, version.timestamps ? timestamp : undefined])
          )
          assert.isTrue(typeof (yield* track.next) === "symbol", "the track has ended")
          yield* say(announces, end)
          yield* Fiber.join(closed)
          assert.deepStrictEqual(session.announcedNow(), [])
        }),
        { seed: 2 }
      )
    )
  })
}
