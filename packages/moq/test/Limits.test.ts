/** The limits that a session or a service holds on its own, one by one: what comes of reaching them. */
import { Blocked, End, type RecvStream } from "@effect-live/endpoint/Stream"
import { RecvBuffer } from "@effect-live/endpoint/StreamKit"
import { run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import type { Stuck } from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, type Scope } from "effect"
import * as Broadcast from "../src/Broadcast.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import type { GroupProducer } from "../src/Group.ts"
import * as closes from "../src/internal/closes.ts"
import { clockOfFiber } from "../src/internal/clockOfFiber.ts"
import * as Requests from "../src/internal/Requests.ts"
import { Subscription } from "../src/internal/Subscription.ts"
import * as TokenBucket from "../src/internal/TokenBucket.ts"
import * as Limits from "../src/Limits.ts"
import * as Message from "../src/Message.ts"
import * as Origin from "../src/Origin.ts"
import * as Session from "../src/Session.ts"
import * as Track from "../src/Track.ts"
import { lite03, lite05 } from "../src/Version.ts"
import { type End as PairEnd, pair } from "./support/memory.ts"
import { World } from "./support/peers.ts"
import { ended, heard, say, subscribing } from "./support/raw.ts"
import { moqOn } from "./support/services.ts"
import { bytes, framesOf, groupOf, sessionsOn, write } from "./support/world.ts"

const remotes = [
  { _tag: "Anonymous", path: "us" },
  { _tag: "Anonymous", path: "them" }
] as const

interface Scene {
  readonly peer: PairEnd
  readonly origin: Origin.Origin
  readonly session: Session.Session
}

/** A session of ours on lite-03, towards somebody who writes streams by hand, without delay; time is simulated. */
const towards = <A, E>(
  streams: number | undefined,
  test: (scene: Scene) => Effect.Effect<A, E, SimNetwork | Scope.Scope>
): Effect.Effect<A, E | Stuck> =>
  run(
    Effect.gen(function* () {
      const [connection, peer] = pair(remotes, streams === undefined ? {} : { streams })
      const origin = Origin.make()
      const session = yield* Session.make({ connection, version: lite03, publish: origin, hop: 1 })
      return yield* test({ peer, origin, session })
    }),
    { seed: 1 }
  )

const subscribe = (id: number, track: string): Uint8Array => subscribing(lite03, id, "ada", track)

/** A broadcast `ada` with these tracks. */
const publish = (origin: Origin.Origin, ...names: ReadonlyArray<string>): ReadonlyArray<Track.TrackProducer> => {
  const broadcast = Broadcast.make()
  const tracks = names.map((name) => Track.make(name))
  for (const track of tracks) broadcast.insertTrack(track)
  origin.publish("ada", broadcast.consume())
  return tracks
}

const only = <A>([one]: ReadonlyArray<A>): A => one ?? assert.fail("there is none")

