/** We subscribe: requests to a publisher, and what it sends for them (moq-lite sections 4.3, 4.4, 3.5). */
import { End, type RecvStream, StreamError } from "@effect-live/endpoint/Stream"
import { Effect } from "effect"
import * as ErrorCode from "../ErrorCode.ts"
import { GroupProducer } from "../Group.ts"
import * as Limits from "../Limits.ts"
import * as Message from "../Message.ts"
import type { Event, Output, Verdict } from "../SessionCore.ts"
import { ControlReader, type ReadError } from "./ControlReader.ts"
import { codeOf, isLost } from "./failures.ts"
import { readFrames } from "./GroupStreams.ts"
import type { Beginning } from "./HalfOpen.ts"
import type { Link } from "./Link.ts"
import { readSetup } from "./Setup.ts"
import type { Subscription } from "./Subscription.ts"

type Request = Extract<Output, { readonly _tag: "OpenSubscription" }>

/** The children that a subscription has on a connection. */
export const keysOf = (id: number): { readonly subscription: string; readonly info: string } => ({
  subscription: `subscription/${id}`,
  info: `subscription/${id}/info`
})

/** One subscription on the wire: its request, our updates, and what the publisher says to that. `asked`: the request is out. */
export const subscribe = (
  link: Link,
  request: Request,
  subscription: Subscription,
  asked: () => void
): Effect.Effect<Event> => {
  const { id } = request
  const { number, version } = link
  const open = Effect.andThen(link.introduced, link.connection.openBi)
  return Effect.flatMap(open, ({ recv, send }) => {
    const leave = Effect.sync(() => {
      send.finish()
      recv.stop(ErrorCode.toStream(ErrorCode.cancel))
    })
    const reader = new ControlReader(recv)
    const ask = Effect.suspend(() =>
      send.write(
        Message.encodeTyped(Message.StreamType.subscribe, version.subscribe, wireRequest(link, request, subscription))
      )
    )
    const responses = Effect.gen(function* () {
      let answered = !version.subscribeOk
      for (let heard = 0; ; heard++) {
        const type = yield* reader.varint()
        // an answer and an end are what we asked for
        if (heard > 2) yield* link.charge
        if (type === End) {
          // in its turn behind the answer
          yield* link.tell({ _tag: "Finished", link: number, id, answered, missing: subscription.missing })
          return link.done
        }
        const body = yield* reader.message()
        if (body === End) return failed(link, id, ErrorCode.decode)
        const response = yield* Effect.fromResult(version.decodeResponse(type, body))
        switch (response._tag) {
          case "SubscribeOk":
            if (!answered) yield* link.tell({ _tag: "Accepted", link: number, id })
            answered = true // a second one tells nothing that we rely on
            break
          case "SubscribeStart":
            subscription.begins(response.group)
            break
          case "SubscribeEnd":
            subscription.ends(response.group)
            break
          case "SubscribeDrop":
            if (!answered) return failed(link, id, ErrorCode.protocolViolation)
        }
      }
    })
    const updates = Effect.forever(
      Effect.andThen(
        subscription.updated,
        Effect.suspend(() => {
          const update = subscription.takeUpdate()
          return update === undefined ? Effect.void : send.write(Message.encode(version.subscribeUpdate, said(update)))
        })
      )
    )
    return ask.pipe(
      Effect.andThen(Effect.sync(asked)),
      Effect.andThen(Effect.raceFirst(responses, updates)),
      Effect.catch((error) => Effect.succeed(isLost(error) ? link.done : failed(link, id, codeOf(error)))),
      Effect.ensuring(leave)
    )
  }).pipe(Effect.catch(() => Effect.succeed(link.done)))
}

/** What goes on the wire for a request, at the moment when it goes. */
const wireRequest = (
  { version }: Link,
  { beginning, broadcast, id, track, wishes }: Request,
  subscription: Subscription
): Message.Subscribe => {
  subscription.capAt(wishes.end)
  if (beginning === "check") subscription.check()
  else subscription.trust()
  const start = beginning === "fresh" ? wishes.start : beginning === "continue" ? subscription.resumePoint : undefined
  // what iroh-live says too, where nobody listens to it
  const ordered = version.subscribeUpdates ? wishes.ordered : true
  return { ...said(wishes), id, broadcast, track, ordered, start }
}

/** No latency is said as what a track keeps of its past: there are relays that take 0 for no patience at all. */
const said = (wishes: Message.SubscribeUpdate): Message.SubscribeUpdate =>
  wishes.maxLatencyMs === 0 ? { ...wishes, maxLatencyMs: Limits.retention.ageMs } : wishes

