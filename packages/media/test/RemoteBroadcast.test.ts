import { assert, describe, it } from "@effect/vitest"
import { End } from "@effect-live/endpoint/Stream"
import { Catalog, Legacy, LocalBroadcast, RemoteBroadcast, type Sample } from "@effect-live/media"
import * as Broadcast from "@effect-live/moq/Broadcast"
import * as Track from "@effect-live/moq/Track"
import * as Simulation from "@effect-live/sim/Simulation"
import { Effect, Exit, Fiber, type Scope, Stream } from "effect"
import { audioName, memory, samplesFor, videoName } from "./broadcast.ts"

const simulated = <A, E>(program: Effect.Effect<A, E, Scope.Scope>) =>
  Simulation.run(Effect.scoped(program), { seed: 1 })

const vp8 = (...names: ReadonlyArray<string>): Catalog.Catalog => ({
  ...Catalog.empty,
  video: new Map(names.map((name) => [name, { codec: "vp8" }]))
})

const write = (track: Track.TrackProducer, ...frames: ReadonlyArray<Uint8Array | string>): void => {
  const group = track.appendGroup()
  for (const frame of frames) group.write(typeof frame === "string" ? new TextEncoder().encode(frame) : frame)
  group.finish()
}

/** A broadcast whose tracks the test writes. */
const handmade = Effect.sync(() => {
  const producer = Broadcast.make()
  const catalog = Track.make(Catalog.trackName)
  const video = Track.make("v")
  producer.insertTrack(catalog)
  producer.insertTrack(video)
  return { producer, catalog, video }
})

/** All events of a rendition, up to its end. */
const eventsOf = (rendition: RemoteBroadcast.Rendition) =>
  Effect.gen(function* () {
    const events: Array<RemoteBroadcast.Event> = []
    for (let event = yield* rendition.next; event !== End; event = yield* rendition.next) events.push(event)
    return events
  })

const localToRemote = Effect.gen(function* () {
  const local = yield* LocalBroadcast.fromImport(memory(2), { wait: true })
  const remote = yield* RemoteBroadcast.make(local.producer.consume())
  yield* remote.ready
  const read = (name: string) => Effect.scoped(Effect.flatMap(remote.rendition(name), eventsOf))
  return yield* Effect.all([read(videoName), read(audioName)], { concurrency: "unbounded" })
})

const assertWhole = (events: ReadonlyArray<RemoteBroadcast.Event>, name: string): void => {
  const received = events.map((event) => (event._tag === "Sample" ? event.sample : undefined))
  const sent = samplesFor(2).filter(({ track }) => track === name)
  assert.deepStrictEqual(
    received,
    sent.map((sample): Sample.Sample => Object.assign({}, sample, { durationUs: 0 }))
  )
}

describe("from a local broadcast to a remote one", () => {
  it.live("every sample arrives, in order, with its time and its key frames", () =>
    simulated(
      Effect.gen(function* () {
        const [video, audio] = yield* localToRemote
        assertWhole(video, videoName)
        assertWhole(audio, audioName)
      })
    )
  )

  it.live(
    "the same under 1,000 orders of all fibers",
    () =>
      Effect.gen(function* () {
        const program = Effect.map(Effect.scoped(localToRemote), ([video, audio]) => {
          assertWhole(video, videoName)
          assertWhole(audio, audioName)
        })
        const failure = yield* Simulation.explore(program, { seeds: 1_000 })
        assert.isUndefined(
          failure,
          failure === undefined ? "" : `seed ${failure.seed}: ${Exit.isFailure(failure.exit)}`
        )
      }),
    120_000
  )
})

