/* What strangers and slips of the caller can do to an endpoint, and what they cannot: on both backings, over real sockets. */
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import type { Connection } from "@effect-live/endpoint/Connection"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import { PeerReset, StreamError } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Result } from "effect"
import { Control } from "../src/Control.ts"
import { collectGarbage } from "../src/internal/number0/collect.ts"
import type * as Iroh from "../src/Iroh.ts"
import * as Limits from "../src/Limits.ts"
import { backings } from "./backings.ts"

const alpn = "effect-live/strangers-test"
const at = (port: number) => Result.getOrThrow(TransportAddr.parseIp(`127.0.0.1:${port}`))
const portOf = (endpoint: Endpoint["Service"]): number => EndpointAddr.ips(endpoint.addr())[0]?.port ?? 0

const socket: Effect.Effect<Socket> = Effect.promise(async () => {
  const made = createSocket("udp4")
  made.bind(0, "127.0.0.1")
  await once(made, "listening")
  return made
})
const openSocket = Effect.acquireRelease(socket, (socket) => Effect.sync(() => socket.close()))

/** The id that a dialer made up for itself, in the first packets of a connection (RFC 9000 section 17.2). */
const dialerOf = (packet: Buffer): string | undefined => {
  if (((packet[0] ?? 0) & 0x80) === 0) return undefined
  const at = 6 + (packet[5] ?? 0)
  return packet.toString("hex", at + 1, at + 1 + (packet[at] ?? 0))
}

