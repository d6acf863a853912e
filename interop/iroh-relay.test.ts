/** Connections over a relay, from a relay to a direct path and back, with the Rust peer at the other end. */
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Address from "./support/address.ts"
import { isNative, type Ours, ours, type Received, readAll } from "./support/ours.ts"
import { peer } from "./support/peer.ts"
import { irohRelay } from "./support/relays.ts"
import * as TcpProxy from "./support/tcp-proxy.ts"
import * as UdpProxy from "./support/udp-proxy.ts"
import { assertContent } from "./support/content.ts"

const assertWhole = (received: ReadonlyArray<Received>, groups: number): void => {
  assert.deepStrictEqual(
    received.map(({ sequence }) => sequence),
    Array.from({ length: groups }, (_, index) => index)
  )
  for (const { end, frames, sequence } of received) {
    assert.strictEqual(end, "complete", `group ${sequence}`)
    assert.lengthOf(frames, 5)
  }
  assertContent(received, 1000)
}

/** One end has only IPv6, the other only IPv4: whatever leads from one to the other is ours. */
const onlyIpv6 = ["--bind", "[::1]:0"]
const publishes = (groups: number, intervalMs = 20) =>
  ["publish", "--wait", "--groups", groups, "--interval-ms", intervalMs].map(String)

const cannot = ({ endpoint }: Ours): boolean => {
  if (!isNative(endpoint)) console.log("@number0/iroh cannot bind IPv4 alone: not run")
  return !isNative(endpoint)
}

describe("iroh-relay, Rust publishes, TypeScript subscribes", { concurrent: true }, () => {
  it.live("where nothing but the relay leads to the peer, everything goes over it", () =>
    Effect.gen(function* () {
      const relay = yield* irohRelay
      const us = yield* ours({ relayMode: [relay.url] })
      if (cannot(us)) return
      const rust = yield* peer("--relay", relay.url, ...onlyIpv6, ...publishes(50))
      const session = yield* us.moq.connect(Address.parse(`${rust.addr.id}@${relay.url}`))
      const { received } = yield* readAll(yield* session.consume("hello").subscribe("data"))
      assertWhole(received, 50)
      assert.deepStrictEqual(
        new Set(
          session
            .connection()
            .paths()
            .map(({ kind }) => kind)
        ),
        new Set(["relay"])
      )
    })
  )

  it.live("two ends on one machine that know only the relay find the direct path, and no frame is lost", () =>
    Effect.gen(function* () {
      const relay = yield* irohRelay
      const us = yield* ours({ relayMode: [relay.url] })
      const rust = yield* peer("--relay", relay.url, ...publishes(100))
      const session = yield* us.moq.connect(Address.parse(`${rust.addr.id}@${relay.url}`))
      const { received } = yield* readAll(yield* session.consume("hello").subscribe("data"))
      assertWhole(received, 100)
      assert.strictEqual(
        session
          .connection()
          .paths()
          .find(({ selected }) => selected)?.kind,
        "direct"
      )
    })
  )

  it.live("from the relay to a direct path in the middle of a track, and no frame is lost", () =>
    Effect.gen(function* () {
      const relay = yield* irohRelay
      const us = yield* ours({ relayMode: [relay.url] })
      if (cannot(us)) return
      const rust = yield* peer("--relay", relay.url, ...onlyIpv6, ...publishes(300))
      const session = yield* us.moq.connect(Address.parse(`${rust.addr.id}@${relay.url}`))
      const kinds: Array<string | undefined> = []
      const direct = yield* UdpProxy.make({ to: rust.at, host: "127.0.0.1" })
      const onFrame = (group: number): void => {
        const kind = session
          .connection()
          .paths()
          .find(({ selected }) => selected)?.kind
        if (kinds.at(-1) === kind) return
        kinds.push(kind)
        if (group < 50 && kind === "relay") rust.tell(`address ${direct.at.split("@")[1]}`)
      }
      const { received } = yield* readAll(yield* session.consume("hello").subscribe("data"), { onFrame })
      assertWhole(received, 300)
      assert.deepStrictEqual(kinds, ["relay", "direct"])
    })
  )

  it.live("a direct path that breaks in the middle of a track is replaced by the relay, and no frame is lost", () =>
    Effect.gen(function* () {
      const relay = yield* irohRelay
      // we reach the relay by a detour, so that the direct path is the first one
      const detour = yield* TcpProxy.make({ to: relay.port, delayMs: 30 })
      const us = yield* ours({ relayMode: [detour] })
      if (cannot(us)) return
      const rust = yield* peer("--relay", relay.url, ...onlyIpv6, ...publishes(130, 100))
      const direct = yield* UdpProxy.make({ to: rust.at, host: "127.0.0.1" })
      const addrs = [...Address.parse(direct.at).addrs, ...Address.parse(`${rust.addr.id}@${detour}`).addrs]
      const session = yield* us.moq.connect(EndpointAddr.make(rust.addr.id, addrs))
      const kinds: Array<string | undefined> = []
      const onFrame = (group: number): void => {
        const paths = session.connection().paths()
        const kind = paths.find(({ selected }) => selected)?.kind
        if (kinds.at(-1) !== kind) kinds.push(kind)
        // it takes iroh 15 s to notice; meanwhile a hundred groups pile up at the publisher
        if (group === 30) direct.cut(true)
      }
      const { received } = yield* readAll(yield* session.consume("hello").subscribe("data"), { onFrame })
      assertWhole(received, 130)
      assert.deepStrictEqual(kinds, ["direct", "relay"])
    })
  )
})
