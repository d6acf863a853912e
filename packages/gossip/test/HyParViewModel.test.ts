import * as Rng from "@effect-live/actor/Rng"
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as Config from "../src/Config.ts"
import * as HyParView from "../src/HyParView.ts"
import * as Limits from "../src/Limits.ts"
import type * as Topic from "../src/Topic.ts"
import { membership } from "./support/messages.ts"

/** What may happen: an input, or one of the timers that run, or time. */
type Happening =
  | { readonly _tag: "Input"; readonly input: HyParView.Input<number> }
  | { readonly _tag: "Timer"; readonly which: number }
  | { readonly _tag: "Pass"; readonly ms: number }

const self = 0
const banned = 13
const peer = fc.nat(14)
const data = fc.option(
  fc.nat(1_200).map((length) => new Uint8Array(length)),
  { nil: undefined }
)
const ttl = fc.oneof(fc.nat(7), fc.constant(65_535))
const message = membership({ peer, data, nodes: 12, ttl })
const input: fc.Arbitrary<HyParView.Input<number>> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ _tag: fc.constant("RecvMessage" as const), from: peer, message }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("PeerDisconnected" as const), peer }) },
  fc.record({ _tag: fc.constant("Join" as const), peers: fc.array(peer, { maxLength: 4 }) }),
  fc.record({ _tag: fc.constant("UpdatePeerData" as const), data: fc.nat(1_200).map((n) => new Uint8Array(n)) })
)
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ _tag: fc.constant("Input" as const), input }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Timer" as const), which: fc.nat(1_000) }) },
  {
    weight: 2,
    arbitrary: fc.record({ _tag: fc.constant("Pass" as const), ms: fc.integer({ min: -5_000, max: 60_000 }) })
  }
)
const config = fc.record({
  activeViewCapacity: fc.integer({ min: 1, max: 6 }),
  passiveViewCapacity: fc.integer({ min: 0, max: 6 }),
  shuffleActiveViewCount: fc.nat(3),
  shufflePassiveViewCount: fc.nat(4)
})

interface Run {
  readonly state: HyParView.State<number>
  readonly timers: Array<HyParView.Timer<number>>
  readonly neighbors: Set<number>
  readonly all: Array<Topic.Output<number>>
}

const run = (
  part: Partial<Config.Membership>,
  seed: number,
  happenings: ReadonlyArray<Happening>,
  check: (run: Run, out: ReadonlyArray<Topic.Output<number>>) => void = () => {}
): Run => {
  const state = HyParView.make<number>({
    self,
    config: { ...Config.membership, ...part },
    maxMessageBytes: 1_024,
    rng: Rng.make(seed),
    admit: (id) => id !== banned
  })
  const whole: Run = { state, timers: [], neighbors: new Set(), all: [] }
  let now = 0
  for (const happening of happenings) {
    const out: Array<Topic.Output<number>> = []
    if (happening._tag === "Pass") {
      now += happening.ms
      continue
    }
    if (happening._tag === "Timer") {
      if (whole.timers.length === 0) continue
      const [timer] = whole.timers.splice(happening.which % whole.timers.length, 1)
      if (timer !== undefined) HyParView.handle(state, { _tag: "TimerExpired", timer }, now, out)
    } else HyParView.handle(state, happening.input, now, out)
    for (const output of out) {
      if (output._tag === "ScheduleTimer") {
        const { timer } = output
        if (timer._tag === "DoShuffle" || timer._tag === "PendingNeighborRequest" || timer._tag === "ProbeFormer")
          whole.timers.push(timer)
        else assert.fail(`a timer of somebody else: ${timer._tag}`)
      }
      if (output._tag !== "EmitEvent") continue
      const { event } = output
      if (event._tag === "NeighborUp") {
        assert.isFalse(whole.neighbors.has(event.peer), "up only when down")
        whole.neighbors.add(event.peer)
      } else if (event._tag === "NeighborDown") assert.isTrue(whole.neighbors.delete(event.peer), "down only when up")
    }
    whole.all.push(...out)
    check(whole, out)
  }
  return whole
}

const count = (timers: ReadonlyArray<HyParView.Timer<number>>, tag: HyParView.Timer<number>["_tag"]): number =>
  timers.filter(({ _tag }) => _tag === tag).length

