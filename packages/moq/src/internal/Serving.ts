/** One subscription of the peer: every group goes out on a stream of its own, or as a datagram (moq-lite sections 4.3, 4.4, 4.7). */
import { Blocked, End, type SendStream } from "@effect-live/endpoint/Stream"
import { Effect } from "effect"
import * as ErrorCode from "../ErrorCode.ts"
import type { GroupConsumer } from "../Group.ts"
import * as Limits from "../Limits.ts"
import * as Message from "../Message.ts"
import * as Track from "../Track.ts"
import { writeFrames } from "./GroupStreams.ts"
import type { Link } from "./Link.ts"
import { priorityOf } from "./priority.ts"
import { Signal } from "@effect-live/actor/Signal"

/** A group on its way to one subscriber. */
interface Sending {
  readonly sequence: number
  /** The child that sends it. */
  key: string
  /** Undefined while it waits for one. */
  stream: SendStream | undefined
  /** Among the streams of the connection. */
  priority: number
  /** What its stream is reset with when it is given up. */
  code: number
  /** Since when there is a newer one, in milliseconds of the clock. */
  supersededMs: number | undefined
}

export class Serving {
  readonly #id: Message.SubscribeId
  readonly #link: Link
  #wishes: Message.SubscribeUpdate
  /** The first group that was sent; none before it is. */
  floor: number | undefined
  /** Groups of which not everything was handed to the transport, in the order in which they came. */
  readonly #writing = new Set<Sending>()
  /** Groups that were not yet delivered, newest first. */
  readonly #open: Array<Sending> = []
  /** Groups above the last one that the subscriber wants now. */
  #held: Array<GroupConsumer> = []
  readonly #signal = new Signal()
  /** Notified when a group may become stale earlier than was known. */
  readonly #stale = new Signal()
  readonly #room = this.#signal.wait(() => this.#writing.size < Limits.sendingGroupsPerSubscription)
  readonly #delivered = this.#signal.wait(() => this.#open.length === 0)

  constructor(link: Link, { id, ...wishes }: Message.Subscribe) {
    this.#link = link
    this.#id = id
    this.#wishes = wishes
  }

