/**
 * What `gossip-peer` is in Rust, with our packages: the same options, the same commands on stdin, the same JSON lines on stdout. The
 * tests and measurements start either of them.
 */
import { isUtf8 } from "node:buffer"
import { createInterface } from "node:readline"
import { parseArgs } from "node:util"
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as Router from "@effect-live/endpoint/Router"
import * as SecretKey from "@effect-live/endpoint/SecretKey"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as Config from "@effect-live/gossip/Config"
import * as Gossip from "@effect-live/gossip/Gossip"
import * as TopicId from "@effect-live/gossip/TopicId"
import { Effect, Exit, Layer, Result, Scope, Stream } from "effect"
import * as Address from "./support/address.ts"

const { values: options } = parseArgs({
  options: {
    secret: { type: "string" },
    bind: { type: "string", multiple: true, default: ["127.0.0.1:0"] },
    topic: { type: "string", multiple: true, default: [] },
    bootstrap: { type: "string", multiple: true, default: [] },
    "max-message-bytes": { type: "string", default: "4096" },
    neighbors: { type: "string", default: "5" },
    count: { type: "string" }
  }
})

const report = (event: string, fields: object): void => {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)
}

const bootstrap = options.bootstrap.map(Address.parse)
const endpoint = Iroh.layer({
  bindAddrs: options.bind.map((at) => Result.getOrThrow(TransportAddr.parseIp(at))),
  relayMode: "disabled",
  ...(options.secret === undefined ? {} : { secretKey: Result.getOrThrow(SecretKey.parse(options.secret)) })
})
const gossip = Gossip.layer({
  config: {
    ...Config.defaults,
    maxMessageBytes: Number(options["max-message-bytes"]),
    membership: { ...Config.membership, activeViewCapacity: Number(options.neighbors) }
  }
})
const layer = gossip.pipe(
  Layer.provideMerge(Router.layer),
  Layer.provideMerge(endpoint),
  Layer.provide(AddressBook.layer)
)

interface Membership {
  readonly topic: Gossip.Topic
  readonly scope: Scope.Closeable
}

const subscribe = Effect.fnUntraced(function* (id: TopicId.TopicId) {
  const { subscribe } = yield* Gossip.Gossip
  const scope = yield* Scope.fork(yield* Effect.scope)
  const topic = yield* Scope.provide(subscribe(id, bootstrap), scope)
  const told = options.count === undefined ? tell(id) : count(id, Number(options.count))
  yield* Stream.runForEachArray(topic.events, (events) => Effect.sync(() => events.forEach(told))).pipe(
    Effect.forkIn(scope)
  )
  return { topic, scope } satisfies Membership
})

const tell =
  (topic: TopicId.TopicId) =>
  (event: Gossip.Event): void => {
    switch (event._tag) {
      case "NeighborUp":
        return report("neighborUp", { topic, peer: event.peer })
      case "NeighborDown":
        return report("neighborDown", { topic, peer: event.peer, reason: event.reason })
      case "Lagged":
        return report("lagged", { topic, count: event.count })
      case "Received": {
        const { content, deliveredFrom, scope } = event
        const buffer = Buffer.from(content)
        const text = isUtf8(buffer) ? buffer.toString() : null
        const hops =
          scope._tag === "Swarm" ? { scope: "swarm", round: scope.round } : { scope: "neighbors", round: null }
        return report("received", {
          topic,
          from: deliveredFrom,
          ...hops,
          bytes: buffer.length,
          text,
          hex: buffer.toString("hex")
        })
      }
    }
  }

/** Counts messages, from the first one on, and tells each time so many have come. */
const count = (topic: TopicId.TopicId, every: number) => {
  const others = tell(topic)
  let [messages, started] = [0, 0]
  let before = process.cpuUsage()
  return (event: Gossip.Event): void => {
    if (event._tag !== "Received") return others(event)
    if (messages === 0) {
      started = performance.now()
      before = process.cpuUsage()
    }
    messages++
    if (messages < every) return
    const { system, user } = process.cpuUsage(before)
    report("counted", { messages, ms: performance.now() - started, cpuMs: (user + system) / 1000 })
    messages = 0
  }
}

const topics = options.topic.map((id) => Result.getOrThrow(TopicId.parse(id)))
const memberships = new Map<number, Membership>()

const perform = Effect.fnUntraced(function* (line: string) {
  const [, which = "0", verb = "", argument = ""] = /^(?:@(\S+) )?(\S+)(?: (.*))?$/.exec(line) ?? []
  const chosen = which === "*" ? topics.keys() : [Number(which)]
  for (const index of chosen) yield* performIn(index, verb, argument)
})

const performIn = Effect.fnUntraced(function* (index: number, verb: string, argument: string) {
  const id = topics[index]
  const membership = memberships.get(index)
  if (id === undefined) return yield* Effect.die(new Error(`no topic ${index}`))
  if (verb === "subscribe") {
    memberships.set(index, yield* subscribe(id))
    return
  }
  if (membership === undefined) return yield* Effect.die(new Error(`topic ${index} was left`))
  const { scope, topic } = membership
  switch (verb) {
    case "broadcast":
      return yield* unlessRefused(topic.broadcast(new TextEncoder().encode(argument)))
    case "broadcast-neighbors":
      return yield* unlessRefused(topic.broadcastNeighbors(new TextEncoder().encode(argument)))
    case "bytes":
      return yield* unlessRefused(topic.broadcast(filled(argument)))
    case "bytes-neighbors":
      return yield* unlessRefused(topic.broadcastNeighbors(filled(argument)))
    case "burst":
      return yield* unlessRefused(burst(topic, argument))
    case "join":
      return yield* topic.joinPeers([Address.parse(argument)])
    case "leave":
      memberships.delete(index)
      return yield* Scope.close(scope, Exit.void)
    default:
      return yield* Effect.die(new Error(`no such command: ${verb}`))
  }
})

const unlessRefused = Effect.catch((error: Gossip.BroadcastError) =>
  Effect.sync(() => report("refused", { topic: error.topic, ...error.reason }))
)

const filled = (bytes: string) => new Uint8Array(Number(bytes)).fill(0x78)

/** Contents that differ in their first eight bytes. */
const burst = Effect.fnUntraced(function* (topic: Gossip.Topic, argument: string) {
  const [count = 0, bytes = 0] = argument.split(" ").map(Number)
  const content = new Uint8Array(Math.max(bytes, 8)).fill(0x78)
  const view = new DataView(content.buffer)
  view.setUint32(0, 0)
  for (let number = 0; number < count; number++) {
    view.setUint32(4, number)
    yield* topic.broadcast(content)
  }
})

const program = Effect.gen(function* () {
  const endpoint = yield* Endpoint
  const addrs = EndpointAddr.ips(endpoint.addr()).map((ip) => `${endpoint.id}@${TransportAddr.format(ip)}`)
  for (const [index, id] of topics.entries()) memberships.set(index, yield* subscribe(id))
  report("ready", { id: endpoint.id, addrs })
  const lines = Stream.fromAsyncIterable(createInterface({ input: process.stdin }), (cause) => cause)
  yield* lines.pipe(
    Stream.takeWhile((line) => line !== "quit"),
    Stream.runForEach(perform)
  )
})

await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(layer)))
process.exit(0)
