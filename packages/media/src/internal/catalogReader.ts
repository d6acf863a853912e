/** A catalog out of JSON, tolerantly: what cannot be used costs one rendition or one field, and becomes a warning. */
import * as Hex from "@effect-live/wire/Hex"
import { Result, Schema } from "effect"
import type {
  AudioConfig,
  Catalog,
  CatalogWarning,
  Decoded,
  Timeline,
  TrackRef,
  User,
  VideoConfig
} from "../Catalog.ts"
import * as Limits from "../Limits.ts"
import { type Config, isObject, type JsonObject, knownSections, sorted } from "./catalogParts.ts"
import { compact } from "./compact.ts"

/** Every field that can be used, and a warning for each that cannot. */
export const fromJson = (root: JsonObject): Decoded => {
  const notes = new Notes()
  const video = section(notes, root, "video")
  const audio = section(notes, root, "audio")
  const display = notes.optional(video, "video", "display", Section)
  const width = display && notes.optional(display, "video.display", "width", Positive)
  const height = display && notes.optional(display, "video.display", "height", Positive)
  const catalog = compact({
    video: renditions(notes, video, "video", readVideo),
    audio: renditions(notes, audio, "audio", readAudio),
    display: width === undefined || height === undefined ? undefined : { width, height },
    rotation: notes.optional(video, "video", "rotation", Angle),
    flip: notes.optional(video, "video", "flip", Flag),
    user: readUser(notes, root),
    chat: readChat(notes, root),
    preview: readTrack(notes, root, "", "preview"),
    sections: new Map(Object.entries(root).filter(([name]) => !knownSections.has(name)))
  })
  return { catalog, warnings: notes.done() }
}

/** Reads fields and notes what is wrong with them. */
class Notes {
  readonly warnings: Array<CatalogWarning> = []
  #more = 0

  warn(path: string, reason: string): undefined {
    if (this.warnings.length < Limits.catalogWarnings - 1) this.warnings.push({ path: cut(path), reason })
    else this.#more++
    return undefined
  }

  done(): ReadonlyArray<CatalogWarning> {
    return this.#more === 0 ? this.warnings : [...this.warnings, { path: "", reason: `${this.#more} more warnings` }]
  }

  /** A field that may be absent; a wrong value or null counts as absent. */
  optional<A>(object: JsonObject, path: string, key: string, field: Field<A>): A | undefined {
    const value = own(object, key)
    if (value === undefined) return undefined
    const read = field.read(value)
    return read === undefined ? this.warn(joined(path, key), `expected ${field.expected}; left out`) : read
  }
}