/** Asks what the track is like; that is the answer to a subscription where there is no other one (section 3.5.2). */
export const describe = (
  link: Link,
  { id, broadcast, track }: Request,
  subscription: Subscription
): Effect.Effect<Event> =>
  requestInfo(link, broadcast, track).pipe(
    Effect.map((info): Event => {
      subscription.track.setInfo(info)
      return { _tag: "Accepted", link: link.number, id }
    }),
    Effect.catch((error) => Effect.succeed(isLost(error) ? link.done : failed(link, id, codeOf(error))))
  )

/** One TRACK stream. */
export const requestInfo = (
  link: Link,
  broadcast: string,
  track: string
): Effect.Effect<Message.TrackInfo, ReadError> =>
  Effect.flatMap(
    Effect.mapError(Effect.andThen(link.introduced, link.connection.openBi), (reason) => new StreamError({ reason })),
    ({ recv, send }) =>
      Effect.gen(function* () {
        yield* send.write(Message.encodeTyped(Message.StreamType.track, Message.trackRequest, { broadcast, track }))
        const body = yield* Effect.timeout(new ControlReader(recv).message(), Limits.answerTimeoutMs)
        // an end without an answer is no answer either
        return yield* Effect.fromResult(Message.decode(Message.trackInfo, body === End ? new Uint8Array(0) : body))
      }).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            send.finish()
            recv.stop(ErrorCode.toStream(ErrorCode.cancel))
          })
        )
      )
  )

const failed = (link: Link, id: number, code: number): Event => ({ _tag: "Failed", link: link.number, id, code })

// ---- what comes -----------------------------------------------------------------------------------------------------

/** A unidirectional stream of the peer: a group (section 4.4), or its SETUP. */
export const readUni = (link: Link, recv: RecvStream, beginning: Beginning): Effect.Effect<Event> => {
  const { number, shared, version } = link
  const refuse = (code: number): Effect.Effect<Event> =>
    // the peer gets the credit of the stream back: that too is work
    Effect.map(link.charge, () => {
      recv.stop(ErrorCode.toStream(code))
      return link.done
    })
  return Effect.gen(function* () {
    const reader = new ControlReader(recv)
    const type = yield* reader.varint()
    if (type === Message.StreamType.setup && version.setup) return yield* readSetup(link, reader)
    if (type !== Message.StreamType.group) return yield* refuse(ErrorCode.cancel)
    const body = yield* reader.message()
    if (body === End) return yield* refuse(ErrorCode.decode)
    const header = yield* Effect.fromResult(Message.decode(version.group, body))
    beginning.over()
    const verdict = yield* link.ask<Verdict>((replyTo) => ({
      _tag: "GroupOpened",
      link: number,
      replyTo,
      id: header.subscribe
    }))
    if (verdict !== "accept") return yield* refuse(verdict.code)
    const id = Number(header.subscribe) // the core knows only ids of our own
    const subscription = shared.subscriptions.get(id)
    const done = (): Event => ({ _tag: "GroupClosed", link: number, id, missing: subscription?.missing })
    const group = subscription?.accept(header.sequence, recv) ?? "ended"
    if (subscription === undefined || !(group instanceof GroupProducer)) {
      if (group === "changed") yield* link.tell({ _tag: "ContentChanged", link: number, id })
      yield* link.tell(done())
      return yield* refuse(group === "duplicate" ? ErrorCode.duplicate : ErrorCode.closed)
    }
    const how = yield* readFrames(recv, reader.takeRest(), group, { timed: version.timestamps, skip: group.frames })
    subscription.read(group, how)
    // the core must not take a track for complete that the end of the connection has cut
    return how === "ended" ? done() : link.done
  }).pipe(
    Effect.catch((error) => {
      if (!isLost(error)) return refuse(error._tag === "Stopped" ? ErrorCode.cancel : codeOf(error))
      link.cut = true
      return Effect.succeed(link.done)
    }),
    Effect.ensuring(
      Effect.sync(() => {
        recv.stop(ErrorCode.toStream(ErrorCode.cancel)) // nothing happens to one that is over
      })
    )
  )
}

/** Datagrams of the peer: whole groups (section 3.5.4). What nobody waits for is dropped. */
export const readDatagrams = (link: Link): Effect.Effect<Event> => {
  const { connection, shared } = link
  const accept = (bytes: Uint8Array): boolean => {
    const datagram = Message.decodeDatagram(bytes)
    const subscription =
      typeof datagram?.subscribe === "number" ? shared.subscriptions.get(datagram.subscribe) : undefined
    if (datagram === undefined || subscription === undefined) return false
    const { payload, sequence, timestamp } = datagram
    if (subscription.track.createDatagram(sequence, payload, timestamp) !== "written") return false
    subscription.received(sequence)
    return true
  }
  const next = Effect.flatMap(connection.readDatagram, (bytes) => {
    if (accept(bytes)) return Effect.void
    shared.counters.droppedDatagrams++
    return link.charge
  })
  return Effect.forever(next).pipe(Effect.catch(() => Effect.succeed(link.done)))
}
