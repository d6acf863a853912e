import { assert, describe, it } from "@effect/vitest"
import * as Config from "../src/Config.ts"
import * as HyParView from "../src/HyParView.ts"
import type * as Topic from "../src/Topic.ts"
import * as Rng from "@effect-live/actor/Rng"
import {
  bytes,
  core,
  disconnect,
  forwardJoin,
  joinMessage,
  neighbor,
  type Setup,
  shuffle,
  shuffleReply
} from "./support/steps.ts"

/** One step from given views: what is put out, and the views behind it. */
interface Row {
  readonly name: string
  readonly from?: Setup
  readonly before?: ReadonlyArray<HyParView.Input<number>>
  readonly input: HyParView.Input<number>
  readonly out: ReadonlyArray<string>
  readonly active?: ReadonlyArray<number>
  readonly passive?: ReadonlyArray<number>
  readonly pending?: ReadonlyArray<number>
}

const receive = (from: number, message: Parameters<ReturnType<typeof core>["receive"]>[1]): Row["input"] => ({
  _tag: "RecvMessage",
  from,
  message
})
const join = (...peers: ReadonlyArray<number>): Row["input"] => ({ _tag: "Join", peers })
const disconnected = (peer: number): Row["input"] => ({ _tag: "PeerDisconnected", peer })
const expire = (timer: HyParView.Timer<number>): Row["input"] => ({ _tag: "TimerExpired", timer })
/** Of the first request. */
const timeout = (peer: number): Row["input"] => expire({ _tag: "PendingNeighborRequest", peer, request: 1 })

const check = (rows: ReadonlyArray<Row>): void => {
  for (const row of rows) {
    it(`${row.name}`, () => {
      const { state, step } = core(row.from)
      for (const input of row.before ?? []) step(input)
      assert.deepStrictEqual(step(row.input), row.out)
      if (row.active !== undefined) assert.deepStrictEqual(state.active, row.active)
      if (row.passive !== undefined) assert.deepStrictEqual(state.passive, row.passive)
      if (row.pending !== undefined) assert.deepStrictEqual([...state.pending.keys()], row.pending)
    })
  }
}

const four = [1, 2, 3, 4]
const one = { activeViewCapacity: 1 }

describe("HyParView procedures (section 3.3)", () => {
  check([
    {
      name: "remember: tells of data that is new, and not again",
      from: { active: [1], data: bytes(3) },
      before: [receive(1, neighbor("High", bytes(2)))],
      input: receive(1, neighbor("High", bytes(2))),
      out: []
    },
    {
      name: "remember: empty data is no information",
      from: { active: [1] },
      before: [receive(1, neighbor("High"))],
      input: receive(1, neighbor("High", bytes(0))),
      out: []
    },
    {
      name: "addActive High: a full view evicts somebody, who stays passive and is told whom else to ask",
      from: { active: [1], passive: [9], config: one },
      input: receive(2, neighbor("High")),
      out: ["down 1 evicted", "1 <- ShuffleReply [9]", "1 <- Disconnect alive", "drop 1", "up 2", "2 <- Neighbor High"],
      active: [2],
      passive: [9, 1],
      pending: [2]
    },
    {
      name: "addActive Low: a full view refuses, and says so alive",
      from: { active: [1], config: one },
      input: receive(2, neighbor("Low")),
      out: ["2 <- ShuffleReply [1]", "2 <- Disconnect alive", "drop 2"],
      active: [1],
      passive: []
    },
    {
      name: "insert: who becomes active is passive no more",
      from: { active: [1], passive: [2, 3] },
      input: receive(2, neighbor("Low")),
      out: ["up 2", "2 <- Neighbor Low"],
      active: [1, 2],
      passive: [3]
    },
    {
      name: "addPassive: a full passive view loses one at random, in order",
      from: { active: four, passive: [5, 6], config: { passiveViewCapacity: 2 } },
      input: receive(1, shuffleReply([7])),
      out: [],
      passive: [6, 7]
    },
    {
      name: "sendNeighbor: who was asked is not asked again while it may answer",
      from: { active: [1] },
      before: [receive(1, forwardJoin(5, 0))],
      input: receive(1, forwardJoin(5, 0)),
      out: [],
      pending: [5]
    },
    {
      name: "sendShuffleReply: active peers fill up what the passive view lacks, but never the receiver itself",
      from: { active: [1], passive: [9], config: { ...one, shuffleActiveViewCount: 1, shufflePassiveViewCount: 1 } },
      input: receive(9, neighbor("Low")),
      out: ["9 <- ShuffleReply [1]", "9 <- Disconnect alive", "drop 9"]
    }
  ])
})

