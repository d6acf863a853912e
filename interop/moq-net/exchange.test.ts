/** Both ends publish and subscribe at once: much, large, with little room, and to the end of the session. */
import { End } from "@effect-live/endpoint/Stream"
import * as Broadcast from "@effect-live/moq/Broadcast"
import type * as Track from "@effect-live/moq/Track"
import * as Version from "@effect-live/moq/Version"
import { assert, describe, it } from "@effect/vitest"
import * as Net from "@moq/net"
import { createHash } from "node:crypto"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { cameraOfOurs, cameraOfTheirs, nextTheirs, type Scene, scene } from "./scene.ts"

/** The bytes of a frame, which whoever receives them can make again. */
const content = (group: number, frame: number, bytes: number): Uint8Array => {
  const at = (group * 7_919 + frame * 104_729) % 65_521
  return noise.subarray(at, at + bytes)
}
const noise = ((): Uint8Array => {
  const bytes = new Uint8Array(4_000_000)
  let state = 1
  for (let at = 0; at < bytes.length; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[at] = state
  }
  return bytes
})()
const digest = (frames: ReadonlyArray<Uint8Array>): string => {
  const hash = createHash("sha256")
  for (const frame of frames) hash.update(frame).update(".")
  return hash.digest("hex")
}

interface Plan {
  readonly groups: number
  readonly frames: number
  readonly bytes: number
}
const framesOf = ({ bytes, frames }: Plan, group: number) =>
  Array.from({ length: frames }, (_, frame) => content(group, frame, bytes + frame))
const digests = (plan: Plan): ReadonlyArray<string> =>
  Array.from({ length: plan.groups }, (_, group) => digest(framesOf(plan, group)))

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** Group 0 is there at once; the others are written, and the track is ended, when they are wanted. */
const filmed = ({ groups }: Plan, write: (group: number) => void, end: () => void): Effect.Effect<void> => {
  write(0)
  return Effect.gen(function* () {
    for (let n = 1; n < groups; n++) {
      write(n)
      yield* turn
    }
    end()
  })
}

const ourCamera = (it: Scene, plan: Plan) => {
  const { track } = cameraOfOurs(it, "ours")
  const write = (n: number) => {
    const group = track.appendGroup()
    for (const frame of framesOf(plan, n)) group.write(frame, n)
    group.finish()
  }
  return filmed(plan, write, () => track.finish())
}

const theirCamera = (it: Scene, plan: Plan) => {
  const { track } = cameraOfTheirs(it, "theirs")
  const write = (n: number) => {
    const group = track.appendGroup()
    for (const payload of framesOf(plan, n)) group.writeFrame({ payload, timestamp: Net.Time.Timestamp.fromMillis(n) })
    group.close()
  }
  return filmed(plan, write, () => track.close())
}

/** What our subscriber gets, by sequence; `begun` is told of the first group: from then on the subscription is served. */
const receive = (track: Track.TrackConsumer, begun: Deferred.Deferred<void>) =>
  Effect.gen(function* () {
    const received: Array<string> = []
    for (;;) {
      const group = yield* track.next
      yield* Deferred.succeed(begun, undefined)
      if (group === End) return received
      if ("_tag" in group) return yield* Effect.die(new Error(`${group.groups} groups were passed over`))
      const frames: Array<Uint8Array> = []
      for (let frame = yield* group.read; frame !== End; frame = yield* group.read) frames.push(frame)
      received[group.sequence] = digest(frames)
    }
  })

const readTheirs = (group: Net.Group.Consumer) =>
  Effect.promise(async () => {
    const frames: Array<Uint8Array> = []
    for (let next = await group.readFrame(); next !== undefined; next = await group.readFrame())
      frames.push(next.payload)
    return digest(frames)
  })

