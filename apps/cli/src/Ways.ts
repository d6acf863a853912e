/** Addresses on the command line. */
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import { Effect, Result } from "effect"
import * as Failure from "./Failure.ts"

const ways = "IP:PORT such as 192.0.2.7:4433 or [2001:db8::1]:4433, or a relay such as https://relay.example.com/"

/** `place` is how the error names it. */
export const parse = (text: string, place: string): Effect.Effect<TransportAddr.TransportAddr, Failure.Failure> => {
  const way: Result.Result<TransportAddr.TransportAddr, unknown> = /^https?:/i.test(text)
    ? Result.map(RelayUrl.parse(text), TransportAddr.relay)
    : TransportAddr.parseIp(text)
  return Effect.mapError(Effect.fromResult(way), () => Failure.misuse("AddrError", `${place}: give ${ways}`))
}
