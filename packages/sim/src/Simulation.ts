/**
 * A simulated world: virtual time, one run queue and all chance, from one seed. A program inside runs as fast as the processor
 * allows and takes the same way on every run with the same seed. The order of ready fibers is that of the real scheduler, or
 * chosen by the seed, which is how races are found.
 *
 * Clock and Scheduler are one object that a plain loop drives: it runs what is ready, and when nothing is, it jumps to the
 * earliest timer. Make everything inside the program: a queue or an actor that was made outside wakes its fibers through the
 * real event loop.
 */
import type * as Actor from "@effect-live/actor/Actor"

import * as Rng from "@effect-live/actor/Rng"
import { type Watcher, Watchers } from "@effect-live/actor/Watcher"
import { Cause, Clock, Context, Effect, Exit, Layer, Option, Random, Schema, Scheduler, Tracer } from "effect"
import { World } from "./internal/World.ts"
import * as Limits from "./Limits.ts"

/** The program waits and nothing is left to do (a deadlock), or it took more steps than it may (a loop without end). */
export class Stuck extends Schema.TaggedError<Stuck>()("Stuck", {
  reason: Schema.Literals(["nothing left to do", "step limit"]),
  atMs: Schema.Number,
  steps: Schema.Int,
  /** One line for each actor that waits or is waited for: its name, depth, asks, senders, what it performs. */
  actors: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const actors = this.actors.length === 0 ? "no actor waits" : this.actors.join("; ")
    return `${this.reason} at ${this.atMs} ms after ${this.steps} steps: ${actors}`
  }
}

/** A seed under which the program does not succeed, and how to run it again. */
export class SeedFailed extends Schema.TaggedError<SeedFailed>()("SeedFailed", {
  seed: Schema.Int,
  replay: Schema.String,
  failure: Schema.String
}) {
  override get message(): string {
    return `seed ${this.seed} fails; replay it with ${this.replay}\n${this.failure}`
  }
}

export interface Options {
  /** A 32-bit integer. */
  readonly seed: number
  /** `fifo`, the order of the real scheduler, or `shuffle`: any ready fiber or timer of the moment may be next. */
  readonly order?: "fifo" | "shuffle"
  /** Chance (0 to 1) that a fiber yields before any of its operations; finds races inside one Effect program. */
  readonly preempt?: number
  readonly stepLimit?: number
  /** Keeps the lines of `note`, beside their digest. */
  readonly keepTrace?: boolean
}

export interface Report {
  /** Virtual time at the end, in milliseconds. */
  readonly nowMs: number
  /** Tasks and timer jumps. */
  readonly steps: number
  /** Of every note and every timer jump, with its time and step: equal for equal runs. */
  readonly digest: string
  readonly trace: ReadonlyArray<string>
}

/** What a program inside a simulation may ask of it. */
export class Simulation extends Context.Service<
  Simulation,
  {
    readonly seed: number
    readonly nowMs: () => number
    /** Calls a function at a virtual time; the answer takes it back. */
    readonly at: (atMs: number, run: () => void) => () => void
    /** A generator of its own for each name: adding one disturbs no other. */
    readonly rng: (name: string) => Rng.Rng
    /** A line for the trace, with the time before it. */
    readonly note: (line: string) => void
    /** Waits until the condition holds. It is checked after every step, so it should be cheap. */
    readonly until: (condition: () => boolean) => Effect.Effect<void>
  }
>()("@effect-live/sim/Simulation") {}

/**
 * Runs a program in a new world; fails with `Stuck` when it cannot go on, after its finalizers have run. The services around
 * it are passed in, but Clock, Scheduler, Random and Tracer are the world's, and Layers are built anew inside.
 */
export const run = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  options: Options
): Effect.Effect<A, E | Stuck, Exclude<R, Simulation>> => Effect.flatMap(runReport(program, options), ([exit]) => exit)

/** As `run`, with what happened, also when it failed. */
export const runReport = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  options: Options
): Effect.Effect<readonly [exit: Exit.Exit<A, E | Stuck>, report: Report], never, Exclude<R, Simulation>> =>
  Effect.flatMap(Effect.context<Exclude<R, Simulation>>(), (outer) =>
    Effect.callback((resume) => {
      const world = new World(options)
      const actors = new Set<Actor.Actor<never>>()
      const host = Context.get(outer, Scheduler.Scheduler).makeDispatcher()
      const fiber = Effect.runForkWith(inside(world, actors, options.seed, outer))(program)
      let stepsLeft = options.stepLimit ?? Limits.steps
      let graceLeft = Limits.graceTurns
      let stuck: Stuck | undefined
      const drive = (): void => {
        for (let turn = Limits.stepsPerTurn; turn > 0; turn--) {
          const exit = fiber.pollUnsafe()
          if (exit !== undefined) return resume(Effect.succeed([stuck ? Exit.fail(stuck) : exit, reportOf(world)]))
          const limit = stepsLeft-- <= 0
          if (!limit && world.step()) graceLeft = Limits.graceTurns
          else if (!limit && graceLeft-- > 0) break
          else if (stuck === undefined) {
            stuck = stuckOf(world, actors, limit ? "step limit" : "nothing left to do")
            stepsLeft = Limits.finalizerSteps
            graceLeft = Limits.graceTurns
            fiber.interruptUnsafe() // finalizers still run, in virtual time
          } else return resume(Effect.succeed([Exit.fail(stuck), reportOf(world)])) // one of them waits for ever
        }
        host.scheduleTask(drive, 0)
      }
      drive()
      return Effect.sync(() => {
        fiber.interruptUnsafe()
        for (let left = Limits.finalizerSteps; left > 0 && fiber.pollUnsafe() === undefined && world.step(); left--);
      })
    })
  )

