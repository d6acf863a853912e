/**
 * The closes that two nodes of ours exchange about connections, not about sessions: who gets one of these has lost a connection,
 * and may have another one. To everybody else they are closes with code 0.
 */
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection } from "@effect-live/endpoint/Connection"
import { Effect } from "effect"
import * as ErrorCode from "../ErrorCode.ts"

/** Both ends keep another connection between them (moq-lite section 6.4). */
export const duplicate = { code: ErrorCode.cancel, reason: "duplicate" } as const

/** Nobody at the end that dialed wants the session any more. Whoever holds it at the other end dials. */
export const unused = { code: ErrorCode.cancel, reason: "unused" } as const

/** The peer asks for more than anybody needs, and does not stop. */
export const overloaded = { code: ErrorCode.boundsExceeded, reason: "too many requests" } as const

/** Whoever holds the Scope ended it. */
export const here: Close = { _tag: "Local", code: ErrorCode.cancel, reason: "" }

/** Whether a close ended the connection only. Any other close by an application is the end of the session too. */
export const isLoss = (close: Close): boolean =>
  (close._tag !== "Local" && close._tag !== "Remote") ||
  [duplicate, unused].some(({ code, reason }) => close.code === code && close.reason === reason)

/** Whether the peer told us that both ends keep another connection. */
export const isDuplicate = (close: Close): boolean =>
  close._tag === "Remote" && close.code === duplicate.code && close.reason === duplicate.reason

/**
 * A connection that the peer dialed, of a version that begins with SETUP. An attempt that is given up when it just came through is
 * closed by the transport, without a word: where no SETUP came before, that says `unused`.
 */
export const ofAttempt = (connection: Connection): Connection => {
  let heard = false
  /** Said once: all who ask hear the same. */
  let said: Close | undefined
  return {
    ...connection,
    acceptUni: Effect.map(connection.acceptUni, (stream) => {
      heard = true
      return stream
    }),
    closed: Effect.map(connection.closed, (close) => {
      const wordless = close._tag === "Remote" && close.code === 0 && close.reason === ""
      return (said ??= wordless && !heard ? { ...close, ...unused } : close)
    })
  }
}