for (const { layer, missing, name } of backings) {
  const bind = (options: Iroh.CommonOptions = {}) =>
    Effect.map(
      Layer.build(
        Layer.fresh(layer({ bindAddrs: [at(0)], relayMode: "disabled", ...options })).pipe(
          Layer.provide(Layer.fresh(AddressBook.layer))
        )
      ),
      (context) => ({ endpoint: Context.get(context, Endpoint), control: Context.get(context, Control) })
    )
  const listening = Effect.tap(bind(), ({ endpoint }) => endpoint.setAlpns([alpn]))
  const connected = Effect.gen(function* () {
    const [a, b] = [yield* bind(), yield* listening]
    const dial = a.endpoint.connect(b.endpoint.addr(), [alpn])
    const [here, there] = yield* Effect.all([dial, b.endpoint.accept], { concurrency: 2 })
    return { a, b, here, there }
  })

  describe.skipIf(missing !== undefined)(`on ${name}`, () => {
    it.live("a relay that is no URL to iroh does not keep the peer's other addresses from being dialed", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const [a, b] = [yield* bind(), yield* listening]
          const relays = ["https://xn--0.com/", "https://xn--a-ecp.ru/"].map((url) =>
            TransportAddr.relay(Result.getOrThrow(RelayUrl.parse(url)))
          )
          const { addrs, id } = b.endpoint.addr()
          yield* Effect.all(
            [a.endpoint.connect(EndpointAddr.make(id, [...relays, ...addrs]), [alpn]), b.endpoint.accept],
            {
              concurrency: 2
            }
          )
          const c = yield* bind()
          const { reason } = yield* Effect.flip(c.endpoint.connect(EndpointAddr.make(id, relays), [alpn]))
          assert.strictEqual(reason._tag, "NoAddress")
        })
      )
    )

    for (const [who, spoken, ways, attempts] of [
      ["another peer", [alpn], 1, Limits.dialAttempts],
      ["another program", [], 2, Limits.doubtedDialAttempts]
    ] as const) {
      it.live(`${who} that answers first at one of the addresses does not keep us from the peer`, () =>
        Effect.scoped(
          Effect.gen(function* () {
            const [a, wrong, right] = [yield* bind(), yield* bind(), yield* listening]
            yield* wrong.endpoint.setAlpns(spoken)
            const address = yield* openSocket
            const dialers = new Set<string>()
            let port = 0
            address.on("message", (packet, from) => {
              if (from.port !== portOf(a.endpoint)) return address.send(packet, portOf(a.endpoint), "127.0.0.1")
              const dialer = dialerOf(packet)
              if (dialer !== undefined) dialers.add(dialer)
              port = portOf((dialers.size < attempts ? wrong : right).endpoint)
              address.send(packet, port, "127.0.0.1")
            })
            // Nobody is at the second one.
            const addrs = [at(address.address().port), at(9)].slice(0, ways)
            yield* a.endpoint.connect(EndpointAddr.make(right.endpoint.id, addrs), [alpn])
            assert.strictEqual(dialers.size, attempts)
          })
        )
      )
    }

    it.live(
      "packets in the names of others keep nobody out who answers from its own address",
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            const [a, b, attacker] = [yield* bind(), yield* listening, yield* bind()]
            const sink = yield* openSocket
            const packets = new Map<string, Buffer>()
            const count = Limits.handshakes
            const kept = new Promise<void>((resolve) => {
              sink.on("message", (packet) => {
                const dialer = dialerOf(packet)
                if (dialer !== undefined && !packets.has(dialer)) packets.set(dialer, packet)
                if (packets.size === count) resolve()
              })
            })
            const dial = attacker.endpoint.connect(EndpointAddr.make(b.endpoint.id, [at(sink.address().port)]), [alpn])
            const dials = yield* Effect.forkChild(
              Effect.all(
                Array.from({ length: count }, () => Effect.exit(dial)),
                { concurrency: count }
              )
            )
            yield* Effect.promise(() => kept)
            yield* Fiber.interrupt(dials)
            for (const packet of packets.values()) (yield* openSocket).send(packet, portOf(b.endpoint), "127.0.0.1")
            while (b.control.incoming().retried < count - Limits.unvalidatedHandshakes) yield* Effect.sleep(1)
            yield* Effect.all([a.endpoint.connect(b.endpoint.addr(), [alpn]), b.endpoint.accept], { concurrency: 2 })
            assert.strictEqual(b.control.incoming().refused, 0)
          })
        ),
      20_000
    )

    it.live("options that cannot be meant are InvalidOptions that name them, and nothing is bound", () =>
      Effect.gen(function* () {
        const wrong: Record<string, ReadonlyArray<unknown>> = {
          connectTimeoutMs: [0, -1, 0.5, Number.NaN, Infinity, 2 ** 31],
          maxUniStreams: [-1, 1.5, 2 ** 32],
          maxBiStreams: [-1, Number.NaN],
          bindAddrs: [[], [at(0), at(0)]],
          connectTimeoutMS: [1]
        }
        for (const [option, values] of Object.entries(wrong)) {
          for (const value of values) {
            const { reason } = yield* Effect.flip(Effect.scoped(bind({ [option]: value })))
            assert.strictEqual(reason._tag, "InvalidOptions", `${option}: ${String(value)}`)
            assert.include(reason.message, option)
          }
        }
      })
    )

    it.live(
      "names of protocols that TLS cannot carry fail the dial, and are a defect where they would be accepted",
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            const [a, b] = [yield* bind(), yield* listening]
            const longest = "x".repeat(Limits.alpnBytes)
            const many = Array.from(
              { length: Limits.alpnsBytes / 256 },
              (_, index) => longest.slice(2) + String(10 + index)
            )
            for (const wrong of [[""], [alpn, ""], [`${longest}x`], ["é".repeat(128)], [...many, "x"]] as const) {
              const [first = "", ...rest] = wrong
              const { reason } = yield* Effect.flip(a.endpoint.connect(b.endpoint.addr(), [first, ...rest]))
              assert.strictEqual(reason._tag, "TransportFailure", first.slice(0, 10))
              const exit = yield* Effect.exit(b.endpoint.setAlpns(wrong))
              assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
            }
            yield* b.endpoint.setAlpns([longest])
            const [{ alpn: agreed }] = yield* Effect.all(
              [a.endpoint.connect(b.endpoint.addr(), [longest]), b.endpoint.accept],
              { concurrency: 2 }
            )
            assert.strictEqual(agreed, longest)
          })
        )
    )

    it.live.skipIf(name === "number0")(
      `a stream that was forgotten unfinished is reset while its connection lives${name === "number0" ? " (not here: number0 keeps it as long as the connection)" : ""}`,
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            const { here, there } = yield* connected
            for (const longLived of [false, true]) {
              yield* leave(here, longLived ? 2 * Limits.longLivedMs : 0)
              const recv = yield* there.acceptUni
              yield* recv.read
              const end = yield* Effect.forkChild(Effect.flip(recv.read))
              while (end.pollUnsafe() === undefined) {
                collectGarbage()
                yield* Effect.sleep(10)
              }
              assert.deepStrictEqual(yield* Fiber.join(end), new StreamError({ reason: new PeerReset({ code: 0 }) }))
            }
          })
        )
    )
  })
}

/** Opens a stream, writes to it and has nothing of it any more. */
const leave = (connection: Connection, afterMs: number) =>
  Effect.flatMap(connection.openUni, (send) =>
    Effect.andThen(send.write(Uint8Array.of(1)), Effect.as(Effect.sleep(afterMs), send.write))
  ).pipe(Effect.asVoid)
