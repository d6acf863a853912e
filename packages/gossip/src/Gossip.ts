/**
 * The Gossip service: subscriptions to topics over the connections of an Endpoint, shared by all topics of a peer. `GossipCore`
 * decides; `internal/Links` opens what connects.
 */
import * as Actor from "@effect-live/actor/Actor"
import { AddressBook } from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { Router } from "@effect-live/endpoint/Router"
import { encode } from "@effect-live/wire/Writer"
import { Clock, Config, Context, Effect, Layer, Result, Schema, type Scope, Stream } from "effect"
import * as AddrInfo from "./AddrInfo.ts"
import * as Settings from "./Config.ts"
import * as GossipCore from "./GossipCore.ts"
import {
  BroadcastError,
  Known,
  NoNeighbors,
  Stopped,
  SubscribeError,
  TooLarge,
  TooManySubscribers,
  TooManyTopics
} from "./GossipError.ts"
import { contentId } from "./internal/contentId.ts"
import { Links } from "./internal/Links.ts"
import { type Event, Subscriber } from "./internal/Subscriber.ts"
import { Swarms } from "./internal/Swarms.ts"
import { type Faults, faults } from "./internal/faults.ts"
import * as Limits from "./Limits.ts"
import type { Scope as MessageScope } from "./Message.ts"
import { fmtShort, type TopicId } from "./TopicId.ts"
import * as Wire from "./Wire.ts"

export * from "./GossipError.ts"
export type { Event } from "./internal/Subscriber.ts"

/** The protocol of iroh-gossip 0.90 and later (section 2.1). */
export const alpn = "/iroh-gossip/1"

/**
 * The rules of one subscriber. One that throws is taken for a no, counted (`faults.rulesFailed`), and the first one is logged. They are
 * asked in the middle of everything else, and must not take long.
 */
export interface SubscribeOptions {
  /** Whether a peer may be a neighbor. Who may not hears of nobody here. Every subscriber of the topic has to agree. */
  readonly admit?: (peer: EndpointId) => boolean
  /**
   * Whether a content may be delivered and forwarded, asked once before either. `from` is the previous hop, not the author. Every
   * subscriber of the topic has to agree. Copy of the content what is to be kept: it is a view of all that came with it.
   */
  readonly validate?: (content: Uint8Array, from: EndpointId) => boolean
  /** Events that wait to be read, at least 1; `Limits.subscriberEvents` without it. */
  readonly capacity?: number
}

/** A subscription, until its Scope closes; with the last one of a topic the swarm is left. */
export interface Topic {
  readonly id: TopicId
  /**
   * Sends a content to the swarm. Success says that it was handed to the neighbors, not that anybody has it. Peers that join later do
   * not get it. Waits for neighbors that have much to read, but for a slow one only so long: `Limits.pressureMs`, at most once in
   * `Limits.slowMs`. Errors: see `BroadcastError`; equal content within 90 seconds is `Known`.
   */
  readonly broadcast: (content: Uint8Array) => Effect.Effect<void, BroadcastError>
  /** The same to the neighbors only: they do not forward it. It is never `Known`. */
  readonly broadcastNeighbors: (content: Uint8Array) => Effect.Effect<void, BroadcastError>
  /** Asks these peers to be let into the swarm, also where that failed before. */
  readonly joinPeers: (peers: Iterable<EndpointId | EndpointAddr>) => Effect.Effect<void, Stopped>
  /** Waits for a neighbor. Takes no event from anybody. */
  readonly joined: Effect.Effect<void, Stopped>
  /** Those that there are now. */
  readonly neighbors: () => ReadonlyArray<EndpointId>
  /**
   * What happens from the subscription on, the neighbors that were there before first. Ends with the service. Several readers share
   * the events: subscribe again for all of them twice. `Stream.runForEachArray` reads thousands a second at the least cost. A content
   * must not be written to, and is a view of a block of at most `Limits.cacheBlockBytes`: copy one that is kept for long.
   */
  readonly events: Stream.Stream<Event>
}

/** How a service differs from those in Rust with their defaults. */
export interface Options {
  /** What HyParView and PlumTree are told; all peers of a swarm need the same `maxMessageBytes`. */
  readonly config?: Partial<Settings.Config>
  /** Whether peers are told the addresses of this endpoint, for others to dial it; true without it. */
  readonly publishAddrs?: boolean
  /** For swarms of their own; all peers need the same. */
  readonly alpn?: string
}

