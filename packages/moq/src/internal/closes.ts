/**
 * The closes that two nodes of ours exchange about connections, not about sessions: who gets one of these has lost a connection,
 * and may have another one. To everybody else they are closes with code 0.
 */
import type { Close } from "@effect-live/endpoint/Close"
import * as ErrorCode from "../ErrorCode.ts"

/** Both ends keep another connection between them (moq-lite section 6.4). */
export const duplicate = { code: ErrorCode.cancel, reason: "duplicate" } as const

/** Nobody at the end that dialed wants the session any more. Whoever holds it at the other end dials. */
export const unused = { code: ErrorCode.cancel, reason: "unused" } as const

/** Whether a close ended the connection only. Any other close by an application is the end of the session too. */
export const isLoss = (close: Close): boolean =>
  (close._tag !== "Local" && close._tag !== "Remote") ||
  [duplicate, unused].some(({ code, reason }) => close.code === code && close.reason === reason)

/** Whether the peer told us that both ends keep another connection. */
export const isDuplicate = (close: Close): boolean =>
  close._tag === "Remote" && close.code === duplicate.code && close.reason === duplicate.reason