describe("HyParView inputs (section 3.4)", () => {
  check([
    {
      name: "Join: each peer gets a Join with our data",
      from: { data: bytes(3) },
      input: join(1, 2),
      out: [
        "1 <- Join /3",
        "in 10000 PendingNeighborRequest 1",
        "2 <- Join /3",
        "in 10000 PendingNeighborRequest 2",
        "probe soon"
      ],
      pending: []
    },
    {
      name: "Join: a neighbor only gets a Neighbor, which is not forwarded",
      from: { active: [1, 2] },
      input: join(1),
      out: ["1 <- Neighbor High"]
    },
    { name: "Join: nobody to join is no input at all", input: join(), out: [] },
    {
      name: "UpdatePeerData: goes out with the next messages, nothing is announced anew",
      from: { active: [1] },
      input: { _tag: "UpdatePeerData", data: bytes(5) },
      out: []
    },
    {
      name: "Quit: every neighbor hears of it with peers to ask instead; no events",
      from: { active: [1], passive: [9] },
      input: { _tag: "Quit" },
      out: ["1 <- ShuffleReply [9]", "1 <- Disconnect left", "drop 1"],
      active: []
    },
    {
      name: "Quit: who was asked and may count on us by now hears of it too",
      from: { active: [1] },
      before: [receive(1, forwardJoin(5, 0))],
      input: { _tag: "Quit" },
      out: ["1 <- ShuffleReply []", "1 <- Disconnect left", "drop 1", "5 <- Disconnect left", "drop 5"],
      pending: []
    },
    {
      name: "PeerDisconnected of a neighbor: it is down and gone, a passive peer is asked instead, and it is looked for",
      from: { active: [1, 2], passive: [9] },
      input: disconnected(1),
      out: ["down 1 closed", "9 <- Neighbor Low", "in 500 PendingNeighborRequest 9", "probe soon"],
      active: [2],
      passive: [9],
      pending: [9]
    },
    {
      name: "PeerDisconnected of the last neighbor: a passive peer must take us",
      from: { active: [1], passive: [9] },
      input: disconnected(1),
      out: ["down 1 closed", "9 <- Neighbor High", "in 500 PendingNeighborRequest 9", "probe soon"]
    },
    {
      name: "PeerDisconnected of somebody whose Disconnect was alive: it stays passive",
      from: { active: four, passive: [9] },
      before: [receive(9, disconnect(true))],
      input: disconnected(9),
      out: [],
      passive: [9]
    },
    {
      name: "PeerDisconnected of a passive peer: it is forgotten, without a refill",
      from: { active: [1], passive: [9, 8] },
      input: disconnected(9),
      out: [],
      passive: [8]
    },
    {
      name: "PeerDisconnected of an evicted peer that came back at once: down, but kept, and not looked for",
      from: { active: [1], config: one },
      before: [receive(2, neighbor("High")), receive(1, neighbor("High"))],
      input: disconnected(1),
      out: ["down 1 evicted", "2 <- Neighbor High", "in 500 PendingNeighborRequest 2"],
      active: [],
      passive: [2, 1]
    },
    {
      name: "DoShuffle: some of both views and oneself go to a random neighbor",
      from: { active: four, passive: [5, 6, 7, 8, 9], data: bytes(3) },
      input: expire({ _tag: "DoShuffle" }),
      out: ["2 <- Shuffle of 0 [1 4 3 9 5 7 8 0/3] ttl 6", "in 60000 DoShuffle"]
    },
    {
      name: "DoShuffle: alone there is nobody to shuffle with, but the next time comes",
      input: expire({ _tag: "DoShuffle" }),
      out: ["in 60000 DoShuffle"]
    },
    {
      name: "PendingNeighborRequest: who did not answer is passive no more, and the next one is asked",
      from: { active: [1], passive: [9] },
      before: [disconnected(1)],
      input: timeout(9),
      out: ["in 10000 PendingNeighborRequest 9"],
      passive: [],
      pending: []
    },
    {
      name: "PendingNeighborRequest: who became a neighbor stays one",
      from: { active: [1] },
      input: timeout(1),
      out: []
    },
    { name: "PendingNeighborRequest: of somebody who answered does nothing", input: timeout(5), out: [] }
  ])

  it("the first input starts the Shuffles, the others do not", () => {
    const state = HyParView.make<number>({
      self: 0,
      config: Config.membership,
      maxMessageBytes: 4_096,
      rng: Rng.make(1)
    })
    const out: Array<Topic.Output<number>> = []
    HyParView.handle(state, { _tag: "PeerDisconnected", peer: 1 }, 0, out)
    HyParView.handle(state, { _tag: "PeerDisconnected", peer: 1 }, 0, out)
    assert.deepStrictEqual(out, [{ _tag: "ScheduleTimer", delayMs: 60_000, timer: { _tag: "DoShuffle" } }])
  })
})

