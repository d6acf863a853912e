import { run, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import * as SimNet from "@effect-live/endpoint/testing/SimNetwork"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import { End } from "@effect-live/endpoint/Stream"
import * as LocalBroadcast from "@effect-live/media/LocalBroadcast"
import * as ErrorCode from "@effect-live/moq/ErrorCode"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Fiber, Result, Scope } from "effect"
import * as Limits from "../src/Limits.ts"
import * as LiveTicket from "../src/LiveTicket.ts"
import { liveOn, packets, source, textsOf } from "./support.ts"

const count = 25
/** A broadcast that does not end by itself. */
const film = LocalBroadcast.fromImport(source(count), { loop: true })

/** Publishes on one node, reads on another by the ticket's text, and gives what arrived. */
const travel = Effect.fnUntraced(function* (count: number) {
  const publisher = yield* liveOn("publisher")
  const viewer = yield* liveOn("viewer")
  const local = yield* LocalBroadcast.fromImport(source(count), { wait: true })
  const text = LiveTicket.format(yield* publisher.publish("show", local))
  const subscription = yield* viewer.subscribe(Result.getOrThrow(LiveTicket.parse(text)))
  const rendition = yield* subscription.broadcast.rendition("audio/opus")
  const texts = yield* textsOf(rendition)
  return { texts, lost: rendition.lostGroups(), closed: yield* subscription.closed }
})

describe("publish and subscribe", () => {
  it.effect("a broadcast travels whole from one node to another by its ticket", () =>
    run(
      Effect.gen(function* () {
        const { closed, lost, texts } = yield* travel(count)
        assert.deepStrictEqual(texts, packets(count))
        assert.strictEqual(lost, 0)
        assert.strictEqual(closed._tag, "Finished")
      }),
      { seed: 1 }
    )
  )

  for (const seed of [2, 3, 5, 8, 13]) {
    it.effect(`over a slow link with loss and jitter, seed ${seed}`, () =>
      run(
        Effect.gen(function* () {
          assert.deepStrictEqual((yield* travel(count)).texts, packets(count))
        }),
        { seed, link: { latencyMs: 40, jitterMs: 15, loss: 0.05, bytesPerSecond: 100_000 } }
      )
    )
  }

  it.effect(
    "is clean under the race finder for 1,000 seeds",
    () =>
      Simulation.clean(
        Effect.gen(function* () {
          assert.deepStrictEqual((yield* travel(5)).texts, packets(5))
        }).pipe(Effect.provide(SimNet.layer()), Effect.scoped),
        { seeds: 1_000 }
      ),
    { timeout: 300_000 }
  )

  it.effect("by address and name, or by ticket: subscriptions to one peer share a session", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const publisher = yield* liveOn("publisher")
        const viewer = yield* liveOn("viewer")
        const ticket = yield* publisher.publish("room/ada", yield* film)
        const byTicket = yield* viewer.subscribe(ticket)
        const byName = yield* viewer.subscribe(network.addr("publisher"), "/room//ada/")
        assert.strictEqual(byName.name, "room/ada")
        assert.strictEqual(byName.peer, byTicket.peer)
        assert.strictEqual(byTicket.paths()[0]?.kind, "simulated")
        const { ageMs, receivedBytes, rttMs } = yield* byTicket.statistics
        assert.isAtLeast(receivedBytes, 0)
        assert.isAtLeast(ageMs, 1)
        assert.isDefined(rttMs)
      }),
      { seed: 1 }
    )
  )

  it.effect("what a ticket says beside its address is dialed too", () =>
    Effect.sync(() => {
      const { addr } = Result.getOrThrow(LiveTicket.parse(`iroh-live:${idOnly}/x`))
      const ticket = new LiveTicket.LiveTicket(addr, "x", ["https://relay.example.com", "not a URL"])
      const relays: ReadonlyArray<string> = EndpointAddr.relays(LiveTicket.dialAddr(ticket))
      assert.deepStrictEqual(relays, ["https://relay.example.com/"])
    })
  )
})

