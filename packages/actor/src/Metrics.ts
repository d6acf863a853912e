/**
 * How the actors of a program are doing, as Effect metrics. Nothing is counted per event: the actors' own numbers are read
 * once a second. Summed by kind, the part of a name before its first `/`, so that a program with many sessions has few series.
 */
import { Effect, Layer, Metric } from "effect"
import type { Actor } from "./Actor.ts"
import * as Limits from "./Limits.ts"
import { Watchers } from "./Watcher.ts"

/** Actors that run. */
export const running = Metric.gauge("effect_live_actor_running")
/** Events in their inboxes. */
export const depth = Metric.gauge("effect_live_actor_inbox_depth")
/** Fibers that wait for room in an inbox. */
export const waitingSenders = Metric.gauge("effect_live_actor_waiting_senders")
/** Asks without an answer. */
export const pendingAsks = Metric.gauge("effect_live_actor_pending_asks")
export const timers = Metric.gauge("effect_live_actor_timers")
export const children = Metric.gauge("effect_live_actor_children")
/** Events that were handled. */
export const handled = Metric.counter("effect_live_actor_handled", { incremental: true })
/** Time spent in turns, in milliseconds. */
export const busyMs = Metric.counter("effect_live_actor_busy_ms", { incremental: true })

interface Kind {
  readonly actors: Set<Actor<never>>
  /** Of the actors that have ended. */
  handled: number
  busyMs: number
  /** What the counters have been told so far. */
  publishedHandled: number
  publishedBusyMs: number
}

const update = <S>(metric: Metric.Metric<number, S>, kind: string, value: number): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(metric, { kind }), value)

const publish = (kind: string, state: Kind): Effect.Effect<void> =>
  Effect.suspend(() => {
    const sum = { depth: 0, waitingSenders: 0, pendingAsks: 0, timers: 0, children: 0 }
    let { handled: handledNow, busyMs: busyNow } = state
    for (const actor of state.actors) {
      const seen = actor.inspect()
      sum.depth += seen.depth
      sum.waitingSenders += seen.waitingSenders
      sum.pendingAsks += seen.pendingAsks
      sum.timers += seen.timers
      sum.children += seen.children
      handledNow += seen.handled
      busyNow += seen.busyMs
    }
    const newlyHandled = handledNow - state.publishedHandled
    const newlyBusy = busyNow - state.publishedBusyMs
    state.publishedHandled = handledNow
    state.publishedBusyMs = busyNow
    return Effect.all(
      [
        update(running, kind, state.actors.size),
        update(depth, kind, sum.depth),
        update(waitingSenders, kind, sum.waitingSenders),
        update(pendingAsks, kind, sum.pendingAsks),
        update(timers, kind, sum.timers),
        update(children, kind, sum.children),
        update(handled, kind, newlyHandled),
        update(busyMs, kind, newlyBusy)
      ],
      { discard: true }
    )
  })

/** Publishes the metrics of the actors that start where this Layer is provided, every second and once at its end. */
export const layer = Layer.effect(
  Watchers,
  Effect.gen(function* () {
    const kinds = new Map<string, Kind>()
    const publishAll = Effect.suspend(() =>
      Effect.forEach(kinds, ([kind, state]) => publish(kind, state), { discard: true })
    )
    yield* Effect.addFinalizer(() => publishAll)
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(Limits.metricsIntervalMs), publishAll)))
    return [
      ...(yield* Watchers),
      (actor: Actor<never>) => {
        const name = actor.name.split("/", 1)[0] ?? actor.name
        const state = kinds.get(name) ?? {
          actors: new Set(),
          handled: 0,
          busyMs: 0,
          publishedHandled: 0,
          publishedBusyMs: 0
        }
        kinds.set(name, state)
        state.actors.add(actor)
        return {
          ended: () => {
            const last = actor.inspect()
            state.actors.delete(actor)
            state.handled += last.handled
            state.busyMs += last.busyMs
          }
        }
      }
    ]
  })
)
