/**
 * The same frames through our sessions and through those of @moq/net, both over lite-05 and the same in-process pair of the W3C
 * WebTransport interface, taking turns. `npm run bench -- moq-net`
 */
import { lite05 } from "@effect-live/moq/Version"
import * as Net from "@moq/net"
import { Effect } from "effect"
import { pair } from "../interop/moq-net/pair.ts"
import * as WebTransport from "../interop/moq-net/WebTransport.ts"
import { cpuMs, frame, framesPerGroup, type Link, remote, round } from "./moq.ts"
import { median } from "./Child.ts"
import type { Row } from "./Row.ts"

/** Ours over such a pair. */
const web: Link = Effect.suspend(() => {
  const [near, far] = pair({ protocol: lite05.alpn })
  const make = (session: typeof near) =>
    WebTransport.make({ session, remote: { _tag: "Anonymous", path: "/" }, name: "in process" })
  return Effect.all([make(near), make(far)])
})

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const camera = Net.Path.from("camera")
const url = new URL("https://in.process/")
type Transport = Parameters<typeof Net.Connection.accept>[0]

/** Takes the frames of a track to its end and counts them; waits only where there is nothing. */
const drain = async (track: Net.Track.Subscriber): Promise<number> => {
  let frames = 0
  for (;;) {
    const group = await track.recvGroup()
    if (group === undefined) return frames
    for (;;) {
      const next = group.tryReadFrame()
      if (next !== undefined) frames++
      else if (group.done) break
      else await group.readable()
    }
  }
}

/** Deliveries per second of one core, of one round of theirs. */
const theirs = async (viewers: number, groups: number): Promise<number> => {
  const broadcast = new Net.Broadcast.Producer()
  const video = broadcast.createTrack("video")
  const write = (frames: number) => {
    const group = video.appendGroup()
    for (let n = 0; n < frames; n++) group.writeFrame({ payload: frame, timestamp: Net.Time.Timestamp.now() })
    group.close()
  }
  write(1)
  const connections: Array<Net.Connection.Established> = []
  const tracks: Array<Net.Track.Subscriber> = []
  for (let n = 0; n < viewers; n++) {
    const [near, far] = pair({ protocol: lite05.alpn })
    const publisher = await Net.Connection.accept(near as unknown as Transport, url)
    publisher.publish(camera, broadcast)
    const viewer = await Net.Connection.accept(far as unknown as Transport, url)
    connections.push(publisher, viewer)
    tracks.push(viewer.consume(camera).subscribe("video"))
  }
  for (const track of tracks) await (await track.recvGroup())?.readFrame()
  const counting = tracks.map(drain)
  const fromMs = cpuMs()
  for (let n = 0; n < groups; n++) {
    write(framesPerGroup)
    await turn()
  }
  video.close()
  const frames = (await Promise.all(counting)).reduce((sum, frames) => sum + frames, 0)
  const spentMs = cpuMs() - fromMs
  for (const connection of connections) connection.close()
  // theirs may lose groups whose streams it has not read when the track ends
  return (frames / spentMs) * 1_000
}

const compare = async (what: string, viewers: number, groups: number): Promise<ReadonlyArray<Row>> => {
  const ours: Array<number> = []
  const others: Array<number> = []
  for (let n = 0; n < 7; n++) {
    ours.push(await round(remote(web, lite05), viewers, groups))
    others.push(await theirs(viewers, groups))
  }
  const ratios = ours.map((rate, n) => rate / (others[n] ?? Number.NaN))
  const unit = "frames/s of a core"
  return [
    { what: `${what}: ours`, value: Math.max(...ours), unit, reach: "" },
    { what: `${what}: @moq/net`, value: Math.max(...others), unit, reach: "" },
    { what: `${what}: ours against @moq/net`, value: median(ratios), unit: "times", reach: "above 1" }
  ]
}

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const { debug } = console
  console.debug = () => {} // theirs tells every step
  const rows = [
    ...(await compare("4 kB frames over WebTransport in process, 1 to 1", 1, 100)),
    ...(await compare("4 kB frames over WebTransport in process, 1 to 100", 100, 5))
  ]
  console.debug = debug
  return rows
}
