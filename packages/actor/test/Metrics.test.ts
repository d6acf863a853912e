import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Metric, Scope } from "effect"
import * as Actor from "../src/Actor.ts"
import * as Limits from "../src/Limits.ts"
import * as Metrics from "../src/Metrics.ts"
import { testWorld } from "./testWorld.ts"

const value = <I>(metric: Metric.Metric<I, { readonly value: number } | { readonly count: number }>) =>
  Effect.map(Metric.value(Metric.withAttributes(metric, { kind: "session" })), (state) =>
    "value" in state ? state.value : state.count
  )

describe("Metrics", () => {
  type Event = { readonly _tag: "Work" } | { readonly _tag: "Block" } | { readonly _tag: "Ended" }
  const start = (name: string) =>
    Actor.make<null, Event, Event>({
      name,
      core: {
        initial: () => null,
        step: (_, event, now) =>
          event._tag === "Work" ? [event, Actor.setTimer("t", now + 1e6, { _tag: "Ended" })] : [event]
      },
      perform: (output, self) => {
        if (output._tag === "Block") return Effect.never
        return self.spawn("child", Effect.never, () => ({ _tag: "Ended" }))
      }
    })

  it.effect("are published every second, summed by kind; counters keep what ended actors did", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const a = yield* start("session/a")
      const b = yield* Scope.provide(start("session/b"), scope)
      yield* start("other")
      yield* a.tell({ _tag: "Work" })
      yield* b.tell({ _tag: "Block" })
      yield* testWorld.settle
      yield* b.tell({ _tag: "Work" })
      yield* testWorld.advance(Limits.metricsIntervalMs)
      assert.strictEqual(yield* value(Metrics.running), 2)
      assert.strictEqual(yield* value(Metrics.depth), 1)
      assert.strictEqual(yield* value(Metrics.children), 1)
      assert.strictEqual(yield* value(Metrics.timers), 1)
      assert.strictEqual(yield* value(Metrics.waitingSenders), 0)
      assert.strictEqual(yield* value(Metrics.pendingAsks), 0)
      assert.strictEqual(yield* value(Metrics.handled), 2)
      assert.isAtLeast(yield* value(Metrics.busyMs), 0)
      yield* Scope.close(scope, Exit.void)
      yield* testWorld.advance(Limits.metricsIntervalMs)
      assert.strictEqual(yield* value(Metrics.running), 1)
      assert.strictEqual(yield* value(Metrics.depth), 0)
      assert.strictEqual(yield* value(Metrics.handled), 2)
    }).pipe(Effect.scoped, Effect.provide(Metrics.layer), Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})