const isBounded = ({ neighbors, state, timers }: Run, out: ReadonlyArray<Topic.Output<number>>): void => {
  const { active, aliveDisconnect, config, former, passive, peerData, pending, reserve, silent } = state
  const views = [...active, ...passive]
  assert.isAtMost(active.length, config.activeViewCapacity)
  assert.isAtMost(passive.length, config.passiveViewCapacity)
  assert.strictEqual(new Set(views).size, views.length, "active and passive are disjoint, without duplicates")
  assert.notInclude(views, self)
  assert.notInclude(views, banned)
  assert.deepStrictEqual(new Set(active), neighbors, "events tell of the active view")

  const timed = new Map(
    timers.flatMap((timer) => (timer._tag === "PendingNeighborRequest" ? [[timer.request, timer.peer]] : []))
  )
  for (const [id, { request }] of pending)
    assert.isTrue(active.includes(id) || timed.get(request) === id, "every request has its own timer")
  for (const [id, { request }] of silent)
    assert.strictEqual(timed.get(request), id, "whoever is silent is let go in the end")
  assert.isAtMost(pending.size, config.activeViewCapacity + Limits.neighborRequestsPerTopic)
  assert.isAtMost(former.bootstrap.length, Limits.bootstrapPeersPerTopic)
  assert.isAtMost(former.entries.length, Limits.bootstrapPeersPerTopic + Limits.formerPeersPerTopic)
  for (const { peer: id } of former.entries) assert.notInclude(active, id)
  assert.isAtMost(aliveDisconnect.size, Limits.endedLinksPerTopic)
  assert.isAtMost(reserve.length, Limits.reservedPeersPerTopic)
  assert.strictEqual(new Set(reserve).size, reserve.length)
  assert.notInclude(reserve, self)
  assert.notInclude(reserve, banned)
  const known = new Set([...views, ...reserve, ...pending.keys(), ...former.entries.map((entry) => entry.peer)])
  for (const id of peerData.keys()) assert.isTrue(known.has(id), "data only of peers that we may need")
  assert.strictEqual(count(timers, "DoShuffle"), state.shuffleScheduled ? 1 : 0)
  assert.strictEqual(count(timers, "ProbeFormer"), former.scheduled ? 1 : 0)
  if (former.entries.length > 0) assert.isTrue(former.scheduled, "whoever is looked for has its turn")

  for (const output of out) {
    if (output._tag === "DisconnectPeer") {
      assert.notInclude(active, output.peer, "no neighbor is let go")
      assert.isTrue(!pending.has(output.peer), "nor anybody who was asked")
    }
    if (output._tag !== "SendMessage") continue
    assert.notStrictEqual(output.peer, self)
    if (output.peer === banned) assert.strictEqual(output.message._tag, "Disconnect")
    if (output.message._tag === "ForwardJoin") {
      assert.notInclude([self, banned, output.peer], output.message.peer.id)
      assert.isAtMost(output.message.ttl, config.activeRandomWalkLength)
    }
    if (output.message._tag === "Shuffle" || output.message._tag === "ShuffleReply") {
      const bytes = output.message.nodes.reduce((sum, node) => sum + 33 + (node.data?.length ?? 0), 0)
      assert.isBelow(bytes, 1_024)
    }
  }
}

describe("HyParView, whatever happens", () => {
  it("views, maps and timers stay consistent and bounded, and nothing is sent to oneself", () => {
    fc.assert(
      fc.property(config, fc.nat(), fc.array(happening, { minLength: 1, maxLength: 150 }), (part, seed, happenings) => {
        run(part, seed, happenings, isBounded)
      }),
      { numRuns: 500 }
    )
  })

  it("one seed and the same inputs give the same outputs", () => {
    fc.assert(
      fc.property(config, fc.nat(), fc.array(happening, { maxLength: 100 }), (part, seed, happenings) => {
        assert.deepStrictEqual(run(part, seed, happenings).all, run(part, seed, happenings).all)
      }),
      { numRuns: 50 }
    )
  })

  it("Quit leaves nobody, tells every neighbor, and nothing is sent behind it", () => {
    fc.assert(
      fc.property(config, fc.nat(), fc.array(happening, { maxLength: 100 }), (part, seed, happenings) => {
        const { neighbors, state, timers } = run(part, seed, happenings)
        const out: Array<Topic.Output<number>> = []
        HyParView.handle(state, { _tag: "Quit" }, 0, out)
        for (const id of neighbors)
          assert.deepInclude(out, { _tag: "SendMessage", peer: id, message: { _tag: "Disconnect", alive: false } })
        assert.isFalse(out.some(({ _tag }) => _tag === "EmitEvent"))
        const after: Array<Topic.Output<number>> = []
        for (const timer of timers) HyParView.handle(state, { _tag: "TimerExpired", timer }, 0, after)
        assert.isFalse(after.some(({ _tag }) => _tag === "SendMessage"))
      }),
      { numRuns: 100 }
    )
  })

  it("an input costs a bounded number of outputs", () => {
    fc.assert(
      fc.property(config, fc.nat(), fc.array(happening, { maxLength: 100 }), (part, seed, happenings) => {
        run(part, seed, happenings, ({ state }, out) => {
          // One per bootstrap peer with its timer, one per neighbor, and an eviction with what belongs to it.
          assert.isAtMost(out.length, 2 * state.former.bootstrap.length + state.config.activeViewCapacity + 30)
        })
      }),
      { numRuns: 100 }
    )
  })
})
