/** Plain data to JSON and back, with the forms that JSON has none for; see Recording. */
import * as Hex from "effect/encoding/Hex"
import { Result } from "effect"

/** Says what is not plain data and where. */
export class NotPlain {
  readonly what: string
  constructor(what: string) {
    this.what = what
  }
}

const deepest = 64
const specials = new Map<string, unknown>([
  ["undefined", undefined],
  ["NaN", NaN],
  ["Infinity", Infinity],
  ["-Infinity", -Infinity],
  ["-0", -0]
])

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** The one key of an object that could be taken for one of the special forms. */
const dollar = (value: Readonly<Record<string, unknown>>): string | undefined => {
  const [key, ...others] = Object.keys(value)
  return key !== undefined && others.length === 0 && key.startsWith("$") ? key : undefined
}

const entries = (value: Readonly<Record<string, unknown>>, each: (value: unknown, key: string) => unknown): object =>
  Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, each(inner, key)]))

/** Throws `NotPlain`. */
export const encode = (value: unknown, path = "event", depth = 0): unknown => {
  if (depth > deepest) throw new NotPlain(`nesting below ${deepest} levels, or a cycle, at ${path}`)
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "number":
      if (Object.is(value, -0)) return { $special: "-0" }
      return Number.isFinite(value) ? value : { $special: String(value) }
    case "undefined":
      return { $special: "undefined" }
    case "bigint":
      return { $bigint: String(value) }
  }
  if (value === null) return null
  if (value instanceof Uint8Array) return { $bytes: Hex.encode(value) }
  if (Array.isArray(value)) return value.map((item, index) => encode(item, `${path}[${index}]`, depth + 1))
  if (!isObject(value)) {
    const name = typeof value === "object" ? value.constructor.name : typeof value
    throw new NotPlain(`a ${name} at ${path}`)
  }
  const inner = entries(value, (item, key) => encode(item, `${path}.${key}`, depth + 1))
  return dollar(value) === undefined ? inner : { $object: inner }
}

/** Throws `NotPlain`. */
export const decode = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(decode)
  if (!isObject(value)) return value
  const key = dollar(value)
  if (key === undefined) return entries(value, decode)
  const inner = value[key]
  if (key === "$object" && isObject(inner)) return entries(inner, decode)
  if (typeof inner === "string") {
    if (key === "$special" && specials.has(inner)) return specials.get(inner)
    if (key === "$bigint" && /^-?\d+$/.test(inner)) return BigInt(inner)
    if (key === "$bytes") {
      const bytes = Hex.decode(inner)
      if (Result.isSuccess(bytes)) return bytes.success
    }
  }
  throw new NotPlain(`an unknown form ${JSON.stringify(value)}`)
}
