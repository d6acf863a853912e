/** Outboxes: in order, bounded, and what is lost is said. */
import { assert } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Scope } from "effect"
import * as Outbox from "../../src/Outbox.ts"
import type { Case } from "./Case.ts"
import { fork, get, start } from "./counter.ts"

/** An outbox of two events whose receiver gets nothing before the gate opens. */
const gated = (whenFull: "refuse" | "dropOldest") =>
  Effect.gen(function* () {
    const gate = yield* Deferred.make<void>()
    const got: Array<number> = []
    const outbox = yield* Outbox.make({
      name: "slow",
      limit: 2,
      whenFull,
      deliver: (n: number) =>
        Effect.andThen(
          Deferred.await(gate),
          Effect.sync(() => got.push(n))
        )
    })
    return { gate, got, outbox }
  })

export const outboxCases: ReadonlyArray<Case> = [
  {
    name: "an outbox delivers in order and waits in its forwarder while the receiver is full",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { actor } = yield* start({ limit: 1, gate })
        yield* actor.tell({ _tag: "Wait" })
        yield* settle
        const outbox = yield* Outbox.make({
          name: "to counter",
          limit: 8,
          whenFull: "refuse",
          deliver: (n: number) => actor.tell({ _tag: "Add", n })
        })
        for (let n = 1; n <= 8; n++) assert.strictEqual(outbox.push(n), "accepted")
        yield* settle
        assert.isAbove(outbox.depth(), 4)
        yield* Deferred.succeed(gate, undefined)
        yield* settle
        assert.strictEqual(outbox.depth(), 0)
        assert.strictEqual(yield* get(actor), 36)
      })
  },
  {
    name: "a full outbox that refuses says so, and offer waits for room",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const { gate, got, outbox } = yield* gated("refuse")
        assert.strictEqual(outbox.push(1), "accepted")
        yield* settle
        for (const n of [2, 3]) assert.strictEqual(outbox.push(n), "accepted")
        assert.strictEqual(outbox.push(9), "full")
        const offered = yield* fork(outbox.offer(4))
        yield* settle
        assert.isUndefined(offered.pollUnsafe())
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(offered)
        yield* settle
        assert.deepStrictEqual(got, [1, 2, 3, 4])
      })
  },
  {
    name: "a full outbox that drops takes the newest, loses the oldest, says and counts it",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const { gate, got, outbox } = yield* gated("dropOldest")
        assert.strictEqual(outbox.push(1), "accepted")
        yield* settle
        assert.deepStrictEqual(
          [2, 3, 4, 5].map((n) => outbox.push(n)),
          ["accepted", "accepted", "dropped", "dropped"]
        )
        yield* outbox.offer(6)
        assert.strictEqual(outbox.dropped(), 3)
        yield* Deferred.succeed(gate, undefined)
        yield* settle
        assert.deepStrictEqual(got, [1, 5, 6])
      })
  },
  {
    name: "an outbox that closes, or cannot deliver, tells whoever waits, and join has the error",
    run: ({ settle }) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const never = Outbox.make<number, never, never>({
          name: "stuck",
          limit: 1,
          whenFull: "refuse",
          deliver: () => Effect.never
        })
        const outbox = yield* Scope.provide(never, scope)
        outbox.push(1)
        yield* settle
        outbox.push(2)
        const offered = yield* fork(outbox.offer(3))
        yield* settle
        yield* Scope.close(scope, Exit.void)
        const exit = yield* Fiber.join(offered)
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof Outbox.OutboxClosed)
        assert.strictEqual(outbox.push(4), "closed")
        yield* outbox.join
        const broken = yield* Outbox.make<number, "unreachable", never>({
          name: "broken",
          limit: 1,
          whenFull: "dropOldest",
          deliver: () => Effect.fail("unreachable")
        })
        broken.push(1)
        assert.strictEqual(yield* Effect.flip(broken.join), "unreachable")
        assert.strictEqual(broken.push(2), "closed")
        assert.strictEqual((yield* Effect.flip(broken.offer(3)))._tag, "OutboxClosed")
      })
  }
]
