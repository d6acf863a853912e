/**
 * The part of the W3C WebTransport interface that is used here, by structure: browsers, polyfills and tests have it, whether or not
 * they have its classes.
 */

export interface Session {
  readonly ready: Promise<unknown>
  /** How the session ended; rejects when it was cut off. */
  readonly closed: Promise<CloseInfo | undefined>
  /** The application protocol that was agreed. */
  readonly protocol?: string
  readonly incomingUnidirectionalStreams: ReadableStream<ReadableStream<Uint8Array>>
  readonly incomingBidirectionalStreams: ReadableStream<BidirectionalStream>
  readonly datagrams: Datagrams
  readonly createUnidirectionalStream: (options?: SendOptions) => Promise<SendStream>
  readonly createBidirectionalStream: (options?: SendOptions) => Promise<BidirectionalStream>
  readonly close: (info?: CloseInfo) => void
  readonly getStats?: () => Promise<Stats>
}

export interface CloseInfo {
  readonly closeCode?: number
  readonly reason?: string
}

export interface SendOptions {
  readonly sendOrder?: number
  /** Wait for the peer's stream credit; false: fail instead. */
  readonly waitUntilAvailable?: boolean
}

export interface SendStream extends WritableStream<Uint8Array> {
  sendOrder?: number | null
}

export interface BidirectionalStream {
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: SendStream
}

export interface Datagrams {
  readonly readable: ReadableStream<Uint8Array>
  /** Where `createWritable` is missing: the interface was changed. */
  readonly writable?: WritableStream<Uint8Array>
  readonly createWritable?: () => WritableStream<Uint8Array>
  /** 0: none. */
  readonly maxDatagramSize: number
}

export interface Stats {
  readonly bytesSent?: number
  readonly bytesReceived?: number
  readonly packetsLost?: number
  readonly smoothedRtt?: number
  /** Bits per second. */
  readonly estimatedSendRate?: number | null
}

/** What streams fail with and are given up with: the platform's `WebTransportError`, or an error with the same fields. */
export const streamError = (streamErrorCode: number): Error => {
  const message = `stream code ${streamErrorCode}`
  const { WebTransportError } = globalThis as { readonly WebTransportError?: ErrorConstructorLike }
  if (WebTransportError !== undefined) return new WebTransportError(message, { source: "stream", streamErrorCode })
  return Object.assign(new Error(message), { source: "stream", streamErrorCode })
}

type ErrorConstructorLike = new (
  message: string,
  options: { readonly source: "stream"; readonly streamErrorCode: number }
) => Error

/** The session ended, rather than one of its streams. */
export const isOfSession = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "source" in error && error.source === "session"

/** The code that a stream failed with; 0 where the error has none. */
export const streamCode = (error: unknown): number => {
  if (typeof error !== "object" || error === null || !("streamErrorCode" in error)) return 0
  return typeof error.streamErrorCode === "number" ? error.streamErrorCode : 0
}
