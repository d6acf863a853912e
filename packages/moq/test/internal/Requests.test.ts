import type { Remote } from "@effect-live/endpoint/Connection"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { assert, describe, it } from "@effect/vitest"
import { Requests } from "../../src/internal/Requests.ts"
import * as TokenBucket from "../../src/internal/TokenBucket.ts"
import * as Limits from "../../src/Limits.ts"

const peer = (n: number): Remote => ({ _tag: "Peer", id: n.toString(16).padStart(64, "0") as EndpointId })

describe("what peers may ask for", () => {
  it("is counted per peer: who connects again has no new burst, others have theirs", () => {
    const requests = new Requests()
    const first = requests.of(peer(1), 0).work
    for (let n = 0; n < Limits.requestBurst; n++) assert.strictEqual(TokenBucket.take(first, 0), 0)
    assert.isAbove(TokenBucket.take(requests.of(peer(1), 0).work, 0), 0)
    assert.strictEqual(TokenBucket.take(requests.of(peer(2), 0).work, 0), 0)
  })

  it("who has no key is new with every connection", () => {
    const requests = new Requests()
    const remote: Remote = { _tag: "Anonymous", path: "/" }
    assert.notStrictEqual(requests.of(remote, 0), requests.of(remote, 0))
  })

  it("is remembered for so many peers; those who asked for nothing lately are forgotten first", () => {
    const requests = new Requests()
    const greedy = requests.of(peer(0), 0)
    for (let n = 0; n < 100_000; n++) TokenBucket.take(greedy.work, 0)
    for (let n = 1; n < 2 * Limits.rememberedPeers; n++) requests.of(peer(n), 0)
    assert.strictEqual(requests.of(peer(0), 0), greedy)
    // a crowd that is as greedy pushes the oldest out
    for (let n = 1; n <= Limits.rememberedPeers; n++) TokenBucket.take(requests.of(peer(n), 0).work, 0)
    assert.notStrictEqual(requests.of(peer(0), 0), greedy)
  })
})
