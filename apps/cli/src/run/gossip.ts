/** `irl gossip`: lines of stdin go to everybody in a topic, and what others say to stdout. */
import { isUtf8 } from "node:buffer"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Gossip from "@effect-live/gossip/Gossip"
import * as TopicId from "@effect-live/gossip/TopicId"
import { Effect, Option, Stdio, Stream } from "effect"
import * as Failure from "../Failure.ts"
import { type Line, Lines } from "../Lines.ts"
import { onNode } from "../onNode.ts"
import { Output } from "../Output.ts"
import * as Relay from "../Relay.ts"
import * as Stdout from "../Stdout.ts"
import * as Ways from "../Ways.ts"

interface Input {
  readonly topic: Option.Option<string>
  readonly bootstrap: ReadonlyArray<string>
  readonly untilEof: boolean
}

/** How long whoever leaves at the end of stdin waits for somebody to say it to. */
const joinTimeout = "20 seconds"

export const gossip = Effect.fnUntraced(function* (input: Input) {
  const output = yield* Output
  const topic = yield* Option.match(input.topic, { onNone: () => TopicId.random, onSome: parseTopic })
  const bootstrap = yield* parseBootstrap(input.bootstrap)
  const counted: Counted = { sent: 0, notSent: 0, received: 0 }
  const done = (reason: string) => output.event("done", { reason, ...counted })
  yield* Effect.onInterrupt(onNode(chat(topic, bootstrap, input.untilEof, counted)), () => done("interrupted"))
  yield* done("eof")
})

interface Counted {
  sent: number
  notSent: number
  received: number
}

const chat = Effect.fnUntraced(function* (
  topicId: TopicId.TopicId,
  bootstrap: ReadonlyArray<EndpointAddr.EndpointAddr>,
  untilEof: boolean,
  counted: Counted
) {
  const output = yield* Output
  const endpoint = yield* Endpoint
  const gossip = yield* Gossip.Gossip
  yield* Relay.waitToShare("others join")
  const topic = yield* gossip.subscribe(topicId, bootstrap)
  const { id } = endpoint
  const addrs = EndpointAddr.ips(endpoint.addr()).map(TransportAddr.format)
  const relays = EndpointAddr.relays(endpoint.addr())
  const here = [...addrs, ...relays].map((way) => ` --bootstrap ${id}@${way}`).join("")
  yield* output.event("ready", { id, topic: topicId, addrs, relays }, `others join with: irl gossip ${topicId}${here}`)
  const waiting = bootstrap.length === 0 ? "" : "waiting for the first neighbor; "
  yield* output.hint(`${waiting}each line goes to everybody in the topic, press Ctrl-C to leave`)

  // who reads slowly loses events, and is told how many, instead of all of them piling up here
  const listen = Stream.runForEach(topic.events, (event) => Effect.andThen(tell(event, counted), Stdout.drained))
  const speak = Effect.gen(function* () {
    if (bootstrap.length > 0) yield* untilEof ? joinedInTime(topic) : topic.joined
    yield* readLines(gossip.maxContentBytes, say(topic, gossip.maxContentBytes, counted))
    if (!untilEof) return yield* Effect.never
  })
  yield* Effect.raceFirst(listen, speak)
})

const joinedInTime = (topic: Gossip.Topic) =>
  Effect.timeoutOrElse(topic.joined, {
    duration: joinTimeout,
    orElse: () =>
      Effect.fail(
        Failure.make(
          "NoNeighbors",
          `nobody answered within ${joinTimeout}, and nothing was sent; is \`irl gossip\` still running where --bootstrap points to? See \`irl doctor\` on both sides`
        )
      )
  })

/** Every line of stdin, one after the other. */
const readLines = Effect.fnUntraced(function* <E, R>(
  maxBytes: number,
  each: (line: Line) => Effect.Effect<void, E, R>
) {
  const { stdin } = yield* Stdio.Stdio
  const lines = new Lines(maxBytes)
  const all = (some: ReadonlyArray<Line>) => Effect.forEach(some, each, { discard: true })
  yield* Stream.runForEach(stdin, (chunk) => all(lines.push(chunk)))
  yield* all(lines.end())
})

