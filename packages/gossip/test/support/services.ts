/** The Gossip service on simulated nodes that come and go, and what its subscribers were told. */
import { AddressBook } from "@effect-live/endpoint/AddressBook"
import * as Router from "@effect-live/endpoint/Router"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { node, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import { Context, Effect, Exit, Layer, Result, Scope, Stream } from "effect"
import * as Gossip from "../../src/Gossip.ts"
import * as TopicId from "../../src/TopicId.ts"

export const topicOf = (n: number): TopicId.TopicId =>
  Result.getOrThrow(TopicId.parse(n.toString(16).padStart(64, "0")))

/** The service on a node of its own, as long as the Scope. */
const nodeOf = (name: string, options?: Gossip.Options) =>
  Layer.build(Gossip.layer(options).pipe(Layer.provideMerge(Router.layer), Layer.provideMerge(Layer.fresh(node(name)))))

/** One life of a node. */
export interface Life {
  readonly gossip: Gossip.Gossip["Service"]
  readonly book: AddressBook["Service"]
  readonly id: EndpointId
  readonly addr: EndpointAddr
  /** Loses power: nothing that it says on the way out arrives. */
  readonly kill: Effect.Effect<void>
  /** Ends in order. */
  readonly stop: Effect.Effect<void>
}

export const start = (name: string, options?: Gossip.Options): Effect.Effect<Life, never, SimNetwork | Scope.Scope> =>
  Effect.gen(function* () {
    const network = yield* SimNetwork
    const scope = yield* Scope.fork(yield* Effect.scope)
    const services = yield* Scope.provide(nodeOf(name, options), scope)
    const stop = Scope.close(scope, Exit.void)
    const addr = network.addr(name)
    const [gossip, book] = [Context.get(services, Gossip.Gossip), Context.get(services, AddressBook)]
    return { gossip, book, id: addr.id, addr, stop, kill: Effect.andThen(network.crash(name), stop) }
  })

const decoder = new TextDecoder()
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** A subscription and what it was told, a word each. */
export interface Member {
  readonly life: Life
  readonly topic: Gossip.Topic
  /** `up 0123`, `down 0123 left`, `got text`, `lagged 3`. */
  readonly words: Array<string>
  /** Contents, in the order of their arrival. */
  readonly got: Array<string>
  readonly leave: Effect.Effect<void>
}

/** Subscribes and reads on until it leaves. */
export const join = (
  life: Life,
  topic: TopicId.TopicId,
  bootstrap: Iterable<EndpointId | EndpointAddr> = [],
  options?: Gossip.SubscribeOptions
): Effect.Effect<Member, Gossip.SubscribeError, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const subscription = yield* Scope.provide(life.gossip.subscribe(topic, bootstrap, options), scope)
    const words: Array<string> = []
    const got: Array<string> = []
    yield* Effect.forkIn(
      Stream.runForEach(subscription.events, (event) =>
        Effect.sync(() => {
          words.push(wordOf(event))
          if (event._tag === "Received") got.push(decoder.decode(event.content))
        })
      ),
      scope
    )
    return { life, topic: subscription, words, got, leave: Scope.close(scope, Exit.void) }
  })

const wordOf = (event: Gossip.Event): string => {
  switch (event._tag) {
    case "NeighborUp":
      return `up ${event.peer.slice(0, 4)}`
    case "NeighborDown":
      return `down ${event.peer.slice(0, 4)} ${event.reason}`
    case "Received":
      return `got ${decoder.decode(event.content)}`
    case "Lagged":
      return `lagged ${event.count}`
  }
}

/** Nodes `n0`, `n1`, ... that join over the first one and have found their neighbors. */
export const swarmOf = (
  count: number,
  topic: TopicId.TopicId,
  options?: Gossip.Options
): Effect.Effect<ReadonlyArray<Member>, Gossip.SubscribeError | Gossip.Stopped, SimNetwork | Scope.Scope> =>
  Effect.gen(function* () {
    const members: Array<Member> = []
    for (let index = 0; index < count; index++) {
      const life = yield* start(`n${index}`, options)
      members.push(
        yield* join(
          life,
          topic,
          members.slice(0, 1).map((member) => member.life.addr)
        )
      )
    }
    if (count > 1) yield* Effect.forEach(members, (member) => member.topic.joined, { concurrency: "unbounded" })
    // those for whom the first one had no room have found others by then
    yield* Effect.sleep("3 seconds")
    return members
  })
