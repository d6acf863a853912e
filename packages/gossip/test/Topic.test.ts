import * as Rng from "@effect-live/actor/Rng"
import { assert, describe, it } from "@effect/vitest"
import * as Config from "../src/Config.ts"
import * as Topic from "../src/Topic.ts"

const make = (options: Partial<Topic.Options<number>> = {}) => {
  const state = Topic.make<number>({ self: 0, config: Config.defaults, rng: Rng.make(1), ...options })
  const step = (input: Topic.Input<number>): ReadonlyArray<Topic.Output<number>> => {
    const out: Array<Topic.Output<number>> = []
    Topic.handle(state, input, 0, out)
    return out
  }
  return { state, step }
}

const neighbor = { _tag: "Neighbor", priority: "High", data: undefined } as const
const content = new TextEncoder().encode("hello")
const broadcast = { _tag: "Broadcast", id: "a", content, scope: "Swarm" } as const

describe("Topic (section 1.2)", () => {
  it("neighbors of the membership are links of the broadcast, and are none when they are lost", () => {
    const { state, step } = make()
    step({ _tag: "RecvMessage", from: 1, message: neighbor })
    step({ _tag: "RecvMessage", from: 2, message: neighbor })
    assert.deepStrictEqual([...state.broadcast.eager, ...state.broadcast.lazy], state.membership.active)
    step({ _tag: "PeerDisconnected", peer: 1 })
    step({ _tag: "RecvMessage", from: 2, message: { _tag: "Disconnect", alive: false } })
    assert.deepStrictEqual([...state.broadcast.eager, ...state.broadcast.lazy], [])
  })

  it("a peer that is evicted for another one is no link any more when that one is", () => {
    const { state, step } = make({
      config: { ...Config.defaults, membership: { ...Config.membership, activeViewCapacity: 1 } }
    })
    step({ _tag: "RecvMessage", from: 1, message: neighbor })
    step({ _tag: "RecvMessage", from: 2, message: neighbor })
    assert.deepStrictEqual([...state.broadcast.eager, ...state.broadcast.lazy], [2])
  })

  it("a content goes to the neighbors, and what they send comes out", () => {
    const { step } = make()
    step({ _tag: "RecvMessage", from: 1, message: neighbor })
    const message = { _tag: "Gossip", id: "a", content, scope: { _tag: "Swarm", round: 0 } } as const
    assert.deepInclude(step(broadcast), { _tag: "SendMessage", peer: 1, message })
    const other = { ...message, id: "b" }
    assert.deepInclude(step({ _tag: "RecvMessage", from: 1, message: other }), {
      _tag: "EmitEvent",
      event: { _tag: "Received", id: "b", content, deliveredFrom: 1, scope: { _tag: "Swarm", round: 0 } }
    })
  })

  it("timers come back to the core that set them", () => {
    const { step } = make()
    step({ _tag: "RecvMessage", from: 1, message: neighbor })
    assert.deepInclude(step({ _tag: "TimerExpired", timer: { _tag: "DoShuffle" } }), {
      _tag: "ScheduleTimer",
      delayMs: 60_000,
      timer: { _tag: "DoShuffle" }
    })
    for (const timer of [{ _tag: "DispatchLazyPush" }, { _tag: "EvictCache" }, { _tag: "SendGraft", id: "z" }] as const)
      assert.deepStrictEqual(step({ _tag: "TimerExpired", timer }), [])
  })

  it("the validator decides what is delivered and forwarded, admission who may be a neighbor", () => {
    const { state, step } = make({ validate: () => false, admit: (peer) => peer !== 9 })
    step({ _tag: "RecvMessage", from: 1, message: neighbor })
    step({ _tag: "RecvMessage", from: 9, message: neighbor })
    assert.deepStrictEqual(state.membership.active, [1])
    const message = { _tag: "Gossip", id: "b", content, scope: { _tag: "Swarm", round: 0 } } as const
    const out = step({ _tag: "RecvMessage", from: 1, message })
    assert.isFalse(out.some(({ _tag }) => _tag === "EmitEvent" || _tag === "SendMessage"))
  })

  it("a peer that counts us among its neighbors and is none of ours is told so, once in a while", () => {
    const { step } = make({ admit: (peer) => peer !== 9 })
    step({ _tag: "RecvMessage", from: 1, message: neighbor })
    const gossip = (from: number, id: string) =>
      step({
        _tag: "RecvMessage",
        from,
        message: { _tag: "Gossip", id, content, scope: { _tag: "Swarm", round: 0 } }
      }).filter((output) => output._tag === "SendMessage" && output.message._tag === "Disconnect")
    assert.deepStrictEqual(gossip(1, "b"), [])
    assert.deepStrictEqual(gossip(2, "c"), [
      { _tag: "SendMessage", peer: 2, message: { _tag: "Disconnect", alive: true } }
    ])
    assert.deepStrictEqual(gossip(2, "d"), [])
    step({ _tag: "Join", peers: [3] })
    assert.deepStrictEqual(gossip(3, "f"), [])
    assert.deepStrictEqual(gossip(9, "e"), [
      { _tag: "SendMessage", peer: 9, message: { _tag: "Disconnect", alive: false } }
    ])
  })

  it("one seed and the same inputs give the same outputs", () => {
    const run = (seed: number) => {
      const { step } = make({ rng: Rng.make(seed) })
      const all: Array<Topic.Output<number>> = []
      for (let id = 1; id < 60; id++)
        all.push(...step({ _tag: "RecvMessage", from: id, message: { _tag: "Join", data: undefined } }))
      return all
    }
    assert.deepStrictEqual(run(1), run(1))
    assert.notDeepEqual(run(1), run(2))
  })
})
