/** Whether a relay leads to this endpoint: it is asked for by the environment, and answers some time after the start. */
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import { Config, type Duration, Effect, Option, Stream } from "effect"
import { Output } from "./Output.ts"

/** `IROH_RELAY` says that there is none. */
export const disabled: Config.Config<boolean> = Config.String("IROH_RELAY").pipe(
  Config.withDefault(""),
  Config.map((mode) => mode === "disabled")
)

/** Waits until a relay leads here, and gives its URLs; none when that takes longer. */
export const wait = Effect.fnUntraced(function* (timeout: Duration.Input) {
  const endpoint = yield* Endpoint
  return yield* endpoint.addrChanges.pipe(
    Stream.map(EndpointAddr.relays),
    Stream.filter((urls) => urls.length > 0),
    Stream.runHead,
    Effect.timeoutOption(timeout),
    Effect.map(Option.flatten)
  )
})

/** How long what is shared waits for the relay that belongs into it. */
const sharingTimeout = "3 seconds"

/** Before an address is shared: waits for the relay, and says what it means that none answers. `meaning`: "others join". */
export const waitToShare = Effect.fnUntraced(function* (meaning: string) {
  const output = yield* Output
  if ((yield* disabled) || Option.isSome(yield* wait(sharingTimeout))) return
  yield* output.hint(`no relay answered within ${sharingTimeout}: ${meaning} from this machine and network only`)
})
