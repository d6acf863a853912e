/** A camera for the measurement of abuse: 50 frames a second in groups of 50, each with the time at which it was made. */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as Router from "@effect-live/endpoint/Router"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import * as Broadcast from "@effect-live/moq/Broadcast"
import * as Moq from "@effect-live/moq/Moq"
import * as Track from "@effect-live/moq/Track"
import { Effect, Layer, Result } from "effect"

const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
const layer = Moq.layer().pipe(
  Layer.provideMerge(Router.layer),
  Layer.provideMerge(Iroh.layer({ bindAddrs, relayMode: "disabled" })),
  Layer.provide(AddressBook.layer)
)

/** The clock of all processes of the machine. */
const stamped = (): Uint8Array => {
  const frame = new Uint8Array(4_096)
  new DataView(frame.buffer).setBigInt64(0, process.hrtime.bigint())
  return frame
}

const camera = Effect.gen(function* () {
  const endpoint = yield* Endpoint
  const moq = yield* Moq.Moq
  const broadcast = Broadcast.make()
  const video = Track.make("video")
  broadcast.insertTrack(video)
  yield* moq.publish("film", broadcast)
  const ticket = Result.getOrThrow(LiveTicket.make(endpoint.addr(), "film"))
  process.stdout.write(`${LiveTicket.format(ticket)}\n`)
  for (;;) {
    const group = video.appendGroup()
    for (let index = 0; index < 50; index++) {
      group.write(stamped())
      yield* Effect.sleep(20)
    }
    group.finish()
  }
})

// whoever measures asks how much the process has worked so far: milliseconds of a core
process.on("message", () => {
  const { system, user } = process.cpuUsage()
  process.send?.((user + system) / 1_000)
})
process.on("disconnect", () => process.exit())

await Effect.runPromise(Effect.scoped(camera).pipe(Effect.provide(layer)))
