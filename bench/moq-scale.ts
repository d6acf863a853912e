/**
 * What many cost: one more subscriber of a track, a thousand broadcasts announced to a hundred sessions, and a new session where a
 * thousand are announced. Over lite-05 and a link without delay. `npm run bench -- moq-scale`
 */
import { Blocked, End, StreamError } from "@effect-live/endpoint/Stream"
import * as Broadcast from "@effect-live/moq/Broadcast"
import * as Message from "@effect-live/moq/Message"
import * as Origin from "@effect-live/moq/Origin"
import * as Session from "@effect-live/moq/Session"
import { lite05 } from "@effect-live/moq/Version"
import { Effect, Fiber, type Scope } from "effect"
import { camera, cpuMs, firstFrame, frame, framesPerGroup, memory, visit } from "./moq.ts"
import { liveBytes } from "./Heap.ts"
import type { Row } from "./Row.ts"

// ---- one more subscriber ----------------------------------------------------------------------------------------------

/** A viewer that only counts bytes, so that it costs next to nothing: what is left is the publisher. */
interface Viewer {
  /** Reads what comes, until so many bytes were there. */
  readonly read: (bytes: number) => Effect.Effect<void, unknown>
}

const viewer = (origin: Origin.Origin): Effect.Effect<Viewer, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const [publisher, peer] = yield* memory
    yield* Session.make({ connection: publisher, version: lite05, publish: origin, hop: 1 })
    const hello = yield* peer.openUni
    yield* hello.write(Message.encodeTyped(Message.StreamType.setup, Message.setup, { probe: 0 }))
    hello.finish()
    yield* peer.acceptUni // theirs
    const { send } = yield* peer.openBi
    const wishes = { priority: 0, ordered: false, maxLatencyMs: 0, start: undefined, end: undefined }
    const subscribe = { id: 0, broadcast: "camera", track: "video", ...wishes }
    yield* send.write(Message.encodeTyped(Message.StreamType.subscribe, lite05.subscribe, subscribe))
    return {
      read: (bytes) =>
        Effect.gen(function* () {
          let left = bytes
          while (left > 0) {
            const stream = yield* peer.acceptUni
            for (;;) {
              const chunk = stream.tryRead()
              if (chunk === Blocked) yield* stream.readable
              else if (chunk === End || chunk instanceof StreamError) break
              else left -= chunk.length
            }
          }
        })
    }
  })

/** Milliseconds of a core for so many viewers of so many groups. */
const served = (viewers: number, groups: number): Effect.Effect<number, unknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const [origin, video] = camera()
      const all = yield* Effect.all(Array.from({ length: viewers }, () => viewer(origin)))
      for (const { read } of all) yield* read(frame.length)
      const reading = yield* Effect.forEach(all, ({ read }) =>
        Effect.forkScoped(read(groups * framesPerGroup * frame.length))
      )
      const fromMs = cpuMs()
      for (let n = 0; n < groups; n++) {
        const group = video.appendGroup()
        for (let index = 0; index < framesPerGroup; index++) group.write(frame)
        group.finish()
        yield* Effect.yieldNow
      }
      yield* Effect.forEach(reading, Fiber.join)
      return cpuMs() - fromMs
    })
  )

interface Held {
  /** Bytes for each viewer: its session, its subscription and what stands for its end of the connection. */
  readonly rest: number
  /** And when a group of 240 kB is on its way to it, of which it reads nothing. */
  readonly behind: number
}

const held = (viewers: number): Effect.Effect<Held, unknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const [origin, video] = camera()
      const join = Effect.gen(function* () {
        const all = yield* Effect.all(Array.from({ length: viewers }, () => viewer(origin)))
        for (const { read } of all) yield* read(frame.length)
        return all
      })
      yield* join // what the first ones bring along counts for nobody
      const before = yield* liveBytes
      yield* join
      const rest = yield* liveBytes
      const group = video.appendGroup()
      for (let index = 0; index < framesPerGroup; index++) group.write(frame)
      group.finish()
      const behind = yield* liveBytes
      const payload = framesPerGroup * frame.length
      return { rest: (rest - before) / viewers, behind: (behind - rest - payload) / (2 * viewers) }
    })
  )

// ---- a thousand broadcasts --------------------------------------------------------------------------------------------

const publish = (origin: Origin.Origin, broadcasts: number): void => {
  for (let n = 0; n < broadcasts; n++) origin.publish(`room/${n}`, Broadcast.make().consume())
}

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** Milliseconds of a core until every session knows of all broadcasts, both ends together. */
const announced = (sessions: number, broadcasts: number): Effect.Effect<number, unknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const origin = Origin.make()
      const all = yield* Effect.all(Array.from({ length: sessions }, () => visit(memory, lite05, origin)))
      yield* Effect.sleep(10)
      const fromMs = cpuMs()
      publish(origin, broadcasts)
      for (const session of all) while (session.announcedNow().length < broadcasts) yield* turn
      return cpuMs() - fromMs
    })
  )

/**
 * Milliseconds of a core from two sessions to the first frame, where so many broadcasts are announced. The clock of a thread's work
 * has the grain of the scheduler: only the mean of many tells something.
 */
const joined = (broadcasts: number): Effect.Effect<number, unknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const [origin] = camera()
      publish(origin, broadcasts - 1)
      const fromMs = cpuMs()
      const session = yield* visit(memory, lite05, origin)
      yield* firstFrame(yield* session.consume("camera").subscribe("video"))
      return cpuMs() - fromMs
    })
  )

const best = (times: number, once: Effect.Effect<number, unknown>): Effect.Effect<number, unknown> =>
  Effect.map(Effect.all(Array.from({ length: times }, () => once)), (values) => Math.min(...values))

const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length

const measurements = Effect.gen(function* () {
  const groups = 20
  const more = (yield* best(5, served(200, groups))) - (yield* best(5, served(100, groups)))
  const { behind, rest } = yield* held(500)
  const announcedMs = yield* best(5, announced(100, 1_000))
  const alone: Array<number> = []
  const among: Array<number> = []
  for (let n = 0; n < 100; n++) {
    alone.push(yield* joined(1))
    among.push(yield* joined(1_000))
  }
  const rows: ReadonlyArray<Row> = [
    {
      what: "one more subscriber of a track: a frame of 4 kB",
      value: (more * 1_000) / (100 * groups * framesPerGroup),
      unit: "us of a core",
      reach: "printed"
    },
    { what: "one more subscriber and its session, at rest", value: rest / 1_000, unit: "kB", reach: "printed" },
    {
      what: "one more subscriber, a group of 240 kB on its way of which it reads nothing",
      value: behind / 1_000,
      unit: "kB",
      reach: "no copy of the payload"
    },
    {
      what: "1,000 broadcasts announced to 100 sessions, both ends",
      value: announcedMs,
      unit: "ms of a core",
      reach: "below 1,000"
    },
    {
      what: "a new session to its first frame with 1,000 broadcasts announced, against with one",
      value: mean(among) / mean(alone),
      unit: "times",
      reach: "below 1.5"
    },
    { what: "a new session to its first frame, one broadcast", value: mean(alone), unit: "ms of a core", reach: "" }
  ]
  return rows
})

export const run = (): Promise<ReadonlyArray<Row>> => Effect.runPromise(measurements)
