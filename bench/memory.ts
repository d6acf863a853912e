/**
 * What stays behind: memory after a forced collection, at the end against after the first tenth. `npm run bench -- memory`
 */
import { End } from "@effect-live/endpoint/Stream"
import * as Broadcast from "@effect-live/moq/Broadcast"
import * as Origin from "@effect-live/moq/Origin"
import * as Session from "@effect-live/moq/Session"
import * as Track from "@effect-live/moq/Track"
import { lite03 } from "@effect-live/moq/Version"
import { Effect } from "effect"
import { pair } from "../packages/moq/test/support/memory.ts"
import { liveBytes } from "./Heap.ts"
import type { Row } from "./Row.ts"

const growth = (times: number, once: Effect.Effect<void>): Effect.Effect<number> =>
  Effect.gen(function* () {
    const first = Math.floor(times / 10)
    for (let n = 0; n < first; n++) yield* once
    const early = yield* liveBytes
    for (let n = first; n < times; n++) yield* once
    return (yield* liveBytes) / early
  })

const frame = new Uint8Array(4_000)
const writeGroup = (track: Track.TrackProducer): void => {
  const group = track.appendGroup()
  for (let index = 0; index < 60; index++) group.write(frame)
  group.finish()
}

const groups = Effect.suspend(() => {
  const track = Track.make("video")
  return growth(
    10_000,
    Effect.sync(() => writeGroup(track))
  )
})

const sessions = Effect.suspend(() => {
  const origin = Origin.make()
  const broadcast = Broadcast.make()
  const video = Track.make("video")
  broadcast.insertTrack(video)
  origin.publish("camera", broadcast.consume())
  writeGroup(video)
  const visit = Effect.scoped(
    Effect.gen(function* () {
      const ends = pair([
        { _tag: "Anonymous", path: "publisher" },
        { _tag: "Anonymous", path: "viewer" }
      ])
      yield* Effect.addFinalizer(() => Effect.sync(() => ends[0].close(0, "")))
      yield* Session.make({ connection: ends[0], version: lite03, publish: origin, hop: 1 })
      const session = yield* Session.make({ connection: ends[1], version: lite03, publish: Origin.make(), hop: 2 })
      const track = yield* session.consume("camera").subscribe("video")
      const group = yield* track.next
      if (group === End || "_tag" in group) return yield* Effect.die(new Error("no group"))
      while ((yield* group.read) !== End);
    })
  )
  return growth(1_000, Effect.orDie(visit))
})

const row = (what: string, value: number): Row => ({ what, value, unit: "times", reach: "below 1.1" })

export const run = async (): Promise<ReadonlyArray<Row>> => {
  return [
    row("memory after 10,000 groups without a reader, against 1,000", await Effect.runPromise(groups)),
    row("memory after 1,000 sessions come and gone, against 100", await Effect.runPromise(sessions))
  ]
}
