/** Five Rust peers and five of ours, each in a process of its own, in one topic: everyone hears everyone, whoever comes and goes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { bootstrap, home, type Kind, type Member, member, topic, topics } from "./support/gossip-peer.ts"
import type { ProcessError } from "./support/process.ts"

const kinds: ReadonlyArray<Kind> = ["Rust", "ours", "Rust", "ours", "Rust", "ours", "Rust", "ours", "Rust", "ours"]

interface One extends Member {
  /** Started again with the same key, at the same place; knows these. */
  readonly again: (...known: ReadonlyArray<Member>) => Effect.Effect<One, ProcessError, Scope.Scope>
}

const one = Effect.fnUntraced(function* (kind: Kind, id: ReturnType<typeof topic>, known: ReadonlyArray<Member>) {
  const place = yield* home
  const begin = (known: ReadonlyArray<Member>): Effect.Effect<One, ProcessError, Scope.Scope> =>
    Effect.map(member(kind)(...place.args, ...topics(id), ...bootstrap(...known)), (started) =>
      Object.assign(started, { again: (...known: ReadonlyArray<Member>) => begin(known) })
    )
  return yield* begin(known)
})

/** Ten members; each but the first knows the one that came before it, and is its neighbor at first. */
const ten = Effect.gen(function* () {
  const id = topic()
  const swarm: Array<One> = []
  for (const kind of kinds) {
    const last = swarm.at(-1)
    const newcomer = yield* one(kind, id, last === undefined ? [] : [last])
    if (last !== undefined) yield* newcomer.sees({ event: "neighborUp" })
    swarm.push(newcomer)
  }
  return swarm
})

/** The neighbors that a member has told of and that have not gone. */
const view = ({ events }: Member): ReadonlySet<unknown> => {
  const peers = new Set<unknown>()
  for (const { event, peer } of events) {
    if (event === "neighborUp") peers.add(peer)
    else if (event === "neighborDown") peers.delete(peer)
  }
  return peers
}

/** Whether everyone is reached from everyone over neighbors that know each other to be neighbors. */
const connected = (swarm: ReadonlyArray<Member>): boolean => {
  const views = new Map(swarm.map((each) => [each, view(each)]))
  const reached = new Set(swarm.slice(0, 1))
  for (const from of reached) {
    for (const to of swarm) if (views.get(from)?.has(to.id) && views.get(to)?.has(from.id)) reached.add(to)
  }
  return reached.size === swarm.length
}

/** Waits until all are connected, and nobody has got or lost a neighbor for a second; a minute at most. */
const settled = Effect.fnUntraced(function* (swarm: ReadonlyArray<Member>) {
  const changes = (): number =>
    swarm.flatMap(({ events }) => events).filter(({ event }) => event.startsWith("neighbor")).length
  let before = -1
  for (let second = 0; before !== changes() || !connected(swarm); second++) {
    const number = (id: unknown): number => swarm.findIndex((each) => each.id === id)
    const views = swarm.map((each) => `${number(each.id)}: ${[...view(each)].map(number).join(" ")}`)
    assert.isBelow(second, 60, `${before} changes, then ${changes()}; the views of all:\n${views.join("\n")}`)
    before = changes()
    yield* Effect.sleep(1000)
  }
})

/** Everyone says something, and all others hear it, once. */
const everyoneHears = Effect.fnUntraced(function* (swarm: ReadonlyArray<Member>, what: string) {
  yield* settled(swarm)
  for (const speaker of swarm) speaker.tell(`broadcast ${what} from ${speaker.id}`)
  for (const speaker of swarm) {
    const text = `${what} from ${speaker.id}`
    for (const hearer of swarm) {
      if (hearer === speaker) continue
      yield* hearer.sees({ event: "received", text })
      assert.lengthOf(
        hearer.events.filter((event) => event["text"] === text),
        1
      )
    }
  }
})

/** Everyone who was a neighbor of a peer knows that it is none any more. */
const gone = Effect.fnUntraced(function* (swarm: ReadonlyArray<Member>, peer: Member) {
  for (const each of swarm) {
    const ups = each.events.filter((event) => event.event === "neighborUp" && event["peer"] === peer.id).length
    if (ups > 0) yield* each.sees({ event: "neighborDown", peer: peer.id }, ups)
  }
})

describe("a swarm of five Rust peers and five of ours", { concurrent: true }, () => {
  it.live("everyone hears everyone, the largest content too", () =>
    Effect.gen(function* () {
      const swarm = yield* ten
      yield* everyoneHears(swarm, "hello")
      const [rust, ours] = swarm
      for (const [speaker, bytes] of [
        [rust, 4057],
        [ours, 4056]
      ] as const) {
        speaker?.tell(`bytes ${bytes}`)
        for (const hearer of swarm) if (hearer !== speaker) yield* hearer.sees({ event: "received", bytes })
      }
    })
  )

  it.live(
    "one of each kind leaves, one of each is killed: those that stay hear each other, and those that come back everyone",
    () =>
      Effect.gen(function* () {
        const swarm = yield* ten
        yield* everyoneHears(swarm, "hello")
        const [stays, ...others] = swarm
        assert(stays !== undefined)
        const [leavesOurs, leavesRust, killedOurs, killedRust, ...rest] = others
        assert(leavesOurs !== undefined && leavesRust !== undefined)
        assert(killedOurs !== undefined && killedRust !== undefined)
        const staying = [stays, ...rest]
        const [left, killed] = [
          [leavesOurs, leavesRust],
          [killedOurs, killedRust]
        ]
        for (const peer of left) peer.tell("leave")
        for (const peer of killed) peer.kill("SIGKILL")
        for (const peer of [...left, ...killed]) yield* gone(staying, peer)
        yield* everyoneHears(staying, "still here")
        for (const peer of left) {
          peer.tell("subscribe")
          peer.tell(`join ${stays.at}`)
        }
        const back = []
        for (const peer of killed) back.push(yield* peer.again(stays))
        yield* everyoneHears([...staying, ...left, ...back], "welcome back")
      }),
    180_000
  )
})
