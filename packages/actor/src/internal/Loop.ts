/** The loop of an actor: its inbox drained in synchronous turns, with its timers, asks and children. */
import { Cause, Clock, Context, Effect, Exit, Fiber, MutableList, Queue } from "effect"
import type { Command, Inspection, Options, Self } from "../Actor.ts"
import * as Limits from "../Limits.ts"
import * as Resume from "../Resume.ts"
import { TimerHeap } from "../TimerHeap.ts"
import { type Watching, Watchers } from "../Watcher.ts"
import { Stopped } from "./Stopped.ts"

export interface Tagged {
  readonly _tag: string
}

/** Wakes a loop that waits at its empty inbox, when a timer is due or a child has ended. Not an event. */
const Wake: unique symbol = Symbol("Wake")
export type Wake = typeof Wake

const none: ReadonlyArray<never> = []
type Answer = (effect: Effect.Effect<unknown, unknown>) => void

export class Loop<State, Event extends Tagged, Output extends Tagged, R> {
  /** Ends of children. Bounded by what the actor started itself, so they need no room in the inbox. */
  private readonly ends = MutableList.make<() => Event>()
  // made on first use: an idle actor pays for none of them
  private asks: Map<number, Answer> | undefined
  private timers: TimerHeap<string, Event> | undefined
  private children: Map<string, Fiber.Fiber<unknown, unknown>> | undefined

  private nextAsk = 1
  private lastWallMs = -Infinity
  private setBackMs = 0
  private alarm: Fiber.Fiber<void> | undefined
  private alarmAt = Infinity
  private outputs: ReadonlyArray<Output | Command<Event>> = none
  private nextOutput = 0
  /** Taken from the inbox at once, so that its senders go on; it still counts as depth. */
  private batch: ReadonlyArray<Event | Wake> = none
  private nextEvent = 0
  private waiting = false
  private woken = false
  private running = true
  private reason: Stopped["reason"] | undefined
  private stopped: Stopped | undefined
  private last: Event | undefined
  private handled = 0
  private busyNs = 0n
  private performing: string | undefined
  private fiber: Fiber.Fiber<void> | undefined
  private watching: ReadonlyArray<Watching> = []

  private readonly options: Options<State, Event, Output, R>
  private readonly services: Context.Context<R>
  private readonly inbox: Queue.Queue<Event | Wake>
  private readonly clock: Clock.Clock
  private readonly state: State
  private readonly wait: Effect.Effect<void>
  readonly self: Self<Event, R>
  readonly run: Effect.Effect<void, never, R>

  constructor(
    options: Options<State, Event, Output, R>,
    seed: number,
    services: Context.Context<R>,
    inbox: Queue.Queue<Event | Wake>
  ) {
    this.options = options
    this.services = services
    this.inbox = inbox
    this.clock = Context.get(services, Clock.Clock)
    this.state = options.core.initial(seed)
    this.wait = Effect.map(Queue.takeBetween(inbox, 1, Limits.turnEvents), (batch) => {
      this.batch = batch
      this.nextEvent = 0
    })
    this.run = Effect.whileLoop({
      while: () => this.running || this.nextOutput < this.outputs.length,
      body: this.turn,
      step: () => {}
    }).pipe(
      Effect.interruptible,
      Effect.onExit((exit) => this.end(exit))
    )
    this.self = {
      name: options.name,
      tell: (event) => Effect.suspend(() => (Queue.offerUnsafe(inbox, event) ? Effect.void : this.tellWhenRoom(event))),
      tryTell: (event) => {
        if (Queue.offerUnsafe(inbox, event)) return "accepted"
        return this.reason === undefined ? "full" : "stopped"
      },
      // the type of `replyTo` saw to it that the answer is an A or an E
      ask: (event) => Effect.callback((resume) => this.ask(event, resume as Answer)),
      join: Effect.suspend(() => (this.fiber === undefined ? Effect.void : Fiber.await(this.fiber))).pipe(
        Effect.flatMap((exit) => (exit !== undefined && isCrash(exit) ? exit : Effect.void))
      ),
      stop: Effect.suspend(() => (this.fiber === undefined ? Effect.void : Fiber.interrupt(this.fiber))),
      inspect: () => this.inspect(),
      spawn: (key, child, ended) => this.spawn(key, child, ended),
      kill: (key) => this.children?.get(key)?.interruptUnsafe()
    }
  }

