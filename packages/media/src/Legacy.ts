/**
 * The legacy container of hang: a QUIC varint with the presentation time in microseconds, then the payload of the codec. There
 * is no duration and no key frame bit: the first frame of a group is the key frame.
 */
import { DecodeError } from "@effect-live/wire/DecodeError"
import * as Varint from "@effect-live/wire/Varint"

export interface LegacyFrame {
  /** Presentation time in microseconds, up to 2^53 - 1. */
  readonly ptsUs: number
  /** A view of the frame. Empty: a marker that carries no media. */
  readonly payload: Uint8Array
}

/** One frame, in fresh bytes. Defect: a time that is no integer from 0 to 2^53 - 1. */
export const encode = (ptsUs: number, payload: Uint8Array): Uint8Array => {
  const prefixBytes = Varint.size(ptsUs)
  const frame = new Uint8Array(prefixBytes + payload.length)
  Varint.write(frame, 0, ptsUs)
  frame.set(payload, prefixBytes)
  return frame
}

/** What `encode` puts before the payload. */
export const prefix = (ptsUs: number): Uint8Array => encode(ptsUs, nothing)

/** Time and payload of a frame. Longer varints than needed are read. The payload is a view. */
export const decode = (frame: Uint8Array): LegacyFrame | DecodeError => {
  const ptsUs = Varint.tryRead(frame, 0)
  if (ptsUs >= 0) return { ptsUs, payload: frame.subarray(Varint.sizeFrom(frame[0] ?? 0)) }
  const expected = ptsUs === Varint.NeedMore ? "a whole varint" : "a time up to 2^53 - 1 µs"
  return new DecodeError({ offset: 0, expected })
}

const nothing = new Uint8Array(0)