describe("a publisher", () => {
  it.effect(
    `sends at most sendingGroupsPerSubscription groups of a subscription at the same time; after sendingPatienceMs the oldest is given up for the next one`,
    () =>
      run(
        Effect.gen(function* () {
          const [publisher, viewer] = yield* sessionsOn(lite05)
          const video = only(publish(publisher.origin, "video"))
          const track = yield* viewer.session.consume("ada").subscribe("video")
          const begun: Array<GroupProducer> = []
          for (let n = 0; n <= Limits.sendingGroupsPerSubscription; n++) {
            const group = video.appendGroup()
            group.write(bytes(`${n}`))
            begun.push(group)
          }
          const fromMs = yield* Clock.currentTimeMillis
          const oldest = yield* groupOf(track)
          for (let n = 1; n < Limits.sendingGroupsPerSubscription; n++) yield* groupOf(track)
          assert.isBelow((yield* Clock.currentTimeMillis) - fromMs, Limits.sendingPatienceMs)
          const next = yield* groupOf(track)
          assert.strictEqual(next.sequence, Limits.sendingGroupsPerSubscription)
          assert.isAtLeast((yield* Clock.currentTimeMillis) - fromMs, Limits.sendingPatienceMs)
          assert.strictEqual((yield* Effect.flip(framesOf(oldest))).code, ErrorCode.lagged)
          assert.strictEqual(publisher.session.counters().droppedGroups, 1)
          for (const group of begun) group.finish()
          assert.deepStrictEqual(yield* framesOf(next), [`${Limits.sendingGroupsPerSubscription}`])
        }),
        { seed: 1 }
      )
  )

  it.effect(
    "keeps at most waitingGroupsPerSession groups waiting for a peer that grants no streams; the newest of each track is among them, and what is given up is counted",
    () =>
      towards(1, ({ origin, peer, session }) =>
        Effect.gen(function* () {
          const perTrack = Limits.sendingGroupsPerSubscription
          const names = Array.from({ length: Limits.waitingGroupsPerSession / perTrack + 4 }, (_, n) => `track ${n}`)
          const tracks = publish(origin, ...names)
          for (const [id, name] of names.entries()) {
            yield* Effect.orDie(Effect.flatMap(peer.openBi, ({ send }) => send.write(subscribe(id, name))))
          }
          yield* Effect.sleep(200)
          for (let n = 0; n < perTrack; n++) for (const track of tracks) write(track, "x")
          yield* Effect.sleep(200)
          const newest = new Map<number, number>()
          let arrived = 0
          for (;;) {
            const stream = yield* Effect.timeoutOption(Effect.orDie(peer.acceptUni), 1_000)
            if (stream._tag === "None") break
            const [, , id = 0, sequence = 0] = yield* Effect.orDie(wholeOf(stream.value))
            newest.set(id, Math.max(newest.get(id) ?? 0, sequence))
            arrived++
          }
          assert.isAtMost(
            arrived,
            Limits.waitingGroupsPerSession + 1,
            "those that waited, and the one that had a stream"
          )
          assert.isAbove(arrived, Limits.waitingGroupsPerSession / 2)
          assert.strictEqual(arrived + session.counters().droppedGroups, names.length * perTrack)
          assert.deepStrictEqual(
            [...newest.values()],
            names.map(() => perTrack - 1)
          )
        })
      )
  )

  it.effect("ranks the newest rankedGroups groups of a track; older ones come behind all of them", () =>
    run(
      Effect.gen(function* () {
        const [publisher, viewer] = yield* sessionsOn(lite05)
        const video = only(publish(publisher.origin, "video"))
        const track = yield* viewer.session.consume("ada").subscribe("video")
        const groups = Limits.rankedGroups + 4
        const arrived: Array<number> = []
        // more than the link takes meanwhile
        for (let n = 0; n < groups; n++) write(video, "x".repeat(10_000))
        const reading = yield* Effect.forEach(Array.from({ length: groups }), () =>
          Effect.flatMap(groupOf(track), (group) =>
            Effect.forkScoped(Effect.map(framesOf(group), () => arrived.push(group.sequence)))
          )
        )
        yield* Effect.forEach(reading, Fiber.join)
        const newestFirst = Array.from({ length: groups }, (_, n) => groups - 1 - n)
        assert.deepStrictEqual(arrived.slice(0, Limits.rankedGroups), newestFirst.slice(0, Limits.rankedGroups))
        assert.deepStrictEqual(
          arrived.slice(Limits.rankedGroups).toSorted(),
          newestFirst.slice(Limits.rankedGroups).toSorted()
        )
      }),
      { seed: 1, link: { bytesPerSecond: 100_000 } }
    )
  )

  it.effect("takes up streamBurst streams of a peer at once, then streamsPerSecond", () =>
    towards(undefined, ({ peer }) =>
      Effect.gen(function* () {
        const more = Limits.streamsPerSecond / 2
        const streams = yield* Effect.forEach(
          Array.from({ length: Limits.streamBurst + more }),
          () => Effect.orDie(Effect.tap(peer.openBi, (stream) => say(stream, "3f"))),
          { concurrency: "unbounded" }
        )
        const answered = () => streams.filter(({ recv }) => recv.tryRead() !== Blocked).length
        yield* Effect.sleep(10)
        const early = answered()
        assert.isAtLeast(early, Limits.streamBurst)
        assert.isAtMost(early, Limits.streamBurst + (11 * Limits.streamsPerSecond) / 1_000)
        yield* Effect.sleep(245)
        assert.isAtMost(answered(), Limits.streamBurst + (256 * Limits.streamsPerSecond) / 1_000)
        yield* Effect.sleep(300)
        assert.strictEqual(answered(), streams.length)
      })
    )
  )

  it.effect("gives a subscriber peerEndMs to end its half of a request when it has ended its own", () =>
    towards(undefined, ({ origin, peer }) =>
      Effect.gen(function* () {
        const video = only(publish(origin, "video"))
        const stream = yield* Effect.orDie(peer.openBi)
        yield* Effect.orDie(stream.send.write(subscribe(0, "video")))
        yield* video.used
        video.finish()
        yield* Effect.sleep(100)
        assert.match(heard(stream.recv), / FIN$/)
        yield* Effect.sleep(Limits.peerEndMs - 200)
        assert.strictEqual(ended(stream.send), "open")
        yield* Effect.sleep(200)
        assert.strictEqual(ended(stream.send), `STOP ${ErrorCode.cancel}`)
      })
    )
  )
})

