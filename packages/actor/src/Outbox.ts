/**
 * What an actor sends to others goes through an outbox: a bounded queue with a forwarder behind it. The forwarder waits for
 * the receiver, the actor's loop never does; two loops that wait for each other's inbox would stand still for ever.
 *
 * What happens when the outbox is full is its policy, and is always seen:
 * - `refuse`: `push` answers `"full"` and does not take the item; `offer` waits for room, in a child or another fiber;
 * - `dropOldest`: the item is taken, `push` answers `"dropped"`, and the oldest item is gone and counted in `dropped`.
 */
import { Effect, Exit, Fiber, Queue, Schema, type Scope } from "effect"

/** Nothing is sent any more: the Scope of the outbox has closed, or delivering has failed. */
export class OutboxClosed extends Schema.TaggedError<OutboxClosed>()("OutboxClosed", { outbox: Schema.String }) {
  override get message(): string {
    return `the outbox ${this.outbox} is closed: nothing is delivered any more`
  }
}

export interface Outbox<A, E = never> {
  /** Never waits: for `perform`. */
  readonly push: (item: A) => "accepted" | "full" | "dropped" | "closed"
  /** Waits while an outbox that refuses is full: for children and forwarders, never for the loop of an actor. */
  readonly offer: (item: A) => Effect.Effect<void, OutboxClosed>
  /** Waits for the end of the forwarder: fails with the error of `deliver`. A child that joins makes it an event. */
  readonly join: Effect.Effect<void, E>
  /** Items that wait, without the one that is being delivered. */
  readonly depth: () => number
  /** Items dropped for newer ones, in all. */
  readonly dropped: () => number
}

export interface Options<A, E, R> {
  readonly name: string
  /** In items. */
  readonly limit: number
  readonly whenFull: "refuse" | "dropOldest"
  /** Hands one item to the receiver, as `(event) => other.tell(event)`; takes as long as it takes, one after the other. */
  readonly deliver: (item: A) => Effect.Effect<unknown, E, R>
}

/** Opens an outbox. What waits when the Scope closes is not delivered. */
export const make = <A, E, R>(options: Options<A, E, R>): Effect.Effect<Outbox<A, E>, never, R | Scope.Scope> =>
  Effect.gen(function* () {
    const queue = yield* Queue.bounded<A>(options.limit)
    let dropped = 0
    const push = (item: A): "accepted" | "full" | "dropped" | "closed" => {
      if (Queue.offerUnsafe(queue, item)) return "accepted"
      if (queue.state._tag !== "Open") return "closed"
      if (options.whenFull === "refuse") return "full"
      Queue.takeUnsafe(queue)
      Queue.offerUnsafe(queue, item)
      dropped++
      return "dropped"
    }
    const closed = Effect.suspend(() => Effect.fail(new OutboxClosed({ outbox: options.name })))
    const forwarder = yield* Effect.forever(Effect.flatMap(Queue.take(queue), options.deliver)).pipe(
      Effect.interruptible,
      Effect.tapDefect((defect) => Effect.logError("outbox crashed", { outbox: options.name }, defect)),
      Effect.onExit(() => Queue.shutdown(queue)), // whoever waits in `offer` goes on
      Effect.forkScoped({ startImmediately: true, uninterruptible: true })
    )
    return {
      push,
      offer: (item) =>
        options.whenFull === "refuse"
          ? Effect.flatMap(Queue.offer(queue, item), (accepted) => (accepted ? Effect.void : closed))
          : Effect.suspend(() => (push(item) === "closed" ? closed : Effect.void)),
      join: Effect.flatMap(Fiber.await(forwarder), (exit) => (Exit.hasInterrupts(exit) ? Effect.void : exit)),
      depth: () => Queue.sizeUnsafe(queue),
      dropped: () => dropped
    }
  })
