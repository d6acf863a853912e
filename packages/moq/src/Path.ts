/**
 * Paths of broadcasts (moq-lite section 1.1): segments joined with `/`. Everything here and on the wire is normalised: no `/` at
 * either end, no runs of `/`. The empty path is a path. Comparison is by whole segment.
 */
import * as Limits from "./Limits.ts"

/** Drops `/` at the ends and collapses runs of it. */
export const normalize = (text: string): string => {
  // nearly all are normal already, and this is done for every announcement
  if (!text.startsWith("/") && !text.endsWith("/") && !text.includes("//")) return text
  return text
    .split("/")
    .filter((segment) => segment !== "")
    .join("/")
}

/** `room` is a prefix of `room` and `room/ada`, not of `rooms`; the empty prefix of everything. Both sides normalised. */
export const isPrefix = (prefix: string, path: string): boolean =>
  prefix === "" || path === prefix || (path.startsWith(prefix) && path.charCodeAt(prefix.length) === slash)

/** What is left of `path` behind `prefix`, empty on an exact match; undefined when it is no prefix. */
export const suffix = (prefix: string, path: string): string | undefined => {
  if (!isPrefix(prefix, path)) return undefined
  return prefix === "" ? path : path.slice(prefix.length + 1)
}

/** The inverse of `suffix`. */
export const join = (prefix: string, suffix: string): string =>
  prefix === "" ? suffix : suffix === "" ? prefix : `${prefix}/${suffix}`

/** What makes a normalised path too long for the wire (moq-lite section 7), in words; undefined when it is fine. */
export const fault = (path: string): string | undefined => {
  let segments = 1
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) segments++
  if (segments > Limits.pathSegments) return `more than ${Limits.pathSegments} segments`
  // A UTF-16 unit takes at most 3 bytes: short paths need no encoding.
  if (path.length * 3 > Limits.nameBytes && new TextEncoder().encode(path).length > Limits.nameBytes) {
    return `more than ${Limits.nameBytes} bytes`
  }
  return undefined
}

const slash = 0x2f