describe("a service", () => {
  it.effect(
    "takes a connection of a peer for requestsPerConnection requests: a burst of them at once, then one after the other, and turns away who has too many waiting",
    () =>
      run(
        Effect.gen(function* () {
          const network = yield* SimNetwork
          yield* moqOn("service")
          const peer = yield* network.bind("peer")
          /** When it was served first, or how it was closed. */
          const connect = Effect.gen(function* () {
            const connection = yield* Effect.orDie(peer.connect(network.addr("service"), [lite03.alpn]))
            const fromMs = yield* Clock.currentTimeMillis
            return yield* Effect.raceFirst(
              Effect.flatMap(Effect.ignore(connection.acceptBi), () => Effect.sleep(1)).pipe(
                Effect.andThen(Clock.currentTimeMillis),
                Effect.map((nowMs) => nowMs - fromMs)
              ),
              connection.closed
            )
          })
          const atOnce = Limits.requestBurst / Limits.requestsPerConnection
          for (let n = 0; n < atOnce; n++) assert.isBelow(Number(yield* Effect.scoped(connect)), 100)
          const paceMs = (1_000 * Limits.requestsPerConnection) / Limits.requestsPerSecond
          const more = yield* Effect.all(
            Array.from({ length: atOnce + 4 }, () => Effect.scoped(connect)),
            {
              concurrency: "unbounded"
            }
          )
          const waited = more.filter((how) => typeof how === "number")
          assert.isAtLeast(Math.max(...waited), (waited.length - 3) * paceMs)
          const refused = more.filter((how) => typeof how !== "number")
          assert.isAtLeast(refused.length, 2)
          for (const how of refused) assert.deepStrictEqual(how, { _tag: "Remote", ...closes.overloaded })
        }),
        { seed: 1 }
      )
  )
})

describe("a peer that asks for a whole requestBurst at once", () => {
  /** The most that is done in one turn of the real loop, until all of it is. */
  const mostInATurn = ({ work }: Requests.Allowance): Effect.Effect<number> =>
    Effect.promise(
      () =>
        new Promise((resolve) => {
          let [most, done, before] = [0, 0, work.tokens]
          const turn = (): void => {
            const now = before - work.tokens
            before = work.tokens
            most = Math.max(most, now)
            done += Math.max(0, now)
            if (done < 0.9 * Limits.requestBurst) setImmediate(turn)
            else resolve(most)
          }
          setImmediate(turn)
        })
    )
  const announcement = (active: boolean, suffix: string): Uint8Array =>
    Message.encode(lite03.announceBroadcast, { active, suffix, hops: [] })
  const wishes = { ordered: false, maxLatencyMs: 0, start: undefined, end: undefined }
  const asked = {
    "broadcasts announced": [(peer: PairEnd) => peer.acceptBi, (n: number) => announcement(true, `broadcast/${n}`)],
    "a broadcast announced and ended": [
      (peer: PairEnd) => peer.acceptBi,
      (n: number) => announcement(n % 2 === 0, "flicker")
    ],
    "wishes changed": [
      (peer: PairEnd) => Effect.tap(peer.openBi, ({ send }) => send.write(subscribe(0, "video"))),
      (n: number) => Message.encode(lite03.subscribeUpdate, { ...wishes, priority: n % 256 })
    ]
  } as const
  for (const [what, [stream, message]] of Object.entries(asked)) {
    it.live(`leaves everybody else a turn after a quarter of it: ${what}`, () =>
      Effect.gen(function* () {
        const [connection, peer] = pair(remotes)
        const nowMs = yield* Clock.currentTimeMillis
        // hardly anything comes back meanwhile
        const work = TokenBucket.make({ perSecond: 1, burst: Limits.requestBurst }, nowMs)
        const requests = { ...Requests.make(nowMs), work }
        const origin = Origin.make()
        publish(origin, "video")
        yield* Session.make({ connection, version: lite03, publish: origin, hop: 1, requests })
        const { send } = yield* stream(peer)
        const watching = yield* Effect.forkScoped(mostInATurn(requests), { startImmediately: true })
        yield* send.write(Array.from({ length: Limits.requestBurst }, (_, n) => message(n)))
        assert.isAtMost(yield* Fiber.join(watching), Limits.requestBurst / 4)
      })
    )
  }
})

