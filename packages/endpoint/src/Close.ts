/**
 * How a connection ended. A value, never an error: whoever waits for the end of a connection wants to know how, and every
 * error of a stream that died with its connection carries it.
 */
import { Schema } from "effect"

/** We closed it. `code` is the application's, `reason` at most 1,024 bytes of UTF-8. */
export const Local = Schema.TaggedStruct("Local", { code: Schema.Int, reason: Schema.String })
/** The peer closed it. */
export const Remote = Schema.TaggedStruct("Remote", { code: Schema.Int, reason: Schema.String })
/** Nothing was heard from the peer for the idle timeout. */
export const IdleTimeout = Schema.TaggedStruct("IdleTimeout", {})
/** The transport gave up: a protocol violation below us, or the endpoint went away. */
export const TransportFailed = Schema.TaggedStruct("TransportFailed", { message: Schema.String })

export const Close = Schema.Union([Local, Remote, IdleTimeout, TransportFailed])
export type Close = typeof Close.Type

/** One line for people: who closed, with which code and reason. */
export const format = (close: Close): string => {
  switch (close._tag) {
    case "Local":
      return `closed by us (code ${close.code}${close.reason === "" ? "" : `, ${close.reason}`})`
    case "Remote":
      return `closed by the peer (code ${close.code}${close.reason === "" ? "" : `, ${close.reason}`})`
    case "IdleTimeout":
      return "the peer went silent"
    case "TransportFailed":
      return `the transport failed: ${close.message}`
  }
}