/** How a service is doing. */
export interface Inspection extends GossipCore.Inspection {
  /** What was dropped, refused or given up on connections. Only grows. */
  readonly faults: Readonly<Faults>
  readonly connections: number
  /** That wait to be sent, over all connections. */
  readonly queuedMessages: number
  readonly queuedPayloadBytes: number
  /** Our streams, over all connections. */
  readonly openStreams: number
  /** Events that wait for their subscribers. */
  readonly queuedEvents: number
  readonly actor: Actor.Inspection
}

/** Joins topics, over an Endpoint and its Router: `layer`. */
export class Gossip extends Context.Service<
  Gossip,
  {
    /**
     * Joins a topic over these peers; without any, waits to be joined. Addresses go to the AddressBook. Returns at once: `joined`
     * waits for a neighbor. Peers that cannot be reached are asked again for as long as the topic has no neighbor.
     */
    readonly subscribe: (
      topic: TopicId,
      bootstrap?: Iterable<EndpointId | EndpointAddr>,
      options?: SubscribeOptions
    ) => Effect.Effect<Topic, SubscribeError, Scope.Scope>
    /** The most bytes of a content for `broadcast`; for `broadcastNeighbors` it is one more. */
    readonly maxContentBytes: number
    /** Reading it costs the service nothing. */
    readonly inspect: () => Inspection
    /**
     * Leaves every topic, gives the goodbyes up to `Limits.shutdownMs` to arrive, closes all connections with code 0 and refuses new
     * subscriptions. Idempotent; the Layer's Scope does it too.
     */
    readonly shutdown: Effect.Effect<void>
  }
>()("@effect-live/gossip/Gossip") {}

type Service = typeof Gossip.Service
type CoreEvent = GossipCore.Event
type Self = Actor.Self<CoreEvent, never>

/**
 * Serves the protocol at the Router, and shuts down when the Layer goes. Dies when `maxMessageBytes` is not between
 * `Limits.minMessageBytes` and `Limits.maxMessageBytes` (RangeError), and when somebody else serves its ALPN there: both are mistakes in
 * the composition of the program.
 */
export const layer = (options: Options = {}): Layer.Layer<Gossip, never, Endpoint | Router | AddressBook> =>
  Layer.effect(
    Gossip,
    Effect.gen(function* () {
      const endpoint = yield* Endpoint
      const router = yield* Router
      const config = { ...Settings.defaults, ...options.config }
      const { maxMessageBytes: bytes } = config
      if (!(bytes >= Limits.minMessageBytes && bytes <= Limits.maxMessageBytes)) {
        const range = `${Limits.minMessageBytes} to ${Limits.maxMessageBytes}`
        return yield* Effect.die(new RangeError(`gossip: maxMessageBytes is ${bytes}, and has to be ${range}`))
      }
      const services = yield* Effect.context<never>()
      const driver = new Driver({
        endpoint,
        book: yield* AddressBook,
        config,
        alpn: options.alpn ?? alpn,
        clock: yield* Clock.Clock,
        log: (warning) => void Effect.runForkWith(services)(warning)
      })
      const publishAddrs = options.publishAddrs ?? true
      const core = driver.core(publishAddrs ? AddrInfo.encode(endpoint.addr(), config) : undefined)
      const actor = yield* Actor.make({
        name: "gossip",
        core,
        perform: (output, self: Self) => driver.perform(output, self),
        inboxLimit: Limits.inboxEvents
      })
      const service = driver.service(actor)
      if (publishAddrs) {
        const changed = (addr: EndpointAddr) =>
          Effect.ignore(actor.tell({ _tag: "DataChanged", data: AddrInfo.encode(addr, config) }))
        yield* Effect.forkScoped(Stream.runForEach(endpoint.addrChanges, changed), { startImmediately: true })
      }
      yield* Effect.forkScoped(
        Effect.andThen(
          Effect.exit(actor.join),
          Effect.sync(() => driver.ended())
        ),
        { startImmediately: true }
      )
      yield* Effect.orDie(router.handle([driver.alpn], (connection) => driver.links.welcome(actor, connection)))
      // before the Router gives our connections up
      yield* Effect.addFinalizer(() => service.shutdown)
      return service
    })
  )

const atLeast = (least: number, name: string) =>
  Config.schema(Schema.Int.check(Schema.isGreaterThanOrEqualTo(least)), name)

const { broadcast, maxMessageBytes, membership } = Settings.defaults

/**
 * `GOSSIP_ACTIVE_VIEW` and `GOSSIP_PASSIVE_VIEW` (numbers of peers), `GOSSIP_MAX_MESSAGE_BYTES` (the same for the whole swarm) and
 * `GOSSIP_PUBLISH_ADDRS` (`true` or `false`).
 */
