/** Two simulated nodes with a connection between them, and short words for what the tests say often. */
import type { Connection } from "@effect-live/endpoint/Connection"
import { End } from "@effect-live/endpoint/Stream"
import { SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import { Effect, type Scope } from "effect"
import * as Broadcast from "../../src/Broadcast.ts"
import type * as Group from "../../src/Group.ts"
import * as Origin from "../../src/Origin.ts"
import * as Session from "../../src/Session.ts"
import * as Track from "../../src/Track.ts"
import { fromAlpn, lite03, type Version } from "../../src/Version.ts"

/** Both ends of a connection from node `a` to node `b`, with addresses exchanged. */
export const connectedOn = (
  version: Version
): Effect.Effect<readonly [Connection, Connection], never, SimNetwork | Scope.Scope> =>
  Effect.gen(function* () {
    const network = yield* SimNetwork
    const a = yield* network.bind("a")
    const b = yield* network.bind("b")
    yield* b.setAlpns([version.alpn])
    return yield* Effect.all([a.connect(network.addr("b"), [version.alpn]), b.accept], { concurrency: 2 })
  }).pipe(Effect.orDie)

export const connected = connectedOn(lite03)

export interface Node {
  readonly origin: Origin.Origin
  readonly session: Session.Session
}

/** Sessions on both ends. */
export const sessionsOn = (version: Version): Effect.Effect<readonly [Node, Node], never, SimNetwork | Scope.Scope> =>
  Effect.flatMap(connectedOn(version), (ends) => Effect.all([sessionOn(ends[0], { hop: 1 }), sessionOn(ends[1])]))

/** A session of the version that the connection has. */
export const sessionOn = (
  connection: Connection,
  options: Partial<Session.Options> = {}
): Effect.Effect<Node, never, Scope.Scope> =>
  Effect.gen(function* () {
    const origin = options.publish ?? Origin.make()
    const version = fromAlpn(connection.alpn) ?? lite03
    return { origin, session: yield* Session.make({ hop: 42, ...options, connection, version, publish: origin }) }
  })

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
export const text = (frame: Uint8Array): string => new TextDecoder().decode(frame)

/** The frames of a group as text, to its end. */
export const framesOf = (group: Group.GroupConsumer): Effect.Effect<ReadonlyArray<string>, Group.GroupError> =>
  Effect.gen(function* () {
    const frames: Array<string> = []
    for (;;) {
      const frame = yield* group.read
      if (frame === End) return frames
      frames.push(text(frame))
    }
  })

/** The next group; a test that gets anything else fails. */
export const groupOf = (track: Track.TrackConsumer): Effect.Effect<Group.GroupConsumer> =>
  Effect.flatMap(Effect.orDie(track.next), (next) =>
    next === End || "_tag" in next ? Effect.die(new Error(`no group but ${String(next)}`)) : Effect.succeed(next)
  )

/** `sequence:frame,frame` of every group to the end of the track, `lagged n` where groups were lost. */
export const allOf = (
  track: Track.TrackConsumer
): Effect.Effect<ReadonlyArray<string>, Group.GroupError | Track.TrackError> =>
  Effect.gen(function* () {
    const groups: Array<string> = []
    for (;;) {
      const next = yield* track.next
      if (next === End) return groups
      if ("_tag" in next) groups.push(`lagged ${next.groups}`)
      else groups.push(`${next.sequence}:${(yield* framesOf(next)).join(",")}`)
    }
  })

/** A broadcast with one track. */
export const camera = (options: Track.Options = {}, name = "video") => {
  const broadcast = Broadcast.make()
  const video = Track.make(name, options)
  broadcast.insertTrack(video)
  return { broadcast, video }
}

/** Writes a whole group. */
export const write = (track: Track.TrackProducer, ...frames: ReadonlyArray<string>): void => {
  const group = track.appendGroup()
  for (const frame of frames) group.write(bytes(frame))
  group.finish()
}
