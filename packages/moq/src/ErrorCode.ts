/**
 * The error codes of moq-lite (section 4.8), shared by resets, STOP_SENDING and the close of a session, and how stream codes
 * travel on raw QUIC: in the range that WebTransport over HTTP/3 uses, though no HTTP/3 is spoken. Codes of a session's close
 * travel as they are.
 */
import * as StreamCode from "@effect-live/endpoint/StreamCode"

/** A normal end: nobody wants the rest. */
export const cancel = 0
/** The group or the request is too old. */
export const old = 2
/** A peer or a track did not answer in time. */
export const timeout = 3
/** The transport below failed. */
export const transport = 4
/** Bytes that could not be decoded. */
export const decode = 5
/** Not allowed. */
export const unauthorized = 6
/** A message or stream that has no place here. */
export const unexpectedStream = 10
/** A limit was reached. */
export const boundsExceeded = 11
/** The group exists already. */
export const duplicate = 12
/** No such broadcast or track. */
export const notFound = 13
/** A stream ended inside a frame. */
export const wrongSize = 14
/** The peer broke the protocol. */
export const protocolViolation = 15
/** The producer went away without finishing. */
export const dropped = 24
/** Written behind the end. */
export const closed = 25
/** The consumer was too slow: what it had not read is gone. */
export const lagged = 26
/** A frame above `Limits.maxFrameBytes`. */
export const frameTooLarge = 27
/** No route to the broadcast (relays). */
export const unroutable = 30
/** Given up because the budget for kept groups was reached. */
export const evicted = 31

/** An application's own error `n`, 0 to 65,535. */
export const application = (n: number): number => 64 + n

/** The name of a code, for people. */
export const name = (code: number): string =>
  code >= 64 && code < 64 + 65_536 ? `application error ${code - 64}` : (names.get(code) ?? `code ${code}`)

const names: ReadonlyMap<number, string> = new Map([
  [cancel, "cancelled"],
  [1, "required extension"],
  [old, "too old"],
  [timeout, "timeout"],
  [transport, "transport failure"],
  [decode, "undecodable"],
  [unauthorized, "unauthorized"],
  [9, "version"],
  [unexpectedStream, "unexpected stream"],
  [boundsExceeded, "a limit was reached"],
  [duplicate, "duplicate"],
  [notFound, "not found"],
  [wrongSize, "cut off"],
  [protocolViolation, "protocol violation"],
  [16, "unexpected message"],
  [17, "unsupported"],
  [18, "encoding failed"],
  [19, "too many parameters"],
  [20, "invalid role"],
  [21, "unknown protocol"],
  [dropped, "dropped by its producer"],
  [closed, "written after the end"],
  [lagged, "the consumer was too slow"],
  [frameTooLarge, "frame too large"],
  [29, "timestamp mismatch"],
  [unroutable, "unroutable"],
  [evicted, "evicted"]
])

/** A code of 0 to 2^32 - 1 as a stream code of QUIC. */
export const toStream = (code: number): number => StreamCode.toQuic(code)

/**
 * The moq-lite code of a stream code of QUIC. Raw 0 is what a peer sends whose stream was dropped: cancel. Outside the range, and
 * for the values that are reserved inside it: a transport failure without a code of its own.
 */
export const fromStream = (quicCode: number): number =>
  quicCode === 0 ? cancel : (StreamCode.fromQuic(quicCode) ?? transport)