const joined = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`)

/** Long names would make a warning heavier than what it is about. */
const cut = (path: string): string => (path.length > 200 ? `${path.slice(0, 200)}…` : path)

const own = (object: JsonObject, key: string): Schema.Json | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined

interface Field<A> {
  readonly expected: string
  readonly read: (value: Schema.Json) => A | undefined
}

const fieldOf = <A>(expected: string, schema: Schema.Codec<A>): Field<A> => {
  const is = Schema.is(schema)
  return { expected, read: (value) => (is(value) ? value : undefined) }
}

const Text = fieldOf("text", Schema.String)
const Name = fieldOf("text that is not empty", Schema.NonEmptyString)
const Flag = fieldOf("true or false", Schema.Boolean)
const Count = fieldOf("a whole number from 0", Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)))
const Positive = fieldOf("a whole number from 1", Schema.Int.check(Schema.isGreaterThan(0)))
const Rate = fieldOf("a number above 0", Schema.Finite.check(Schema.isGreaterThan(0)))
const Angle = fieldOf("a number", Schema.Finite)
const Priority = fieldOf(
  "a whole number from 0 to 255",
  Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))
)
const Section: Field<JsonObject> = { expected: "an object", read: (value) => (isObject(value) ? value : undefined) }
const HexBytes: Field<Uint8Array> = {
  expected: "hex digits of even length",
  read: (value) => {
    const bytes = typeof value === "string" ? Hex.decode(value.toLowerCase()) : undefined
    return bytes !== undefined && Result.isSuccess(bytes) ? bytes.success : undefined
  }
}

/** `video` or `audio`, the old array form turned into the one with `renditions`. */
const section = (notes: Notes, root: JsonObject, kind: "video" | "audio"): JsonObject => {
  const value = own(root, kind)
  if (value === undefined) return { renditions: {} }
  const old = Array.isArray(value) ? value : isObject(value) && own(value, "track") !== undefined ? [value] : undefined
  if (old === undefined) {
    if (isObject(value)) return value
    notes.warn(kind, "expected an object; left out")
    return { renditions: {} }
  }
  const renditions = new Map<string, Schema.Json>()
  for (const [index, entry] of old.entries()) {
    const path = `${kind}.${index}`
    const track = isObject(entry) ? notes.optional(entry, path, "track", Section) : undefined
    const name = track && notes.optional(track, `${path}.track`, "name", Name)
    const config = isObject(entry) ? own(entry, "config") : undefined
    if (name === undefined || config === undefined)
      notes.warn(path, "expected a track with a name and a config; left out")
    else renditions.set(name, config)
  }
  return { renditions: Object.fromEntries(renditions) }
}

const renditions = <A>(
  notes: Notes,
  section: JsonObject,
  kind: string,
  read: (notes: Notes, config: JsonObject, path: string) => A | undefined
): ReadonlyMap<string, A> => {
  const found = own(section, "renditions")
  if (!isObject(found)) {
    notes.warn(`${kind}.renditions`, "expected an object; taken as empty")
    return new Map()
  }
  const all: Array<readonly [string, A]> = []
  for (const [name, config] of Object.entries(found)) {
    const path = `${kind}.renditions.${name}`
    if (all.length === Limits.renditionsPerKind) {
      notes.warn(`${kind}.renditions`, `more than ${Limits.renditionsPerKind}; the rest is left out`)
      break
    }
    const rendition = isObject(config) ? read(notes, config, path) : notes.warn(path, "expected an object; left out")
    if (rendition !== undefined) all.push([name, rendition])
  }
  return new Map(sorted(new Map(all)))
}

const readVideo = (notes: Notes, config: JsonObject, path: string): VideoConfig | undefined => {
  const common = readCommon(notes, config, path)
  if (common === undefined) return undefined
  const optional = <A>(key: string, field: Field<A>) => notes.optional(config, path, key, field)
  return compact({
    ...common,
    codedWidth: optional("codedWidth", Positive),
    codedHeight: optional("codedHeight", Positive),
    displayAspectWidth: optional("displayAspectWidth", Positive) ?? optional("displayRatioWidth", Positive),
    displayAspectHeight: optional("displayAspectHeight", Positive) ?? optional("displayRatioHeight", Positive),
    framerate: optional("framerate", Rate),
    optimizeForLatency: optional("optimizeForLatency", Flag)
  })
}

const readAudio = (notes: Notes, config: JsonObject, path: string): AudioConfig | undefined => {
  const common = readCommon(notes, config, path)
  const sampleRate = required(notes, config, path, "sampleRate", Positive)
  const numberOfChannels = required(notes, config, path, "numberOfChannels", Positive)
  if (common === undefined || sampleRate === undefined || numberOfChannels === undefined) return undefined
  return { ...common, sampleRate, numberOfChannels }
}

/** What a rendition cannot do without, and what nobody could guess when it is wrong. */
const readCommon = (notes: Notes, config: JsonObject, path: string): Config | undefined => {
  const codec = required(notes, config, path, "codec", Name)
  const description = own(config, "description")
  const bytes = description === undefined || description === null ? undefined : HexBytes.read(description)
  if (description !== undefined && description !== null && bytes === undefined) {
    return notes.warn(`${path}.description`, `expected ${HexBytes.expected}; the rendition is left out`)
  }
  const container = own(config, "container")
  const kind = isObject(container) ? own(container, "kind") : "legacy"
  if ((container !== undefined && !isObject(container)) || kind !== "legacy") {
    const named = typeof kind === "string" && kind.length <= 32 ? JSON.stringify(kind) : "another one"
    return notes.warn(`${path}.container`, `expected the legacy container, found ${named}; the rendition is left out`)
  }
  if (codec === undefined) return undefined
  const optional = <A>(key: string, field: Field<A>) => notes.optional(config, path, key, field)
  return compact({
    codec,
    description: bytes,
    bitrate: optional("bitrate", Count),
    jitterMs: optional("jitter", Count),
    broadcast: normalizePath(optional("broadcast", Text)),
    timeline: readTimeline(notes, config, path)
  })
}

const required = <A>(notes: Notes, object: JsonObject, path: string, key: string, field: Field<A>): A | undefined => {
  const value = own(object, key)
  const read = value === undefined ? undefined : field.read(value)
  return read ?? notes.warn(`${path}.${key}`, `expected ${field.expected}; the rendition is left out`)
}

/** `./a//b/` is `a/b`; a path that leads nowhere is this broadcast. */
const normalizePath = (path: string | undefined): string | undefined => {
  const parts = path?.split("/").filter((part) => part !== "" && part !== ".")
  return parts === undefined || parts.length === 0 ? undefined : parts.join("/")
}

const readTimeline = (notes: Notes, config: JsonObject, path: string): Timeline | undefined => {
  const timeline = notes.optional(config, path, "timeline", Section)
  if (timeline === undefined) return undefined
  const track = notes.optional(timeline, `${path}.timeline`, "track", Name)
  if (track === undefined) return undefined
  return compact({
    track,
    timescale: notes.optional(timeline, `${path}.timeline`, "timescale", Positive) ?? 1000,
    wallMs: notes.optional(timeline, `${path}.timeline`, "wall", Count)
  })
}

const readUser = (notes: Notes, root: JsonObject): User | undefined => {
  const user = notes.optional(root, "", "user", Section)
  if (user === undefined) return undefined
  const field = (key: string) => notes.optional(user, "user", key, Text)
  return compact({ id: field("id"), name: field("name"), avatar: field("avatar"), color: field("color") })
}

const readChat = (notes: Notes, root: JsonObject): Catalog["chat"] => {
  const chat = notes.optional(root, "", "chat", Section)
  if (chat === undefined) return undefined
  return compact({
    message: readTrack(notes, chat, "chat", "message"),
    typing: readTrack(notes, chat, "chat", "typing")
  })
}

/** Some writers leave the priority out; hang 0.15.8 demands it, so we always write it. */
const readTrack = (notes: Notes, object: JsonObject, path: string, key: string): TrackRef | undefined => {
  const track = notes.optional(object, path, key, Section)
  if (track === undefined) return undefined
  const at = joined(path, key)
  const name = notes.optional(track, at, "name", Name)
  return name === undefined ? undefined : { name, priority: notes.optional(track, at, "priority", Priority) ?? 10 }
}
