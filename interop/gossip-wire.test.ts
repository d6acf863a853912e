/**
 * What members of either kind write on the wire, message by message (iroh-gossip sections 2, 3 and 9): the other side is played by
 * hand. Both kinds have to say the same.
 */
import type * as Message from "@effect-live/gossip/Message"
import { assert, describe, it } from "@effect/vitest"
import { blake3 } from "@noble/hashes/blake3.js"
import { Effect } from "effect"
import { bootstrap, type Kind, member, topic, topics } from "./support/gossip-peer.ts"
import { type Conversation, hand, type Said, type Seen } from "./support/gossip-wire.ts"

const join: Said = { _tag: "Join", data: undefined }
const neighbor: Said = { _tag: "Neighbor", priority: "High", data: undefined }

const gossip = (text: string, scope: Message.Scope = { _tag: "Swarm", round: 0 }): Message.Gossip => {
  const content = new TextEncoder().encode(text)
  return { _tag: "Gossip", id: Buffer.from(blake3(content)).toString("hex"), content, scope }
}

const tags = (seen: ReadonlyArray<Seen>): ReadonlyArray<string> =>
  seen.map(({ said }) => (said === "end" ? "end" : said._tag))

const said = <Tag extends Said["_tag"]>(
  { until }: Conversation,
  tag: Tag
): Effect.Effect<Extract<Said, { _tag: Tag }>> =>
  Effect.map(until(tag), (seen) => seen.at(-1)?.said as Extract<Said, { _tag: Tag }>)

/** Joins by hand and waits until both sides are neighbors. */
const joined = Effect.fnUntraced(function* (by: Conversation, id: ReturnType<typeof topic>) {
  const speaker = yield* by.open(id)
  yield* speaker.say(join)
  yield* said(by, "Neighbor")
  yield* speaker.say(neighbor)
  return speaker
})