  /** Sends the groups of the track until it ends, and waits until the last ones have arrived. `first` hears of the first one. */
  run(
    consumer: Track.TrackConsumer,
    first: (sequence: number) => Effect.Effect<void>
  ): Effect.Effect<End | Track.TrackError> {
    const delivered = this.#delivered
    const serve = Effect.gen({ self: this }, function* () {
      for (;;) {
        const next = consumer.tryNext()
        if (next === Blocked) {
          yield* consumer.readable
        } else if (next === End) {
          yield* delivered
          return next
        } else if (next instanceof Track.TrackError) {
          return next
        } else if (!("_tag" in next)) {
          if (this.floor === undefined) yield* first(next.sequence)
          this.floor ??= next.sequence
          yield* this.#serve(next)
        } // what was evicted before we came to it shows to the peer as a gap
      }
    })
    return Effect.raceFirst(serve, this.#expire)
  }

  /** Sends what is there of groups before the first one that was sent: the subscriber wants to begin earlier. */
  runEarlier(consumer: Track.TrackConsumer): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      for (;;) {
        const next = consumer.tryNext()
        if (next === Blocked || next === End || next instanceof Track.TrackError) return
        if ("_tag" in next) continue
        if (next.sequence < (this.floor ?? 0)) this.floor = next.sequence
        yield* this.#serve(next)
      }
    })
  }

  /** The subscriber wants something else now. */
  update(wishes: Message.SubscribeUpdate): void {
    this.#wishes = wishes
    const held = this.#held
    this.#held = []
    for (const group of held) this.#sendOrHold(group)
    this.#rank()
    this.#stale.notify()
  }

  /** The subscription ended: what is not delivered is given up. */
  stop(): void {
    for (const { key } of this.#open.slice()) this.#link.kill(key)
  }

  #serve(group: GroupConsumer): Effect.Effect<void> {
    if (group.datagram) return this.#wants(group) ? this.#sendDatagram(group) : Effect.void
    if (this.#open.length >= Limits.undeliveredGroupsPerSubscription) this.#giveUp(this.#open.at(-1), ErrorCode.lagged)
    if (this.#link.opener.waiting >= Limits.waitingGroupsPerSession) this.#giveUpWaiting()
    if (this.#writing.size < Limits.sendingGroupsPerSubscription) {
      this.#sendOrHold(group)
      return Effect.void
    }
    return Effect.andThen(
      this.#makeRoom,
      Effect.sync(() => this.#sendOrHold(group))
    )
  }

  #sendOrHold(group: GroupConsumer): void {
    if (this.#wants(group)) return this.#send(group)
    this.#held.push(group)
    if (this.#held.length > Limits.sendingGroupsPerSubscription) this.#held.shift()
  }

  #wants({ sequence }: GroupConsumer): boolean {
    const { end } = this.#wishes
    return end === undefined || sequence <= end
  }

  // ---- what is too much -----------------------------------------------------------------------------------------------

  /**
   * Makes room for one more group. One that never got a stream, as the peer grants none, is not worth waiting for; else the oldest
   * has some time to be written.
   */
  readonly #makeRoom = Effect.suspend(() => {
    for (const sending of this.#writing) {
      if (sending.stream !== undefined || sending.supersededMs === undefined) continue
      this.#giveUp(sending, ErrorCode.old)
      return Effect.void
    }
    return Effect.map(Effect.timeoutOption(this.#room, Limits.sendingPatienceMs), (room) => {
      const [oldest] = this.#writing
      if (room._tag === "None") this.#giveUp(oldest, ErrorCode.lagged)
    })
  })

  /** Where too many wait for a stream, a subscription has only its newest group among them. */
  #giveUpWaiting(): void {
    for (const sending of Array.from(this.#writing))
      if (sending.stream === undefined) this.#giveUp(sending, ErrorCode.old)
  }

  #giveUp(sending: Sending | undefined, code: number): void {
    this.#link.shared.counters.droppedGroups++
    this.#end(sending, code)
  }

  /** The group is lost for the subscriber. */
  #end(sending: Sending | undefined, code: number): void {
    if (sending === undefined) return
    sending.code = code
    this.#over(sending)
    this.#link.kill(sending.key)
  }

  /** Gives up groups that are not the newest and have been so for longer than the subscriber waits for them (section 6.4). */
  readonly #expire: Effect.Effect<never> = Effect.suspend(() => {
    const { clock, counters } = this.#link.shared
    const nextMs = (): number => {
      const { maxLatencyMs } = this.#wishes
      return maxLatencyMs > 0 ? (this.#stalest()?.supersededMs ?? Infinity) + maxLatencyMs : Infinity
    }
    let waitingFor = Infinity
    const sooner = this.#stale.wait(() => nextMs() < waitingFor)
    const round = Effect.suspend(() => {
      const now = clock.currentTimeMillisUnsafe()
      while (nextMs() <= now) {
        counters.expiredGroups++
        this.#end(this.#stalest(), ErrorCode.old)
      }
      waitingFor = nextMs()
      return waitingFor === Infinity ? sooner : Effect.raceFirst(Effect.sleep(waitingFor - now), sooner)
    })
    return Effect.forever(round)
  })

  /** Of the groups that are not the newest, the one that has been so for longest. */
  #stalest(): Sending | undefined {
    let stalest: Sending | undefined
    for (const sending of this.#open) {
      if ((sending.supersededMs ?? Infinity) < (stalest?.supersededMs ?? Infinity)) stalest = sending
    }
    return stalest
  }

  // ---- sending --------------------------------------------------------------------------------------------------------

  #send(group: GroupConsumer): void {
    const link = this.#link
    const { timestamps } = link.version
    const sending: Sending = {
      sequence: group.sequence,
      key: "",
      stream: undefined,
      priority: 0,
      code: ErrorCode.cancel,
      supersededMs: undefined
    }
    this.#add(sending)
    const written = (): void => {
      if (this.#writing.delete(sending)) this.#signal.notify()
    }
    const header = Message.encodeGroupHeader({ subscribe: this.#id, sequence: group.sequence })
    sending.key = link.spawn(
      Effect.flatMap(
        link.opener.open(() => sending.priority),
        (stream) => {
          sending.stream = stream
          stream.setPriority(sending.priority)
          return writeFrames(stream, header, group, timestamps).pipe(
            Effect.flatMap((complete) => {
              written()
              return complete ? Effect.ignore(stream.flushed) : Effect.void
            }),
            Effect.onInterrupt(() =>
              Effect.sync(() => {
                if (!link.left) stream.reset(ErrorCode.toStream(sending.code))
              })
            )
          )
        }
      ).pipe(Effect.ignore, Effect.ensuring(Effect.sync(() => this.#over(sending))), Effect.as(link.done))
    )
  }

  #add(sending: Sending): void {
    this.#writing.add(sending)
    const now = this.#link.shared.clock.currentTimeMillisUnsafe()
    let at = 0
    while ((this.#open[at]?.sequence ?? -1) > sending.sequence) at++
    if (at > 0) sending.supersededMs = now
    this.#open.splice(at, 0, sending)
    const below = this.#open[at + 1]
    if (below !== undefined) below.supersededMs ??= now
    this.#rank()
    if (this.#wishes.maxLatencyMs > 0) this.#stale.notify()
  }

  #over(sending: Sending): void {
    const at = this.#open.indexOf(sending)
    if (at < 0) return
    this.#open.splice(at, 1)
    this.#writing.delete(sending)
    this.#rank()
    this.#signal.notify()
  }

  /** Newest first, or oldest first where the subscriber wants it so and the version means it (iroh-live says so always). */
  #rank(): void {
    const { priority } = this.#wishes
    const oldestFirst = this.#wishes.ordered && this.#link.version.subscribeUpdates
    const last = Math.min(this.#open.length, Limits.rankedGroups + 1)
    for (let position = 0; position < last; position++) {
      const sending = this.#open[oldestFirst ? this.#open.length - 1 - position : position]
      if (sending === undefined) continue
      const rank = priorityOf(priority, position)
      if (sending.priority === rank) continue
      sending.priority = rank
      sending.stream?.setPriority(rank)
    }
  }

  /** As one datagram, where the connection carries it; there is no other way for it (section 3.5.4). */
  #sendDatagram(group: GroupConsumer): Effect.Effect<void> {
    const { connection, shared, version } = this.#link
    const payload = group.tryRead()
    if (!(payload instanceof Uint8Array)) return Effect.void // evicted meanwhile
    const dropped = Effect.sync(() => {
      shared.counters.droppedDatagrams++
    })
    if (!version.datagrams) return dropped
    const { sequence, timestamp = 0 } = group
    const datagram = Message.encodeDatagram({ subscribe: this.#id, sequence, timestamp, payload })
    if (datagram.length > connection.maxDatagramBytes()) return dropped
    return connection.sendDatagram(datagram).pipe(Effect.catch(() => dropped))
  }
}
