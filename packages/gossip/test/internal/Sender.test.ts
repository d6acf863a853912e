import type { Connection } from "@effect-live/endpoint/Connection"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { simStreamWindowBytes } from "@effect-live/endpoint/Limits"
import { type Link, run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import { Simulation } from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Scope } from "effect"
import { Pressure } from "../../src/internal/Pressure.ts"
import { type Kind, Sender } from "../../src/internal/Sender.ts"
import * as Limits from "../../src/Limits.ts"
import * as Wire from "../../src/Wire.ts"
import { topicOf } from "../support/services.ts"

interface Rig {
  readonly sender: Sender
  readonly pressure: Pressure
  readonly there: Connection
  readonly rested: Array<number>
  readonly lost: Array<number>
  readonly failed: () => string | undefined
  readonly push: (topic: number, text: string, kind?: Kind) => string
  /** The streams that came, in their order: what is on them, `|` between chunks and `.` for their end. */
  readonly streams: ReadonlyArray<{ topic: string; text: string }>
}

/** A sender on one end of a connection, and what the other end reads. */
const rig = (
  test: (rig: Rig) => Effect.Effect<void, never, SimNetwork | Simulation | Scope.Scope>,
  link: Partial<Link> = {},
  read = true
) =>
  run(
    Effect.gen(function* () {
      const network = yield* SimNetwork
      const [a, b] = [yield* network.bind("a"), yield* network.bind("b")]
      yield* b.setAlpns(["x"])
      const [here, there] = yield* Effect.all([a.connect(network.addr("b"), ["x"]), b.accept], { concurrency: 2 })
      const pressure = new Pressure(a.id)
      const rested: Array<number> = []
      const lost: Array<number> = []
      const sender = new Sender({
        connection: here,
        peer: b.id,
        pressure,
        rested: (rest) => Effect.sync(() => rested.push(rest)),
        lost: (messages) => lost.push(messages)
      })
      const running = yield* Effect.forkScoped(sender.run)
      let failed: string | undefined
      running.addObserver((exit) => {
        if (exit._tag === "Failure") failed = String(exit.cause)
      })
      const streams: Array<{ topic: string; text: string }> = []
      const accept = Effect.gen(function* () {
        const recv = yield* there.acceptUni
        const stream = { topic: "", text: "" }
        streams.push(stream)
        yield* Effect.forkScoped(
          Effect.gen(function* () {
            for (;;) {
              const chunk = yield* recv.read
              if (typeof chunk === "symbol") {
                stream.text += "."
                return
              }
              const body = stream.topic === "" ? chunk.subarray(headerBytes) : chunk
              if (stream.topic === "") stream.topic = String(chunk[headerBytes - 1])
              else stream.text += "|"
              stream.text += new TextDecoder().decode(body)
            }
          })
        )
      })
      if (read) yield* Effect.forkScoped(Effect.forever(accept))
      const push = (topic: number, text: string, kind: Kind = "control") =>
        sender.push(topicOf(topic), new TextEncoder().encode(text), kind)
      yield* test({ sender, pressure, there, rested, lost, push, streams, failed: () => failed })
    }),
    { seed: 1, link }
  ).pipe(Effect.orDie)

/** All of three. */
const circles = <A>(all: ReadonlyArray<A>): ReadonlyArray<readonly [A, A, A]> =>
  all.flatMap((one) =>
    all.flatMap((two) =>
      all.flatMap((three) => (one === two || two === three || one === three ? [] : [[one, two, three] as const]))
    )
  )

const targetOf = (name: string) => SimNetwork.useSync(({ addr }) => ({ peer: addr(name).id }))

const headerBytes = Wire.header(topicOf(1)).length
const settle = Effect.sleep(50)

