import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as Config from "../src/Config.ts"
import type * as Message from "../src/Message.ts"
import * as PlumTree from "../src/PlumTree.ts"
import type * as Topic from "../src/Topic.ts"
import { content } from "./support/broadcast.ts"

/** What the world does; timers only expire that were set. */
type Action =
  | { readonly _tag: "Input"; readonly input: PlumTree.Input<number> }
  | { readonly _tag: "Pass"; readonly ms: number }
  | { readonly _tag: "Expire"; readonly which: number }

const peer = fc.integer({ min: 1, max: 4 })
const ownId = fc.constantFrom("a", "b", "c", "d", "e", "f")
const id = fc.oneof({ weight: 6, arbitrary: ownId }, { weight: 1, arbitrary: fc.constant("bad") })
const round = fc.constantFrom(0, 1, 2, 9, 20, 65_535)
const scope: fc.Arbitrary<Message.Scope> = fc.oneof(
  { weight: 4, arbitrary: round.map((round) => ({ _tag: "Swarm", round }) as const) },
  { weight: 1, arbitrary: fc.constant({ _tag: "Neighbors" } as const) }
)
const message: fc.Arbitrary<Message.Broadcast> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Gossip" as const), id, content: id.map(content), scope }) },
  fc.constant({ _tag: "Prune" } as const),
  fc.record({ _tag: fc.constant("Graft" as const), id: fc.option(id, { nil: undefined }), round }),
  fc.record({
    _tag: fc.constant("IHave" as const),
    messages: fc.array(fc.record({ id, round }), { maxLength: 5 })
  })
)
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ from: peer, message }).map((received): Action => ({
      _tag: "Input",
      input: { _tag: "RecvMessage", ...received }
    }))
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ id: ownId, scope: fc.constantFrom("Swarm" as const, "Neighbors" as const) })
      .map(({ id, scope }): Action => ({
        _tag: "Input",
        input: { _tag: "Broadcast", id, content: content(id), scope }
      }))
  },
  { weight: 2, arbitrary: peer.map((peer): Action => ({ _tag: "Input", input: { _tag: "NeighborUp", peer } })) },
  { weight: 1, arbitrary: peer.map((peer): Action => ({ _tag: "Input", input: { _tag: "NeighborDown", peer } })) },
  { weight: 3, arbitrary: fc.nat(5).map((which): Action => ({ _tag: "Expire", which })) },
  { weight: 1, arbitrary: fc.constantFrom(-90_000, 1, 40, 1_000, 500_000).map((ms): Action => ({ _tag: "Pass", ms })) }
)

/** Does it all, looks after each step, and gives what came out. */
const perform = (actions: ReadonlyArray<Action>): ReadonlyArray<Topic.Output<number>> => {
  const state = PlumTree.make<number>({
    self: 0,
    config: Config.broadcast,
    maxMessageBytes: 512,
    validate: (_content, _from, id) => id !== "bad"
  })
  const all: Array<Topic.Output<number>> = []
  const timers: Array<PlumTree.Timer<number>> = []
  /** When each id was delivered or broadcast last, in the time that the core believes. */
  const seenAtMs = new Map<string, number>()
  let now = 0
  for (const action of actions) {
    if (action._tag === "Pass") {
      now += action.ms
      continue
    }
    const timer = action._tag === "Expire" ? timers.splice(action.which, 1)[0] : undefined
    if (action._tag === "Expire" && timer === undefined) continue
    const input = action._tag === "Input" ? action.input : undefined
    const out: Array<Topic.Output<number>> = []
    const next: PlumTree.Input<number> | undefined =
      input ?? (timer === undefined ? undefined : { _tag: "TimerExpired", timer })
    if (next === undefined) continue
    PlumTree.handle(state, next, now, out)
    for (const output of out) {
      all.push(output)
      if (output._tag === "SendMessage") assert.isTrue(state.links.has(output.peer), "sends to neighbors only")
      if (output._tag === "ScheduleTimer") {
        const { timer } = output
        if (timer._tag === "SendGraft" || timer._tag === "DispatchLazyPush" || timer._tag === "EvictCache")
          timers.push(timer)
      }
      if (output._tag !== "EmitEvent" || output.event._tag !== "Received") continue
      const { id, scope } = output.event
      assert.notStrictEqual(id, "bad")
      if (scope._tag === "Neighbors") continue
      const lastMs = seenAtMs.get(id)
      assert.isTrue(lastMs === undefined || state.timeMs - lastMs >= Config.broadcast.messageIdRetentionMs, "once")
      seenAtMs.set(id, state.timeMs)
    }
    if (next._tag === "Broadcast" && next.scope === "Swarm" && out.length > 0) seenAtMs.set(next.id, state.timeMs)
    check(state, timers)
  }
  return all
}

const check = (state: PlumTree.State<number>, timers: ReadonlyArray<PlumTree.Timer<number>>): void => {
  const { contents, eager, lazy, links, missing } = state
  assert.deepStrictEqual(
    [...eager, ...lazy].toSorted(),
    [...links.keys()].toSorted(),
    "eager and lazy are the neighbors"
  )
  assert.isTrue(eager.length > 0 || lazy.length === 0 || state.stats.graftsDropped > 0, "one link is eager")
  for (const link of links.values()) {
    let advertised = 0
    for (const { advertisers, next } of missing.values()) {
      advertised += advertisers.filter((one, index) => one.link === link && index >= next).length
    }
    assert.strictEqual(link.advertised, advertised, "advertised ids are counted")
    assert.isBelow(link.queue.length, state.maxIHaves)
  }
  for (const id of missing.keys()) {
    assert.isFalse(contents.received.has(id), "nothing that is here is missed")
    assert.isTrue(
      timers.some((timer) => timer._tag === "SendGraft" && timer.id === id),
      "what is missed has its timer"
    )
  }
  let bytes = 0
  for (const id of ["a", "b", "c", "d", "e", "f"]) bytes += contents.cache.get(id)?.content.length ?? 0
  assert.strictEqual(contents.cache.bytes, bytes)
  assert.isUndefined(contents.cache.get("bad"))
  const remembers = contents.received.size + contents.refused.size > 0
  assert.isTrue(!remembers || timers.some(({ _tag }) => _tag === "EvictCache"), "what can expire has its tick")
}

describe("PlumTree, whatever happens", () => {
  it("links are the neighbors, ids are delivered once within their retention, everything is counted and has its timer", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
        perform(actions)
      }),
      { numRuns: 300 }
    )
  })

  it("the same inputs at the same times give the same outputs", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        assert.deepStrictEqual(perform(actions), perform(actions))
      }),
      { numRuns: 50 }
    )
  })
})