const idOnly = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1wA"
const showTicket = Effect.map(SimNetwork, (network) => new LiveTicket.LiveTicket(network.addr("publisher"), "show", []))

describe("a publisher that is gone", () => {
  it.effect("nobody answers: a typed error within ten seconds that says so", () =>
    run(
      Effect.gen(function* () {
        const viewer = yield* liveOn("viewer")
        const sim = yield* Simulation.Simulation
        const error = yield* Effect.flip(viewer.subscribe(yield* showTicket))
        assert.strictEqual(error._tag, "SubscribeError")
        assert.include(["NoAnswer", "Unreachable"], error.reason._tag)
        assert.match(error.message, /no answer within|cannot be reached/)
        assert.isAtMost(sim.nowMs(), 10_000)
      }),
      { seed: 1 }
    )
  )

  it.effect("it is there and has ended the broadcast: the error names what it has instead", () =>
    run(
      Effect.gen(function* () {
        const publisher = yield* liveOn("publisher")
        const viewer = yield* liveOn("viewer")
        yield* publisher.publish("other", yield* film)
        const error = yield* Effect.flip(viewer.subscribe(yield* showTicket))
        assert.strictEqual(error.reason._tag, "NotAnnounced")
        assert.include(error.message, "announces only other")
      }),
      { seed: 1 }
    )
  )

  it.effect("one that appears in time is not too late", () =>
    run(
      Effect.gen(function* () {
        const publisher = yield* liveOn("publisher")
        const viewer = yield* liveOn("viewer")
        const waiting = yield* Effect.forkScoped(viewer.subscribe(yield* showTicket))
        yield* Effect.sleep("5 seconds")
        yield* publisher.publish("show", yield* film)
        assert.strictEqual((yield* Fiber.join(waiting)).name, "show")
      }),
      { seed: 1 }
    )
  )

  it.effect("it crashes in the middle: the subscription ends as lost", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const viewer = yield* liveOn("viewer")
        const scope = yield* Scope.make()
        const publisher = yield* Scope.provide(liveOn("publisher"), scope)
        const local = yield* film
        const ticket = yield* Scope.provide(publisher.publish("show", local), scope)
        const { closed } = yield* viewer.subscribe(ticket)
        yield* network.crash("publisher")
        const how = yield* closed
        assert.deepStrictEqual(how, { _tag: "Lost", close: { _tag: "IdleTimeout" } })
      }),
      { seed: 1 }
    )
  )

  it.effect("its connection is lost: the subscription goes on with the next one, and counts on", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const publisher = yield* liveOn("publisher")
        const viewer = yield* liveOn("viewer")
        const local = yield* film
        const ticket = yield* publisher.publish("show", local)
        const { broadcast, closed, peer, statistics } = yield* viewer.subscribe(ticket)
        const rendition = yield* broadcast.rendition("audio/opus")
        yield* Effect.sleep("1 second")
        const first = peer.connection()
        const ended = yield* Effect.forkScoped(closed)
        network.partition([["publisher"], ["viewer"]])
        yield* Effect.sleep("35 seconds")
        assert.strictEqual(peer.connectivity()._tag, "Reconnecting")
        const before = yield* statistics
        network.heal()
        yield* Effect.sleep("15 seconds")
        assert.strictEqual(peer.connectivity()._tag, "Connected")
        assert.notStrictEqual(peer.connection(), first)
        const after = yield* statistics
        assert.isAbove(after.receivedBytes, before.receivedBytes)
        assert.isUndefined(ended.pollUnsafe())
        for (let samples = 0; samples < 100;) if ((yield* rendition.next) !== End) samples++
      }),
      { seed: 1 }
    )
  )

  it.effect("it was restarted: the subscription ends with a reason, and another one gets what there is now", () =>
    run(
      Effect.gen(function* () {
        const network = yield* SimNetwork
        const viewer = yield* liveOn("viewer")
        const life = Effect.gen(function* () {
          const scope = yield* Scope.make()
          const publisher = yield* Scope.provide(liveOn("publisher"), scope)
          const local = yield* film
          return { scope, ticket: yield* Scope.provide(publisher.publish("show", local), scope) }
        })
        const { scope, ticket } = yield* life
        const { closed } = yield* viewer.subscribe(ticket)
        yield* network.crash("publisher")
        yield* Scope.close(scope, Exit.void)
        yield* life
        assert.deepStrictEqual(yield* closed, { _tag: "Aborted", code: ErrorCode.dropped })
        const { broadcast } = yield* viewer.subscribe(ticket)
        const rendition = yield* broadcast.rendition("audio/opus")
        assert.notStrictEqual(yield* rendition.next, End)
      }),
      { seed: 1 }
    )
  )

  it.effect("it takes the name back: the subscription ends as finished", () =>
    run(
      Effect.gen(function* () {
        const publisher = yield* liveOn("publisher")
        const viewer = yield* liveOn("viewer")
        const ticket = yield* publisher.publish("show", yield* film)
        const { closed } = yield* viewer.subscribe(ticket)
        yield* publisher.unpublish("show")
        assert.strictEqual((yield* closed)._tag, "Finished")
      }),
      { seed: 1 }
    )
  )
})

