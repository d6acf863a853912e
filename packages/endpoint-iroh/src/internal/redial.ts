/** Dials again where somebody else may have answered. */
import type * as Endpoint from "@effect-live/endpoint/Endpoint"
import { Effect } from "effect"
import * as Limits from "../Limits.ts"

type Reason = Endpoint.ConnectError["reason"]

/**
 * A dial goes to every address of the peer at once, and the first answer decides it before anybody has proved a key. Addresses grow
 * stale, are the same in two private networks, or were told by somebody who means harm: one wrong one must not keep us from the peer.
 * What the peer may have said itself is asked once more only, and only where there are several addresses.
 */
export const redial = <A>(attempt: Effect.Effect<A, Reason>, ways: number, dialed = 1): Effect.Effect<A, Reason> =>
  Effect.catchIf(
    attempt,
    (reason) => dialed < most(reason, ways),
    () => redial(attempt, ways, dialed + 1)
  )

const most = ({ _tag }: Reason, ways: number): number => {
  if (_tag === "WrongId") return Limits.dialAttempts
  return ways > 1 && (_tag === "WrongAlpn" || _tag === "Refused") ? Limits.doubtedDialAttempts : 1
}