  started(fiber: Fiber.Fiber<void>, seed: number): void {
    this.fiber = fiber
    if (this.reason !== undefined) return
    this.watching = Context.get(this.services, Watchers).map((watcher) => watcher(this.self, seed))
  }

  private inspect(): Inspection {
    return {
      depth: Queue.sizeUnsafe(this.inbox) + this.batch.length - this.nextEvent - (this.woken ? 1 : 0),
      waitingSenders: this.inbox.state._tag === "Open" ? this.inbox.state.offers.size : 0,
      pendingAsks: this.asks?.size ?? 0,
      timers: this.timers?.size ?? 0,
      children: this.children?.size ?? 0,
      handled: this.handled,
      busyMs: Number(this.busyNs) / 1e6,
      performing: this.performing
    }
  }

  // ---- senders --------------------------------------------------------------------------------------------------------

  private tellWhenRoom(event: Event): Effect.Effect<void, Stopped> {
    if (this.reason !== undefined) return this.refuse()
    if (Fiber.getCurrent() === this.fiber) return this.deadlock("tells itself with a full inbox")
    // the queue tries again in the very step that registers, as any fiber may have run since the first try; the yield
    // keeps senders that wait for each other from nesting in one stack
    return Effect.flatMap(Queue.offer(this.inbox, event), (accepted) =>
      Effect.andThen(Effect.yieldNow, accepted ? Effect.void : Effect.suspend(() => this.refuse()))
    )
  }

  private ask(make: (to: number) => Event, answer: Answer): Effect.Effect<void> | void {
    if (this.reason !== undefined) return answer(this.refuse())
    if (Fiber.getCurrent() === this.fiber) return answer(this.deadlock("asks itself"))
    const to = this.nextAsk++
    const event = make(to)
    const asks = (this.asks ??= new Map<number, Answer>())
    asks.set(to, answer)
    const forget = Effect.sync(() => asks.delete(to))
    if (Queue.offerUnsafe(this.inbox, event)) return forget
    // the answer may come before the caller, who waits for room now, waits for it
    let early: Effect.Effect<unknown, unknown> | undefined
    asks.set(to, (effect) => {
      early = effect
    })
    const answered = Effect.callback<unknown, unknown>((resume) => {
      if (early !== undefined) return resume(early)
      asks.set(to, resume)
      return undefined
    })
    answer(Effect.ensuring(Effect.andThen(Queue.offer(this.inbox, event), answered), forget))
  }

  private refuse(): Effect.Effect<never, Stopped> {
    return Effect.fail((this.stopped ??= new Stopped({ actor: this.options.name, reason: this.reason ?? "closed" })))
  }

  private exceeds(limit: string): never {
    throw new Error(`actor ${this.options.name} has more than ${limit}`)
  }

  private deadlock(what: string): Effect.Effect<never> {
    return Effect.die(new Error(`deadlock: actor ${this.options.name} ${what}`))
  }

  // ---- the turn -------------------------------------------------------------------------------------------------------

  /** Works until there is nothing to do, something to wait for, or the turn is over; the answer says which. */
  private readonly turn = (): Effect.Effect<unknown, never, R> => {
    const startNs = this.clock.monotonicTimeNanosUnsafe()
    const now = this.now()
    this.waiting = false
    this.performing = undefined
    try {
      for (let left = Limits.turnEvents; left > 0; left--) {
        for (let output; (output = this.outputs[this.nextOutput]) !== undefined;) {
          this.nextOutput++
          const effect = this.apply(output)
          if (effect !== undefined) return effect
        }
        if (!this.running) return Effect.void
        const event = this.next(now)
        if (event === undefined) return this.sleep()
        if (event === Wake) this.woken = false
        else this.step(event, now)
      }
      return Effect.yieldNow
    } finally {
      this.busyNs += this.clock.monotonicTimeNanosUnsafe() - startNs
    }
  }

  /** Timers first, then ends of children, then the inbox. */
  private next(now: number): Event | Wake | undefined {
    const due = this.timers?.popDue(now)
    if (due !== undefined) return due.value
    const ended = MutableList.take(this.ends)
    if (ended !== MutableList.Empty) return ended()
    return this.batch[this.nextEvent++]
  }

  private step(event: Event, now: number): void {
    this.last = event
    this.handled++
    if (this.watching.length > 0) for (const { event: saw } of this.watching) saw?.(now, event)
    this.outputs = this.options.core.step(this.state, event, now)
    this.nextOutput = 0
  }

