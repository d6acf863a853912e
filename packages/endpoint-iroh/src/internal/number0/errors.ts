/** What the binding says in words, as values. Its texts are matched loosely: some releases add prefixes, paths and backtraces. */
import type { Close } from "@effect-live/endpoint/Close"
import * as Endpoint from "@effect-live/endpoint/Endpoint"

/** The text of whatever a native call threw, without the backtrace that `RUST_BACKTRACE` adds. */
export const textOf = (error: unknown): string => {
  const text = error instanceof Error ? error.message : String(error)
  const trace = text.search(/\n\s*(Stack backtrace|stack backtrace|0: )/)
  return (trace < 0 ? text : text.slice(0, trace)).trim()
}

/** The end of a connection, from the answer of `closed()` or `closeReason()`. */
export const closeOf = (text: string): Close => {
  // Greedy: a reason may itself end in "(code 7)".
  const withReason = /^closed by peer: ([\s\S]*) \(code (\d+)\)$/.exec(text)
  if (withReason !== null) return { _tag: "Remote", code: Number(withReason[2]), reason: withReason[1] ?? "" }
  const bare = /^closed by peer: (\d+)$/.exec(text)
  if (bare !== null) return { _tag: "Remote", code: Number(bare[1]), reason: "" }
  if (text === "timed out") return { _tag: "IdleTimeout" }
  // Our own close is known before the binding says so: this is the endpoint going away under the connection, sooner or later.
  if (text === "closed" || text.includes("endpoint driver future was dropped"))
    return { _tag: "Local", code: 0, reason: "" }
  return { _tag: "TransportFailed", message: text }
}

/** The code in `Reset(7)` or `Stopped(7)`, or undefined where the error is another one. */
export const codeIn = (kind: "Reset" | "Stopped", error: unknown): number | undefined => {
  const match = new RegExp(`${kind}\\((\\d+)\\)`).exec(textOf(error))
  return match === null ? undefined : Math.min(Number(match[1]), Number.MAX_SAFE_INTEGER)
}

export type ConnectReason = Endpoint.ConnectError["reason"]

/** Why a dial failed. */
export const connectReason = (error: unknown, alpn: string, timeoutMs: number): ConnectReason => {
  const text = textOf(error)
  if (text.includes("Connecting to ourself")) return new Endpoint.SelfDial()
  if (/No address(ing| lookup)/.test(text)) return new Endpoint.NoAddress()
  if (text.includes("error 120") || text.includes("known protocol")) return new Endpoint.WrongAlpn({ offered: [alpn] })
  if (text.includes("error 48") || text.includes("UnknownIssuer")) return new Endpoint.WrongId()
  if (text.includes("refused to accept")) return new Endpoint.Refused()
  if (text.includes("timed out")) return new Endpoint.ConnectTimeout({ timeoutMs })
  if (text === "closed" || text.includes("endpoint closed") || text.includes("LocallyClosed")) {
    return new Endpoint.EndpointClosed()
  }
  return new Endpoint.TransportFailure({ message: text })
}
