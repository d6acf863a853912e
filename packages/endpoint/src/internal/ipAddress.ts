/** IP addresses as text, exactly as strict as Rust's standard library reads them and in the form in which it prints them. */

/** 4 or 16 bytes, or `undefined`: leading zeros in an IPv4 number, names and scopes are refused. */
export const parse = (text: string): Uint8Array | undefined => (text.includes(":") ? parseV6(text) : parseV4(text))

/** The normal form: dotted decimal, or RFC 5952 (IPv4-mapped addresses with a dotted tail). */
export const format = (bytes: Uint8Array): string => {
  if (bytes.length === 4) return bytes.join(".")
  const groups = Array.from({ length: 8 }, (_, index) => (bytes[2 * index] ?? 0) * 256 + (bytes[2 * index + 1] ?? 0))
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff)
    return `::ffff:${bytes.slice(12).join(".")}`
  const [start, length] = longestZeros(groups)
  return length < 2 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`
}

const hex = (groups: ReadonlyArray<number>): string => groups.map((group) => group.toString(16)).join(":")

const parseV4 = (text: string): Uint8Array | undefined => {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (match === null) return undefined
  const parts = match.slice(1)
  const valid = parts.every((part) => Number(part) <= 255 && (part === "0" || !part.startsWith("0")))
  return valid ? Uint8Array.from(parts, Number) : undefined
}

const parseV6 = (text: string): Uint8Array | undefined => {
  const halves = text.split("::")
  const head = parseGroups(halves[0] ?? "", halves.length === 1)
  if (head === undefined || halves.length > 2) return undefined
  if (halves.length === 1) return head.length === 16 ? Uint8Array.from(head) : undefined
  const tail = parseGroups(halves[1] ?? "", true)
  // "::" stands for at least one group
  if (tail === undefined || head.length + tail.length > 14) return undefined
  const bytes = new Uint8Array(16)
  bytes.set(head)
  bytes.set(tail, 16 - tail.length)
  return bytes
}

/** The bytes of groups joined by ":"; only at the end of the address the last two may be written as IPv4. */
const parseGroups = (text: string, atEnd: boolean): ReadonlyArray<number> | undefined => {
  if (text === "") return []
  const groups = text.split(":")
  const bytes: Array<number> = []
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 0xff)
    } else {
      const v4 = atEnd && index === groups.length - 1 ? parseV4(group) : undefined
      if (v4 === undefined) return undefined
      bytes.push(...v4)
    }
  }
  return bytes
}

/** Start and length of the first longest run of zeros. */
const longestZeros = (groups: ReadonlyArray<number>): readonly [number, number] => {
  let best: readonly [number, number] = [0, 0]
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === 0) length++
    if (length > best[1]) best = [start, length]
  }
  return best
}
