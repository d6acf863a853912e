/** One subscription of a topic: its events wait here for whoever reads them. Pushing never waits; when there is no room the oldest goes. */
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { Array as Arr, Cause, Effect, type Pull, Stream } from "effect"
import type * as Topic from "../Topic.ts"
import { Signal } from "@effect-live/actor/Signal"

/** What a subscriber is told. `Lagged`: so many events before the next one are lost, as they were not read in time. */
export type Event = Topic.Event<EndpointId> | { readonly _tag: "Lagged"; readonly count: number }

export interface Rules {
  readonly admit: ((peer: EndpointId) => boolean) | undefined
  readonly validate: ((content: Uint8Array, from: EndpointId) => boolean) | undefined
}

export class Subscriber {
  readonly rules: Rules
  readonly #capacity: number
  #events: Array<Event> = []
  #oldest = 0
  #lost = 0
  #ended = false
  readonly #signal = new Signal()

  constructor(capacity: number, rules: Rules) {
    this.#capacity = capacity
    this.rules = rules
  }

  /** Events that wait. */
  get depth(): number {
    return this.#events.length - this.#oldest
  }

  get ended(): boolean {
    return this.#ended
  }

  /** True when an older one was lost for it. */
  push(event: Event): boolean {
    if (this.#ended) return false
    this.#events.push(event)
    const lost = this.depth > this.#capacity
    if (lost) {
      this.#oldest++
      this.#lost++
      if (this.#oldest >= this.#capacity) this.#compact()
    }
    this.#signal.notify()
    return lost
  }

  /** What waits is still read. */
  end(): void {
    this.#ended = true
    this.#signal.notify()
  }

  readonly events: Stream.Stream<Event> = Stream.fromPull(
    Effect.sync(() =>
      Effect.flatMap(
        this.#signal.wait(() => this.depth > 0 || this.#ended),
        () => this.#take()
      )
    )
  )

  /** All that wait at once: whoever reads arrays of them does not wait for each. */
  #take(): Pull.Pull<Arr.NonEmptyReadonlyArray<Event>> {
    this.#compact()
    const events = this.#events
    if (this.#lost > 0) events.unshift({ _tag: "Lagged", count: this.#lost })
    if (!Arr.isReadonlyArrayNonEmpty(events)) return Cause.done()
    this.#events = []
    this.#lost = 0
    return Effect.succeed(events)
  }

  #compact(): void {
    this.#events = this.#events.slice(this.#oldest)
    this.#oldest = 0
  }
}