describe("limits and ends", () => {
  it.effect("a name that no ticket can carry is refused before anything is announced", () =>
    run(
      Effect.gen(function* () {
        const publisher = yield* liveOn("publisher")
        const error = yield* Effect.flip(publisher.publish("a//b", yield* LocalBroadcast.fromImport(source(1))))
        assert.strictEqual(error._tag, "TicketError")
      }),
      { seed: 1 }
    )
  )

  it.effect("one subscription more than the limit is refused, and a closed one makes room", () =>
    run(
      Effect.gen(function* () {
        const publisher = yield* liveOn("publisher")
        const viewer = yield* liveOn("viewer", { subscriptions: 1 })
        const ticket = yield* publisher.publish("show", yield* film)
        const first = yield* Scope.make()
        yield* Scope.provide(viewer.subscribe(ticket), first)
        const error = yield* Effect.flip(viewer.subscribe(ticket))
        assert.strictEqual(error.reason._tag, "TooManySubscriptions")
        yield* Scope.close(first, Exit.void)
        yield* viewer.subscribe(ticket)
      }),
      { seed: 1 }
    )
  )

  it.effect("after a shutdown nothing is announced and everything is refused", () =>
    run(
      Effect.gen(function* () {
        const publisher = yield* liveOn("publisher")
        const viewer = yield* liveOn("viewer")
        const local = yield* film
        const ticket = yield* publisher.publish("show", local)
        const { closed } = yield* viewer.subscribe(ticket)
        yield* publisher.shutdown
        yield* publisher.shutdown
        yield* closed
        assert.strictEqual((yield* Effect.flip(publisher.publish("show", local)))._tag, "PublishError")
        assert.strictEqual((yield* Effect.flip(publisher.subscribe(ticket))).reason._tag, "ShutDown")
      }),
      { seed: 1 }
    )
  )

  it.effect("limits come from the environment, and an invalid one is named", () =>
    Effect.gen(function* () {
      const from = (env: Record<string, string>) =>
        Limits.config.pipe(Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })))
      assert.deepStrictEqual(yield* from({}), Limits.defaults)
      assert.deepStrictEqual(yield* from({ LIVE_SUBSCRIPTIONS: "3", LIVE_SUBSCRIBE_TIMEOUT: "2 seconds" }), {
        subscriptions: 3,
        subscribeTimeoutMs: 2_000
      })
      assert.include(String(yield* Effect.flip(from({ LIVE_SUBSCRIPTIONS: "many" }))), "SUBSCRIPTIONS")
    })
  )
})
