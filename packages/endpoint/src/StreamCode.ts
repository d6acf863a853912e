/**
 * An application's stream codes as stream codes of QUIC, the way WebTransport over HTTP/3 carries them (draft-ietf-webtrans-http3,
 * "Resetting Data Streams"): in a range of their own, around the values that HTTP/3 reserves. moq-lite does the same on raw QUIC.
 * `Stream.ts` speaks of QUIC's codes: a transport whose interface shows the application's, as the W3C one does, translates here.
 */

const first = 0x52e4a40fa8db
const last = 0x52e5ac983162

/** The code of QUIC for an application's, 0 to 2^32 - 1. */
export const toQuic = (code: number): number => first + code + Math.floor(code / 30)

/** The application's code; undefined for what is outside the range, or reserved inside it. */
export const fromQuic = (quicCode: number): number | undefined => {
  const offset = quicCode - first
  if (offset < 0 || quicCode > last || offset % 31 === 30) return undefined
  return offset - Math.floor(offset / 31)
}
