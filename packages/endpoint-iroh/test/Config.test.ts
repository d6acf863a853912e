import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointTicket from "@effect-live/endpoint/EndpointTicket"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import * as Iroh from "../src/Iroh.ts"
import { backings } from "./backings.ts"

const seed = "01".repeat(32)
const alpn = "effect-live/config-test"

/** Runs the program on an endpoint that this environment configures. */
const configured = <A, E, R>(program: Effect.Effect<A, E, R>, env: Record<string, string>) =>
  program.pipe(
    Effect.provide(Layer.fresh(Iroh.layerConfig).pipe(Layer.provideMerge(Layer.fresh(AddressBook.layer)))),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
  )
const self = Endpoint.use(({ addr, backing, id }) => Effect.succeed({ id, backing, addr: addr() }))

for (const { missing, name } of backings) {
  const here = { IROH_BACKING: name, IROH_RELAY: "disabled", IROH_BIND: "127.0.0.1:0" }
  const withEnv = (env: Record<string, string>) => configured(self, { IROH_BACKING: name, ...env })

  describe.skipIf(missing !== undefined)(`Iroh.layerConfig on ${name}`, () => {
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
        const { addr } = yield* configured(self, here)
        const env = { ...here, IROH_BIND: `127.0.0.1:${EndpointAddr.ips(addr)[0]?.port}` }
        const error = yield* configured(Effect.andThen(Endpoint, Effect.flip(withEnv(env))), env)
        assert.include(error.message, "the port is taken")
      })
    )

    it.live("IROH_PEERS are tickets of peers that can then be dialed by id", () =>
      Effect.gen(function* () {
        const peer = yield* Endpoint
        yield* peer.setAlpns([alpn])
        const dial = Effect.scoped(Endpoint.use((endpoint) => endpoint.connect(peer.id, [alpn])))
        const ticket = EndpointTicket.encode(peer.addr())
        const connection = yield* configured(dial, { ...here, IROH_PEERS: ticket })
        assert.deepStrictEqual(connection.remote, { _tag: "Peer", id: peer.id })
        const error = yield* Effect.flip(withEnv({ IROH_PEERS: "endpointnothing" }))
        assert.include(error.message, "IROH_PEERS")
      }).pipe((program) => configured(program, here))
    )

    it.live("IROH_BACKING insists, and a value that is none is refused by name", () =>
      Effect.gen(function* () {
        const { backing } = yield* configured(self, here)
        assert.strictEqual(backing.name, name === "native" ? "@effect-live/native" : "@number0/iroh")
        const error = yield* Effect.flip(withEnv({ IROH_BACKING: "quinn" }))
        assert.include(error.message, "IROH_BACKING: one of auto, native, number0")
      })
    )

    it.live("a number that is none is refused by the name of its variable", () =>
      Effect.gen(function* () {
        for (const text of ["many", "-1", "1e3", "0.5", "9".repeat(16)]) {
          const error = yield* Effect.flip(withEnv({ IROH_IDLE_TIMEOUT_MS: text }))
          assert.include(error.message, "IROH_IDLE_TIMEOUT_MS: a whole number")
        }
      })
    )
  })
}

/** Every option that only the addon can fulfil, with a value and with one that cannot be meant. */
const nativeOnly = [
  ["dns", "IROH_DNS", "false", "maybe"],
  ["pkarr", "IROH_PKARR", "false", "1"],
  ["congestion", "IROH_CONGESTION", "bbr3", "vegas"],
  ["initialWindowBytes", "IROH_INITIAL_WINDOW_BYTES", "24000", ""],
  ["initialRttMs", "IROH_INITIAL_RTT_MS", "50", "0"],
  ["idleTimeoutMs", "IROH_IDLE_TIMEOUT_MS", "5000", "0"],
  ["keepAliveMs", "IROH_KEEP_ALIVE_MS", "1000", "0"],
  ["sendWindowBytes", "IROH_SEND_WINDOW_BYTES", "1000000", ""],
  ["receiveWindowBytes", "IROH_RECEIVE_WINDOW_BYTES", "1000000", ""],
  ["streamReceiveWindowBytes", "IROH_STREAM_RECEIVE_WINDOW_BYTES", "100000", "10000000"],
  ["datagramSendBufferBytes", "IROH_DATAGRAM_SEND_BUFFER_BYTES", "100000", ""],
  ["datagramReceiveBufferBytes", "IROH_DATAGRAM_RECEIVE_BUFFER_BYTES", "100000", ""],
  ["admission", "IROH_ADMISSION", "refuse 203.0.113.0/24, ignore relay", "refuse 203.0.113.0/99"]
] as const

describe("options that need the addon", () => {
  const here = { IROH_RELAY: "disabled", IROH_BIND: "127.0.0.1:0" }

  it.live("are Unsupported by name on @number0/iroh, and nothing is bound", () =>
    Effect.gen(function* () {
      for (const [option, variable, value] of nativeOnly) {
        const error = yield* Effect.flip(configured(self, { ...here, IROH_BACKING: "number0", [variable]: value }))
        assert.include(error.message, `cannot do ${option}`)
        assert.include(error.message, "npm run build:native")
      }
    })
  )

  it.live.skipIf(backings[1].missing !== undefined)(
    "are taken by the addon, and refused where they cannot be meant",
    () =>
      Effect.gen(function* () {
        for (const [, variable, value, wrong] of nativeOnly) {
          const env = { ...here, IROH_BACKING: "native" }
          yield* configured(self, { ...env, [variable]: value })
          if (wrong !== "") yield* Effect.flip(configured(self, { ...env, [variable]: wrong }))
        }
      })
  )
})
