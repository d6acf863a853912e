/** Virtual time and one run queue: the Clock and the Scheduler of a simulated program, and the plain loop's step. */
import * as Resume from "@effect-live/actor/Resume"
import * as Rng from "@effect-live/actor/Rng"
import { TimerHeap } from "@effect-live/actor/TimerHeap"
import { type Clock, Duration, Effect, type Scheduler } from "effect"
import type { Options } from "../Simulation.ts"

type Task = () => void

const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, "0")

/** Tasks of one priority, in order of arrival. */
interface Ready {
  readonly priority: number
  tasks: Array<Task | undefined>
  head: number
}

export class World {
  nowMs = 0
  steps = 0
  readonly trace: Array<string> = []
  private readonly options: Options
  private readonly ready: Array<Ready> = []
  private readonly timers = new TimerHeap<number, Task>()
  private readonly conditions = new Set<{
    readonly holds: () => boolean
    readonly resume: (_: Effect.Effect<void>) => void
  }>()
  private readonly picks: Rng.Rng
  private readonly yields: Rng.Rng
  private digest1 = 0x811c9dc5
  private digest2 = 0x01234567
  private nextTimer = 0
  private nowNs = 0n

  constructor(options: Options) {
    this.options = options
    this.picks = Rng.make(options.seed, "picks")
    this.yields = Rng.make(options.seed, "yields")
  }

  /** Of every note and every timer jump, as 16 hexadecimal digits. */
  get digest(): string {
    return hex(this.digest1) + hex(this.digest2)
  }

  // ---- steps ----------------------------------------------------------------------------------------------------------

  /** One task, or one jump to the next timer. False when there is neither. */
  step(): boolean {
    const task = this.pick()
    if (task !== undefined) task()
    else if (!this.jump()) return false
    this.steps++
    if (this.conditions.size === 0) return true
    for (const condition of this.conditions) {
      if (!condition.holds()) continue
      this.conditions.delete(condition)
      Resume.now(condition.resume, Effect.void)
    }
    return true
  }

  private pick(): Task | undefined {
    for (const ready of this.ready) {
      const count = ready.tasks.length - ready.head
      if (count === 0) continue
      if (this.options.order === "shuffle" && count > 1) {
        const chosen = ready.head + this.picks.below(count)
        const first = ready.tasks[ready.head]
        ready.tasks[ready.head] = ready.tasks[chosen]
        ready.tasks[chosen] = first
      }
      const task = ready.tasks[ready.head]
      ready.tasks[ready.head++] = undefined
      if (ready.head === ready.tasks.length) ready.tasks.length = ready.head = 0
      else if (ready.head === 4096) {
        ready.tasks = ready.tasks.slice(ready.head)
        ready.head = 0
      }
      return task
    }
    return undefined
  }

  private jump(): boolean {
    const first = this.timers.popDue(Infinity)
    if (first === undefined) return false
    if (first.at !== this.nowMs) {
      this.nowMs = first.at
      this.nowNs = BigInt(Math.round(first.at * 1e6))
    }
    this.mix(this.steps)
    if (this.options.order !== "shuffle") {
      first.value()
      return true
    }
    this.schedule(first.value, 0) // timers of one moment compete
    for (let same; (same = this.timers.popDue(this.nowMs)) !== undefined;) this.schedule(same.value, 0)
    return true
  }

  private schedule(task: Task, priority: number): void {
    let index = 0
    let ready = this.ready[0]
    while (ready !== undefined && ready.priority < priority) ready = this.ready[++index]
    if (ready?.priority !== priority) this.ready.splice(index, 0, (ready = { priority, tasks: [], head: 0 }))
    ready.tasks.push(task)
  }

  // ---- what programs ask ----------------------------------------------------------------------------------------------

  at(atMs: number, run: Task): () => void {
    const key = this.nextTimer++
    let wanted = true
    // On a dyadic grid sums and differences of times are exact: whoever sleeps until a time wakes up at it, not a hair before.
    const onGridMs = Math.ceil(atMs * gridPerMs) / gridPerMs
    this.timers.set(key, Math.max(onGridMs, this.nowMs), () => {
      if (wanted) run()
    })
    return () => {
      wanted = false // it may already be among the ready tasks
      this.timers.clear(key)
    }
  }

  until(holds: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (holds()) return resume(Effect.void)
      const condition = { holds, resume }
      this.conditions.add(condition)
      return Effect.sync(() => this.conditions.delete(condition))
    })
  }

  note(line: string): void {
    const text = `${this.nowMs} ${line}`
    for (let i = 0; i < text.length; i++) this.mix(text.charCodeAt(i))
    if (this.options.keepTrace) this.trace.push(text)
  }

  private mix(value: number): void {
    this.digest1 = Math.imul(this.digest1 ^ value, 0x01000193)
    this.digest2 = Math.imul(this.digest2 + value, 0x85ebca6b) ^ (this.digest2 >>> 15)
  }

  // ---- the scheduler and the clock ------------------------------------------------------------------------------------

  readonly scheduler: Scheduler.Scheduler = {
    executionMode: "async",
    shouldYield: (fiber) =>
      fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield ||
      (this.options.preempt !== undefined && this.yields.next() < this.options.preempt),
    makeDispatcher: () => ({ scheduleTask: (task, priority) => this.schedule(task, priority), flush: () => {} })
  }

  private readonly millis = (): number => this.nowMs
  private readonly nanos = (): bigint => this.nowNs
  readonly clock: Clock.Clock = {
    currentTimeMillisUnsafe: this.millis,
    currentTimeMillis: Effect.sync(this.millis),
    currentTimeNanosUnsafe: this.nanos,
    currentTimeNanos: Effect.sync(this.nanos),
    monotonicTimeNanosUnsafe: this.nanos,
    monotonicTimeNanos: Effect.sync(this.nanos),
    sleep: (duration) => {
      const ms = Duration.toMillis(duration)
      if (ms <= 0) return Effect.yieldNow
      if (ms === Infinity) return Effect.never
      return Effect.callback((resume) => Effect.sync(this.at(this.nowMs + ms, () => resume(Effect.void))))
    }
  }
}

/** Points of virtual time in a millisecond. */
const gridPerMs = 1024
