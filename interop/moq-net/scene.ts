/** Our session and one of @moq/net at the two ends of a session of the W3C interface in one process. */
import type { Connection as EndpointConnection } from "@effect-live/endpoint/Connection"
import { Blocked, End } from "@effect-live/endpoint/Stream"
import * as Broadcast from "@effect-live/moq/Broadcast"
import { type GroupConsumer, GroupError } from "@effect-live/moq/Group"
import * as Origin from "@effect-live/moq/Origin"
import * as Session from "@effect-live/moq/Session"
import type * as Track from "@effect-live/moq/Track"
import type { Version } from "@effect-live/moq/Version"
import * as Net from "@moq/net"
import { Effect, type Scope } from "effect"
import { type End as Transport, type Options, pair } from "./pair.ts"
import * as WebTransport from "./WebTransport.ts"

export interface Scene {
  readonly version: Version
  readonly session: Session.Session
  readonly connection: EndpointConnection
  /** What our session publishes. */
  readonly origin: Origin.Origin
  readonly theirs: Net.Connection.Established
  readonly transports: { readonly ours: Transport; readonly theirs: Transport }
}

export const scene = (version: Version, options: Partial<Options> = {}): Effect.Effect<Scene, never, Scope.Scope> =>
  Effect.gen(function* () {
    const [ours, far] = pair({ protocol: version.alpn, ...options })
    const remote = { _tag: "Anonymous" as const, path: "/" }
    const connection = yield* Effect.orDie(WebTransport.make({ session: ours, remote, name: "in process" }))
    const origin = Origin.make()
    const session = yield* Session.make({ connection, version, publish: origin, hop: 4711 })
    const theirs = yield* Effect.acquireRelease(
      Effect.promise(() =>
        Net.Connection.accept(far as unknown as WebTransportOfTheirs, new URL("https://in.process/"))
      ),
      (established: Net.Connection.Established) => Effect.sync(() => established.close())
    )
    return { version, session, connection, origin, theirs, transports: { ours, theirs: far } }
  })

/** The class of the browser, which our pair has the shape of. */
type WebTransportOfTheirs = Parameters<typeof Net.Connection.accept>[0]

console.debug = () => {} // theirs tells every step

// ---- what is published ----------------------------------------------------------------------------------------------

export const alice = "room/alice"

/** A broadcast of ours with a track `video`. */
export const cameraOfOurs = ({ origin }: Scene, path = alice, options: Track.Options = {}) => {
  const broadcast = Broadcast.make()
  const track = broadcast.createTrack("video", options)
  if (typeof track === "string") throw new Error(track)
  origin.publish(path, broadcast.consume())
  return { broadcast, track }
}

/** A broadcast of theirs with a track `video`. */
export const cameraOfTheirs = ({ theirs }: Scene, path = alice, info: Partial<Net.Track.Info> = {}) => {
  const broadcast = new Net.Broadcast.Producer()
  const track = broadcast.createTrack("video", info)
  theirs.publish(Net.Path.from(path), broadcast)
  return { broadcast, track }
}

/** A whole group of ours; the times of its frames count from 0. */
export const writeOurs = (track: Track.TrackProducer, ...texts: ReadonlyArray<string>): void => {
  const group = track.appendGroup()
  for (const [index, text] of texts.entries()) group.write(bytes(text), index)
  group.finish()
}

/** A whole group of theirs. */
export const writeTheirs = (track: Net.Track.Producer, ...texts: ReadonlyArray<string>): void => {
  const group = track.appendGroup()
  for (const [index, text] of texts.entries()) group.writeFrame(frame(text, index))
  group.close()
}

/** Frames in ticks of 90 kHz: one that is large, one that is empty, a time that goes back, and one beyond 32 bits. */
export const oddFrames = [
  { timestamp: 90_000, text: "key" },
  { timestamp: 93_600, text: "delta".repeat(20_000) },
  { timestamp: 91_800, text: "" },
  { timestamp: 2 ** 40, text: "b" }
] as const satisfies ReadonlyArray<Frame>

// ---- what arrives ---------------------------------------------------------------------------------------------------

export interface Frame {
  readonly timestamp: number | undefined
  readonly text: string
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()
export const bytes = (text: string): Uint8Array => encoder.encode(text)

export const textsOf = (frames: ReadonlyArray<Frame>): ReadonlyArray<string> => frames.map(({ text }) => text)

/** A group of ours to its end; what it has so far, if the end is an error. */
export const readOurs = (group: GroupConsumer): Effect.Effect<ReadonlyArray<Frame>> =>
  Effect.gen(function* () {
    const frames: Array<Frame> = []
    for (;;) {
      const next = group.tryRead()
      if (next === Blocked) yield* group.readable
      else if (next === End || next instanceof GroupError) return frames
      else frames.push({ timestamp: group.timestamp, text: decoder.decode(next) })
    }
  })

/** The next group of a track of ours, which has not ended. */
export const nextOurs = (track: Track.TrackConsumer): Effect.Effect<GroupConsumer, Track.TrackError> =>
  Effect.flatMap(track.next, (next) => {
    if (next === End) return Effect.die(new Error("the track ended"))
    return "_tag" in next ? Effect.die(new Error("the track lagged")) : Effect.succeed(next)
  })

/** The next frame of a group of theirs; undefined behind the last one. */
export const frameOfTheirs = (group: Net.Group.Consumer): Effect.Effect<string | undefined> =>
  Effect.promise(async () => {
    const frame = await group.readFrame()
    return frame === undefined ? undefined : decoder.decode(frame.payload)
  })

/** A group of theirs to its end. */
export const readTheirs = (group: Net.Group.Consumer): Effect.Effect<ReadonlyArray<Frame>> =>
  Effect.promise(async () => {
    const frames: Array<Frame> = []
    for (;;) {
      const frame = await group.readFrame()
      if (frame === undefined) return frames
      frames.push({ timestamp: frame.timestamp.value, text: decoder.decode(frame.payload) })
    }
  })

export const nextTheirs = (track: Net.Track.Subscriber): Effect.Effect<Net.Group.Consumer> =>
  Effect.promise(async () => {
    const group = await track.recvGroup()
    if (group === undefined) throw new Error("the track ended")
    return group
  })

/** A frame as they write it. */
export const frame = (text: string, timestamp: number, timescale = 1_000) => ({
  payload: bytes(text),
  timestamp: new Net.Time.Timestamp(timestamp, Net.Time.Timescale(timescale))
})
