/**
 * The catalog of a broadcast: a JSON document on the track `catalog.json` that lists its renditions (hang 0.15 and newer).
 *
 * Reading is tolerant: what one rendition has wrong costs that rendition or that field and becomes a warning, never the
 * document. Writing is strict: what hang 0.15.8 and the browser packages read.
 */
import { Result, Schema } from "effect"
import { isObject, type JsonObject } from "./internal/catalogParts.ts"
import { fromJson } from "./internal/catalogReader.ts"
import { toJson } from "./internal/catalogWriter.ts"
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
export const format = (catalog: Catalog): string => JSON.stringify(toJson(catalog))

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
