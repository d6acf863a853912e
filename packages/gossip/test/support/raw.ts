/** A peer that writes and reads the bytes of its streams itself. */
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection } from "@effect-live/endpoint/Connection"
import type { Endpoint } from "@effect-live/endpoint/Endpoint"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import { End, type RecvStream, type SendStream } from "@effect-live/endpoint/Stream"
import { Effect, Result, type Scope } from "effect"
import { alpn } from "../../src/Gossip.ts"
import { contentId } from "../../src/internal/contentId.ts"
import type * as Message from "../../src/Message.ts"
import type { TopicId } from "../../src/TopicId.ts"
import * as Wire from "../../src/Wire.ts"
import { bytes } from "./services.ts"

export interface Raw {
  readonly endpoint: Endpoint["Service"]
  readonly connection: Connection
  /** A new stream that begins with these bytes. */
  readonly uni: (...parts: ReadonlyArray<Uint8Array>) => Effect.Effect<SendStream>
  /** A new stream of a topic with these messages. */
  readonly say: (topic: TopicId, ...messages: ReadonlyArray<Message.Message<EndpointId>>) => Effect.Effect<SendStream>
  /** How the other side ended the connection, if it did. */
  readonly close: () => Close | undefined
  /** What came so far, as `topic's last digits: message`. */
  readonly heard: ReadonlyArray<{ readonly topic: TopicId; readonly message: Message.Message<EndpointId> }>
}

/** Connects from a node of its own, and reads whatever comes unless it is `deaf`. */
export const connect = (
  name: string,
  to: EndpointAddr,
  options?: { readonly deaf?: boolean }
): Effect.Effect<Raw, never, SimNetwork | Scope.Scope> =>
  Effect.gen(function* () {
    const network = yield* SimNetwork
    const endpoint = yield* network.bind(name)
    const connection = yield* endpoint.connect(to, [alpn])
    return yield* over(endpoint, connection, options)
  }).pipe(Effect.orDie)

/** The same over a connection that is there. */
export const over = (
  endpoint: Endpoint["Service"],
  connection: Connection,
  options?: { readonly deaf?: boolean }
): Effect.Effect<Raw, never, Scope.Scope> =>
  Effect.gen(function* () {
    const heard: Array<{ readonly topic: TopicId; readonly message: Message.Message<EndpointId> }> = []
    let close: Close | undefined
    yield* Effect.forkScoped(
      Effect.map(connection.closed, (how) => {
        close = how
      })
    )
    const accept = Effect.forever(Effect.flatMap(connection.acceptUni, (recv) => Effect.forkScoped(read(recv, heard))))
    if (options?.deaf !== true) yield* Effect.forkScoped(Effect.ignore(accept))
    const uni: Raw["uni"] = (...parts) =>
      Effect.orDie(Effect.tap(connection.openUni, (send) => (parts.length === 0 ? Effect.void : send.write(parts))))
    return {
      endpoint,
      connection,
      uni,
      say: (topic, ...messages) => uni(Wire.header(topic), ...messages.map((message) => Wire.encode(message))),
      close: () => close,
      heard
    }
  })

const read = (recv: RecvStream, heard: Array<{ topic: TopicId; message: Message.Message<EndpointId> }>) =>
  Effect.gen(function* () {
    const frames = new Wire.FrameReader(1_000_000)
    let topic: TopicId | undefined
    for (;;) {
      const chunk = yield* recv.read
      if (chunk === End) return
      frames.push(chunk)
      for (let body = frames.next(); body instanceof Uint8Array; body = frames.next()) {
        if (topic === undefined) topic = Result.getOrThrow(Wire.decodeHeader(body))
        else heard.push({ topic, message: Result.getOrThrow(Wire.decode(body)) })
      }
    }
  }).pipe(Effect.ignore)

export const content = (text: string, round = 0): Message.Gossip => ({
  _tag: "Gossip",
  id: contentId(bytes(text)),
  content: bytes(text),
  scope: { _tag: "Swarm", round }
})

export const neighbor: Message.Message<EndpointId> = { _tag: "Neighbor", priority: "High", data: undefined }
export const joining: Message.Message<EndpointId> = { _tag: "Join", data: undefined }