describe("HyParView messages (section 3.5)", () => {
  check([
    {
      name: "Join: the sender becomes a neighbor and is forwarded to all others",
      from: { active: [1, 2], data: bytes(3) },
      input: receive(5, joinMessage(bytes(2))),
      out: [
        "data 5 2",
        "up 5",
        "5 <- Neighbor High /3",
        "1 <- ForwardJoin [5/2] ttl 6",
        "2 <- ForwardJoin [5/2] ttl 6"
      ],
      active: [1, 2, 5],
      pending: [5]
    },
    {
      name: "Join: a full view makes room",
      from: { active: [1], config: one },
      input: receive(5, joinMessage()),
      out: ["down 1 evicted", "1 <- ShuffleReply []", "1 <- Disconnect alive", "drop 1", "up 5", "5 <- Neighbor High"],
      active: [5],
      passive: [1]
    },
    {
      name: "ForwardJoin of a neighbor renews the link",
      from: { active: [1, 2] },
      input: receive(1, forwardJoin(2, 3, bytes(2))),
      out: ["data 2 2", "2 <- Neighbor High"],
      pending: [2]
    },
    {
      name: "ForwardJoin with ttl 0: the peer is asked, and is no neighbor before it answers",
      from: { active: [1, 2] },
      input: receive(1, forwardJoin(5, 0, bytes(2))),
      out: ["data 5 2", "5 <- Neighbor High", "in 500 PendingNeighborRequest 5"],
      active: [1, 2],
      pending: [5]
    },
    {
      name: "ForwardJoin with one neighbor: the walk ends here",
      from: { active: [1] },
      input: receive(1, forwardJoin(5, 6)),
      out: ["5 <- Neighbor High", "in 500 PendingNeighborRequest 5"]
    },
    {
      name: "ForwardJoin: goes on to another neighbor than the sender",
      from: { active: [1, 2] },
      input: receive(1, forwardJoin(5, 6, bytes(2))),
      out: ["2 <- ForwardJoin [5/2] ttl 5"],
      passive: []
    },
    {
      name: "ForwardJoin at the passive walk length: goes on, and the peer is kept passive",
      from: { active: [1, 2] },
      input: receive(1, forwardJoin(5, 3, bytes(2))),
      out: ["data 5 2", "2 <- ForwardJoin [5/2] ttl 2"],
      passive: [5]
    },
    {
      name: "ForwardJoin of somebody who was asked goes no further",
      from: { active: [1, 2] },
      before: [receive(1, forwardJoin(5, 0))],
      input: receive(1, forwardJoin(5, 6)),
      out: []
    },
    {
      name: "ForwardJoin of a stranger is handled; the stranger is let go",
      from: { active: [1, 2] },
      input: receive(9, forwardJoin(2, 6)),
      out: ["2 <- Neighbor High", "drop 9"]
    },
    {
      name: "Shuffle: goes on to neither its origin nor its sender",
      from: { active: [1, 2, 3] },
      input: receive(1, shuffle(2, [8, 2], 6)),
      out: ["3 <- Shuffle of 2 [8 2] ttl 5"],
      passive: []
    },
    {
      name: "Shuffle: with nobody to go on to it ends without an answer",
      from: { active: [1, 2] },
      input: receive(1, shuffle(2, [8, 2], 6)),
      out: []
    },
    {
      name: "Shuffle with ttl 0: its nodes are kept, and the origin gets as many",
      from: { active: [1, 2], passive: [7] },
      input: receive(1, shuffle(9, [8, 9], 0)),
      out: ["9 <- ShuffleReply [7 8]", "drop 9"],
      passive: [7, 8, 9]
    },
    {
      name: "Shuffle with one neighbor: the walk ends here",
      from: { active: [1] },
      input: receive(1, shuffle(1, [8, 1], 6)),
      out: ["1 <- ShuffleReply [8]"],
      passive: [8]
    },
    {
      name: "ShuffleReply: its nodes are kept, and one of them is asked if neighbors are needed",
      from: { active: [1, 2] },
      input: receive(1, shuffleReply([8])),
      out: ["8 <- Neighbor Low", "in 500 PendingNeighborRequest 8"],
      passive: [8]
    },
    {
      name: "Neighbor: a request with the same priority goes back",
      from: { active: [1] },
      input: receive(5, neighbor("Low", bytes(2))),
      out: ["data 5 2", "up 5", "5 <- Neighbor Low"],
      active: [1, 5],
      pending: [5]
    },
    {
      name: "Neighbor: the answer to ours needs none",
      from: { active: [1] },
      before: [receive(1, forwardJoin(5, 0))],
      input: receive(5, neighbor("High")),
      out: ["up 5"],
      active: [1, 5],
      pending: []
    },
    {
      name: "Neighbor Low as the answer to ours, when there is no room any more: refused",
      from: { active: [1], config: one },
      before: [receive(1, forwardJoin(5, 0))],
      input: receive(5, neighbor("Low")),
      out: ["5 <- ShuffleReply [1]", "5 <- Disconnect alive", "drop 5"],
      pending: []
    },
    {
      name: "Disconnect alive of a neighbor: down, kept passive, another one is asked",
      from: { active: [1, 2], passive: [9] },
      input: receive(1, disconnect(true)),
      out: ["down 1 evicted", "drop 1", "9 <- Neighbor Low", "in 500 PendingNeighborRequest 9"],
      active: [2],
      passive: [9, 1]
    },
    {
      name: "Disconnect of a neighbor that leaves: down and forgotten",
      from: { active: [1, 2], passive: [9] },
      input: receive(1, disconnect(false)),
      out: ["down 1 left", "drop 1", "9 <- Neighbor Low", "in 500 PendingNeighborRequest 9"],
      passive: [9]
    },
    {
      name: "Disconnect of somebody who does not want us, as the answer to our Neighbor: refused",
      from: { active: [1] },
      before: [receive(5, neighbor("High"))],
      input: receive(5, disconnect(false)),
      out: ["down 5 refused", "drop 5"]
    },
    {
      name: "Disconnect of somebody passive that leaves: forgotten",
      from: { active: four, passive: [9] },
      input: receive(9, disconnect(false)),
      out: ["drop 9"],
      passive: []
    }
  ])

  it("handshake of Join (section 3.7): one Neighbor each way, then silence", () => {
    const joiner = core()
    const contact = core()
    assert.deepStrictEqual(joiner.join(7).slice(0, 1), ["7 <- Join"])
    assert.deepStrictEqual(contact.receive(5, joinMessage()), ["up 5", "5 <- Neighbor High"])
    assert.deepStrictEqual(joiner.receive(7, neighbor("High")), ["up 7", "7 <- Neighbor High"])
    assert.deepStrictEqual(contact.receive(5, neighbor("High")), [])
    assert.deepStrictEqual([...contact.state.pending.keys()], [])
    assert.deepStrictEqual([...joiner.state.pending.keys()], [7])
  })
})
