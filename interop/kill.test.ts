/** `kill -9` of one side, with sessions of ours at the other. What irl and the Rust peer do then is in `irl.test.ts`. */
import { randomBytes } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { assertContent } from "./support/content.ts"
import { announced, ours, publish, readAll, soonIdle } from "./support/ours.ts"
import { peer } from "./support/peer.ts"

describe("kill -9", { concurrent: true }, () => {
  it.live("of a Rust subscriber: after the idle timeout nobody uses the track", () =>
    Effect.gen(function* () {
      const { at, moq } = yield* ours(soonIdle)
      const { track } = yield* publish(moq)
      const rust = yield* peer("--dial", at, "subscribe")
      yield* track.used
      rust.kill("SIGKILL")
      yield* track.unused
    })
  )

  it.live(
    "of a Rust publisher that comes back: the cut track fails, the broadcast begins anew, in the same session",
    () =>
      Effect.gen(function* () {
        const secret = ["--secret", randomBytes(32).toString("hex")]
        const killed = yield* peer(...secret, "publish", "--wait", "--interval-ms", "10")
        const { moq } = yield* ours(soonIdle)
        const session = yield* moq.connect(killed.addr)
        const cut = yield* session.consume("hello").subscribe("data")
        const reading = yield* Effect.forkChild(Effect.flip(readAll(cut)))
        yield* Effect.sleep(1000)
        killed.kill("SIGKILL")
        yield* killed.ended
        const [, place = ""] = killed.at.split("@")
        yield* peer(...secret, "--bind", place, "publish", "--wait", "--groups", "20")
        const error = yield* Fiber.join(reading)
        assert.strictEqual(error._tag, "TrackError")
        yield* announced(session, "hello")
        const { received } = yield* readAll(yield* session.consume("hello").subscribe("data"))
        assert.lengthOf(received, 20)
        assertContent(received, 1000)
      })
  )

  it.live("of a Rust publisher that stays away: the session ends with the idle timeout, and its tracks fail", () =>
    Effect.gen(function* () {
      const rust = yield* peer("publish")
      const { moq } = yield* ours(soonIdle)
      const session = yield* moq.connect(rust.addr)
      const track = yield* session.consume("hello").subscribe("data")
      const reading = yield* Effect.forkChild(Effect.flip(readAll(track)))
      rust.kill("SIGKILL")
      assert.deepStrictEqual(yield* session.closed, { _tag: "IdleTimeout" })
      const error = yield* Fiber.join(reading)
      assert.strictEqual(error._tag, "TrackError")
    })
  )
})