describe("what is sent on a connection", { timeout: 30_000 }, () => {
  it.effect("goes on a stream per topic that begins with its header and first message in one", () =>
    rig(({ push, streams }) =>
      Effect.gen(function* () {
        push(1, "a")
        yield* settle
        push(2, "b")
        push(1, "c")
        push(1, "d")
        yield* settle
        assert.deepStrictEqual(streams, [
          { topic: "1", text: "a|cd" },
          { topic: "2", text: "b" }
        ])
      })
    )
  )

  it.effect("behind a Disconnect goes on a new stream, and never before the old one has arrived", () =>
    rig(
      ({ push, streams }) =>
        Effect.gen(function* () {
          push(1, "a")
          push(1, "bye", "last")
          push(1, "again")
          push(2, "beside")
          yield* Effect.sleep(75)
          assert.deepStrictEqual(streams, [{ topic: "1", text: "abye." }])
          yield* Effect.sleep(100)
          assert.deepStrictEqual(streams, [
            { topic: "1", text: "abye." },
            { topic: "1", text: "again" },
            { topic: "2", text: "beside" }
          ])
        }),
      { latencyMs: 50 }
    )
  )

  it.effect("of more topics than streams ends the stream that was used least recently", () =>
    rig(({ push, sender, streams }) =>
      Effect.gen(function* () {
        for (let n = 0; n < Limits.topicStreams; n++) push(n, "x")
        yield* settle
        push(0, "y")
        push(200, "z")
        yield* settle
        assert.strictEqual(sender.openStreams, Limits.topicStreams)
        assert.deepStrictEqual(streams[0], { topic: "0", text: "x|y" })
        assert.deepStrictEqual(streams[1], { topic: "1", text: "x." })
        push(1, "w")
        yield* settle
        assert.deepStrictEqual(streams.at(-1), { topic: "1", text: "w" })
      })
    )
  )

  it.effect("to a peer that reads nothing waits in the queue, where it is counted, but for one write", () =>
    rig(
      ({ push, sender }) =>
        Effect.gen(function* () {
          for (let n = 0; n < Limits.queuedPayloadBytes / 1024; n++) push(1, "x".repeat(1024), "payload")
          yield* settle
          const writes = (Limits.queuedPayloadBytes - sender.payloadBytes) / Limits.writeBytes
          // the last one is more than the stream has room for
          assert.strictEqual(writes, Math.ceil(simStreamWindowBytes / Limits.writeBytes))
        }),
      {},
      false
    )
  )

  it.effect("is at rest when all of it has arrived, and goes on afterwards", () =>
    rig(
      ({ push, rested, sender, streams }) =>
        Effect.gen(function* () {
          push(1, "a")
          push(2, "b")
          sender.rest(7)
          push(1, "c")
          yield* Effect.sleep(99)
          assert.deepStrictEqual(rested, [])
          yield* Effect.sleep(100)
          assert.deepStrictEqual(rested, [7])
          assert.deepStrictEqual(
            streams.map(({ text }) => text),
            ["a.", "b.", "c"]
          )
        }),
      { latencyMs: 50 }
    )
  )

  it.effect("rests in time although nothing arrives", () =>
    rig(
      ({ push, rested, sender }) =>
        Effect.gen(function* () {
          const network = yield* SimNetwork
          network.partition([["a"], ["b"]])
          push(1, "a")
          sender.rest(1)
          yield* Effect.sleep(Limits.flushMs + 10)
          assert.deepStrictEqual(rested, [1])
        }),
      {}
    )
  )

  it.effect("has room for so many bytes of contents, and for control beside them up to its own limit", () =>
    rig(
      ({ push, sender }) =>
        Effect.gen(function* () {
          const kilobyte = "x".repeat(1024)
          for (let n = 0; n < Limits.queuedPayloadBytes / 1024; n++) {
            assert.strictEqual(push(1, kilobyte, "payload"), "accepted")
          }
          assert.strictEqual(push(1, "x", "payload"), "dropped")
          for (let n = 0; n < Limits.queuedControls; n++) assert.strictEqual(push(1, "x"), "accepted")
          assert.strictEqual(push(1, "x", "last"), "overflow")
          assert.strictEqual(sender.payloadBytes, Limits.queuedPayloadBytes)
          assert.strictEqual(sender.depth, Limits.queuedPayloadBytes / 1024 + Limits.queuedControls)
          yield* Effect.sleep(1_000)
          assert.deepStrictEqual([sender.payloadBytes, sender.depth], [0, 0])
          assert.strictEqual(push(1, "x", "payload"), "accepted")
        }),
      {}
    )
  )

  it.effect("fails when the peer grants no stream, stops one, or takes nothing, each in time", () =>
    Effect.gen(function* () {
      yield* rig(
        ({ failed, push }) =>
          Effect.gen(function* () {
            // nobody reads, so that no stream that ended is over for the peer
            for (let n = 0; n < 1_001; n++) push(n, "x", "last")
            yield* Effect.sleep(Limits.openStreamMs - 1_000)
            assert.isUndefined(failed())
            yield* Effect.sleep(1_100)
            assert.include(failed() ?? "", "no stream was granted")
          }),
        {},
        false
      )
      yield* rig(
        ({ failed, push, there }) =>
          Effect.gen(function* () {
            push(1, "x")
            const recv = yield* Effect.orDie(there.acceptUni)
            recv.stop(0)
            yield* settle
            push(1, "x")
            yield* settle
            assert.include(failed() ?? "", "StreamError")
          }),
        {},
        false
      )
      yield* rig(
        ({ failed, push }) =>
          Effect.gen(function* () {
            for (let n = 0; n < 30; n++) push(1, "x".repeat(65_536), "payload")
            yield* Effect.sleep(Limits.stallMs - 1_000)
            assert.isUndefined(failed())
            yield* Effect.sleep(1_100)
            assert.include(failed() ?? "", "nothing was read")
          }),
        {},
        false
      )
    })
  )
})