describe("the catalog", () => {
  it.live("keeps the last good one, says what is wrong with a newer one, and goes on with the next", () =>
    simulated(
      Effect.gen(function* () {
        const { catalog, producer } = yield* handmade
        write(catalog, Catalog.encode(vp8("a")))
        const remote = yield* RemoteBroadcast.make(producer.consume())
        const seen = yield* Effect.forkChild(Stream.runCollect(remote.changes), { startImmediately: true })
        yield* Effect.sleep(1)
        write(catalog, "{")
        yield* Effect.sleep(1)
        assert.deepStrictEqual([...remote.catalog().catalog.video.keys()], ["a"])
        assert.strictEqual(remote.catalog().problem?.reason, "not JSON")
        write(catalog, Catalog.encode(vp8("a", "b")))
        yield* Effect.sleep(1)
        catalog.finish()
        const states = yield* Fiber.join(seen)
        assert.deepStrictEqual([...(states.at(-1)?.catalog.video.keys() ?? [])], ["a", "b"])
        assert.isUndefined(remote.catalog().problem)
      })
    )
  )

  it.live("follows merge patches in a group, and never goes back to an older group", () =>
    simulated(
      Effect.gen(function* () {
        const { catalog, producer } = yield* handmade
        const group = catalog.createGroup(5)
        assert(typeof group !== "string")
        group.write(Catalog.encode(vp8("a")))
        const remote = yield* RemoteBroadcast.make(producer.consume())
        group.write(new TextEncoder().encode('{"video":{"renditions":{"b":{"codec":"vp8"},"a":null}}}'))
        yield* Effect.sleep(1)
        assert.deepStrictEqual([...remote.catalog().catalog.video.keys()], ["b"])
        const late = catalog.createGroup(4)
        assert(typeof late !== "string")
        late.write(Catalog.encode(vp8("old")))
        late.finish()
        yield* Effect.sleep(1)
        assert.deepStrictEqual([...remote.catalog().catalog.video.keys()], ["b"])
      })
    )
  )

  it.live("is ready with the first rendition, and fails when there will be none", () =>
    simulated(
      Effect.gen(function* () {
        const { catalog, producer } = yield* handmade
        write(catalog, Catalog.encode(Catalog.empty))
        const remote = yield* RemoteBroadcast.make(producer.consume())
        const ready = yield* Effect.forkChild(remote.ready)
        yield* Effect.sleep("1 minute")
        write(catalog, Catalog.encode(vp8("a")))
        assert.deepStrictEqual([...(yield* Fiber.join(ready)).video.keys()], ["a"])
        const none = yield* handmade
        write(none.catalog, Catalog.encode(Catalog.empty))
        const empty = yield* RemoteBroadcast.make(none.producer.consume())
        none.catalog.finish()
        assert.strictEqual((yield* Effect.flip(empty.ready)).reason._tag, "NoRenditions")
      })
    )
  )

  it.live("says that there is none", () =>
    simulated(
      Effect.gen(function* () {
        const missing = yield* Effect.flip(RemoteBroadcast.make(Broadcast.make().consume()))
        assert.strictEqual(missing.reason._tag, "SubscribeError")
        const { catalog, producer } = yield* handmade
        catalog.finish()
        assert.strictEqual((yield* Effect.flip(RemoteBroadcast.make(producer.consume()))).reason._tag, "NoCatalog")
      })
    )
  )

  it("ranks renditions by their size, also when only the name says it", () => {
    const video = new Map<string, Catalog.VideoConfig>([
      ["video/h264-360p", { codec: "avc3.42e01e" }],
      ["video/h264-1080p", { codec: "avc3.42e01e" }],
      ["video/x", { codec: "vp8", codedHeight: 720 }],
      ["video/y", { codec: "theora", codedHeight: 4_000 }],
      ["video/z", { codec: "vp8", codedHeight: 4_000, broadcast: "other" }]
    ])
    const names = RemoteBroadcast.ranked({ ...Catalog.empty, video }, "video").map(({ name }) => name)
    assert.deepStrictEqual(names, ["video/h264-1080p", "video/x", "video/h264-360p"])
  })
})

const frame = (ptsUs: number) => Legacy.encode(ptsUs, Uint8Array.of(1))

describe("a rendition", () => {
  it.live("says what is missing and goes on with the next key frame", () =>
    simulated(
      Effect.gen(function* () {
        const { catalog, producer, video } = yield* handmade
        write(catalog, Catalog.encode(vp8("v")))
        const remote = yield* RemoteBroadcast.make(producer.consume())
        const rendition = yield* remote.rendition("v")
        const events = yield* Effect.forkChild(eventsOf(rendition), { startImmediately: true })
        write(video, frame(0), frame(1))
        const reset = video.appendGroup()
        reset.write(frame(2))
        yield* Effect.sleep(1)
        reset.abort(0)
        write(video, Uint8Array.of(0x80))
        video.createGroup(4) // begun, and never written
        write(video, frame(5), new Uint8Array(Legacy.encode(6, new Uint8Array(0))), frame(7))
        yield* Effect.sleep(1)
        write(video, frame(20_000_000))
        video.finish()
        const told = (yield* Fiber.join(events)).map((event) =>
          event._tag === "Gap"
            ? `${event.reason} ${event.sequence}+${event.groups}`
            : `${event.sequence}.${event.index}${event.sample.key ? "k" : ""}@${event.sample.ptsUs}`
        )
        assert.deepStrictEqual(told, [
          "0.0k@0",
          "0.1@1",
          "1.0k@2",
          "reset 1+1",
          "malformed 2+1",
          "missing 3+1",
          "late 4+1",
          "5.0k@5",
          "5.1@7",
          "6.0k@20000000"
        ])
        assert.isAbove(rendition.lostGroups(), 0)
      })
    )
  )

  it.live("that the catalog does not list, or that is elsewhere, is refused", () =>
    simulated(
      Effect.gen(function* () {
        const { catalog, producer } = yield* handmade
        const video = new Map([["w", { codec: "vp8", broadcast: "other" }]])
        write(catalog, Catalog.encode({ ...Catalog.empty, video }))
        const remote = yield* RemoteBroadcast.make(producer.consume())
        assert.strictEqual((yield* Effect.flip(remote.rendition("x"))).reason._tag, "RenditionNotFound")
        assert.strictEqual((yield* Effect.flip(remote.rendition("w"))).reason._tag, "Elsewhere")
      })
    )
  )
})
