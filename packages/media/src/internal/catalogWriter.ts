/** A catalog as hang 0.15.8 writes it. */
import * as Hex from "@effect-live/wire/Hex"
import type { AudioConfig, Catalog, TrackRef, User, VideoConfig } from "../Catalog.ts"
import { type Config, knownSections, sorted } from "./catalogParts.ts"

/** Keys in its order, renditions sorted, container always legacy; what is undefined is left out of the text. */
export const toJson = (catalog: Catalog) => ({
  video: {
    renditions: Object.fromEntries(sorted(catalog.video).map(([name, config]) => [name, videoJson(config)])),
    display: catalog.display,
    rotation: catalog.rotation,
    flip: catalog.flip
  },
  audio: { renditions: Object.fromEntries(sorted(catalog.audio).map(([name, config]) => [name, audioJson(config)])) },
  user: catalog.user && pick(catalog.user, ["id", "name", "avatar", "color"]),
  chat: catalog.chat && {
    message: catalog.chat.message && trackJson(catalog.chat.message),
    typing: catalog.chat.typing && trackJson(catalog.chat.typing)
  },
  preview: catalog.preview && trackJson(catalog.preview),
  ...Object.fromEntries([...catalog.sections].filter(([name]) => !knownSections.has(name)))
})

const videoJson = (config: VideoConfig) => ({
  codec: config.codec,
  description: config.description && Hex.encode(config.description),
  codedWidth: config.codedWidth,
  codedHeight: config.codedHeight,
  displayRatioWidth: config.displayAspectWidth, // hang's name; the browser packages read the other one
  displayRatioHeight: config.displayAspectHeight,
  displayAspectWidth: config.displayAspectWidth,
  displayAspectHeight: config.displayAspectHeight,
  bitrate: config.bitrate,
  framerate: config.framerate,
  optimizeForLatency: config.optimizeForLatency,
  ...commonJson(config)
})

const audioJson = (config: AudioConfig) => ({
  codec: config.codec,
  sampleRate: config.sampleRate,
  numberOfChannels: config.numberOfChannels,
  bitrate: config.bitrate,
  description: config.description && Hex.encode(config.description),
  ...commonJson(config)
})

const commonJson = (config: Config) => ({
  container: { kind: "legacy" },
  jitter: config.jitterMs,
  broadcast: config.broadcast,
  timeline: config.timeline && {
    track: config.timeline.track,
    timescale: config.timeline.timescale,
    wall: config.timeline.wallMs
  }
})

const trackJson = ({ name, priority }: TrackRef) => ({ name, priority })

const pick = (user: User, keys: ReadonlyArray<keyof User>) => Object.fromEntries(keys.map((key) => [key, user[key]]))
