/** An endpoint of `@number0/iroh` as the options want it. */
import * as SecretKey from "@effect-live/endpoint/SecretKey"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import type * as Native from "@number0/iroh"
import { Effect, Redacted, Schedule } from "effect"
import * as Limits from "../../Limits.ts"
import * as Failure from "../failure.ts"
import type { CommonOptions } from "../options.ts"
import { toNumbers } from "./bytes.ts"
import { collectGarbage } from "./collect.ts"
import { textOf } from "./errors.ts"

/**
 * One builder, used once and in this order: the binding aborts the process when a builder is touched after a failure or after
 * `bind`. A port that a closed endpoint of this process held stays taken until that is collected: collect, and try again.
 */
export const bind = (
  native: typeof Native,
  options: CommonOptions
): Effect.Effect<Native.Endpoint, Failure.IrohError> => {
  const { relayMode = "default" } = options
  const sockets = (options.bindAddrs ?? []).map(TransportAddr.format)
  const build = (secretKey: SecretKey.SecretKey) => {
    const builder = native.Endpoint.builder()
    if (relayMode === "disabled") {
      native.presetMinimal(builder)
      builder.relayMode(native.RelayMode.disabled())
    } else {
      native.presetN0(builder)
      if (relayMode !== "default") builder.relayMode(native.RelayMode.customFromUrls([...relayMode]))
    }
    builder.secretKey(toNumbers([Redacted.value(secretKey)]))
    for (const socket of sockets) builder.bindAddr(socket)
    return builder.bind()
  }
  const attempt = (secretKey: SecretKey.SecretKey) =>
    Effect.tryPromise({
      try: () => build(secretKey),
      catch: (error) => {
        const detail = textOf(error)
        const taken = /address (already )?in use/i.test(detail)
        return new Failure.IrohError({
          reason: taken ? new Failure.AddressInUse({ bindAddrs: sockets }) : new Failure.BindFailed({ detail })
        })
      }
    })
  const key = options.secretKey === undefined ? SecretKey.generate : Effect.succeed(options.secretKey)
  return Effect.flatMap(key, attempt).pipe(
    Effect.tapError(({ reason }) => (reason._tag === "AddressInUse" ? Effect.sync(collectGarbage) : Effect.void)),
    Effect.retry({
      while: (error) => error.reason._tag === "AddressInUse",
      schedule: Schedule.spaced(Limits.rebindIntervalMs).pipe(Schedule.upTo({ times: Limits.rebinds }))
    })
  )
}
