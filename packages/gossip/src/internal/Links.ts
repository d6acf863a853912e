/** The connections of a Gossip service: what `Peering` decides is done here. */
import type * as Actor from "@effect-live/actor/Actor"
import { Signal } from "@effect-live/actor/Signal"
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection } from "@effect-live/endpoint/Connection"
import type { Endpoint } from "@effect-live/endpoint/Endpoint"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { type Clock, Effect, Exit } from "effect"
import type * as GossipCore from "../GossipCore.ts"
import * as Limits from "../Limits.ts"
import type * as Message from "../Message.ts"
import * as Wire from "../Wire.ts"
import * as closes from "./closes.ts"
import type { Faults } from "./faults.ts"
import { FreshIds } from "./FreshIds.ts"
import type * as Peers from "./Peers.ts"
import { Pressure } from "./Pressure.ts"
import * as Receiver from "./Receiver.ts"
import { type Failure, Sender } from "./Sender.ts"

type Event = GossipCore.Event
type Self = Actor.Self<Event, never>

export interface Options {
  readonly endpoint: typeof Endpoint.Service
  readonly alpn: string
  readonly maxMessageBytes: number
  readonly faults: Faults
  readonly clock: Clock.Clock
}

interface Known {
  readonly connection: Connection
  readonly sender: Sender
}

/** Of one peer, in the order in which they came. */
interface Grafts {
  readonly waiting: Array<Event>
  readonly arrived: Signal
}

export class Links {
  /** Of contents that wait to be sent. */
  readonly pressure: Pressure
  readonly #options: Options
  readonly #freshIds: FreshIds
  readonly #known = new Map<number, Known>()
  #next = 0
  /** A message goes to several peers, one after the other, and is encoded once. */
  #encoded: { readonly message: Message.Message<EndpointId>; readonly frame: Uint8Array } | undefined

  constructor(options: Options) {
    this.#options = options
    this.pressure = new Pressure(options.endpoint.id)
    this.#freshIds = new FreshIds(options.clock, Limits.freshIdsOfAll, Limits.freshIdsOfAllPerSecond)
  }

  /** What waits to be sent, over all connections. */
  inspect(): {
    readonly connections: number
    readonly queuedMessages: number
    readonly queuedPayloadBytes: number
    readonly openStreams: number
  } {
    let [queuedMessages, queuedPayloadBytes, openStreams] = [0, 0, 0]
    for (const { sender } of this.#known.values()) {
      queuedMessages += sender.depth
      queuedPayloadBytes += sender.payloadBytes
      openStreams += sender.openStreams
    }
    return { connections: this.#known.size, queuedMessages, queuedPayloadBytes, openStreams }
  }

  /** When there is nobody any more to decide about them. */
  closeAll(): void {
    for (const { connection } of this.#known.values()) close(connection, closes.shutDown)
  }

  perform(output: Peers.Output, self: Self): void {
    switch (output._tag) {
      case "Dial": {
        const { dial, peer } = output
        self.spawn(`dial/${dial}`, this.#dial(self, dial, peer), () => ({ _tag: "DialFailed", dial }))
        return
      }
      case "CancelDial":
        return self.kill(`dial/${output.dial}`)
      case "Send":
        return this.#send(output)
      case "Rest":
        return this.#known.get(output.connection)?.sender.rest(output.rest)
      case "CloseConnection":
        return this.#known.get(output.connection)?.connection.close(output.code, output.reason)
    }
  }

  /** An incoming connection, until it ends. */
  welcome(actor: Actor.Actor<Event>, connection: Connection): Effect.Effect<void> {
    const { remote } = connection
    if (remote._tag === "Anonymous") return Effect.sync(() => close(connection, closes.anonymous))
    return this.#hold(actor, connection, remote.id, (number) =>
      actor
        .ask<Peers.Verdict>((replyTo) => ({ _tag: "Incoming", replyTo, connection: number, id: remote.id }))
        // the service is gone
        .pipe(Effect.orElseSucceed(() => closes.shutDown))
    )
  }

  /** Dials, and holds the connection until it ends. */
  #dial(self: Self, dial: number, peer: EndpointId): Effect.Effect<void> {
    const { alpn, endpoint } = this.#options
    return Effect.scoped(
      Effect.gen({ self: this }, function* () {
        const connection = yield* Effect.timeoutOrElse(endpoint.connect(peer, [alpn]), {
          duration: Limits.dialTimeoutMs,
          orElse: () => Effect.fail("timeout")
        })
        yield* this.#hold(self, connection, peer, (number) =>
          Effect.as(tell(self, { _tag: "Dialed", dial, connection: number }), "accept" as const)
        )
      })
      // `DialFailed` says it; why is in the transport's own log
    ).pipe(Effect.ignore)
  }

