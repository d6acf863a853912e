import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import fc from "fast-check"
import * as Config from "../src/Config.ts"
import type * as Message from "../src/Message.ts"
import { fromBytes } from "../src/TopicId.ts"
import * as Topics from "../src/Topics.ts"
import { content } from "./support/broadcast.ts"
import { membership } from "./support/messages.ts"

const topic = fc.constantFrom(...[1, 2, 3].map((n) => Result.getOrThrow(fromBytes(new Uint8Array(32).fill(n)))))
const peer = fc.integer({ min: 0, max: 7 })
const id = fc.constantFrom("a", "b", "c", "d")
const ttl = fc.constantFrom(0, 1, 3, 6, 65_535)
const data = fc.option(fc.uint8Array({ maxLength: 3 }), { nil: undefined })

const message: fc.Arbitrary<Message.Message<number>> = fc.oneof(
  { weight: 6, arbitrary: membership({ peer, data, nodes: 8, ttl }) },
  id.map((id) => ({ _tag: "Gossip", id, content: content(id), scope: { _tag: "Swarm", round: 1 } }) as const),
  fc.constant({ _tag: "Prune" } as const),
  fc.record({ _tag: fc.constant("Graft" as const), id: fc.option(id, { nil: undefined }), round: ttl })
)

type Action = Topics.Input<number> | { readonly _tag: "Expire"; readonly which: number }

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      _tag: fc.constant("RecvMessage" as const),
      topic,
      from: fc.integer({ min: 1, max: 7 }),
      message
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({ _tag: fc.constant("Join" as const), topic, peers: fc.array(peer, { maxLength: 2 }) })
  },
  {
    weight: 2,
    arbitrary: fc.record({ topic, id }).map(({ id, topic }): Action => ({
      _tag: "Broadcast",
      topic,
      id,
      content: content(id),
      scope: "Swarm"
    }))
  },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Quit" as const), topic }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("PeerDisconnected" as const), peer }) },
  {
    weight: 1,
    arbitrary: fc.record({ _tag: fc.constant("UpdatePeerData" as const), data: fc.uint8Array({ maxLength: 3 }) })
  },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Expire" as const), which: fc.nat(9) }) }
)

const config: Config.Config = {
  ...Config.defaults,
  membership: { ...Config.membership, activeViewCapacity: 3, passiveViewCapacity: 4 }
}

const perform = (actions: ReadonlyArray<Action>): ReadonlyArray<Topics.Output<number>> => {
  const state = Topics.make<number>({ self: 0, config, seed: 7, bodyBytes: () => 1 })
  const all: Array<Topics.Output<number>> = []
  const timers: Array<Extract<Topics.Output<number>, { readonly _tag: "ScheduleTimer" }>> = []
  let now = 0
  for (const action of actions) {
    now += 37
    const out: Array<Topics.Output<number>> = []
    if (action._tag === "Expire") {
      const [timer] = timers.splice(action.which, 1)
      if (timer === undefined) continue
      Topics.handle(state, { ...timer, _tag: "TimerExpired" }, now, out)
    } else Topics.handle(state, action, now, out)
    for (const output of out) {
      all.push(output)
      if (output._tag === "ScheduleTimer") timers.push(output)
      if (output._tag === "SendMessage") assert.notStrictEqual(output.peer, 0, "never to oneself")
    }
    check(state)
  }
  return all
}

const check = (state: Topics.State<number>): void => {
  const uses = new Map<number, number>()
  for (const { peers, state: each } of state.topics.values()) {
    for (const peer of peers) uses.set(peer, (uses.get(peer) ?? 0) + 1)
    const { active, pending } = each.membership
    for (const peer of active) assert.isTrue(peers.has(peer), "a topic needs its neighbors")
    assert.deepStrictEqual(
      [...each.broadcast.links.keys()].toSorted(),
      active.toSorted(),
      "both cores know the same neighbors"
    )
    const awaited = new Set([...active, ...pending.keys(), ...each.membership.silent.keys()])
    for (const peer of peers) assert.isTrue(awaited.has(peer), "and whose answer it awaits, but nobody else")
  }
  assert.deepStrictEqual([...state.uses].toSorted(), [...uses].toSorted(), "uses are counted")
}

describe("Topics, whatever happens", () => {
  it("every peer is needed by as many topics as is counted, and by none for longer than it is a neighbor or asked", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
        perform(actions)
      }),
      { numRuns: 300 }
    )
  })

  it("the same seed and inputs give the same outputs", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        assert.deepStrictEqual(perform(actions), perform(actions))
      }),
      { numRuns: 50 }
    )
  })
})