describe("a subscriber", () => {
  it("asks again for at most rememberedGaps groups that were overtaken right before its connection was lost", () => {
    const subscription = new Subscription(0, "ada", Track.make("video"), clockOfFiber())
    const stream = new RecvBuffer({ taken: () => {}, drained: () => {}, stopped: () => {} })
    const whole = (sequence: number): void => {
      const group = subscription.accept(sequence, stream)
      if (typeof group === "string") return assert.fail(group)
      group.finish()
      subscription.read(group, "ended")
    }
    whole(0)
    whole(10)
    assert.strictEqual(subscription.resumePoint, 1, "1 to 9 may have been cut before anybody saw them")
    whole(1_000)
    assert.strictEqual(subscription.resumePoint, 1_000 - Limits.rememberedGaps)
  })
})

describe("a lost connection", () => {
  /** How long the pauses before the attempts were, and when the connection of a peer that is held was lost. */
  const pauses = (world: World): ReadonlyArray<readonly [attempt: number, pauseMs: number]> =>
    world
      .node(0)
      .told.flatMap((state) =>
        state._tag === "Reconnecting" && state.nextInMs > 0 ? [[state.attempt, state.nextInMs] as const] : []
      )
  const connected = (): World => {
    const world = new World(2, true)
    world.connect(0, 1)
    while (world.pending > 0) world.deliver(0)
    return world
  }
  const lose = (world: World): void => {
    world.cut(0, 1)
    while (world.pending > 0) world.deliver(0)
  }

  it("is dialed again after about redialMinMs, then after pauses that double up to redialMaxMs", () => {
    const world = connected()
    world.node(1).up = false
    lose(world)
    world.settle()
    const seen = pauses(world)
    assert.isAbove(seen.length, 8)
    for (const [index, [attempt, pauseMs]] of seen.entries()) {
      const fullMs = Math.min(Limits.redialMaxMs, Limits.redialMinMs * 2 ** index)
      assert.strictEqual(attempt, index + 1)
      assert.isAtLeast(pauseMs, fullMs / 2)
      assert.isAtMost(pauseMs, fullMs)
    }
    assert.isTrue(seen.some(([, pauseMs]) => pauseMs > Limits.redialMaxMs / 2))
  })

  it("that lived for redialMaxMs counts as a good one: the pauses begin anew, and else they go on", () => {
    const world = connected()
    for (const [livedMs, attempt] of [
      [Limits.redialMaxMs - 1, 1],
      [Limits.redialMaxMs - 1, 2],
      [Limits.redialMaxMs, 1]
    ] as const) {
      world.nowMs += livedMs
      lose(world)
      assert.strictEqual(pauses(world).at(-1)?.[0], attempt)
      world.fireNext()
      while (world.pending > 0) world.deliver(0)
    }
  })
})

/** What a stream carries, to its end. */
const wholeOf = (recv: RecvStream) =>
  Effect.gen(function* () {
    const all: Array<number> = []
    for (;;) {
      const chunk = yield* recv.read
      if (chunk === End) return all
      all.push(...chunk)
    }
  })