  /** Sends and receives until the connection has ended and everything that came on it was told; unless the core refuses it. */
  #hold(
    actor: Actor.Actor<Event>,
    connection: Connection,
    peer: EndpointId,
    welcome: (number: number) => Effect.Effect<Peers.Verdict>
  ): Effect.Effect<void> {
    const { faults } = this.#options
    const known = Effect.sync(() => {
      const number = this.#next++
      const sender = new Sender({
        connection,
        peer,
        pressure: this.pressure,
        rested: (rest) => tell(actor, { _tag: "Rested", connection: number, rest }),
        lost: (messages) => {
          faults.lostWithConnection += messages
        }
      })
      this.#known.set(number, { connection, sender })
      return { number, sender }
    })
    return Effect.acquireUseRelease(
      known,
      ({ number, sender }) =>
        Effect.flatMap(welcome(number), (verdict) => {
          if (verdict !== "accept") close(connection, verdict)
          return this.#run(actor, number, { connection, sender })
        }),
      ({ number }, exit) => {
        this.#known.delete(number)
        return tell(actor, { _tag: "ConnectionClosed", connection: number, how: endingOf(exit) })
      }
    ).pipe(Effect.asVoid)
  }

  #run(actor: Actor.Actor<Event>, number: number, { connection, sender }: Known): Effect.Effect<Close> {
    const { clock, faults, maxMessageBytes } = this.#options
    const freshIds = new FreshIds(clock, Limits.freshIds, Limits.freshIdsPerSecond, this.#freshIds)
    const grafts: Grafts = { waiting: [], arrived: new Signal() }
    const sink: Receiver.Sink = {
      opened: tell(actor, { _tag: "StreamOpened", connection: number }),
      ended: tell(actor, { _tag: "StreamEnded", connection: number }),
      forged: () => {
        faults.forged++
      },
      introductionDropped: () => {
        faults.introductionsDropped++
      },
      messages: (topic, messages) => {
        const received = (some: typeof messages): Event => ({
          _tag: "Received",
          connection: number,
          topic,
          messages: some
        })
        const last = messages.slice(-1)
        if (last.some(Receiver.asksForContent) && (grafts.waiting.length > 0 || this.pressure.presses(sender))) {
          this.#defer(grafts, received(last))
          messages = messages.slice(0, -1)
          if (messages.length === 0) return undefined
        }
        const event = received(messages)
        if (actor.tryTell(event) !== "accepted") return tell(actor, event)
        return messages.some(({ _tag }) => _tag === "Gossip") ? this.pressure.reliefFor(sender.peer) : undefined
      }
    }
    const sending = sender.run.pipe(
      Effect.catch((failure) =>
        Effect.sync(() => {
          if (isLost(failure)) return
          faults.stalled++
          // whatever stops one stream leaves the peer deaf to its topic
          close(connection, closes.stalled(failure._tag === "LinkFault" ? failure.reason : "a stream was stopped"))
        })
      )
    )
    const receiving = Receiver.run({ connection, maxMessageBytes, freshIds, sink }).pipe(
      Effect.catch(({ reason }) =>
        Effect.sync(() => {
          faults.malformed++
          close(connection, closes.malformed(reason))
        })
      )
    )
    const answering = Effect.forever(
      Effect.andThen(
        grafts.arrived.wait(() => grafts.waiting.length > 0),
        this.pressure.fallen(sender)
      ).pipe(
        Effect.andThen(
          Effect.suspend(() => {
            const event = grafts.waiting.shift()
            return event === undefined ? Effect.void : tell(actor, event)
          })
        ),
        // its answer counts before the next one
        Effect.andThen(Effect.yieldNow)
      )
    )
    return Effect.gen(function* () {
      // at once: what is interrupted before it has begun does not end as it should, and the sender has to count what it holds
      yield* Effect.forkScoped(sending, { startImmediately: true })
      yield* Effect.forkScoped(answering, { startImmediately: true })
      yield* receiving
      return yield* connection.closed
    }).pipe(Effect.scoped)
  }

  /**
   * A Graft asks for a content that we have: those that come while much waits for the peer wait too, and what comes behind them is
   * read. Otherwise a thousand of them, in a few bytes, would be answered with more than there is room for.
   */
  #defer({ arrived, waiting }: Grafts, event: Event): void {
    if (waiting.length >= Limits.waitingGrafts) {
      this.#options.faults.graftsDropped++
      return
    }
    waiting.push(event)
    arrived.notify()
  }

  #send({ connection, message, topic }: Extract<Peers.Output, { readonly _tag: "Send" }>): void {
    const { faults } = this.#options
    const known = this.#known.get(connection)
    if (known === undefined) {
      // it has just ended; the core will hear of it
      faults.lostWithConnection++
      return
    }
    if (this.#encoded?.message !== message) this.#encoded = { message, frame: Wire.encode(message) }
    const { frame } = this.#encoded
    const kind = message._tag === "Gossip" ? "payload" : message._tag === "Disconnect" ? "last" : "control"
    switch (known.sender.push(topic, frame, kind)) {
      case "accepted":
        return
      case "dropped":
        faults.payloadsDropped++
        return
      case "over":
        faults.lostWithConnection++
        return
      case "overflow":
        faults.stalled++
        close(known.connection, closes.stalled("too much waits to be sent"))
    }
  }
}

/** In its turn behind what was told before. Nobody listens any more when the service is gone. */
const tell = (actor: Actor.Actor<Event>, event: Event): Effect.Effect<void> => Effect.ignore(actor.tell(event))

const endingOf = (exit: Exit.Exit<Close>): Peers.Ending => {
  if (Exit.isFailure(exit)) return "closed"
  switch (exit.value._tag) {
    case "Local":
      return "closed"
    case "Remote":
      return exit.value.code === 0 ? "graceful" : "closed"
    case "IdleTimeout":
    case "TransportFailed":
      return "lost"
  }
}

const isLost = (failure: Failure): boolean =>
  failure._tag === "ConnectionLost" || (failure._tag === "StreamError" && failure.reason._tag === "ConnectionLost")

const close = (connection: Connection, { code, reason }: Peers.Closing): void => connection.close(code, reason)