/** Sends a line, or tells why it was not sent. */
const say = (topic: Gossip.Topic, maxBytes: number, counted: Counted) =>
  Effect.fnUntraced(function* (line: Line) {
    const output = yield* Output
    const notSent = Effect.fnUntraced(function* (reason: string, bytes: number, text: string) {
      counted.notSent++
      yield* output.event("notSent", { reason, bytes, maxBytes })
      yield* output.hint(`not sent: ${text}`)
    })
    if (line._tag === "TooLong") {
      return yield* notSent("TooLarge", line.length, `the line has ${line.length} bytes, ${maxBytes} are the most`)
    }
    const { length } = line.bytes
    if (length === 0) return
    yield* topic.broadcast(line.bytes).pipe(
      Effect.andThen(Effect.sync(() => void counted.sent++)),
      Effect.catchReasons("BroadcastError", {
        NoNeighbors: () => notSent("NoNeighbors", length, "nobody else is here"),
        Known: () => notSent("Known", length, "somebody said the same within the last 90 seconds")
      })
    )
  })

/** Prints what happens in the topic. */
const tell = Effect.fnUntraced(function* (event: Gossip.Event, counted: Counted) {
  const output = yield* Output
  switch (event._tag) {
    case "NeighborUp":
      return yield* output.event("neighborUp", { id: event.peer }, `neighbor up    ${EndpointId.fmtShort(event.peer)}`)
    case "NeighborDown":
      return yield* output.event(
        "neighborDown",
        { id: event.peer, reason: event.reason },
        `neighbor down  ${EndpointId.fmtShort(event.peer)} (${event.reason})`
      )
    case "Lagged":
      return yield* output.event(
        "lagged",
        { count: event.count },
        `${event.count} events were lost before they were read`
      )
    case "Received": {
      counted.received++
      const { content, deliveredFrom: from, scope } = event
      const text = textDecoder.decode(content)
      const direct = scope._tag === "Neighbors" || scope.round === 0
      yield* output.event(
        "received",
        {
          from,
          ...(scope._tag === "Swarm" ? { scope: "swarm", round: scope.round } : { scope: "neighbors" }),
          text,
          ...(isUtf8(content) ? {} : { hex: Buffer.from(content).toString("hex") })
        },
        `${direct ? "from" : "via"} ${EndpointId.fmtShort(from)}: ${printable(text)}`
      )
    }
  }
})

const textDecoder = new TextDecoder("utf-8", { ignoreBOM: true })
/** Others must not write to this terminal but text, in the order in which it is read. Two joiners shape scripts and emoji. */
const printable = (text: string): string =>
  text.replace(/(?![\t\u{200c}\u{200d}])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\u{fffd}")

const parseTopic = (text: string): Effect.Effect<TopicId.TopicId, Failure.Failure> =>
  Effect.mapError(Effect.fromResult(TopicId.parse(text)), (error) =>
    Failure.misuse("TopicIdError", `TOPIC: ${error.message}; leave it out to make one`)
  )

/** `ID@IP:PORT`, `ID@https://relay` or an ID that is found by other means; several ways of one ID belong together. */
const parseBootstrap = Effect.fnUntraced(function* (texts: ReadonlyArray<string>) {
  const peers = new Map<EndpointId.EndpointId, Array<TransportAddr.TransportAddr>>()
  for (const text of texts) {
    const [idText = "", ...rest] = text.split("@")
    const id = yield* Effect.mapError(Effect.fromResult(EndpointId.parse(idText)), (error) =>
      Failure.misuse("IdError", `--bootstrap: ${error.message}; give ID@IP:PORT as \`irl gossip\` prints it`)
    )
    const ways = peers.get(id) ?? []
    peers.set(id, ways)
    const way = rest.join("@")
    if (rest.length > 0) ways.push(yield* Ways.parse(way, `--bootstrap ID@${way}`))
  }
  return Array.from(peers, ([id, ways]) => EndpointAddr.make(id, ways))
})
