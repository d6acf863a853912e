import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import * as Iroh from "../src/Iroh.ts"

const withEnv = (env: Record<string, string>) =>
  Endpoint.use((endpoint) => Effect.succeed({ id: endpoint.id, addr: endpoint.addr() })).pipe(
    Effect.provide(Layer.fresh(Iroh.layerConfig).pipe(Layer.provide(AddressBook.layer))),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
  )

const seed = "01".repeat(32)

describe("Iroh.layerConfig", () => {
  it.live("IROH_SECRET fixes who we are; empty or unset gives a fresh key", () =>
    Effect.gen(function* () {
      const fixed = yield* withEnv({ IROH_SECRET: seed, IROH_RELAY: "disabled" })
      assert.strictEqual(fixed.id, "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c")
      const fresh = yield* withEnv({ IROH_SECRET: "", IROH_RELAY: "disabled" })
      assert.notStrictEqual(fresh.id, fixed.id)
    })
  )

  it.live("a wrong IROH_SECRET is refused by name and never printed", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(withEnv({ IROH_SECRET: `${seed}zz` }))
      assert.include(error.message, "IROH_SECRET")
      assert.notInclude(error.message, seed)
    })
  )

  it.live("IROH_BIND chooses the addresses that we listen on", () =>
    Effect.gen(function* () {
      const { addr } = yield* withEnv({ IROH_BIND: "127.0.0.1:0, [::1]:0", IROH_RELAY: "disabled" })
      assert.deepStrictEqual(
        EndpointAddr.ips(addr).map(({ ip }) => ip),
        ["127.0.0.1", "::1"]
      )
      assert.include((yield* Effect.flip(withEnv({ IROH_BIND: "localhost:1" }))).message, "IROH_BIND")
    })
  )

  it.live("IROH_RELAY takes URLs and refuses what is none", () =>
    Effect.gen(function* () {
      yield* withEnv({ IROH_RELAY: "https://relay.example.com" })
      assert.include((yield* Effect.flip(withEnv({ IROH_RELAY: "relay.example.com" }))).message, "IROH_RELAY")
    })
  )

  it.live("the public relays, which are the default, need no network to bind", () =>
    Effect.gen(function* () {
      const { addr } = yield* withEnv({})
      assert.isNotEmpty(EndpointAddr.ips(addr))
    })
  )

  it.live("a fixed port can be bound again after its endpoint was closed, and is AddressInUse before", () =>
    Effect.gen(function* () {
      const { addr } = yield* withEnv({ IROH_BIND: "127.0.0.1:0", IROH_RELAY: "disabled" })
      const port = EndpointAddr.ips(addr)[0]?.port
      const env = { IROH_BIND: `127.0.0.1:${port}`, IROH_RELAY: "disabled" }
      const error = yield* Effect.andThen(Endpoint, Effect.flip(withEnv(env))).pipe(
        Effect.provide(Iroh.layerConfig.pipe(Layer.provide(AddressBook.layer))),
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
      )
      assert.include(error.message, "the port is taken")
    })
  )
})
