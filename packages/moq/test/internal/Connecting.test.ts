import { assert, describe, it } from "@effect/vitest"
import { Exit } from "effect"
import fc from "fast-check"
import * as Peers from "../../src/internal/Peers.ts"
import { idOf } from "../support/ids.ts"
import { World } from "../support/peers.ts"

/** Who holds whom: what the world has to come to. */
interface Wishes {
  holders: Array<{ readonly from: number; readonly to: number; readonly holder: number }>
}

/** What somebody does, in words, where it can be done. */
const step = (
  words: string,
  run: (wishes: Wishes, world: World) => void,
  check: (wishes: Readonly<Wishes>) => boolean = () => true
): fc.Command<Wishes, World> => ({ check, run, toString: () => words })

const connect = (from: number, to: number) =>
  step(
    `${from} connects to ${to}`,
    ({ holders }, world) => holders.push({ from, to, holder: world.connect(from, to) }),
    () => from !== to
  )

const disconnect = (choice: number) =>
  step(
    `holder ${choice} leaves`,
    ({ holders }, world) => {
      for (const { from, holder } of holders.splice(choice % holders.length, 1)) world.disconnect(from, holder)
    },
    ({ holders }) => holders.length > 0
  )

const deliver = (choices: ReadonlyArray<number>) =>
  step(`messages ${choices.join(",")} arrive`, (_, world) => {
    for (const choice of choices) world.deliver(choice)
  })

const cut = (a: number, b: number) =>
  step(
    `all connections between ${a} and ${b} are lost`,
    (_, world) => world.cut(a, b),
    () => a !== b
  )

const restart = (index: number) =>
  step(`${index} restarts`, (wishes, world) => {
    wishes.holders = wishes.holders.filter(({ from }) => from !== index)
    world.restart(index)
  })

const nodes = 3
const node = fc.nat(nodes - 1)
const commands = fc.commands(
  [
    fc.tuple(node, node).map(([from, to]) => connect(from, to)),
    fc.nat(20).map(disconnect),
    fc.array(fc.nat(20), { minLength: 1, maxLength: 12 }).map(deliver),
    fc.constant(step("the next timer", (_, world) => world.fireNext())),
    fc.tuple(node, node).map(([a, b]) => cut(a, b)),
    node.map(restart)
  ],
  { maxCommands: 60 }
)

/** Everybody who holds a peer has a session whose connection is open at both ends, in a session there too. */
const assertConnected = (world: World, wishes: Wishes): void => {
  for (const { from, holder, to } of wishes.holders) {
    const here = world.node(from)
    const answer = here.answers.get(holder)
    assert.isDefined(answer, `${from} hears nothing of ${to}`)
    if (answer === undefined || Exit.isFailure(answer)) continue // the first attempt is the only one
    const peer = [...here.state.peers.peers.values()].find((peer) => peer.holders.has(holder))
    if (peer?.phase === "ended") continue // it was closed by the peer, and its holder knows
    assert.strictEqual(peer?.phase, "open", `${from} holds ${to}`)
    const link = peer?.sessions[0]?.link
    const end = link === undefined ? undefined : here.ends.get(link.connection)
    const other = end?.other
    assert.isTrue(end?.open === true && other?.open === true, `the connection of ${from} to ${to} is open`)
    assert.strictEqual(other?.node, world.node(to))
    assert.isTrue(other !== undefined && other.node.state.peers.byConnection.has(other.number))
  }
}

/** Connections that are open between each two nodes. */
const connectionsOf = (world: World): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const node of world.nodes) {
    for (const { open, other } of node.ends.values()) {
      if (!open || other === undefined || other.node.index < node.index) continue
      const pair = `${node.index}-${other.node.index}`
      counts.set(pair, (counts.get(pair) ?? 0) + 1)
    }
  }
  return counts
}

const assertEmpty = (world: World): void => {
  for (const [index, { ends, sessions, state, timers }] of world.nodes.entries()) {
    const { byConnection, byDial, byHolder, byId, incoming, peers } = state.peers
    const left = { byConnection, byDial, byHolder, byId, ends, incoming, peers, sessions, timers }
    const sizes = Object.entries(left).filter(([, { size }]) => size > 0)
    assert.deepStrictEqual(sizes, [], `node ${index} keeps something`)
    assert.isTrue(Peers.isQuiet(state.peers))
  }
}

const behaves = (oneConnection: boolean): void =>
  fc.assert(
    fc.property(commands, (commands) => {
      const wishes: Wishes = { holders: [] }
      const world = new World(nodes, oneConnection)
      fc.modelRun(() => ({ model: wishes, real: world }), commands)
      world.settle()
      assertConnected(world, wishes)
      if (oneConnection) {
        for (const { from, to } of wishes.holders) {
          const [a, b] = [Math.min(from, to), Math.max(from, to)]
          assert.isAtMost(connectionsOf(world).get(`${a}-${b}`) ?? 0, 1, `connections between ${a} and ${b}`)
        }
      }
      for (const { from, holder } of wishes.holders) world.disconnect(from, holder)
      world.settle()
      assertEmpty(world)
    }),
    { numRuns: 3_000 }
  )

describe("connecting, whatever happens in whatever order", () => {
  it("ids of these tests are in the order of their numbers", () => assert.isTrue(idOf(2) < idOf(10)))

  it("nodes of one version end up with one connection that both of them know, and with nothing when nobody wants it", () =>
    behaves(true))

  it("nodes that dial each other keep the connection of the smaller id, in whatever order they hear of it, and nobody notices", () =>
    fc.assert(
      fc.property(fc.array(fc.nat(5), { maxLength: 30 }), fc.boolean(), (choices, first) => {
        const world = new World(2, true)
        const [a, b] = first ? [0, 1] : [1, 0]
        world.connect(a, b)
        // the other one may dial before it hears of that, or share what came
        for (const choice of choices.slice(0, 3)) world.deliver(choice)
        world.connect(b, a)
        for (const choice of choices) world.deliver(choice)
        while (world.pending > 0) world.deliver(0)
        const both = world.nodes.every(({ dials }) => dials === 1)
        for (const node of world.nodes) {
          assert.deepStrictEqual(node.told, [])
          const [kept, ...more] = [...node.ends.values()].filter(({ open }) => open)
          assert.deepStrictEqual(more, [])
          if (both) assert.strictEqual(kept?.dialed, node.index === 0)
          const [session, ...others] = node.sessions
          assert.deepStrictEqual([session?.[1], others], [kept?.number, []])
        }
      }),
      { numRuns: 2_000 }
    ))

  it("peers of other versions keep what they opened, and nothing is left when nobody wants it", () => behaves(false))
})