const exchange = (it: Scene, plan: Plan) =>
  Effect.gen(function* () {
    const cameras = [ourCamera(it, plan), theirCamera(it, plan)]
    const atOurs = yield* it.session.consume("theirs").subscribe("video")
    const atTheirs = it.theirs.consume(Net.Path.from("ours")).subscribe("video")
    const first = yield* nextTheirs(atTheirs)
    const begun = yield* Deferred.make<void>()
    const receiving = yield* Effect.forkScoped(receive(atOurs, begun))
    yield* Deferred.await(begun)
    const sending = yield* Effect.forkScoped(Effect.all(cameras, { concurrency: 2 }))
    const received: Array<string> = []
    received[first.sequence] = yield* readTheirs(first)
    for (let n = 1; n < plan.groups; n++) {
      const group = yield* nextTheirs(atTheirs)
      received[group.sequence] = yield* readTheirs(group)
    }
    yield* Fiber.join(sending)
    const expected = digests(plan)
    assert.deepStrictEqual(received, expected, "from us to them")
    assert.deepStrictEqual(yield* Fiber.join(receiving), expected, "from them to us")
  })

describe.each(Version.all)("our session and @moq/net's, both ways at once, $alpn:", (version) => {
  it.live("500 groups each, every byte exact", () =>
    Effect.scoped(Effect.flatMap(scene(version), (it) => exchange(it, { groups: 500, frames: 5, bytes: 700 })))
  )

  it.live("frames of 3 MB through windows of 64 kB", () =>
    Effect.scoped(
      Effect.flatMap(scene(version, { windowBytes: 65_536 }), (it) =>
        exchange(it, { groups: 3, frames: 2, bytes: 3_000_000 })
      )
    )
  )

  it.live("300 broadcasts each: all of them are announced, and all of them end", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(version)
        const paths = Array.from({ length: 300 }, (_, n) => `room/${n}`)
        const producers = paths.map((path) => {
          it.origin.publish(`ours/${path}`, Broadcast.make().consume())
          const broadcast = new Net.Broadcast.Producer()
          it.theirs.publish(Net.Path.from(`theirs/${path}`), broadcast)
          return broadcast
        })
        const atOurs = it.session.announced("theirs").pipe(Stream.map(({ active, path }) => `${active}${path}`))
        const came = yield* Stream.runCollect(Stream.take(atOurs, 300))
        assert.sameMembers(
          [...came],
          paths.map((path) => `truetheirs/${path}`)
        )
        const announced = it.theirs.announced(Net.Path.from("ours"))
        const next = Effect.promise<Net.Announce.Event | undefined>(() => announced.next())
        const heard: Array<string> = []
        for (let n = 0; n < 300; n++) {
          const event = yield* next
          heard.push(`${event?.active}${event?.path}`)
        }
        assert.sameMembers(
          heard,
          paths.map((path) => `true${path}`)
        )
        for (const broadcast of producers) broadcast.close()
        for (const path of paths) it.origin.unpublish(`ours/${path}`)
        for (let n = 0; n < 300; n++) assert.isFalse((yield* next)?.active)
        while (it.session.announcedNow().length > 0) yield* turn
      })
    )
  )

  it.live("either end closes the session, and the other hears how", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const it = yield* scene(version)
          yield* Effect.sync(() => it.theirs.close())
          const close = yield* it.session.closed
          assert.strictEqual(close._tag, "Remote")
        })
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const it = yield* scene(version)
          it.session.close(0, "done")
          yield* Effect.promise(() => it.theirs.closed)
          assert.deepStrictEqual(yield* Effect.promise(() => it.transports.theirs.closed), {
            closeCode: 0,
            reason: "done"
          })
        })
      )
    })
  )
})

describe("our publisher to @moq/net's subscriber, little room:", () => {
  it.live("with four streams of credit every group arrives, as it takes them one by one", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const it = yield* scene(Version.lite05, { streams: 4 })
        const plan = { groups: 30, frames: 2, bytes: 100 }
        const rest = ourCamera(it, plan)
        const video = it.theirs.consume(Net.Path.from("ours")).subscribe("video")
        const received: Array<string> = []
        const first = yield* nextTheirs(video)
        received[first.sequence] = yield* readTheirs(first)
        const sending = yield* Effect.forkScoped(rest)
        for (let n = 1; n < plan.groups; n++) {
          const group = yield* nextTheirs(video)
          received[group.sequence] = yield* readTheirs(group)
        }
        yield* Fiber.join(sending)
        assert.deepStrictEqual(received, digests(plan))
      })
    )
  )
})
