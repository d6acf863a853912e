/**
 * The actor kit: a fiber with a bounded, typed inbox around a pure core, and the only place where inbox, ask, stop,
 * supervision and timers are written.
 *
 * The core (`initial`, `step`) is synchronous and knows nothing of Effect, clocks or other actors: it gets an event and the
 * time, changes its state and answers with outputs. The kit drains the inbox in synchronous turns, performs the commands among
 * the outputs itself and hands the rest to `perform`, the only impure part.
 *
 * `perform` returns an Effect only when the loop has to wait for it, and never waits for another actor's answer: it spawns a
 * child that asks, and the child's end is an event. What goes to other actors goes through an `Outbox`.
 */
import { Effect, Exit, Queue, Random, type Scope } from "effect"
import { Loop, type Tagged, type Wake } from "./internal/Loop.ts"
import { Stopped } from "./internal/Stopped.ts"
import * as Limits from "./Limits.ts"

export { Stopped }

// ---- the core -------------------------------------------------------------------------------------------------------

/** Where an `ask` waits: a number, so that events stay plain data. The type remembers what may be answered. */
export type ReplyTo<A, E = never> = number & { readonly ReplyTo?: (_: never) => Exit.Exit<A, E> }

/** What a core orders from the kit itself. */
export type Command<Event> =
  | { readonly _tag: "Actor.SetTimer"; readonly key: string; readonly at: number; readonly event: Event }
  | { readonly _tag: "Actor.ClearTimer"; readonly key: string }
  | { readonly _tag: "Actor.Reply"; readonly to: number; readonly exit: Exit.Exit<unknown, unknown> }
  | { readonly _tag: "Actor.Stop" }

/** The event comes back at the time `at` (milliseconds of the Clock, as `now` in `step`). A known key is moved. */
export const setTimer = <Event>(key: string, at: number, event: Event): Command<Event> => ({
  _tag: "Actor.SetTimer",
  key,
  at,
  event
})
/** Nothing happens when there is no such timer. */
export const clearTimer = (key: string): Command<never> => ({ _tag: "Actor.ClearTimer", key })
/** Answers an `ask`. Nothing happens when its caller is gone or has its answer. */
export const reply = <A, E>(to: ReplyTo<A, E>, value: A): Command<never> => ({
  _tag: "Actor.Reply",
  to,
  exit: Exit.succeed(value)
})
/** Answers an `ask` with a typed error. */
export const refuse = <A, E>(to: ReplyTo<A, E>, error: E): Command<never> => ({
  _tag: "Actor.Reply",
  to,
  exit: Exit.fail(error)
})
/** Ends the actor as `closed`, after the outputs that stand beside it. Events still in the inbox are not handled. */
export const stop: Command<never> = { _tag: "Actor.Stop" }

/** The pure half of an actor. `State` is plain data that only the core touches; `step` may change it in place. */
export interface Core<State, Event extends Tagged, Output extends Tagged> {
  /** The seed (a 32-bit integer) is for generators that the state holds. */
  readonly initial: (seed: number) => State
  /** `now` is the Clock's, in milliseconds; it never goes back. */
  readonly step: (state: State, event: Event, now: number) => ReadonlyArray<Output | Command<Event>>
}

/** Drives a core through recorded events without an actor, and gives what it answered to each. */
export const replay = <State, Event extends Tagged, Output extends Tagged>(
  core: Core<State, Event, Output>,
  seed: number,
  events: Iterable<{ readonly now: number; readonly event: Event }>
): { readonly state: State; readonly outputs: ReadonlyArray<ReadonlyArray<Output | Command<Event>>> } => {
  const state = core.initial(seed)
  return { state, outputs: Array.from(events, ({ now, event }) => core.step(state, event, now)) }
}

// ---- the actor ------------------------------------------------------------------------------------------------------

/** How an actor is doing. Reading it costs the actor nothing. */
export interface Inspection {
  /** Events that wait to be handled: up to the limit in the inbox, and as many again in the batch taken from it. */
  readonly depth: number
  /** Fibers that wait for room in the inbox. */
  readonly waitingSenders: number
  /** Asks without an answer yet. */
  readonly pendingAsks: number
  readonly timers: number
  readonly children: number
  /** Events that the core has seen. */
  readonly handled: number
  /** Time spent in turns, in milliseconds. */
  readonly busyMs: number
  /** The tag of the output that the loop waits for. */
  readonly performing: string | undefined
}

export interface Actor<Event> {
  readonly name: string
  /** Puts an event into the inbox; waits while it is full. */
  readonly tell: (event: Event) => Effect.Effect<void, Stopped>
  /** The same for callbacks: never waits. */
  readonly tryTell: (event: Event) => "accepted" | "full" | "stopped"
  /** Puts an event into the inbox and waits for its answer. Fails with `Stopped` also when the actor ends meanwhile. */
  readonly ask: <A, E = never>(event: (replyTo: ReplyTo<A, E>) => Event) => Effect.Effect<A, E | Stopped>
  /** Succeeds when the actor has ended with everything that it started; dies with the defect of a crash. */
  readonly join: Effect.Effect<void>
  /** Ends the actor as `closed` and waits until its children are gone. What waits in the inbox is not handled. */
  readonly stop: Effect.Effect<void>
  readonly inspect: () => Inspection
}

/** What `perform` may do beside its own effect. */
export interface Self<Event, R> extends Actor<Event> {
  /**
   * Starts a child under a key. Its end becomes an event that never waits for room. When the actor ends it interrupts its
   * children and waits for them. A key that is in use is a defect: wait for the end of the child first.
   */
  readonly spawn: <A, E>(key: string, child: Effect.Effect<A, E, R>, ended: (exit: Exit.Exit<A, E>) => Event) => void
  /** Interrupts a child; its end is an event as any other. Nothing happens when there is no such child. */
  readonly kill: (key: string) => void
}

export interface Options<State, Event extends Tagged, Output extends Tagged, R> {
  /** As `kind` or `kind/instance`: metrics are summed by kind. */
  readonly name: string
  readonly core: Core<State, Event, Output>
  /** Performs one output. The loop waits for a returned Effect before it goes on. */
  readonly perform: (output: Output, self: Self<Event, R>) => Effect.Effect<unknown, never, R> | void
  /** In events. */
  readonly inboxLimit?: number
  /** For `initial`; drawn from `Random` when it is not given. */
  readonly seed?: number
}

/** Starts an actor. It ends, with its children, when the Scope closes. */
export const make = <State, Event extends Tagged, Output extends Tagged, R = never>(
  options: Options<State, Event, Output, R>
): Effect.Effect<Actor<Event>, never, R | Scope.Scope> =>
  Effect.gen(function* () {
    const services = yield* Effect.context<R>()
    const seed = options.seed ?? (yield* Random.nextIntBetween(0, 2 ** 32))
    // the queue wakes through the dispatcher of the fiber that makes it, so it is made here and not on first use
    const inbox = yield* Queue.bounded<Event | Wake>(options.inboxLimit ?? Limits.inboxEvents)
    const loop = new Loop(options, seed, services, inbox)
    // uninterruptible up to the loop: its end runs even when the fiber is interrupted before its first step
    const fiber = yield* Effect.forkScoped(loop.run, { startImmediately: true, uninterruptible: true })
    loop.started(fiber, seed)
    return loop.self
  })
