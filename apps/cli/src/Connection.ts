/** Tells when the connection to a publisher is lost, and when it is back. */
import { type Close, format as formatClose } from "@effect-live/endpoint/Close"
import type { ConnectError } from "@effect-live/endpoint/Endpoint"
import type { Peer } from "@effect-live/moq/Peer"
import { Effect, Stream } from "effect"
import { Output } from "./Output.ts"

/** Until the Scope closes: one line, or one event, for each loss and each return. */
export const tell = Effect.fnUntraced(function* (peer: Peer) {
  const output = yield* Output
  let lost = false
  const changed = Effect.fnUntraced(function* (state: ReturnType<Peer["connectivity"]>) {
    if (state._tag === "Reconnecting" && !lost) {
      lost = true
      const reason = describe(state.lastError)
      yield* output.event("reconnecting", { reason })
      yield* output.hint(`connection lost (${reason}), dialing again`)
    } else if (state._tag === "Connected" && lost) {
      lost = false
      yield* output.event("reconnected", {})
      yield* output.hint("connected again")
    }
  })
  yield* Effect.forkScoped(Stream.runForEach(peer.connectivityChanges, changed))
})

const describe = (error: Close | ConnectError): string =>
  error._tag === "ConnectError" ? error.reason._tag : formatClose(error)
