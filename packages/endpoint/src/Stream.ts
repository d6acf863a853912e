/**
 * The byte streams of a connection: value or wait. `tryRead`, `tryReadInto` and `tryWrite` answer at once or say `Blocked`;
 * `readable` and `writable` wait until the next try has an answer. The hot loop drains until `Blocked` and waits once, so a
 * ready stream costs no fiber switch. `read` and `write` are the same as Effects.
 *
 * Ends and errors are latched: after the first `End` or `StreamError` every later try gives the same value. A reset never
 * looks like an end. One reader and one writer per stream: a second fiber that waits at the same time is a defect.
 *
 * Codes are the transport's own, raw (RFC 9000 section 19.4): integers up to 2^53-1. Protocols that map them do so above.
 */
import { type Effect, Schema } from "effect"
import { Close, format } from "./Close.ts"

/** Nothing to give or take right now. */
export const Blocked: unique symbol = Symbol.for("@effect-live/endpoint/Blocked")
export type Blocked = typeof Blocked

/** The peer finished the stream and everything was read. */
export const End: unique symbol = Symbol.for("@effect-live/endpoint/End")
export type End = typeof End

/** The peer gave up sending; what was unread is lost. */
export class PeerReset extends Schema.TaggedError<PeerReset>()("PeerReset", { code: Schema.Int }) {}
/** The peer no longer wants what we send. */
export class PeerStopped extends Schema.TaggedError<PeerStopped>()("PeerStopped", { code: Schema.Int }) {}
/** We finished, reset or stopped this stream ourselves. */
export class StreamEnded extends Schema.TaggedError<StreamEnded>()("StreamEnded", {}) {}
/** The connection ended under the stream. */
export class ConnectionLost extends Schema.TaggedError<ConnectionLost>()("ConnectionLost", { close: Close }) {
  override get message(): string {
    return `the connection has ended: ${format(this.close)}`
  }
}

export class StreamError extends Schema.TaggedError<StreamError>()("StreamError", {
  reason: Schema.Union([PeerReset, PeerStopped, StreamEnded, ConnectionLost])
}) {
  override get message(): string {
    return explain(this.reason)
  }
}

const explain = (reason: StreamError["reason"]): string => {
  switch (reason._tag) {
    case "PeerReset":
      return `the peer reset the stream (code ${reason.code})`
    case "PeerStopped":
      return `the peer reads no more of the stream (code ${reason.code})`
    case "StreamEnded":
      return "we have ended the stream ourselves"
    case "ConnectionLost":
      return reason.message
  }
}

export interface RecvStream {
  /** The next chunk (never empty), or why there is none. The chunk belongs to the caller. */
  readonly tryRead: () => Uint8Array | Blocked | End | StreamError
  /**
   * As `tryRead`, into the caller's own bytes: fills `into` from its front with as much as is there, whatever chunks it came
   * in, and says how many bytes that were (at least 1; 0 only where `into` is empty). Nothing is written behind them or after
   * the call. For whoever copies anyway: a buffer used again and again leaves no garbage. Both may be mixed on one stream.
   */
  readonly tryReadInto: (into: Uint8Array) => number | Blocked | End | StreamError
  /** Waits until the next `tryRead` or `tryReadInto` is not `Blocked`. Never fails; interruption only forgets the waiter. */
  readonly readable: Effect.Effect<void>
  readonly read: Effect.Effect<Uint8Array | End, StreamError>
  /** Asks the peer to stop sending (STOP_SENDING). What is unread is dropped; later reads answer `StreamEnded`. */
  readonly stop: (code: number) => void
}

export interface SendStream {
  /**
   * Takes bytes for sending: how many were taken (at least 1 of a chunk that is not empty; an empty chunk is 0 taken), or
   * `Blocked`: no credit, nothing was taken. The taken bytes must not be changed afterwards.
   */
  readonly tryWrite: (chunk: Uint8Array) => number | Blocked | StreamError
  /** Waits until the next `tryWrite` is not `Blocked`. Never fails. */
  readonly writable: Effect.Effect<void>
  /** Hands over everything, waiting for credit. Interruption may leave a part written: reset the stream then. */
  readonly write: (chunk: Uint8Array | ReadonlyArray<Uint8Array>) => Effect.Effect<void, StreamError>
  /** Ends the stream cleanly after what was written. Idempotent. */
  readonly finish: () => void
  /** Gives the stream up; the peer reads a `PeerReset` with this code. Idempotent, and wins over unsent data. */
  readonly reset: (code: number) => void
  /** Higher goes first among the streams of a connection; a signed 32-bit integer, 0 by default. */
  readonly setPriority: (priority: number) => void
  /** Succeeds with the peer's code when it stops the stream; never succeeds otherwise, fails when the connection ends. */
  readonly stopped: Effect.Effect<number, StreamError>
  /** After `finish`: succeeds when the peer has everything. Wait for it before closing the connection, or data is lost. */
  readonly flushed: Effect.Effect<void, StreamError>
}

export interface BiStream {
  readonly send: SendStream
  readonly recv: RecvStream
}