export const config: Config.Config<Options> = Config.all({
  activeViewCapacity: atLeast(1, "ACTIVE_VIEW").pipe(Config.withDefault(membership.activeViewCapacity)),
  passiveViewCapacity: atLeast(1, "PASSIVE_VIEW").pipe(Config.withDefault(membership.passiveViewCapacity)),
  maxMessageBytes: Config.schema(
    Schema.Int.check(Schema.isBetween({ minimum: Limits.minMessageBytes, maximum: Limits.maxMessageBytes })),
    "MAX_MESSAGE_BYTES"
  ).pipe(Config.withDefault(maxMessageBytes)),
  publishAddrs: Config.Boolean("PUBLISH_ADDRS").pipe(Config.withDefault(true))
}).pipe(
  Config.nested("GOSSIP"),
  Config.map(({ maxMessageBytes, publishAddrs, ...views }) => ({
    config: { membership: { ...membership, ...views }, broadcast, maxMessageBytes },
    publishAddrs
  }))
)

/** The same with options from `config`. */
export const layerConfig: Layer.Layer<Gossip, Config.ConfigError, Endpoint | Router | AddressBook> = Layer.unwrap(
  Effect.map(config, (options) => layer(options))
)

class Driver {
  readonly alpn: string
  readonly links: Links
  readonly #endpoint: typeof Endpoint.Service
  readonly #book: typeof AddressBook.Service
  readonly #config: Settings.Config
  readonly #faults = faults()
  readonly #swarms: Swarms
  #state: GossipCore.State | undefined
  #next = 0

