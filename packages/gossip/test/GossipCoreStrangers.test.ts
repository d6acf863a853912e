/** What a stranger can make the service do by naming others: ids that no application gave. */
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { assert, describe, it } from "@effect/vitest"
import { Exit } from "effect"
import { inspect, type Output } from "../src/GossipCore.ts"
import * as Limits from "../src/Limits.ts"
import type * as Message from "../src/Message.ts"
import { joining } from "./support/raw.ts"
import { idOf, Rig, topic } from "./support/rig.ts"
import { topicOf } from "./support/services.ts"

const stranger = idOf(2)
const newcomer = idOf(3)
/** The n-th of those whom nobody has heard of. */
const named = (n: number): EndpointId => idOf(10_000 + n)
const shuffle = (n: number): Message.Message<EndpointId> => ({ _tag: "Shuffle", origin: named(n), nodes: [], ttl: 0 })
const forwardJoin = (n: number): Message.Message<EndpointId> => ({
  _tag: "ForwardJoin",
  peer: { id: named(n), data: undefined },
  ttl: 0
})
const dialsOf = (outputs: ReadonlyArray<Output>) =>
  outputs.flatMap((output) => (output._tag === "Dial" ? [output] : []))

/** As many topics as need be to get past what each of them allows. */
const topics = (count: number) => Array.from({ length: count }, (_, n) => topicOf(n + 1))

const abused = () => {
  const rig = new Rig()
  const all = topics(32)
  for (const each of all) rig.subscribe([], each)
  rig.incoming(1, stranger)
  let named = 0
  const name = (message: (n: number) => Message.Message<EndpointId>): ReadonlyArray<Output> => {
    const to = all[named % all.length] ?? topic
    return rig.step({ _tag: "Received", connection: 1, topic: to, messages: [message(named++)] })
  }
  return { rig, name }
}

describe("a stranger that names others", () => {
  it("by Shuffles makes us dial so many of them at once, and keeps no newcomer out", () => {
    const { name, rig } = abused()
    let dials = 0
    for (let n = 0; n < 6_000; n++) dials += dialsOf(name(shuffle)).length
    assert.strictEqual(dials, Limits.strangerDials)
    assert.strictEqual(rig.state.peers.byDial.size, Limits.strangerDials)
    assert.isAbove(inspect(rig.state).metrics.dialsRefused, 0)
    assert.isAtMost(inspect(rig.state).peers, Limits.peers - Limits.keptPeers)
    rig.incoming(2, newcomer)
    assert.deepStrictEqual(rig.replies.at(-1), Exit.succeed("accept"))
    // nor whom the application wants
    const own = rig.step({ _tag: "JoinPeers", topic, peers: [idOf(4)] })
    assert.deepStrictEqual(
      dialsOf(own).map(({ peer }) => peer),
      [idOf(4)]
    )
  })

  it("by ForwardJoins whose dials fail at once leaves part of Limits.peers for incoming and application-given ids", () => {
    const { name, rig } = abused()
    for (let n = 0; n < 6_000; n++) {
      for (const { dial } of dialsOf(name(forwardJoin))) rig.step({ _tag: "DialFailed", dial })
    }
    assert.isAtMost(inspect(rig.state).peers, Limits.peers - Limits.keptPeers)
    rig.incoming(2, newcomer)
    assert.deepStrictEqual(rig.replies.at(-1), Exit.succeed("accept"))
    assert.lengthOf(dialsOf(rig.step({ _tag: "JoinPeers", topic, peers: [idOf(4)] })), 1)
  })

  it("makes us refuse nobody as long as there are undialable records, which are evicted first", () => {
    const rig = new Rig()
    const given = Array.from({ length: 64 }, (_, n) => named(n))
    rig.subscribe(given)
    for (const dial of rig.state.peers.byDial.keys()) rig.step({ _tag: "DialFailed", dial })
    const connected = Limits.peers - given.length
    for (let n = 0; n < connected; n++) rig.incoming(n, idOf(100_000 + n))
    assert.strictEqual(inspect(rig.state).peers, Limits.peers)
    for (let n = 0; n < given.length; n++) {
      rig.incoming(connected + n, idOf(200_000 + n))
      assert.deepStrictEqual(rig.replies.at(-1), Exit.succeed("accept"))
    }
    rig.incoming(Limits.peers, newcomer)
    assert.deepStrictEqual(rig.replies.at(-1), Exit.succeed({ code: 3, reason: "too many connections" }))
    assert.strictEqual(inspect(rig.state).peers, Limits.peers)
  })

  it("does not run PeerDisconnected through all topics when a send is refused", () => {
    const { name, rig } = abused()
    while (inspect(rig.state).metrics.dialsRefused === 0) name(shuffle)
    const { dialsRefused } = inspect(rig.state).metrics
    rig.now = 1
    name(shuffle)
    assert.strictEqual(inspect(rig.state).metrics.dialsRefused, dialsRefused + 1)
    const heard = [...rig.state.topics.topics.values()].filter(({ state }) => state.membership.lastNow === rig.now)
    assert.lengthOf(heard, 1, "only the topic that wanted to send")
  })
})

describe("dials under way in all", () => {
  it("have a limit: more of the peers that the application gave wait for their turn", () => {
    const rig = new Rig()
    const count = 2 * Limits.dials
    for (let n = 0; n < count; n++) rig.subscribe([named(n)], topicOf(n + 1))
    assert.strictEqual(inspect(rig.state).dialing, Limits.dials)
    const reached = new Set<EndpointId>()
    for (let n = 0; n < count; n++) {
      const [dial] = rig.state.peers.byDial
      if (dial === undefined) return assert.fail("nobody is dialed")
      reached.add(dial[1].id)
      const sent = rig.step({ _tag: "Dialed", dial: dial[0], connection: n })
      assert.isTrue(sent.some((output) => output._tag === "Send" && output.message._tag === joining._tag))
      assert.isAtMost(inspect(rig.state).dialing, Limits.dials)
    }
    assert.strictEqual(reached.size, count)
    assert.strictEqual(inspect(rig.state).dialing, 0)
  })
})