  private apply(output: Output | Command<Event>): Effect.Effect<unknown, never, R> | undefined {
    if (!isCommand<Event>(output)) {
      const effect = this.options.perform(output, this.self) ?? undefined
      if (effect !== undefined) this.performing = output._tag
      return effect
    }
    switch (output._tag) {
      case "Actor.SetTimer": {
        const timers = (this.timers ??= new TimerHeap<string, Event>())
        timers.set(output.key, output.at, output.event)
        if (timers.size > Limits.timers) this.exceeds(`${Limits.timers} timers`)
        return undefined
      }
      case "Actor.ClearTimer":
        this.timers?.clear(output.key)
        return undefined
      case "Actor.Reply": {
        const answer = this.asks?.get(output.to)
        if (answer === undefined) return undefined
        this.asks?.delete(output.to)
        Resume.now(answer, output.exit)
        return undefined
      }
      case "Actor.Stop":
        this.running = false
        return undefined
    }
  }

  /** The Clock's, but never back: timers that were set before the clock was would go off that much later. */
  private now(): number {
    const wallMs = this.clock.currentTimeMillisUnsafe()
    if (wallMs < this.lastWallMs) this.setBackMs += this.lastWallMs - wallMs
    this.lastWallMs = wallMs
    return wallMs + this.setBackMs
  }

  // ---- waiting and waking ---------------------------------------------------------------------------------------------

  private sleep(): Effect.Effect<unknown> {
    const at = this.timers?.nextAt ?? Infinity
    if (at < this.alarmAt) this.setAlarm(at)
    this.batch = none // what was handled is not kept alive
    this.nextEvent = 0
    this.waiting = true
    return this.wait
  }

  /** One sleeping fiber for the earliest timer. When that one moves to later, the alarm goes off once for nothing. */
  private setAlarm(at: number): void {
    this.alarm?.interruptUnsafe()
    this.alarmAt = at
    // a sleep of less than a nanosecond is none, and a clock may stand that close before `at`: whole microseconds, rounded up
    const afterMs = Math.max(0, Math.ceil((at - this.now()) * 1_000) / 1_000)
    this.alarm = Effect.runForkWith(this.services)(
      Effect.andThen(
        Effect.sleep(afterMs),
        Effect.sync(() => {
          this.alarmAt = Infinity
          this.alarm = undefined
          this.wake()
        })
      )
    )
  }

  /** A loop that works, or whose inbox has something, comes round by itself. */
  private wake(): void {
    if (!this.waiting || Queue.sizeUnsafe(this.inbox) > 0) return
    this.woken = true
    Queue.offerUnsafe(this.inbox, Wake)
  }

  // ---- children and the end -------------------------------------------------------------------------------------------

  private spawn<A, E>(key: string, child: Effect.Effect<A, E, R>, ended: (exit: Exit.Exit<A, E>) => Event): void {
    if (this.reason !== undefined) return
    const children = (this.children ??= new Map<string, Fiber.Fiber<unknown, unknown>>())
    if (children.has(key)) throw new Error(`actor ${this.options.name} already has a child ${key}`)
    if (children.size >= Limits.children) this.exceeds(`${Limits.children} children`)
    const fiber = Effect.runForkWith(this.services)(child)
    children.set(key, fiber)
    fiber.addObserver((exit) => {
      children.delete(key)
      if (this.reason !== undefined) return
      MutableList.append(this.ends, () => ended(exit))
      this.wake()
    })
  }

  private end(exit: Exit.Exit<void>): Effect.Effect<unknown> {
    this.reason = isCrash(exit) ? "crashed" : "closed"
    this.alarm?.interruptUnsafe()
    for (const answer of this.asks?.values() ?? []) Resume.now(answer, this.refuse())
    this.asks?.clear()
    Queue.shutdownUnsafe(this.inbox) // senders that wait for room see that it was not taken
    for (const { ended } of this.watching) ended?.(this.reason)
    const log = Effect.logError(
      "actor crashed",
      { actor: this.options.name, while: this.performing ?? "step", lastEvent: this.last },
      Exit.isFailure(exit) ? exit.cause : Cause.empty
    )
    const children = Effect.suspend(() => Fiber.interruptAll([...(this.children?.values() ?? [])]))
    return this.reason === "crashed" ? Effect.ensuring(log, children) : children
  }
}

const isCrash = (exit: Exit.Exit<void>): exit is Exit.Failure<void, never> =>
  Exit.isFailure(exit) && Cause.hasDies(exit.cause)

const isCommand = <Event>(output: Tagged): output is Command<Event> => output._tag.startsWith("Actor.")
