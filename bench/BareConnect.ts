/** What a connection costs by itself, beside something that begins with one: the two take turns, in one process that is warm. */
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import { Context, Effect, Layer, type Scope } from "effect"
import { median, program, start } from "./Child.ts"
import { addrOf, alpn, type Backing, endpointOn, type Target } from "./Loopback.ts"

/** Medians, in milliseconds; the ratio is that of the rounds. */
export interface Paired {
  readonly ms: number
  readonly bareMs: number
  readonly ratio: number
}

/** `timed` answers with its milliseconds; rounds beyond the first `warmUp` count. */
export const besideBareConnect = async (
  backing: Backing,
  rounds: number,
  warmUp: number,
  timed: Effect.Effect<number, unknown, Scope.Scope>
): Promise<Paired> => {
  const acceptor = start(program("transport-child.ts", backing, "accept"))
  try {
    const target = addrOf(await acceptor.line<Target>())
    const endpoint = endpointOn(backing)
    const connect = Effect.gen(function* () {
      const dialer = Context.get(yield* Layer.build(endpoint), Endpoint)
      const started = performance.now()
      yield* dialer.connect(target, [alpn])
      return performance.now() - started
    })
    const times: Array<readonly [number, number]> = []
    for (let round = 0; round < rounds; round++) {
      times.push(await Effect.runPromise(Effect.all([Effect.scoped(timed), Effect.scoped(connect)])))
    }
    const kept = times.slice(warmUp)
    return {
      ms: median(kept.map(([ms]) => ms)),
      bareMs: median(kept.map(([, ms]) => ms)),
      ratio: median(kept.map(([ms, bareMs]) => ms / bareMs))
    }
  } finally {
    acceptor.stop()
  }
}
