import { AddressBook } from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import { Router } from "@effect-live/endpoint/Router"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as SecretKey from "@effect-live/endpoint/SecretKey"
import { Gossip } from "@effect-live/gossip/Gossip"
import * as TopicId from "@effect-live/gossip/TopicId"
import { Live } from "@effect-live/live/Live"
import * as LocalBroadcast from "@effect-live/media/LocalBroadcast"
import { Moq } from "@effect-live/moq/Moq"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Layer, Option, Result, Stream } from "effect"
import * as Node from "../src/Node.ts"

const here = { IROH_BACKING: process.env["IROH_BACKING"] ?? "", IROH_RELAY: "disabled", IROH_BIND: "127.0.0.1:0" }

/** A node of its own with this environment, as long as the Scope. */
const nodeIn = (env: Readonly<Record<string, string>>) =>
  Effect.provideService(
    Layer.build(Layer.fresh(Node.layer)),
    ConfigProvider.ConfigProvider,
    ConfigProvider.fromEnv({ env: { ...here, ...env } })
  )

describe("Node.layer", { timeout: 30_000 }, () => {
  it.live("gives live, moq, gossip, router, endpoint and address book over one endpoint", () =>
    Effect.gen(function* () {
      const secret = "01".repeat(32)
      const all = Effect.all([Live, Moq, Gossip, Endpoint, Router, AddressBook])
      const services = yield* Effect.provide(all, yield* nodeIn({ IROH_SECRET: secret }))
      const endpoint = services[3]
      assert.strictEqual(endpoint.id, SecretKey.endpointId(Result.getOrThrow(SecretKey.parse(secret))))
      assert.deepStrictEqual(
        EndpointAddr.ips(endpoint.addr()).map(({ ip }) => String(ip)),
        ["127.0.0.1"]
      )
    })
  )

  it.live("two nodes of one process find each other by ticket, over real sockets", () =>
    Effect.gen(function* () {
      const [ada, bob] = [yield* nodeIn({}), yield* nodeIn({})]
      const source = {
        source: "test",
        rewindable: true,
        skipped: [],
        tracks: [{ kind: "audio", name: "a", codec: "opus", sampleRate: 48_000, numberOfChannels: 2 }] as const,
        samples: Stream.make({ track: "a", ptsUs: 0, key: true, data: new Uint8Array([7]), durationUs: 20_000 })
      }
      const local = yield* LocalBroadcast.fromImport(source, { wait: true })
      const ticket = yield* Effect.provide(
        Live.use((live) => live.publish("x", local)),
        ada
      )
      const { broadcast } = yield* Effect.provide(
        Live.use((live) => live.subscribe(ticket)),
        bob
      )
      const event = yield* (yield* broadcast.rendition("a")).next
      assert.isTrue(typeof event !== "symbol" && event._tag === "Sample" && event.sample.data[0] === 7)
    })
  )

  it.live("two nodes of one process gossip, over real sockets", () =>
    Effect.gen(function* () {
      const [ada, bob] = [yield* nodeIn({}), yield* nodeIn({})]
      const topic = yield* TopicId.random
      const content = new Uint8Array([1, 2, 3])
      const { addr } = Context.get(ada, Endpoint)
      const heard = yield* Context.get(ada, Gossip).subscribe(topic)
      const said = yield* Context.get(bob, Gossip).subscribe(topic, [addr()])
      yield* said.joined
      yield* said.broadcast(content)
      const received = heard.events.pipe(
        Stream.filter(({ _tag }) => _tag === "Received"),
        Stream.runHead
      )
      const event = Option.getOrThrow(yield* received)
      assert.deepStrictEqual(event._tag === "Received" && event.content, content)
    })
  )

  it.live("an invalid variable is a ConfigError that names it and keeps a secret to itself", () =>
    Effect.gen(function* () {
      const cases = [
        ["LIVE_TRANSPORT", "pigeon"],
        ["LIVE_SUBSCRIPTIONS", "many"],
        ["GOSSIP_ACTIVE_VIEW", "none"],
        ["GOSSIP_MAX_MESSAGE_BYTES", "511"],
        ["IROH_SECRET", "abcdef"],
        ["IROH_BIND", "localhost:1"],
        ["IROH_RELAY", "nowhere"]
      ] as const
      for (const [name, value] of cases) {
        const error = yield* Effect.flip(nodeIn({ [name]: value }))
        assert.strictEqual(error._tag, "ConfigError", name)
        assert.include(error.message, name.replace(/^(LIVE|GOSSIP)_/, ""))
        if (name === "IROH_SECRET") assert.notInclude(error.message, value)
      }
    })
  )
})