describe("what a connection that has ended was to send", () => {
  it.effect("is counted, is no pressure for anybody, and nothing more is taken", () =>
    rig(
      ({ failed, lost, pressure, push, sender, there }) =>
        Effect.gen(function* () {
          const kilobyte = "x".repeat(1024)
          for (let n = 0; n < Limits.queuedPayloadBytes / 1024; n++) push(1, kilobyte, "payload")
          push(1, "x")
          yield* settle
          const waiting = sender.depth
          assert.isAbove(waiting, 0)
          there.close(0, "")
          yield* settle
          assert.isDefined(failed())
          assert.deepStrictEqual(lost, [waiting])
          assert.deepStrictEqual([sender.depth, sender.payloadBytes, pressure.on], [0, 0, false])
          for (let n = 0; n < 2_000; n++) assert.strictEqual(push(1, kilobyte, "payload"), "over")
          assert.deepStrictEqual([sender.depth, pressure.on], [0, false])
        }),
      {},
      false
    )
  )
})

describe("a stream that has ended", () => {
  it.effect("is remembered until it has arrived, and no longer", () =>
    rig(
      ({ push, sender, streams }) =>
        Effect.gen(function* () {
          for (let n = 0; n < 200; n++) push(n, "x", "last")
          yield* Effect.sleep(60)
          assert.isAbove(sender.endedStreams, 0)
          yield* Effect.sleep(10_000)
          assert.strictEqual(streams.length, 200)
          assert.strictEqual(sender.endedStreams, 0)
        }),
      { latencyMs: 50 }
    )
  )
})

describe("pressure", () => {
  it.effect("comes with so many bytes of contents that wait, and goes when half of them are sent", () =>
    rig(
      ({ pressure, push, sender }) =>
        Effect.gen(function* () {
          const kilobyte = "x".repeat(1024)
          for (let n = 1; n < Limits.pressureBytes / 1024; n++) push(1, kilobyte, "payload")
          assert.isFalse(pressure.on)
          push(1, kilobyte, "payload")
          assert.isTrue(pressure.on)
          yield* pressure.relief
          assert.isBelow(sender.payloadBytes, Limits.pressureBytes / 2)
          assert.isAtLeast(sender.payloadBytes, Limits.pressureBytes / 2 - Limits.writeBytes, "and not later")
        }),
      { bytesPerSecond: 2_000_000 }
    )
  )

  it.effect("holds up whoever asks until the peer has taken half, but only so long", () =>
    rig(({ pressure }) =>
      Effect.gen(function* () {
        const [fast, slow] = [yield* targetOf("fast"), yield* targetOf("slow")]
        assert.isFalse(pressure.on)
        pressure.rise(fast)
        const waiting = yield* Effect.forkScoped(pressure.relief)
        yield* Effect.sleep(100)
        assert.isUndefined(waiting.pollUnsafe())
        pressure.fall(fast)
        yield* Fiber.join(waiting)
        pressure.rise(slow)
        pressure.rise(fast)
        const patient = yield* Effect.forkScoped(pressure.relief)
        yield* Effect.sleep(Limits.pressureMs / 2)
        pressure.fall(fast)
        yield* Effect.sleep(Limits.pressureMs / 4)
        assert.isUndefined(patient.pollUnsafe())
        yield* Effect.sleep(Limits.pressureMs / 2)
        yield* Fiber.join(patient)
        assert.isFalse(pressure.on, "nobody waits for the slow one any more")
        pressure.fall(slow)
        pressure.rise(slow)
        const { nowMs } = yield* Simulation
        const before = nowMs()
        yield* pressure.relief
        assert.strictEqual(nowMs(), before, "nor when it has caught up and is behind again")
        pressure.fall(slow)
        yield* Effect.sleep(Limits.slowMs)
        pressure.rise(slow)
        yield* pressure.relief
        assert.approximately(nowMs() - before, Limits.slowMs + Limits.pressureMs, 1, "but once in a while")
      })
    )
  )

  it.effect("of a peer never holds up its own reader, nor are peers held up in a circle", () =>
    rig(() =>
      Effect.gen(function* () {
        const ids = (yield* Effect.forEach(["a", "b", "c", "d"], targetOf)).map(({ peer }) => peer)
        // whether the reader of `from` waits for `to`
        const waits = (self: EndpointId, from: EndpointId, to: EndpointId): boolean => {
          const pressure = new Pressure(self)
          pressure.rise({ peer: to })
          return pressure.reliefFor(from) !== undefined
        }
        let waiting = 0
        for (const self of ids) {
          for (const from of ids) {
            assert.isFalse(waits(self, from, from))
            for (const to of ids) if (from !== self && to !== self && waits(self, from, to)) waiting++
          }
        }
        assert.isAbove(waiting, 0)
        for (const [one, two, three] of circles(ids)) {
          assert.isFalse(waits(two, one, three) && waits(three, two, one) && waits(one, three, two))
        }
      })
    )
  )
})
