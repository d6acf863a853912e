/** Who of us is subscribed to which topic, and who our neighbors are there, as far as the core has told. */
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import type { Effect } from "effect"
import type * as GossipCore from "../GossipCore.ts"
import type { TopicId } from "../TopicId.ts"
import type { Faults } from "./faults.ts"
import { Signal } from "@effect-live/actor/Signal"
import type { Event, Rules, Subscriber } from "./Subscriber.ts"

/** A topic that somebody here is subscribed to, or is about to be; until the core has left it. */
interface Swarm {
  readonly neighbors: Set<EndpointId>
  /** By number; also those that are not told anything yet. */
  readonly subscribers: Map<number, Subscriber>
  readonly told: Set<Subscriber>
}

type Output = Extract<GossipCore.Output, { readonly _tag: "Subscribed" | "Emit" | "TopicEnded" }>

export class Swarms {
  readonly #swarms = new Map<TopicId, Swarm>()
  readonly #neighborsChanged = new Signal()
  readonly #faults: Faults

  constructor(faults: Faults) {
    this.#faults = faults
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
    return this.#neighborsChanged.wait(() => subscriber.ended || (this.#swarms.get(topic)?.neighbors.size ?? 0) > 0)
  }

  /** Whether all subscribers of a topic agree. */
  allow(topic: TopicId, rule: (rules: Rules) => boolean): boolean {
    for (const { rules } of this.#swarms.get(topic)?.subscribers.values() ?? []) if (!rule(rules)) return false
    return true
  }

  /** Its rules count from now on; events come with `Subscribed`. */
  enter(topic: TopicId, number: number, subscriber: Subscriber): void {
    const swarm = this.#swarms.get(topic) ?? { neighbors: new Set(), subscribers: new Map(), told: new Set() }
    this.#swarms.set(topic, swarm)
    swarm.subscribers.set(number, subscriber)
  }

  exit(topic: TopicId, number: number, subscriber: Subscriber): void {
    const swarm = this.#swarms.get(topic)
    swarm?.subscribers.delete(number)
    swarm?.told.delete(subscriber)
    subscriber.end()
    this.#neighborsChanged.notify()
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
        if (event._tag === "NeighborUp") this.#neighborsChanged.notify()
        return
      }
      case "TopicEnded": {
        for (const subscriber of swarm.told) subscriber.end()
        swarm.told.clear()
        swarm.neighbors.clear()
        // somebody new may be about to subscribe
        if (swarm.subscribers.size === 0) this.#swarms.delete(output.topic)
        this.#neighborsChanged.notify()
      }
    }
  }

  #push(subscriber: Subscriber, event: Event): void {
    if (subscriber.push(event)) this.#faults.eventsLost++
  }
}
