/** `irl info`: what a publisher announces, the catalog of the broadcast, the path that leads there. */
import * as Live from "@effect-live/live/Live"
import type { LiveTicket } from "@effect-live/live/LiveTicket"
import type { AudioConfig, VideoConfig } from "@effect-live/media/Catalog"
import { Effect, Stream } from "effect"
import { onNode } from "../onNode.ts"
import { Output } from "../Output.ts"
import * as Tickets from "../Tickets.ts"

/** How long the announcements may take once the catalog is here, in milliseconds. */
const announcementMs = 2_000

export const info = Effect.fnUntraced(function* (input: { readonly ticket: string }) {
  const ticket = yield* Tickets.parse(input.ticket)
  yield* onNode(tell(ticket))
})

const tell = Effect.fnUntraced(function* (ticket: LiveTicket) {
  const output = yield* Output
  const live = yield* Live.Live
  const { broadcast, name, paths, peer } = yield* live.subscribe(ticket)
  yield* broadcast.ready
  // the catalog may be here before the announcements; a publisher that answers without announcing has nothing to tell
  const said = Stream.runHead(Stream.filter(peer.announced(name), ({ active, path }) => active && path === name))
  yield* Effect.timeoutOption(said, announcementMs)
  const { catalog, warnings } = broadcast.catalog()
  const announced = peer.announcedNow()
  const video = [...catalog.video].map(([track, config]) => ({ track, ...facts(config), ...videoFacts(config) }))
  const audio = [...catalog.audio].map(([track, config]) => ({ track, ...facts(config), ...audioFacts(config) }))
  const ways = paths()
  const lines = [
    `endpoint   ${ticket.addr.id}`,
    `protocol   ${peer.version}`,
    ...ways.map(
      (path) => `path       ${path.kind} ${path.remote}, RTT ${path.rttMs} ms${path.selected ? ", in use" : ""}`
    ),
    `announced  ${announced.join(", ")}`,
    `broadcast  ${name}`,
    ...[...video, ...audio].map(({ track, ...rest }) => `track      ${track}  ${sentence(rest)}`),
    ...(video.length + audio.length === 0 ? ["track      none: the catalog is empty"] : []),
    ...warnings.map(({ path, reason }) => `warning    catalog ${path}: ${reason}`)
  ]
  const fields = { id: ticket.addr.id, protocol: peer.version, paths: ways, announced, name, video, audio, warnings }
  yield* output.event("info", fields, lines.join("\n"))
})

const facts = (config: AudioConfig | VideoConfig) => ({ codec: config.codec, bitrate: config.bitrate })
const videoFacts = (config: VideoConfig) => ({
  width: config.codedWidth,
  height: config.codedHeight,
  framerate: config.framerate
})
const audioFacts = (config: AudioConfig) => ({ sampleRate: config.sampleRate, channels: config.numberOfChannels })

const sentence = (facts: { readonly [name: string]: string | number | undefined }): string =>
  Object.entries(facts)
    .flatMap(([name, value]) => (value === undefined ? [] : [name === "codec" ? value : `${name} ${value}`]))
    .join(", ")