  constructor(options: {
    readonly endpoint: typeof Endpoint.Service
    readonly book: typeof AddressBook.Service
    readonly config: Settings.Config
    readonly alpn: string
    readonly clock: Clock.Clock
    readonly log: (warning: Effect.Effect<void>) => void
  }) {
    this.alpn = options.alpn
    this.#endpoint = options.endpoint
    this.#book = options.book
    this.#config = options.config
    this.#swarms = new Swarms(this.#faults, (topic, error) => {
      // a peer decides how often it is asked
      if (this.#faults.rulesFailed > 1) return
      options.log(Effect.logWarning(`gossip: a rule of topic ${fmtShort(topic)} threw, which is taken for a no`, error))
    })
    const { maxMessageBytes } = options.config
    this.links = new Links({ ...options, maxMessageBytes, faults: this.#faults })
  }

  core(data: Uint8Array | undefined): Actor.Core<GossipCore.State, CoreEvent, GossipCore.Output> {
    const core = GossipCore.core({
      self: this.#endpoint.id,
      config: this.#config,
      data,
      admit: (topic, peer) => this.#swarms.allow(topic, ({ admit }) => admit?.(peer) ?? true),
      validate: (topic, content, from) => this.#swarms.allow(topic, ({ validate }) => validate?.(content, from) ?? true)
    })
    // read by `inspect`, and by nobody else
    return { ...core, initial: (seed) => (this.#state = core.initial(seed)) }
  }

  /** The actor is gone, and nobody would tell. */
  ended(): void {
    this.#swarms.end()
    this.links.closeAll()
  }

  service(actor: Actor.Actor<CoreEvent>): Service {
    return {
      subscribe: (topic, bootstrap = [], options = {}) => this.#subscribe(actor, topic, bootstrap, options),
      maxContentBytes: Wire.maxContentBytes(this.#config.maxMessageBytes, "Swarm"),
      inspect: () => this.#inspect(actor),
      // stopped: it is over already
      shutdown: Effect.ignore(actor.ask<void>((replyTo) => ({ _tag: "ShutDown", replyTo })))
    }
  }

  perform(output: GossipCore.Output, self: Self): void {
    switch (output._tag) {
      case "Subscribed":
      case "Emit":
      case "TopicEnded":
        return this.#swarms.perform(output)
      case "PeerData": {
        const addr = AddrInfo.decode(output.peer, output.data)
        if (Result.isFailure(addr)) this.#faults.addressesRefused++
        else if (addr.success.addrs.length > 0) this.#book.add(addr.success, "gossip")
        return
      }
      default:
        return this.links.perform(output, self)
    }
  }

  #subscribe(
    actor: Actor.Actor<CoreEvent>,
    topic: TopicId,
    bootstrap: Iterable<EndpointId | EndpointAddr>,
    { admit, capacity = Limits.subscriberEvents, validate }: SubscribeOptions
  ): Effect.Effect<Topic, SubscribeError, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const number = this.#next++
      const subscriber = new Subscriber(Math.max(1, capacity), { admit, validate })
      yield* Effect.acquireRelease(
        Effect.sync(() => this.#swarms.enter(topic, number, subscriber)),
        () =>
          Effect.suspend(() => {
            this.#swarms.exit(topic, number, subscriber)
            return Effect.ignore(actor.tell({ _tag: "Unsubscribe", subscriber: number, topic }))
          })
      )
      const peers = this.#meet(bootstrap)
      yield* actor
        .ask<void, GossipCore.SubscribeRefusal>((replyTo) => ({
          _tag: "Subscribe",
          replyTo,
          subscriber: number,
          topic,
          peers
        }))
        .pipe(
          Effect.mapError((refusal) => {
            this.#swarms.exit(topic, number, subscriber) // its rules do not count, though its Scope may stay open
            return new SubscribeError({ topic: fmtShort(topic), reason: subscribeReason(refusal) })
          })
        )
      return this.#topic(actor, topic, subscriber)
    })
  }

  #topic(actor: Actor.Actor<CoreEvent>, id: TopicId, subscriber: Subscriber): Topic {
    const stopped = Effect.suspend(() => Effect.fail(new Stopped()))
    return {
      id,
      broadcast: (content) => this.#broadcast(actor, id, subscriber, content, "Swarm"),
      broadcastNeighbors: (content) => this.#broadcast(actor, id, subscriber, content, "Neighbors"),
      joinPeers: (peers) =>
        Effect.suspend(() => {
          if (subscriber.ended) return stopped
          const joining = actor.tell({ _tag: "JoinPeers", topic: id, peers: this.#meet(peers) })
          return joining.pipe(Effect.catch(() => stopped))
        }),
      joined: Effect.andThen(
        this.#swarms.joined(id, subscriber),
        Effect.suspend(() => (subscriber.ended ? stopped : Effect.void))
      ),
      neighbors: () => (subscriber.ended ? [] : this.#swarms.neighbors(id)),
      events: subscriber.events
    }
  }

  #broadcast(
    actor: Actor.Actor<CoreEvent>,
    topic: TopicId,
    subscriber: Subscriber,
    bytes: Uint8Array,
    scope: MessageScope["_tag"]
  ): Effect.Effect<void, BroadcastError> {
    const fail = (reason: BroadcastError["reason"]) =>
      Effect.fail(new BroadcastError({ topic: fmtShort(topic), reason }))
    return Effect.suspend(() => {
      const maxBytes = Wire.maxContentBytes(this.#config.maxMessageBytes, scope)
      if (bytes.length > maxBytes) return fail(new TooLarge({ bytes: bytes.length, maxBytes }))
      if (subscriber.ended) return fail(new Stopped())
      // what is kept and sent must not change when the caller's array does
      const content = encode((writer) => writer.raw(bytes))
      const id = contentId(content)
      const asked = actor
        .ask<void, GossipCore.BroadcastRefusal>((replyTo) => ({
          _tag: "Broadcast",
          replyTo,
          topic,
          id,
          content,
          scope
        }))
        .pipe(Effect.catch((refusal) => fail(broadcastReason(refusal))))
      const { pressure } = this.links
      return pressure.on ? Effect.andThen(pressure.relief, asked) : asked
    })
  }

  /** Remembers where they live. */
  #meet(peers: Iterable<EndpointId | EndpointAddr>): ReadonlyArray<EndpointId> {
    const ids = new Set<EndpointId>()
    for (const peer of peers) {
      if (typeof peer !== "string" && peer.addrs.length > 0) this.#book.add(peer, "bootstrap")
      ids.add(typeof peer === "string" ? peer : peer.id)
    }
    ids.delete(this.#endpoint.id)
    return [...ids]
  }

  #inspect(actor: Actor.Actor<CoreEvent>): Inspection {
    if (this.#state === undefined) throw new Error("gossip: inspected before its actor was made")
    return {
      ...GossipCore.inspect(this.#state),
      ...this.links.inspect(),
      faults: { ...this.#faults },
      queuedEvents: this.#swarms.queuedEvents,
      actor: actor.inspect()
    }
  }
}

const subscribeReason = (refusal: GossipCore.SubscribeRefusal | Actor.Stopped): SubscribeError["reason"] => {
  switch (refusal._tag) {
    case "TooManyTopics":
      return new TooManyTopics({ limit: Limits.topics })
    case "TooManySubscribers":
      return new TooManySubscribers({ limit: Limits.subscribersPerTopic })
    case "ShutDown":
    case "Stopped":
      return new Stopped()
  }
}

const broadcastReason = (refusal: GossipCore.BroadcastRefusal | Actor.Stopped): BroadcastError["reason"] => {
  switch (refusal._tag) {
    case "NoNeighbors":
      return new NoNeighbors()
    case "Known":
      return new Known()
    case "ShutDown":
    case "Stopped":
      return new Stopped()
  }
}
