/**
 * The catalog of a broadcast: a JSON document on the track `catalog.json` that lists its renditions (hang 0.15 and newer).
 *
 * Reading is tolerant: what one rendition has wrong costs that rendition or that field and becomes a warning, never the
 * document. Writing is strict: what hang 0.15.8 and the browser packages read.
 */
import * as Hex from "@effect-live/wire/Hex"
import { Result, Schema } from "effect"
import { compact } from "./internal/compact.ts"
import * as Limits from "./Limits.ts"

/** Name of the track. */
export const trackName = "catalog.json"

/** Priority of a subscription to it. */
export const priority = 100

/** A companion track that lists which group holds which time; `wallMs` counts from 2020-01-01T00:00:00Z. */
export interface Timeline {
  readonly track: string
  readonly timescale: number
  readonly wallMs?: number
}

/** What both kinds of renditions have. */
interface Config {
  /** A codec string, see `Codec`. */
  readonly codec: string
  /** avcC, hvcC, OpusHead, AudioSpecificConfig. */
  readonly description?: Uint8Array
  /** Bits per second. */
  readonly bitrate?: number
  /** The longest time that the publisher may hold a frame before it sends it. */
  readonly jitterMs?: number
  /** Path of the broadcast that has the track, relative to this one; absent: this one. */
  readonly broadcast?: string
  readonly timeline?: Timeline
}

export interface VideoConfig extends Config {
  /** Pixels. */
  readonly codedWidth?: number
  readonly codedHeight?: number
  readonly displayAspectWidth?: number
  readonly displayAspectHeight?: number
  /** Frames per second. */
  readonly framerate?: number
  readonly optimizeForLatency?: boolean
}

export interface AudioConfig extends Config {
  /** Hertz. */
  readonly sampleRate: number
  readonly numberOfChannels: number
}

/** A track of the broadcast that is no rendition. */
export interface TrackRef {
  readonly name: string
  /** 0 to 255. */
  readonly priority: number
}

export interface User {
  readonly id?: string
  readonly name?: string
  readonly avatar?: string
  readonly color?: string
}

export interface Catalog {
  /** Track name to configuration, in byte order of the names. All are in the legacy container. */
  readonly video: ReadonlyMap<string, VideoConfig>
  readonly audio: ReadonlyMap<string, AudioConfig>
  /** Suggested size of the picture on the screen, in pixels. */
  readonly display?: { readonly width: number; readonly height: number }
  /** Degrees, clockwise. */
  readonly rotation?: number
  readonly flip?: boolean
  readonly user?: User
  readonly chat?: { readonly message?: TrackRef; readonly typing?: TrackRef }
  readonly preview?: TrackRef
  /** Root sections that this package does not know, as they were. */
  readonly sections: ReadonlyMap<string, Schema.Json>
}

/** Something in a catalog that could not be used: where, why, and what was lost. */
export interface CatalogWarning {
  /** For example `video.renditions.v0.description`. */
  readonly path: string
  readonly reason: string
}

export interface Decoded {
  readonly catalog: Catalog
  readonly warnings: ReadonlyArray<CatalogWarning>
}

/** The document as a whole cannot be used. */
export class CatalogError extends Schema.TaggedError<CatalogError>()("CatalogError", {
  reason: Schema.Literals(["too large", "not UTF-8", "not JSON", "too deep", "not an object"])
}) {
  override get message(): string {
    return `the catalog is ${this.reason}`
  }
}

/** No renditions. */
export const empty: Catalog = { video: new Map(), audio: new Map(), sections: new Map() }

/** One whole document. Errors: no JSON object, above `Limits.catalogBytes` or `Limits.catalogDepth`. */
export const decode = (document: Uint8Array | string): Result.Result<Decoded, CatalogError> =>
  Result.map(parse(document), fromJson)

/**
 * The frames of one group of the catalog track: the first is a document, later ones are merge patches (RFC 7396). An error
 * leaves the state as it was; what follows in the group builds on a document that is not there, so leave the group.
 */
export class GroupDecoder {
  #document: JsonObject | undefined
  #bytes = 0

  decode(frame: Uint8Array | string): Result.Result<Decoded, CatalogError> {
    this.#bytes += frame.length
    if (this.#bytes > Limits.catalogBytes) return Result.fail(new CatalogError({ reason: "too large" }))
    const parsed = parse(frame)
    if (Result.isFailure(parsed)) return Result.fail(parsed.failure)
    this.#document = this.#document === undefined ? parsed.success : mergeObject(this.#document, parsed.success)
    return Result.succeed(fromJson(this.#document))
  }
}

/** Applies a merge patch (RFC 7396) and returns the result; neither argument is changed. */
export const mergePatch = (target: Schema.Json, patch: Schema.Json): Schema.Json =>
  isObject(patch) ? mergeObject(isObject(target) ? target : {}, patch) : patch

/** The document as hang 0.15.8 writes it: keys in its order, renditions sorted, nothing null, container always legacy. */
export const encode = (catalog: Catalog): Uint8Array => new TextEncoder().encode(format(catalog))

/** As `encode`, as text. */
export const format = (catalog: Catalog): string =>
  JSON.stringify({
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

const knownSections = new Set(["video", "audio", "user", "chat", "preview"])

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

/** By the bytes of the names in UTF-8, which is the order of their code points. */
const sorted = <A>(renditions: ReadonlyMap<string, A>): ReadonlyArray<readonly [string, A]> =>
  [...renditions].toSorted(([a], [b]) => comparePoints(a, b))

const comparePoints = (a: string, b: string): number => {
  const left = Array.from(a, (point) => point.codePointAt(0) ?? 0)
  const right = Array.from(b, (point) => point.codePointAt(0) ?? 0)
  const index = left.findIndex((point, at) => point !== right[at])
  return index < 0 ? left.length - right.length : (left[index] ?? 0) - (right[index] ?? -1)
}

type JsonObject = { readonly [key: string]: Schema.Json }

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const parse = (document: Uint8Array | string): Result.Result<JsonObject, CatalogError> => {
  const fail = (reason: CatalogError["reason"]) => Result.fail(new CatalogError({ reason }))
  if (document.length > Limits.catalogBytes) return fail("too large")
  let text: string
  try {
    text = typeof document === "string" ? document : utf8.decode(document)
  } catch {
    return fail("not UTF-8") // the only error of a fatal TextDecoder
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return fail("not JSON") // the only error of JSON.parse
  }
  if (!isObject(value)) return fail("not an object")
  return isDeeper(value, Limits.catalogDepth) ? fail("too deep") : Result.succeed(value)
}

const utf8 = new TextDecoder("utf-8", { fatal: true })

const isDeeper = (value: unknown, depth: number): boolean =>
  typeof value === "object" &&
  value !== null &&
  (depth === 0 || Object.values(value).some((inner) => isDeeper(inner, depth - 1)))

/** Through a Map: a key such as `__proto__` is a key like any other. */
const mergeObject = (target: JsonObject, patch: JsonObject): JsonObject => {
  const merged = new Map(Object.entries(target))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key)
    else merged.set(key, mergePatch(merged.get(key) ?? null, value))
  }
  return Object.fromEntries(merged)
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

const fromJson = (root: JsonObject): Decoded => {
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
