/** What happens on a link that is too narrow for what is published: a UDP proxy with a rate and a queue. */
import * as Broadcast from "@effect-live/moq/Broadcast"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { content } from "./support/content.ts"
import { isNative, ours } from "./support/ours.ts"
import { peer } from "./support/peer.ts"
import * as UdpProxy from "./support/udp-proxy.ts"

describe("TypeScript publishes, Rust subscribes, the link is too narrow", { concurrent: true }, () => {
  it.live("the track that the subscriber finds more important arrives whole, and first", () =>
    Effect.gen(function* () {
      const { at, endpoint, moq } = yield* ours()
      if (!isNative(endpoint)) return console.log("@number0/iroh cannot bind IPv4 alone: not run")
      // IPv4 here, IPv6 there: the proxy is the only way
      const link = yield* UdpProxy.make({ to: at, host: "::1", bytesPerSecond: 500_000, queueBytes: 50_000 })
      const broadcast = Broadcast.make()
      const tracks = ["minor", "major"].map((name) => broadcast.createTrack(name))
      yield* moq.publish("hello", broadcast)
      const args = ["--track", "minor:1", "--track", "major:200"]
      const rust = yield* peer("--bind", "[::1]:0", "--dial", link.at, "subscribe", ...args)
      yield* rust.sees({ event: "announce", path: "hello", active: true })
      // both together are twice what the link carries; each alone fits
      const groups = 40
      for (const track of tracks) if (typeof track !== "string") yield* track.used
      for (let sequence = 0; sequence < groups; sequence++) {
        for (const track of tracks) {
          if (typeof track === "string") continue
          const group = track.appendGroup()
          for (let frame = 0; frame < 4; frame++) group.write(content(0, sequence, frame, 10_000))
          group.finish()
        }
        yield* Effect.sleep(100)
      }
      yield* rust.sees({ event: "group", track: "major" }, groups)
      const arrived = rust.events.filter(({ event }) => event === "group").map(({ group, track }) => ({ group, track }))
      const minor = arrived.filter(({ track }) => track === "minor").length
      assert.isBelow(minor, groups * 0.75, "the link was not congested")
      const major = arrived.filter(({ track }) => track === "major").map(({ group }) => Number(group))
      assert.deepStrictEqual(
        major.toSorted((a, b) => a - b),
        Array.from({ length: groups }, (_, index) => index)
      )
    })
  )
})
