/**
 * Frames delivered in one process: 4 kB each, groups of 60, to one consumer and to a hundred; by the model alone, and by sessions
 * of lite-03 and lite-05 over a link without delay. `npm run bench -- moq`
 */
import type { Connection } from "@effect-live/endpoint/Connection"
import { Blocked, End } from "@effect-live/endpoint/Stream"
import * as Broadcast from "@effect-live/moq/Broadcast"
import type { GroupConsumer } from "@effect-live/moq/Group"
import * as Origin from "@effect-live/moq/Origin"
import * as Session from "@effect-live/moq/Session"
import * as Track from "@effect-live/moq/Track"
import { lite03, lite05, type Version } from "@effect-live/moq/Version"
import { Effect, Fiber, type Scope } from "effect"
import { pair } from "../packages/moq/test/support/memory.ts"
import type { Row } from "./Row.ts"

export const frame = new Uint8Array(4_000)
export const framesPerGroup = 60

/** Takes the frames of a track to its end and counts them; waits only where there is nothing. */
const drain = (track: Track.TrackConsumer): Effect.Effect<number> =>
  Effect.suspend(() => {
    let frames = 0
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
          if (next instanceof Uint8Array) frames++
          else group = undefined
        }
      }
    }
    return Effect.map(Effect.whileLoop({ while: () => open, body: advance, step: () => {} }), () => frames)
  })

/** A broadcast with one track, of which the first frame is there. */
export const camera = (): readonly [Origin.Origin, Track.TrackProducer] => {
  const origin = Origin.make()
  const broadcast = Broadcast.make()
  const video = Track.make("video")
  broadcast.insertTrack(video)
  origin.publish("camera", broadcast.consume())
  const group = video.appendGroup()
  group.write(frame)
  group.finish()
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

/** Two ends of a connection. */
export type Link = Effect.Effect<readonly [Connection, Connection], unknown, Scope.Scope>

export const memory: Link = Effect.acquireRelease(
  Effect.sync(() =>
    pair([
      { _tag: "Anonymous", path: "publisher" },
      { _tag: "Anonymous", path: "viewer" }
    ])
  ),
  ([end]) => Effect.sync(() => end.close(0, ""))
)

/** A viewer's session; the other end publishes what is in the table. */
export const visit = (
  link: Link,
  version: Version,
  origin: Origin.Origin
): Effect.Effect<Session.Session, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const ends = yield* link
    yield* Session.make({ connection: ends[0], version, publish: origin, hop: 1 })
    return yield* Session.make({ connection: ends[1], version, publish: Origin.make(), hop: 2 })
  })

/** The consumer of a viewer, in the model or at the other end of a session. */
type Subscribe = (
  origin: Origin.Origin,
  video: Track.TrackProducer
) => Effect.Effect<Track.TrackConsumer, unknown, Scope.Scope>

const local: Subscribe = (_, video) => Effect.sync(() => video.consume())

export const remote =
  (link: Link, version: Version): Subscribe =>
  (origin) =>
    Effect.flatMap(visit(link, version, origin), (session) => session.consume("camera").subscribe("video"))

/** The first frame of the track, so that a subscription is known to be served. */
export const firstFrame = (track: Track.TrackConsumer): Effect.Effect<void, unknown> =>
  Effect.flatMap(track.next, (group) =>
    group === End || "_tag" in group ? Effect.die(new Error("no group")) : Effect.asVoid(group.read)
  )

/** Milliseconds that a core has worked for this thread: what others do on the machine does not count. */
export const cpuMs = (): number => {
  const { system, user } = process.threadCpuUsage()
  return (system + user) / 1_000
}

/** Deliveries per second of one core, of one round. */
export const round = (subscribe: Subscribe, viewers: number, groups: number): Promise<number> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const [origin, video] = camera()
        const tracks = yield* Effect.all(Array.from({ length: viewers }, () => subscribe(origin, video)))
        yield* Effect.forEach(tracks, firstFrame)
        const counting = yield* Effect.forEach(tracks, (track) =>
          Effect.forkScoped(drain(track), { startImmediately: true })
        )
        const fromMs = cpuMs()
        yield* film(video, groups)
        const drained = yield* Effect.forEach(counting, Fiber.join)
        const frames = drained.reduce((sum, frames) => sum + frames, 0)
        if (frames !== viewers * groups * framesPerGroup) {
          return yield* Effect.die(new Error(`${frames} frames of ${viewers * groups * framesPerGroup} arrived`))
        }
        return (frames / (cpuMs() - fromMs)) * 1_000
      })
    )
  )

/** Best of some rounds, as the machine may be busy with other things. */
const measure = async (subscribe: Subscribe, viewers: number, groups: number): Promise<number> => {
  let best = 0
  for (let n = 0; n < 6; n++) best = Math.max(best, await round(subscribe, viewers, groups))
  return best
}

const row = (what: string, value: number): Row => ({ what, value, unit: "frames/s of a core", reach: "above 200,000" })

export const run = async (): Promise<ReadonlyArray<Row>> => {
  return [
    row("moq model, 4 kB frames, 1 to 1", await measure(local, 1, 2_000)),
    row("moq model, 4 kB frames, 1 to 100", await measure(local, 100, 500)),
    row("moq session, lite-03, 4 kB frames, 1 to 1", await measure(remote(memory, lite03), 1, 500)),
    row("moq session, lite-03, 4 kB frames, 1 to 100", await measure(remote(memory, lite03), 100, 50)),
    row("moq session, lite-05, 4 kB frames, 1 to 1", await measure(remote(memory, lite05), 1, 500)),
    row("moq session, lite-05, 4 kB frames, 1 to 100", await measure(remote(memory, lite05), 100, 50))
  ]
}
