/** The publishing process of `track.ts`: announces `bulk` with one track whose groups are all there. Prints `{ id, addr }`. */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as Router from "@effect-live/endpoint/Router"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as Broadcast from "@effect-live/moq/Broadcast"
import * as Moq from "@effect-live/moq/Moq"
import { Effect, Layer, Result } from "effect"

const [groups = 0, framesPerGroup = 0, frameBytes = 0] = process.argv.slice(2).map(Number)

const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
const layer = Moq.layer().pipe(
  Layer.provideMerge(Router.layer),
  Layer.provideMerge(Iroh.layer({ bindAddrs, relayMode: "disabled" })),
  Layer.provide(AddressBook.layer)
)

const main = Effect.gen(function* () {
  const endpoint = yield* Endpoint
  const moq = yield* Moq.Moq
  const broadcast = Broadcast.make()
  const track = broadcast.createTrack("data", { retention: { ageMs: Number.MAX_SAFE_INTEGER } })
  if (typeof track === "string") return yield* Effect.die(new Error(track))
  for (let index = 0; index < groups; index++) {
    const group = track.appendGroup()
    if (typeof group === "string") return yield* Effect.die(new Error(group))
    for (let frame = 0; frame < framesPerGroup; frame++) group.write(new Uint8Array(frameBytes).fill(frame))
    group.finish()
  }
  yield* moq.publish("bulk", broadcast)
  const way = EndpointAddr.ips(endpoint.addr())[0]
  process.stdout.write(`${JSON.stringify({ id: endpoint.id, addr: way && TransportAddr.format(way) })}\n`)
  return yield* Effect.never
})

await Effect.runPromise(Effect.scoped(main).pipe(Effect.provide(layer)))
