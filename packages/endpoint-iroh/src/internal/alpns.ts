/** Names of protocols, checked in one place for both backings, so that they answer alike. */
import * as Limits from "../Limits.ts"

const utf8 = new TextEncoder()

/** What is wrong with them: TLS gives the length of each one byte (RFC 7301 section 3.1), and the first packets have little room. */
const amiss = (alpns: ReadonlyArray<string>): string | undefined => {
  const lengths = alpns.map((alpn) => utf8.encode(alpn).length)
  if (lengths.some((length) => length < 1 || length > Limits.alpnBytes)) {
    return `the name of a protocol has 1 to ${Limits.alpnBytes} bytes`
  }
  const bytes = lengths.reduce((sum, length) => sum + 1 + length, 0)
  return bytes > Limits.alpnsBytes
    ? `the names of all protocols have at most ${Limits.alpnsBytes} bytes together, with one more for each`
    : undefined
}

/** Why a dial cannot offer them, or undefined. */
export const dialing = (alpns: ReadonlyArray<string>): string | undefined =>
  alpns.length === 0 ? "a dial offers at least one protocol" : amiss(alpns)

/** To accept others than these is a bug of the caller, and throws. */
export const accepting = (alpns: ReadonlyArray<string>): void => {
  const why = amiss(alpns)
  if (why !== undefined) throw new TypeError(why)
}
