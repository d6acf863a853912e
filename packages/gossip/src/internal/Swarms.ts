/** Who of us is subscribed to which topic, and who our neighbors are there, as far as the core has told. */
import { Signal } from "@effect-live/actor/Signal"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { Effect } from "effect"
import type * as GossipCore from "../GossipCore.ts"
import type { TopicId } from "../TopicId.ts"
import type { Faults } from "./faults.ts"
import type { Event, Rules, Subscriber } from "./Subscriber.ts"

/** A topic that somebody here is subscribed to, or is about to be; until the core has left it. */
interface Swarm {
  readonly neighbors: Set<EndpointId>
  /** By number; also those that are not told anything yet. */
  readonly subscribers: Map<number, Subscriber>
  readonly told: Set<Subscriber>
  /** Of a neighbor, or of a subscriber that has ended. */
  readonly changed: Signal
}

type Output = Extract<GossipCore.Output, { readonly _tag: "Subscribed" | "Emit" | "TopicEnded" }>

export class Swarms {
  readonly #swarms = new Map<TopicId, Swarm>()
  readonly #faults: Faults
  readonly #ruleFailed: (topic: TopicId, error: unknown) => void

  /** `ruleFailed`: what a rule of the application threw. */
  constructor(faults: Faults, ruleFailed: (topic: TopicId, error: unknown) => void) {
    this.#faults = faults
    this.#ruleFailed = ruleFailed
  }

  /** Events that wait for their subscribers. */
  get queuedEvents(): number {
    let events = 0
    for (const { told } of this.#swarms.values()) for (const { depth } of told) events += depth
    return events
  }

  neighbors(topic: TopicId): ReadonlyArray<EndpointId> {
    return [...(this.#swarms.get(topic)?.neighbors ?? [])]
  }

  /** Waits until the subscriber's topic has a neighbor, or it has ended. */
  joined(topic: TopicId, subscriber: Subscriber): Effect.Effect<void> {
    return Effect.suspend(() => {
      const swarm = this.#swarms.get(topic)
      // with its last subscriber
      if (swarm === undefined) return Effect.void
      return swarm.changed.wait(() => subscriber.ended || swarm.neighbors.size > 0)
    })
  }

  /** Whether all subscribers of a topic agree. One whose rule throws does not, and the others go on. */
  allow(topic: TopicId, rule: (rules: Rules) => boolean): boolean {
    try {
      for (const { rules } of this.#swarms.get(topic)?.subscribers.values() ?? []) if (!rule(rules)) return false
      return true
    } catch (error) {
      this.#faults.rulesFailed++
      this.#ruleFailed(topic, error)
      return false
    }
  }

  /** Its rules count from now on; events come with `Subscribed`. */
  enter(topic: TopicId, number: number, subscriber: Subscriber): void {
    const swarm = this.#swarms.get(topic) ?? {
      neighbors: new Set(),
      subscribers: new Map(),
      told: new Set(),
      changed: new Signal()
    }
    this.#swarms.set(topic, swarm)
    swarm.subscribers.set(number, subscriber)
  }

  exit(topic: TopicId, number: number, subscriber: Subscriber): void {
    const swarm = this.#swarms.get(topic)
    swarm?.subscribers.delete(number)
    swarm?.told.delete(subscriber)
    subscriber.end()
    swarm?.changed.notify()
  }

  /** The service is gone, in whatever way: nobody hears of anything any more. */
  end(): void {
    for (const { changed, neighbors, subscribers, told } of this.#swarms.values()) {
      for (const subscriber of subscribers.values()) subscriber.end()
      told.clear()
      neighbors.clear()
      changed.notify()
    }
  }

  perform(output: Output): void {
    const swarm = this.#swarms.get(output.topic)
    if (swarm === undefined) return
    switch (output._tag) {
      case "Subscribed": {
        const subscriber = swarm.subscribers.get(output.subscriber)
        if (subscriber === undefined) return // its Scope has closed; `Unsubscribe` follows
        swarm.told.add(subscriber)
        for (const peer of swarm.neighbors) this.#push(subscriber, { _tag: "NeighborUp", peer })
        return
      }
      case "Emit": {
        const { event } = output
        if (event._tag === "NeighborUp") swarm.neighbors.add(event.peer)
        else if (event._tag === "NeighborDown") swarm.neighbors.delete(event.peer)
        for (const subscriber of swarm.told) this.#push(subscriber, event)
        if (event._tag === "NeighborUp") swarm.changed.notify()
        return
      }
      case "TopicEnded": {
        for (const subscriber of swarm.told) subscriber.end()
        swarm.told.clear()
        swarm.neighbors.clear()
        // somebody new may be about to subscribe
        if (swarm.subscribers.size === 0) this.#swarms.delete(output.topic)
        swarm.changed.notify()
      }
    }
  }

  #push(subscriber: Subscriber, event: Event): void {
    if (subscriber.push(event)) this.#faults.eventsLost++
  }
}
