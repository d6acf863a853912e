/**
 * The publishing process of `track.ts` and `viewers.ts`, on the backing of `IROH_BACKING`. It prints `{ id, addr }`, and its
 * processor time `{ cpuMs }` for every line on stdin.
 *
 *     node track-child.ts stored GROUPS FRAMES BYTES    groups that are all there
 *     node track-child.ts live FRAMES BYTES FPS         a new frame so many times a second, and a new group every so many frames
 */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as Router from "@effect-live/endpoint/Router"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as Broadcast from "@effect-live/moq/Broadcast"
import * as Moq from "@effect-live/moq/Moq"
import type * as Track from "@effect-live/moq/Track"
import { Effect, Layer, Result, Schedule } from "effect"

const [mode, ...amounts] = process.argv.slice(2)
const [first = 0, second = 0, third = 0] = amounts.map(Number)

const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
const layer = Moq.layer().pipe(
  Layer.provideMerge(Router.layer),
  Layer.provideMerge(Iroh.layer({ bindAddrs, relayMode: "disabled" })),
  Layer.provide(AddressBook.layer)
)

const append = (track: Track.TrackProducer) => {
  const group = track.appendGroup()
  if (typeof group === "string") throw new Error(group)
  return group
}

const stored = (track: Track.TrackProducer, groups: number, framesPerGroup: number, frameBytes: number) =>
  Effect.sync(() => {
    for (let index = 0; index < groups; index++) {
      const group = append(track)
      for (let frame = 0; frame < framesPerGroup; frame++) group.write(new Uint8Array(frameBytes).fill(frame))
      group.finish()
    }
  })

const live = (track: Track.TrackProducer, framesPerGroup: number, frameBytes: number, fps: number) => {
  let count = 0
  let group = append(track)
  const frame = Effect.sync(() => {
    if (count++ % framesPerGroup === 0 && count > 1) {
      group.finish()
      group = append(track)
    }
    group.write(new Uint8Array(frameBytes).fill(count))
  })
  return Effect.forkScoped(Effect.schedule(frame, Schedule.fixed(1000 / fps)))
}

const main = Effect.gen(function* () {
  const endpoint = yield* Endpoint
  const moq = yield* Moq.Moq
  const broadcast = Broadcast.make()
  const retention = mode === "stored" ? { retention: { ageMs: Number.MAX_SAFE_INTEGER } } : {}
  const track = broadcast.createTrack("data", retention)
  if (typeof track === "string") return yield* Effect.die(new Error(track))
  yield* mode === "stored" ? stored(track, first, second, third) : live(track, first, second, third)
  yield* moq.publish("bulk", broadcast)
  const way = EndpointAddr.ips(endpoint.addr())[0]
  process.stdout.write(`${JSON.stringify({ id: endpoint.id, addr: way && TransportAddr.format(way) })}\n`)
  process.stdin.on("data", () => {
    const { system, user } = process.cpuUsage()
    process.stdout.write(`${JSON.stringify({ cpuMs: (user + system) / 1000 })}\n`)
  })
  return yield* Effect.never
})

await Effect.runPromise(Effect.scoped(main).pipe(Effect.provide(layer)))