/** What the race finder does unless it is told otherwise. */
const racing = { order: "shuffle", preempt: 0.05 } as const

/**
 * The race finder: runs the program under seeds from 0 on, shuffled and preempted, and gives the first seed under which it
 * does not succeed. `undefined`: all were clean.
 */
export const explore = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  options: Omit<Options, "seed"> & { readonly seeds: number }
): Effect.Effect<
  { readonly seed: number; readonly exit: Exit.Failure<A, E | Stuck> } | undefined,
  never,
  Exclude<R, Simulation>
> =>
  Effect.gen(function* () {
    for (let seed = 0; seed < options.seeds; seed++) {
      const [exit] = yield* runReport(program, { ...racing, ...options, seed })
      if (Exit.isFailure(exit)) return { seed, exit }
    }
    return undefined
  })

/** For tests: fails, with the seed and how to replay it, unless the program succeeds under every seed. */
export const clean = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  options: Omit<Options, "seed"> & { readonly seeds: number }
): Effect.Effect<void, SeedFailed, Exclude<R, Simulation>> =>
  Effect.flatMap(explore(program, options), (found) => {
    if (found === undefined) return Effect.void
    const { seeds: _, ...rest } = options
    const replay = `Simulation.run(program, ${JSON.stringify({ ...racing, ...rest, seed: found.seed })})`
    return Effect.fail(new SeedFailed({ seed: found.seed, replay, failure: Cause.pretty(found.exit.cause) }))
  })

/** A generator as Effect's Random service, for a part of the program with chance of its own. */
export const randomOf = (rng: Rng.Rng): Random.Random => ({
  nextIntUnsafe: () => Math.floor((rng.next() * 2 - 1) * Number.MAX_SAFE_INTEGER),
  nextDoubleUnsafe: () => rng.next()
})

// ---- inside ---------------------------------------------------------------------------------------------------------

/** The services around the program, with the world's own time, order and chance. */
const inside = <R>(
  world: World,
  actors: Set<Actor.Actor<never>>,
  seed: number,
  outer: Context.Context<Exclude<R, Simulation>>
): Context.Context<R> => {
  const watch: Watcher = (actor) => {
    actors.add(actor)
    return { ended: () => actors.delete(actor) }
  }
  const service = Simulation.of({
    seed,
    nowMs: () => world.nowMs,
    at: (atMs, run) => world.at(atMs, run),
    rng: (name) => Rng.make(seed, name),
    note: (line) => world.note(line),
    until: (condition) => world.until(condition)
  })
  // Layers that were built outside hold the real clock: none of them is used again
  const context = Context.omit(Layer.CurrentMemoMap)(outer).pipe(
    Context.add(Clock.Clock, world.clock),
    Context.add(Scheduler.Scheduler, world.scheduler),
    Context.add(Random.Random, randomOf(Rng.make(seed, "random"))),
    Context.add(Tracer.Tracer, tracerOf(Rng.make(seed, "spans"))),
    Context.add(Watchers, [...Context.get(outer, Watchers), watch]),
    Context.add(Simulation, service)
  )
  return context as Context.Context<Exclude<R, Simulation> | Simulation> as Context.Context<R>
}

const reportOf = ({ nowMs, steps, digest, trace }: World): Report => ({ nowMs, steps, digest, trace })

const stuckOf = ({ nowMs, steps }: World, actors: Iterable<Actor.Actor<never>>, reason: Stuck["reason"]): Stuck => {
  const lines: Array<string> = []
  for (const actor of actors) {
    const { depth, pendingAsks, performing, waitingSenders } = actor.inspect()
    if (performing === undefined && depth + pendingAsks + waitingSenders === 0) continue
    lines.push(
      `${actor.name}: depth ${depth}, asks ${pendingAsks}, senders ${waitingSenders}, performing ${performing ?? "nothing"}`
    )
  }
  return new Stuck({ reason, atMs: nowMs, steps, actors: lines })
}

/** Spans take their ids from Math.random: these take theirs from the seed. */
const tracerOf = (rng: Rng.Rng): Tracer.Tracer => {
  const hex = (words: number) =>
    Array.from({ length: words }, () =>
      rng
        .below(2 ** 32)
        .toString(16)
        .padStart(8, "0")
    ).join("")
  class SeededSpan extends Tracer.NativeSpan {
    private readonly ids = { span: hex(2), trace: Option.getOrUndefined(this.parent)?.traceId ?? hex(4) }
    override get spanId() {
      return this.ids.span
    }
    override get traceId() {
      return this.ids.trace
    }
  }
  return Tracer.make({ span: (options) => new SeededSpan(options) })
}
