/**
 * Frames delivered in one process: 4 kB each, groups of 60, to one consumer and to a hundred; by the model alone, and by sessions
 * over a link without delay. `npm run bench -- moq`
 */
import { Blocked, End } from "@effect-live/endpoint/Stream"
import * as Broadcast from "@effect-live/moq/Broadcast"
import type { GroupConsumer } from "@effect-live/moq/Group"
import * as Origin from "@effect-live/moq/Origin"
import * as Session from "@effect-live/moq/Session"
import * as Track from "@effect-live/moq/Track"
import { lite03 } from "@effect-live/moq/Version"
import { Effect, Fiber, type Scope } from "effect"
import { pair } from "../packages/moq/test/support/memory.ts"
import type { Row } from "./Row.ts"

const frame = new Uint8Array(4_000)
const framesPerGroup = 60

interface Drained {
  readonly frames: number
  /** When the last frame came: the end of a subscription is later, as it waits for late groups. */
  readonly atMs: number
}

/** Takes the frames of a track to its end; waits only where there is nothing. */
const drain = (track: Track.TrackConsumer): Effect.Effect<Drained> =>
  Effect.suspend(() => {
    let frames = 0
    let atMs = 0
    let group: GroupConsumer | undefined
    let open = true
    const advance = (): Effect.Effect<void> => {
      for (;;) {
        if (group === undefined) {
          const next = track.tryNext()
          if (next === Blocked) return track.readable
          if (next === End || next instanceof Track.TrackError) {
            open = false
            return Effect.void
          }
          if (!("_tag" in next)) group = next
        } else {
          const next = group.tryRead()
          if (next === Blocked) return group.readable
          if (next instanceof Uint8Array) {
            frames++
          } else {
            if (next === End) atMs = performance.now()
            group = undefined
          }
        }
      }
    }
    return Effect.map(Effect.whileLoop({ while: () => open, body: advance, step: () => {} }), () => ({ frames, atMs }))
  })

const camera = (): readonly [Origin.Origin, Track.TrackProducer] => {
  const origin = Origin.make()
  const broadcast = Broadcast.make()
  const video = Track.make("video")
  broadcast.insertTrack(video)
  origin.publish("camera", broadcast.consume())
  return [origin, video]
}

const film = (video: Track.TrackProducer, groups: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let n = 0; n < groups; n++) {
      const group = video.appendGroup()
      for (let index = 0; index < framesPerGroup; index++) group.write(frame)
      group.finish()
      yield* Effect.yieldNow // the sockets' turn
    }
    video.finish()
  })

/** The consumer of a viewer, in the model or at the other end of a session. */
type Subscribe = (
  origin: Origin.Origin,
  video: Track.TrackProducer
) => Effect.Effect<Track.TrackConsumer, unknown, Scope.Scope>

const local: Subscribe = (_, video) => Effect.sync(() => video.consume())

const remote: Subscribe = (origin) =>
  Effect.gen(function* () {
    const ends = pair([
      { _tag: "Anonymous", path: "publisher" },
      { _tag: "Anonymous", path: "viewer" }
    ])
    const viewer = Origin.make()
    yield* Session.make({ connection: ends[0], version: lite03, publish: origin })
    const session = yield* Session.make({ connection: ends[1], version: lite03, publish: viewer })
    return yield* session.consume("camera").subscribe("video")
  })

/** Deliveries per second; best of some rounds, as the machine may be busy with other things. */
const measure = async (subscribe: Subscribe, viewers: number, groups: number): Promise<number> => {
  let best = 0
  for (let round = 0; round < 10; round++) {
    const rate = await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const [origin, video] = camera()
          const tracks = yield* Effect.all(Array.from({ length: viewers }, () => subscribe(origin, video)))
          const counting = yield* Effect.forEach(tracks, (track) =>
            Effect.forkScoped(drain(track), { startImmediately: true })
          )
          const fromMs = performance.now()
          yield* film(video, groups)
          const drained = yield* Effect.forEach(counting, Fiber.join)
          const frames = drained.reduce((sum, { frames }) => sum + frames, 0)
          const lastMs = Math.max(...drained.map(({ atMs }) => atMs))
          if (frames !== viewers * groups * framesPerGroup) {
            return yield* Effect.die(new Error(`${frames} frames of ${viewers * groups * framesPerGroup} arrived`))
          }
          return (frames / (lastMs - fromMs)) * 1_000
        })
      )
    )
    best = Math.max(best, rate)
  }
  return best
}

const row = (what: string, value: number): Row => ({ what, value, unit: "frames/s", reach: "above 200,000" })

export const run = async (): Promise<ReadonlyArray<Row>> => {
  return [
    row("moq model, 4 kB frames, 1 to 1", await measure(local, 1, 2_000)),
    row("moq model, 4 kB frames, 1 to 100", await measure(local, 100, 500)),
    row("moq session, 4 kB frames, 1 to 1", await measure(remote, 1, 500)),
    row("moq session, 4 kB frames, 1 to 100", await measure(remote, 100, 50))
  ]
}