for (const kind of ["Rust", "ours"] satisfies ReadonlyArray<Kind>) {
  const start = member(kind)
  describe(`on the wire, ${kind}`, { concurrent: true }, () => {
    it.live("2: a Join is answered with Neighbor High, and an address, on a stream with a header", () =>
      Effect.gen(function* () {
        const id = topic()
        const peer = yield* start(...topics(id))
        const we = yield* hand
        const talk = yield* we.dial(peer.addr)
        const speaker = yield* talk.open(id)
        yield* speaker.say(join)
        const first = yield* talk.next
        assert.strictEqual(first.topic, id)
        assert.strictEqual(first.stream, 0)
        assert(first.said !== "end" && first.said._tag === "Neighbor")
        assert.strictEqual(first.said.priority, "High")
        assert.isAbove(first.said.data?.length ?? 0, 2)
        yield* peer.sees({ event: "neighborUp", topic: id, peer: we.id })
      })
    )

    it.live(
      "3: it dials its bootstrap with Join, answers Neighbor, and tells its neighbors of newcomers: ForwardJoin, ttl 6",
      () =>
        Effect.gen(function* () {
          const id = topic()
          const [we, other] = [yield* hand, yield* hand]
          const peer = yield* start(...topics(id), ...bootstrap(we))
          const talk = yield* we.accept
          const first = yield* talk.next
          assert(first.said !== "end" && first.said._tag === "Join")
          assert.isAbove(first.said.data?.length ?? 0, 2)
          const speaker = yield* talk.open(id)
          yield* speaker.say(neighbor)
          assert.strictEqual((yield* said(talk, "Neighbor")).priority, "High")
          yield* peer.sees({ event: "neighborUp", peer: we.id })
          yield* joined(yield* other.dial(peer.addr), id)
          const { peer: newcomer, ttl } = yield* said(talk, "ForwardJoin")
          assert.deepStrictEqual({ id: newcomer.id, ttl }, { id: other.id, ttl: 6 })
        })
    )

    it.live("6: a duplicate is pruned; then IHave comes instead of Gossip, and Graft fetches what was announced", () =>
      Effect.gen(function* () {
        const id = topic()
        const peer = yield* start(...topics(id))
        const [near, far] = [yield* hand, yield* hand]
        const [talk, duplicate] = [yield* near.dial(peer.addr), yield* far.dial(peer.addr)]
        const [first, second] = [yield* joined(talk, id), yield* joined(duplicate, id)]
        yield* peer.sees({ event: "neighborUp", peer: near.id })
        yield* peer.sees({ event: "neighborUp", peer: far.id })
        yield* first.say(gossip("twice"))
        yield* peer.sees({ event: "received", text: "twice", scope: "swarm", round: 0, from: near.id })
        yield* second.say(gossip("twice", { _tag: "Swarm", round: 1 }))
        yield* said(duplicate, "Prune")
        const announced = gossip("announced")
        peer.tell("broadcast announced")
        assert.deepStrictEqual(yield* said(talk, "Gossip"), announced)
        const seen = yield* duplicate.until("IHave")
        assert.notInclude(tags(seen), "Gossip")
        assert.deepStrictEqual(seen.at(-1)?.said, { _tag: "IHave", messages: [{ id: announced.id, round: 0 }] })
        yield* second.say({ _tag: "Graft", id: announced.id, round: 0 })
        assert.deepStrictEqual(yield* said(duplicate, "Gossip"), announced)
        assert.lengthOf(
          peer.events.filter((event) => event["text"] === "twice"),
          1
        )
      })
    )

    it.live("6: an announced content that does not come is grafted from who announced it", () =>
      Effect.gen(function* () {
        const id = topic()
        const peer = yield* start(...topics(id))
        const we = yield* hand
        const talk = yield* we.dial(peer.addr)
        const speaker = yield* joined(talk, id)
        const late = gossip("late", { _tag: "Swarm", round: 3 })
        yield* speaker.say({ _tag: "IHave", messages: [{ id: late.id, round: 3 }] })
        assert.deepStrictEqual(yield* said(talk, "Graft"), { _tag: "Graft", id: late.id, round: 3 })
        yield* speaker.say(late)
        yield* peer.sees({ event: "received", text: "late", round: 3 })
      })
    )

    it.live(
      "7: who is evicted sees ShuffleReply, Disconnect alive, and the end; it may come again on a new connection",
      () =>
        Effect.gen(function* () {
          const id = topic()
          const peer = yield* start("--neighbors", "1", ...topics(id))
          const [first, second] = [yield* hand, yield* hand]
          const talk = yield* first.dial(peer.addr)
          yield* joined(talk, id)
          yield* peer.sees({ event: "neighborUp", peer: first.id })
          yield* joined(yield* second.dial(peer.addr), id)
          const seen = yield* talk.until("end")
          assert.deepStrictEqual(tags(seen).slice(-3), ["ShuffleReply", "Disconnect", "end"])
          assert.deepStrictEqual(seen.at(-2)?.said, { _tag: "Disconnect", alive: true })
          yield* peer.sees({ event: "neighborDown", peer: first.id })
          yield* joined(yield* first.dial(peer.addr), id)
          yield* peer.sees({ event: "neighborUp", peer: first.id }, 2)
        })
    )

    if (kind === "ours") {
      it.live(
        "9: after a Join without an answer come Neighbor and Join: who awaits our Neighbor answers no Join before it",
        () =>
          Effect.gen(function* () {
            const we = yield* hand
            yield* start(...topics(topic()), ...bootstrap(we))
            const talk = yield* we.accept
            const seen = [...(yield* talk.until("Join")), ...(yield* talk.until("Join"))]
            assert.deepStrictEqual(tags(seen), ["Join", "Neighbor", "Join"])
          })
      )
    }

    it.live("10: who leaves says ShuffleReply, Disconnect not alive, and ends the stream", () =>
      Effect.gen(function* () {
        const id = topic()
        const peer = yield* start(...topics(id))
        const we = yield* hand
        const talk = yield* we.dial(peer.addr)
        yield* joined(talk, id)
        yield* peer.sees({ event: "neighborUp", peer: we.id })
        peer.tell("leave")
        const seen = yield* talk.until("end")
        assert.deepStrictEqual(
          seen.slice(-3).map((each) => each.said),
          [{ _tag: "ShuffleReply", nodes: [] }, { _tag: "Disconnect", alive: false }, "end"]
        )
      })
    )
  })
}
