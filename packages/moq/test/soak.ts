/**
 * Churn over a bad network, from one seed: nodes publish and watch each other through `Moq.connect` at random, links lose packets,
 * parts of the network are cut off, machines lose power and come back. At the end the network is whole again, and then everybody
 * who watches must get frames, and after the last one has left nothing may be kept.
 *
 * A frame says who made it and where it belongs, so every one of them is checked where it arrives.
 */
import * as Rng from "@effect-live/actor/Rng"
import { type Watcher, Watchers } from "@effect-live/actor/Watcher"
import { layer as networkLayer, type Link, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as Simulation from "@effect-live/sim/Simulation"
import { Cause, Effect, Exit, Fiber, Latch, Scope } from "effect"
import * as Limits from "../src/Limits.ts"
import type * as Track from "../src/Track.ts"
import { moqOn } from "./support/services.ts"
import { type Life, publish, type Run, visit, type Watching } from "./support/soakNode.ts"

export interface Options {
  readonly seed: number
  readonly nodes: number
  /** How long there is churn, in virtual milliseconds. */
  readonly churnMs: number
  /** Told every virtual minute. */
  readonly progress?: (virtualMs: number) => void
}

/** What happened in a run. */
export interface Counts {
  connections: number
  /** Connections that were lost and came back under who held them. */
  reconnects: number
  subscriptions: number
  /** Subscriptions by how they ended. */
  readonly ends: Record<string, number>
  groups: number
  /** Groups that ended with an error. */
  resets: number
  /** Groups that a reader was told it missed. */
  lagged: number
  frames: number
  bytes: number
  crashes: number
  shutdowns: number
  partitions: number
}

export interface Outcome {
  readonly options: Options
  readonly counts: Counts
  /** What was not as it must be, and when. Empty is good. */
  readonly faults: ReadonlyArray<string>
  readonly virtualMs: number
  readonly steps: number
  /** Equal for equal runs. */
  readonly digest: string
}

/** By then everybody has noticed every loss and had time to come back: silence, attempts for `resumeMs`, the last of them. */
const settleMs = 30_000 + Limits.resumeMs + 15_000
/** How long all who watch are looked at then. */
const watchMs = 10_000
/** What was let go is gone by then, also where the goodbye was lost. */
const leaveMs = Limits.sessionLingerMs + 30_000 + 2_000

/** Runs one seed. */
export const run = (options: Options): Effect.Effect<Outcome> =>
  Effect.gen(function* () {
    let actors = 0
    const watcher: Watcher = () => {
      actors++
      return { ended: () => actors-- }
    }
    const counts = noCounts()
    const faults: Array<string> = []
    const program = Effect.gen(function* () {
      const soak = new Soak(options, counts, faults, yield* Simulation.Simulation, yield* SimNetwork)
      yield* soak.program
    })
    const [exit, { digest, nowMs: virtualMs, steps }] = yield* Simulation.runReport(
      Effect.scoped(Effect.provide(program, networkLayer({ link: linkOf(options.seed) }))),
      { seed: options.seed, stepLimit: Number.MAX_SAFE_INTEGER }
    ).pipe(Effect.provideService(Watchers, [watcher]))
    if (Exit.isFailure(exit)) faults.push(Cause.pretty(exit.cause))
    else if (actors > 0) faults.push(`${actors} actors were left running`)
    const { churnMs, nodes, seed } = options
    return { options: { seed, nodes, churnMs }, counts, faults, virtualMs, steps, digest }
  })

const noCounts = (): Counts => ({
  connections: 0,
  reconnects: 0,
  subscriptions: 0,
  ends: {},
  groups: 0,
  resets: 0,
  lagged: 0,
  frames: 0,
  bytes: 0,
  crashes: 0,
  shutdowns: 0,
  partitions: 0
})

/** Every link has a character of its own: from a room to the other side of the world, some of them bad. */
const linkOf =
  (seed: number) =>
  (from: string, to: string): Partial<Link> => {
    const rng = Rng.make(seed, `link ${from}>${to}`)
    const bad = rng.next() < 0.3
    return {
      latencyMs: 1 + rng.below(bad ? 150 : 40),
      jitterMs: rng.below(bad ? 40 : 5),
      loss: rng.next() * (bad ? 0.08 : 0.005),
      bytesPerSecond: bad ? 40_000 + rng.below(100_000) : 500_000 + rng.below(2_000_000)
    }
  }

class Soak implements Run {
  readonly #options: Options
  readonly counts: Counts
  readonly #faults: Array<string>
  readonly #sim: Simulation.Simulation["Service"]
  readonly network: SimNetwork["Service"]
  readonly names: ReadonlyArray<string>
  readonly #lives = new Map<string, Life>()
  readonly watching = new Set<Watching>()
  readonly tracks = new Map<string, Track.TrackProducer>()
  #nextLife = 0
  #contents = 0
  whole = false
  readonly leaving = Latch.makeUnsafe(false)
  readonly parting = Latch.makeUnsafe(false)

  constructor(
    options: Options,
    counts: Counts,
    faults: Array<string>,
    sim: Simulation.Simulation["Service"],
    network: SimNetwork["Service"]
  ) {
    this.#options = options
    this.counts = counts
    this.#faults = faults
    this.#sim = sim
    this.network = network
    this.names = Array.from({ length: options.nodes }, (_, index) => `n${index}`)
  }

  get program(): Effect.Effect<void, never, SimNetwork | Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      for (const name of this.names) yield* this.#start(name)
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.delay(
            Effect.sync(() => this.#options.progress?.(this.#sim.nowMs())),
            "1 minute"
          )
        )
      )
      const churning = yield* Effect.forkScoped(this.#churn(yield* Effect.scope))
      yield* Effect.sleep(this.#options.churnMs)
      yield* Fiber.interrupt(churning)
      this.whole = true
      this.network.heal()
      yield* this.#sim.until(() => this.#lives.size === this.names.length)
      yield* Effect.sleep(settleMs)
      for (const watching of this.watching) watching.frames = 0
      yield* Effect.sleep(watchMs)
      if (this.watching.size < this.names.length) this.fault(`only ${this.watching.size} watch`)
      for (const { frames, label } of this.watching) if (frames === 0) this.fault(`${label} gets nothing`)
      yield* this.leaving.open
      yield* Effect.sleep(leaveMs)
      this.#assertUnwatched()
      yield* this.parting.open
      yield* Effect.sleep(leaveMs)
      this.#assertParted()
      yield* Effect.forEach([...this.#lives.values()], (life) => this.#shutDown(life), { concurrency: "unbounded" })
    })
  }

  /** Nobody watches any more, while all sessions are there. */
  #assertUnwatched(): void {
    for (const { label } of this.watching) this.fault(`${label} does not leave`)
    for (const { moq, name } of this.#lives.values()) {
      const { heldBytes } = moq.inspect()
      if (heldBytes > 0) this.fault(`${name} holds ${heldBytes} bytes that nobody reads`)
    }
    for (const [content, { consumers }] of this.tracks) {
      if (consumers > 0) this.fault(`${content} has ${consumers} consumers that nobody knows`)
    }
  }

  /** Nobody holds a peer any more. */
  #assertParted(): void {
    for (const { moq, name } of this.#lives.values()) {
      const { connections, peers, sessions } = moq.inspect()
      if (connections + peers + sessions === 0) continue
      this.fault(`${name} keeps ${JSON.stringify({ connections, peers, sessions })}`)
    }
  }

  newContent = (): string => `c${this.#contents++}`

  fault(what: string): void {
    this.#faults.push(`${Math.round(this.#sim.nowMs())} ms: ${what}`)
  }

  /** What takes longer than it may is a fault, and is waited for all the same. */
  within<A, E, R>(limitMs: number, what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const late = Effect.suspend(() => {
      this.fault(`${what} takes more than ${limitMs} ms`)
      return Effect.never
    })
    return Effect.raceFirst(effect, Effect.delay(late, limitMs))
  }

  // ---- lives ----------------------------------------------------------------------------------------------------------

  #start(name: string): Effect.Effect<void, never, SimNetwork | Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const moq = yield* Scope.provide(moqOn(name), scope)
      const life: Life = { name, number: this.#nextLife++, moq, scope }
      this.#lives.set(name, life)
      this.#sim.note(`${name} begins life ${life.number}`)
      const rng = this.#sim.rng(`${name} ${life.number}`)
      for (const slot of ["0", "1"]) yield* Effect.forkIn(publish(this, life, slot, rng), scope)
      for (let visitors = 2; visitors > 0; visitors--) yield* Effect.forkIn(visit(this, life, rng), scope)
    })
  }

  #crash(life: Life): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#lives.delete(life.name)
      this.counts.crashes++
      return Effect.andThen(this.network.crash(life.name), Scope.close(life.scope, Exit.void))
    })
  }

  #shutDown(life: Life): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#lives.delete(life.name)
      this.counts.shutdowns++
      const shutdown = this.within(Limits.shutdownDrainMs + 1_000, `shutting down ${life.name}`, life.moq.shutdown)
      return Effect.andThen(shutdown, Scope.close(life.scope, Exit.void))
    })
  }

  // ---- bad luck -------------------------------------------------------------------------------------------------------

  /** What it begins goes on in the Scope when it is interrupted: whoever was killed comes back. */
  #churn(world: Scope.Scope): Effect.Effect<void, never, SimNetwork> {
    const network = this.network
    const rng = this.#sim.rng("churn")
    const some = (): string => this.names[rng.below(this.names.length)] ?? ""
    const soon = (what: Effect.Effect<void, never, SimNetwork | Scope.Scope>) =>
      Effect.forkIn(Scope.provide(what, world), world)
    return Effect.gen({ self: this }, function* () {
      for (;;) {
        yield* Effect.sleep(200 + rng.below(2_500))
        const dice = rng.next()
        const [a, b] = [some(), some()]
        if (dice < 0.5) {
          const life = this.#lives.get(a)
          if (life === undefined) continue
          const gone = dice < 0.35 ? this.#crash(life) : this.#shutDown(life)
          const pauseMs = rng.next() < 0.5 ? rng.below(300) : rng.below(15_000)
          yield* soon(Effect.andThen(gone, Effect.delay(this.#start(a), pauseMs)))
        } else if (dice < 0.7) {
          this.counts.partitions++
          const here = this.names.filter(() => rng.next() < 0.5)
          network.partition([here, this.names.filter((name) => !here.includes(name))])
          yield* soon(Effect.delay(Effect.sync(network.heal), rng.below(45_000)))
        } else if (dice < 0.85) {
          network.cut(a, b)
          yield* soon(
            Effect.delay(
              Effect.sync(() => network.mend(a, b)),
              rng.below(10_000)
            )
          )
        } else {
          network.setLink(a, b, { loss: rng.next() * 0.2, latencyMs: 1 + rng.below(200) })
        }
      }
    })
  }
}
