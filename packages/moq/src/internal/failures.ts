import { StreamError } from "@effect-live/endpoint/Stream"
import { DecodeError } from "@effect-live/wire/DecodeError"
import type * as Broadcast from "../Broadcast.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { ReadError } from "./ControlReader.ts"

/** The code of moq-lite (section 4.8) for how reading or writing a stream failed. */
export const codeOf = (error: ReadError): number => {
  if (error instanceof DecodeError) return ErrorCode.decode
  if (!(error instanceof StreamError)) return ErrorCode.timeout
  const { reason } = error
  switch (reason._tag) {
    case "PeerReset":
    case "PeerStopped":
      return ErrorCode.fromStream(reason.code)
    case "StreamEnded":
      return ErrorCode.cancel
    case "ConnectionLost":
      return ErrorCode.transport
  }
}

/** The code with which a peer's request is refused. */
export const refusalCode = ({ reason }: Broadcast.SubscribeError): number => {
  switch (reason._tag) {
    case "Refused":
      return reason.code
    case "NotFound":
    case "BroadcastEnded":
      return ErrorCode.notFound
    case "NoAnswer":
      return ErrorCode.timeout
    case "SessionEnded":
    case "GoingAway":
      return ErrorCode.transport
    case "LimitReached":
      return ErrorCode.boundsExceeded
    case "Unsupported":
      return ErrorCode.unexpectedStream
  }
}

/** The stream went with its connection. */
export const isLost = (error: unknown): boolean =>
  error instanceof StreamError && error.reason._tag === "ConnectionLost"
