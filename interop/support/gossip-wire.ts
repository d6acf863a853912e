/** Gossip by hand: what a member writes on its streams is seen message by message, and it is sent whatever the test says. */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import type { Connection } from "@effect-live/endpoint/Connection"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { End, type RecvStream, type SendStream } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import type * as Message from "@effect-live/gossip/Message"
import type { TopicId } from "@effect-live/gossip/TopicId"
import * as Wire from "@effect-live/gossip/Wire"
import { Context, Effect, Layer, Queue, Result, type Scope } from "effect"
import * as Address from "./address.ts"

const alpn = "/iroh-gossip/1"
const maxMessageBytes = 4096

export type Said = Message.Message<EndpointId>

/** A message or the end of a stream; the streams of a peer are numbered as they were opened. */
export interface Seen {
  readonly stream: number
  readonly topic: TopicId | undefined
  readonly said: Said | "end"
}

/** What one peer and we say to each other. */
export interface Conversation {
  readonly connection: Connection
  /** Opens a stream of ours, with the header of the topic. */
  readonly open: (topic: TopicId) => Effect.Effect<Speaker>
  /** The next thing that the peer wrote, on any of its streams. */
  readonly next: Effect.Effect<Seen>
  /** What it wrote, up to and with the next one of this kind. */
  readonly until: (tag: Said["_tag"] | "end") => Effect.Effect<ReadonlyArray<Seen>>
}

interface Speaker {
  readonly say: (...messages: ReadonlyArray<Said>) => Effect.Effect<void>
  readonly send: SendStream
}

export interface Hand {
  readonly id: EndpointId
  /** `ID@IP:PORT`. */
  readonly at: string
  readonly dial: (addr: EndpointAddr) => Effect.Effect<Conversation, never, Scope.Scope>
  readonly accept: Effect.Effect<Conversation, never, Scope.Scope>
}

/** An endpoint on the loopback device which speaks only what it is told. */
export const hand: Effect.Effect<Hand, Iroh.IrohError, Scope.Scope> = Effect.gen(function* () {
  const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
  const layer = Iroh.layer({ bindAddrs, relayMode: "disabled" }).pipe(Layer.provide(AddressBook.layer))
  const endpoint = Context.get(yield* Layer.build(Layer.fresh(layer)), Endpoint)
  yield* endpoint.setAlpns([alpn])
  return {
    id: endpoint.id,
    at: Address.format(endpoint.addr()),
    dial: (addr) => Effect.orDie(Effect.flatMap(endpoint.connect(addr, [alpn]), converse)),
    accept: Effect.orDie(Effect.flatMap(endpoint.accept, converse))
  }
})

const converse = Effect.fnUntraced(function* (connection: Connection) {
  const seen = yield* Queue.unbounded<Seen>()
  const streams = Effect.gen(function* () {
    for (let stream = 0; ; stream++) {
      yield* Effect.forkScoped(listen(yield* connection.acceptUni, stream, seen))
    }
  })
  yield* Effect.forkScoped(streams)
  const next = Queue.take(seen)
  const conversation: Conversation = {
    connection,
    next,
    until: Effect.fnUntraced(function* (tag) {
      const all: Array<Seen> = []
      for (;;) {
        const one = yield* next
        all.push(one)
        if (one.said === tag || (one.said !== "end" && one.said._tag === tag)) return all
      }
    }),
    open: (topic) =>
      Effect.orDie(
        Effect.gen(function* () {
          const send = yield* connection.openUni
          yield* send.write(Wire.header(topic))
          return { send, say: (...messages) => Effect.orDie(send.write(messages.map(Wire.encode))) }
        })
      )
  }
  return conversation
})

const listen = Effect.fnUntraced(function* (recv: RecvStream, stream: number, seen: Queue.Queue<Seen>) {
  const reader = new Wire.FrameReader(maxMessageBytes)
  let topic: TopicId | undefined
  for (;;) {
    const chunk = yield* recv.read
    if (chunk === End) {
      yield* Queue.offer(seen, { stream, topic, said: "end" })
      return
    }
    reader.push(chunk)
    for (let body = reader.next(); body !== undefined; body = reader.next()) {
      if (body === "tooLarge") return yield* Effect.die(new Error("a frame above the limit"))
      if (topic === undefined) topic = Result.getOrThrow(Wire.decodeHeader(body))
      else yield* Queue.offer(seen, { stream, topic, said: Result.getOrThrow(Wire.decode(body)) })
    }
  }
})
