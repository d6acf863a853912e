import { Blocked, End } from "@effect-live/endpoint/Stream"
import * as Simulation from "@effect-live/sim/Simulation"
import { assert, describe, it } from "@effect/vitest"
import { Clock as EffectClock, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Frames from "../src/Frames.ts"
import { GroupProducer } from "../src/Group.ts"
import * as Limits from "../src/Limits.ts"
import * as Track from "../src/Track.ts"
import { bytes, text, write } from "./support/world.ts"

const told = (item: Frames.Frame | Frames.Lagged): string =>
  item._tag === "Frame"
    ? `${item.sequence}.${item.index}:${text(item.payload)}`
    : `${item.reason} ${item.sequence}+${item.groups}`

/** Everything there is now. */
const drain = (reader: Frames.Reader): ReadonlyArray<string> => {
  const items: Array<string> = []
  for (;;) {
    const next = reader.tryNext()
    if (next === Blocked) return items
    if (next === End) return [...items, "end"]
    if (next instanceof Track.TrackError) return [...items, `error ${next.code}`]
    items.push(told(next))
  }
}

const created = (track: Track.TrackProducer, sequence: number, ...frames: ReadonlyArray<string>): GroupProducer => {
  const group = track.createGroup(sequence)
  assert.instanceOf(group, GroupProducer)
  for (const frame of frames) (group as GroupProducer).write(bytes(frame))
  return group as GroupProducer
}

const inOrder = { _tag: "InOrder", latencyMs: 200 } as const

describe("frames in order", () => {
  it.effect("come by sequence number, a late group in its place", () =>
    Effect.gen(function* () {
      const track = Track.make("video")
      const reader = Frames.reader(track.consume(), inOrder)
      created(track, 0, "a").finish()
      assert.deepStrictEqual(drain(reader), ["0.0:a"])
      created(track, 2, "c").finish()
      const one = created(track, 1)
      assert.deepStrictEqual(drain(reader), [])
      one.write(bytes("b"))
      assert.deepStrictEqual(drain(reader), ["1.0:b"])
      yield* TestClock.adjust(199)
      assert.deepStrictEqual(drain(reader), [])
      one.write(bytes("b2"))
      one.finish()
      assert.deepStrictEqual(drain(reader), ["1.0:b", "1.1:b2", "2.0:c"].slice(1))
      track.finish()
      assert.deepStrictEqual(drain(reader), ["end"])
    })
  )

  it.effect("are not held up longer than the latency by a group that is missing, and the gap is counted", () =>
    Effect.gen(function* () {
      const track = Track.make("video")
      const seen: Array<string> = []
      const reading = yield* Effect.forkChild(
        Stream.runForEach(Frames.stream(track.consume(), inOrder), (item) => Effect.sync(() => seen.push(told(item)))),
        { startImmediately: true }
      )
      created(track, 0, "a").finish()
      created(track, 3, "d").finish()
      created(track, 4, "e").finish()
      yield* TestClock.adjust(199)
      assert.deepStrictEqual(seen, ["0.0:a"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(seen, ["0.0:a", "missing 1+2", "3.0:d", "4.0:e"])
      created(track, 1, "late: it has been counted").finish()
      created(track, 5, "f").finish()
      track.finish()
      yield* Fiber.join(reading)
      assert.deepStrictEqual(seen.slice(4), ["5.0:f"])
    })
  )

  it.effect("leave a group that does not end once a newer one has waited, and one that nobody ever began to fill", () =>
    Effect.gen(function* () {
      const track = Track.make("video")
      const reader = Frames.reader(track.consume(), inOrder)
      created(track, 0, "a")
      created(track, 1)
      assert.deepStrictEqual(drain(reader), ["0.0:a"])
      yield* TestClock.adjust(200)
      assert.deepStrictEqual(drain(reader), [], "nothing newer can be read")
      const readable = yield* Effect.forkChild(reader.readable, { startImmediately: true })
      const two = created(track, 2)
      assert.isUndefined(readable.pollUnsafe())
      two.write(bytes("c"))
      yield* Fiber.join(readable)
      assert.deepStrictEqual(drain(reader), ["late 0+1"])
      yield* TestClock.adjust(200)
      assert.deepStrictEqual(drain(reader), ["late 1+1", "2.0:c"])
    })
  )

  it("wait no more for what is missing once the track has ended", () => {
    const track = Track.make("video")
    const reader = Frames.reader(track.consume(), inOrder)
    created(track, 0, "a").finish()
    created(track, 5, "f").finish()
    track.finish()
    assert.deepStrictEqual(drain(reader), ["0.0:a", "missing 1+4", "5.0:f", "end"])
  })

  it("are counted too when the publisher said that there were more, but they never came", () => {
    for (const policy of [inOrder, { _tag: "Latest" }] as const) {
      const track = Track.make("video")
      const reader = Frames.reader(track.consume(), policy)
      created(track, 0, "a").finish()
      assert.deepStrictEqual(drain(reader), ["0.0:a"])
      created(track, 2, "c").finish()
      track.finish(3, 5)
      assert.deepStrictEqual(drain(reader), ["missing 1+1", "2.0:c", "missing 3+2", "end"])
      assert.deepStrictEqual(drain(reader), ["end"])
    }
  })

  it("wait for nothing with a latency of 0", () => {
    const track = Track.make("video")
    const reader = Frames.reader(track.consume(), { _tag: "InOrder", latencyMs: 0 })
    created(track, 0, "a")
    created(track, 2, "c")
    assert.deepStrictEqual(drain(reader), ["0.0:a", "late 0+1", "missing 1+1", "2.0:c"])
  })

  it("count a group that was reset, and go on", () => {
    const track = Track.make("video")
    const reader = Frames.reader(track.consume(), inOrder)
    const reset = created(track, 0, "a")
    drain(reader)
    reset.abort(ErrorCode.application(1))
    created(track, 1, "b").finish()
    track.finish()
    assert.deepStrictEqual(drain(reader), ["reset 0+1", "1.0:b", "end"])
  })

  it("count once what was evicted before the reader came, and do not wait for it", () => {
    const track = Track.make("video", { retention: { groups: 3 } })
    const reader = Frames.reader(track.consume(), inOrder)
    for (let n = 0; n < 5; n++) write(track, `${n}`)
    assert.deepStrictEqual(drain(reader), ["lagged 0+2", "2.0:2", "3.0:3", "4.0:4"])
    for (let n = 5; n < 10; n++) write(track, `${n}`)
    assert.deepStrictEqual(drain(reader), ["lagged 5+2", "7.0:7", "8.0:8", "9.0:9"])
  })

  it("count a group that arrives below the first one", () => {
    const track = Track.make("video")
    const reader = Frames.reader(track.consume({ start: 0 }), inOrder)
    created(track, 5, "f").finish()
    assert.deepStrictEqual(drain(reader), ["5.0:f"])
    created(track, 3, "d").finish()
    assert.deepStrictEqual(drain(reader), ["late 3+1"])
  })

  it("hold no more than reorderGroups for an older one", () => {
    const track = Track.make("video")
    const reader = Frames.reader(track.consume(), { _tag: "InOrder", latencyMs: Number.POSITIVE_INFINITY })
    created(track, 0, "a").finish()
    for (let n = 2; n < 2 + Limits.reorderGroups; n++) created(track, n, "x").finish()
    assert.deepStrictEqual(drain(reader), ["0.0:a"])
    created(track, 1_000, "x").finish()
    assert.deepStrictEqual(drain(reader).slice(0, 2), ["missing 1+1", "2.0:x"])
  })
})

describe("the latest frames", () => {
  it("leave a group as soon as a newer one begins, and count it unless all of it was read", () => {
    const track = Track.make("video")
    const reader = Frames.reader(track.consume(), { _tag: "Latest" })
    const open = created(track, 0, "a", "b")
    assert.deepStrictEqual(drain(reader), ["0.0:a", "0.1:b"])
    open.finish()
    created(track, 1, "c").finish()
    assert.deepStrictEqual(drain(reader), ["1.0:c"])
    created(track, 2, "d")
    assert.deepStrictEqual(drain(reader), ["2.0:d"])
    created(track, 3, "e")
    assert.deepStrictEqual(drain(reader), ["late 2+1", "3.0:e"])
    for (const sequence of [5, 9, 4, 7]) created(track, sequence, `${sequence}`)
    track.finish()
    assert.deepStrictEqual(drain(reader), ["late 3+1", "missing 4+5", "9.0:9"])
  })

  it("begin with the newest group there is", () => {
    const track = Track.make("video", { retention: { groups: 3 } })
    const reader = Frames.reader(track.consume(), { _tag: "Latest" })
    for (let n = 0; n < 5; n++) write(track, `${n}`)
    assert.deepStrictEqual(drain(reader), ["lagged 0+4", "4.0:4"])
  })
})

describe("every frame", () => {
  it("comes as it arrives, of several groups at a time", () => {
    const track = Track.make("video", { retention: { groups: 4 } })
    const reader = Frames.reader(track.consume(), { _tag: "Everything" })
    const [two, one] = [created(track, 2, "x"), created(track, 1, "y")]
    created(track, 3)
    assert.deepStrictEqual(drain(reader), ["2.0:x"], "below the first group nothing is wanted")
    two.write(bytes("x2"))
    one.finish()
    const seven = created(track, 7, "z")
    assert.deepStrictEqual(drain(reader), ["2.1:x2", "7.0:z"])
    two.finish()
    seven.abort(ErrorCode.cancel)
    for (let n = 0; n < 4; n++) write(track, "w")
    track.finish()
    assert.deepStrictEqual(drain(reader), ["lagged 3+1", "reset 7+1", "8.0:w", "9.0:w", "10.0:w", "11.0:w", "end"])
  })
})

describe("frames as a stream", () => {
  it.effect("end with the track or fail with it", () =>
    Effect.gen(function* () {
      const track = Track.make("video", { timescale: 90_000 })
      const group = track.appendGroup()
      group.write(bytes("a"), 3_000)
      group.write(bytes("b"), 6_000)
      group.finish()
      const aborted = yield* Effect.forkChild(
        Effect.flip(Stream.runDrain(Frames.stream(track.consume(), { _tag: "Latest" }))),
        { startImmediately: true }
      )
      const all = yield* Effect.forkChild(Stream.runCollect(Stream.take(Frames.stream(track.consume(), inOrder), 2)))
      assert.deepStrictEqual(
        (yield* Fiber.join(all)).map((item) => (item._tag === "Frame" ? item.timestamp : item)),
        [3_000, 6_000]
      )
      track.abort(ErrorCode.dropped)
      assert.strictEqual((yield* Fiber.join(aborted)).code, ErrorCode.dropped)
    })
  )

  it.effect("give whole groups by the same policies", () =>
    Effect.gen(function* () {
      const track = Track.make("video")
      const groups = (policy: Frames.Policy) =>
        Effect.forkChild(
          Stream.runCollect(
            Stream.map(Frames.groups(track.consume(), policy), (item) =>
              "_tag" in item ? told(item) : `${item.sequence}`
            )
          ),
          { startImmediately: true }
        )
      const collecting = [
        yield* groups(inOrder),
        yield* groups({ _tag: "Latest" }),
        yield* groups({ _tag: "Everything" })
      ]
      for (const sequence of [0, 3, 2, 5]) created(track, sequence)
      yield* TestClock.adjust(200)
      created(track, 6)
      track.finish()
      const all = yield* Effect.forEach(collecting, Fiber.join)
      assert.deepStrictEqual(all, [
        ["0", "missing 1+1", "2", "3", "missing 4+1", "5", "6"],
        ["0", "missing 1+2", "3", "missing 4+1", "5", "6"],
        ["0", "3", "2", "5", "6"]
      ])
    })
  )
})

describe("a reader", () => {
  it("can leave a group without counting the rest", () => {
    for (const policy of [inOrder, { _tag: "Latest" }, { _tag: "Everything" }] as const) {
      const track = Track.make("video")
      const reader = Frames.reader(track.consume(), policy)
      const group = track.appendGroup()
      group.write(bytes("a"))
      group.write(bytes("b"))
      const first = reader.tryNext()
      assert(first !== Blocked && first !== End && !(first instanceof Track.TrackError))
      reader.leave()
      write(track, "c")
      assert.deepStrictEqual(drain(reader), ["1.0:c"])
    }
  })

  it.effect("wakes its reader for every change that matters, and forgets its waiters", () =>
    Effect.gen(function* () {
      const track = Track.make("video")
      const reader = Frames.reader(track.consume(), inOrder)
      const next = () => Effect.forkChild(reader.next, { startImmediately: true })
      const first = yield* next()
      const group = created(track, 0)
      assert.isUndefined(first.pollUnsafe())
      group.write(bytes("a"))
      const item = yield* Fiber.join(first)
      assert(item !== End)
      assert.strictEqual(told(item), "0.0:a")
      const interrupted = yield* next()
      yield* Fiber.interrupt(interrupted)
      const second = yield* next()
      group.finish()
      created(track, 1, "b")
      const after = yield* Fiber.join(second)
      assert(after !== End)
      assert.strictEqual(told(after), "1.0:b")
      const last = yield* next()
      track.abort(ErrorCode.dropped)
      const rest = yield* Fiber.join(last)
      assert(rest !== End)
      assert.strictEqual(told(rest), "reset 1+1")
      assert.strictEqual((yield* Effect.flip(reader.next)).code, ErrorCode.dropped)
    })
  )
})

describe("under 1,000 orders of all fibers", () => {
  const frames = 4
  const program = Effect.gen(function* () {
    const track = Track.make("t")
    const read = (policy: Frames.Policy) =>
      Effect.forkChild(Stream.runCollect(Frames.stream(track.consume(), policy)), { startImmediately: true })
    const readers = [
      yield* read({ _tag: "InOrder", latencyMs: 1_000 }),
      yield* read({ _tag: "Latest" }),
      yield* read({ _tag: "Everything" })
    ]
    const writeGroup = (sequence: number) =>
      Effect.gen(function* () {
        const group = created(track, sequence)
        for (let index = 0; index < frames; index++) {
          yield* Effect.yieldNow
          group.write(Uint8Array.of(index))
        }
        yield* Effect.yieldNow
        group.finish()
      })
    yield* writeGroup(0)
    yield* Effect.forEach([3, 1, 2, 4, 6, 5], writeGroup, { concurrency: 3 })
    track.finish()
    const [inOrder, latest, everything] = yield* Effect.forEach(readers, Fiber.join)
    const place = (item: Frames.Frame | Frames.Lagged) =>
      item._tag === "Frame" ? item.sequence * frames + item.index : undefined
    const all = Array.from({ length: 7 * frames }, (_, place) => place)
    assert.deepStrictEqual(inOrder?.map(place), all)
    assert.deepStrictEqual(
      everything?.map(place).toSorted((a = 0, b = 0) => a - b),
      all
    )
    assert.strictEqual(latest?.findLast((item) => item._tag === "Frame")?.sequence, 6)
  })

  it.live(
    "every reader gets what its policy says",
    () =>
      Effect.gen(function* () {
        const failure = yield* Simulation.explore(program, { seeds: 1_000 })
        assert.isUndefined(failure, failure === undefined ? "" : `seed ${failure.seed}: ${String(failure.exit)}`)
      }),
    120_000
  )
})

describe("whatever a track does", () => {
  type Step =
    | readonly ["create" | "write" | "finish" | "abort", number]
    | readonly ["read", number]
    | readonly ["pass", number]
  const group = fc.nat(14)
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.tuple(fc.constantFrom("create" as const, "write" as const), group),
    fc.tuple(fc.constantFrom("write" as const, "finish" as const), group),
    fc.tuple(fc.constant("abort" as const), group),
    fc.tuple(fc.constant("read" as const), fc.nat(5)),
    fc.tuple(fc.constant("pass" as const), fc.nat(150))
  )

  /** Everything a reader gives until the end of a track to which all that happens. */
  const play = (policy: Frames.Policy, groups: number, steps: ReadonlyArray<Step>) => {
    const clock = new Clock()
    const items: Array<Frames.Frame | Frames.Lagged> = []
    const track = Track.make("t", { retention: { groups }, clock })
    const written = new Map<number, { frames: number; finished: boolean; readonly group: GroupProducer }>()
    const finish = (one: { finished: boolean; readonly group: GroupProducer }): void => {
      one.finished ||= !one.group.ended
      one.group.finish()
    }
    const act = ([what, n]: Step): void => {
      const known = written.get(n)
      if (what === "pass") clock.nowMs += n
      else if (what === "create") {
        const made = track.createGroup(n)
        // a number that comes again after its eviction would have to be told apart from the first one
        if (made instanceof GroupProducer && known === undefined)
          written.set(n, { frames: 0, finished: false, group: made })
        else if (made instanceof GroupProducer) made.abort(ErrorCode.cancel)
      } else if (what === "write") {
        if (known?.group.write(Uint8Array.of(n, known.frames)) === "written") known.frames++
      } else if (what === "finish" && known !== undefined) finish(known)
      else if (what === "abort") known?.group.abort(ErrorCode.cancel)
    }
    const reader = Effect.runSync(
      Effect.provideService(
        Effect.sync(() => Frames.reader(track.consume({ start: 0 }), policy)),
        EffectClock.Clock,
        clock
      )
    )
    const read = (most: number): boolean => {
      for (let n = 0; n < most; n++) {
        const next = reader.tryNext()
        if (next === Blocked || next === End) return next === End
        assert(!(next instanceof Track.TrackError))
        items.push(next)
      }
      return false
    }
    act(["create", 0])
    act(["write", 0])
    read(1)
    for (const step of steps) {
      if (step[0] === "read") read(step[1])
      else act(step)
    }
    for (const one of written.values()) finish(one)
    track.finish()
    read(1_000)
    clock.nowMs += 1_000
    assert.isTrue(read(1_000), "a reader comes to the end")
    const complete = [...written].flatMap(([sequence, { finished, frames }]) => {
      const got = items.filter((item) => item._tag === "Frame" && item.sequence === sequence).length
      return finished && got === frames ? [sequence] : []
    })
    return { items, written, complete, highest: track.latest }
  }

  const assertFrames = (items: ReadonlyArray<Frames.Frame | Frames.Lagged>, ordered: boolean) => {
    const next = new Map<number, number>()
    let highest = 0
    for (const item of items) {
      if (item._tag !== "Frame") continue
      assert.deepStrictEqual([...item.payload], [item.sequence, item.index])
      assert.strictEqual(item.index, next.get(item.sequence) ?? 0, "no frame is missing in between, none comes twice")
      next.set(item.sequence, item.index + 1)
      if (ordered) assert.isAtLeast(item.sequence, highest)
      highest = Math.max(highest, item.sequence)
    }
  }

  const count = (items: ReadonlyArray<Frames.Frame | Frames.Lagged>): number =>
    items.reduce((sum, item) => sum + (item._tag === "Lagged" ? item.groups : 0), 0)

  for (const groups of [100, 4]) {
    it(`frames in order rise, and every group is whole or counted once (${groups} groups kept)`, () =>
      fc.assert(
        fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
          const { complete, highest, items } = play({ _tag: "InOrder", latencyMs: 200 }, groups, steps)
          assertFrames(items, true)
          const passed = items.flatMap((item) =>
            item._tag === "Lagged" ? Array.from({ length: item.groups }, (_, n) => item.sequence + n) : []
          )
          assert.strictEqual(new Set(passed).size, passed.length)
          const either = new Set([...passed, ...complete])
          for (let n = 0; n <= highest; n++) assert.isTrue(either.has(n), `group ${n} is neither whole nor counted`)
          assert.isTrue(passed.every((n) => n <= highest))
        }),
        { numRuns: 1_000 }
      ))

    it(`the latest frames rise, and as many groups are counted as are not whole (${groups} groups kept)`, () =>
      fc.assert(
        fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
          const { complete, highest, items } = play({ _tag: "Latest" }, groups, steps)
          assertFrames(items, true)
          // a group that was left when all of it had been read may count as incomplete: nobody knew that nothing would follow
          assert.isAtLeast(count(items), highest + 1 - complete.length)
          assert.isAtMost(count(items), highest + 1)
        }),
        { numRuns: 1_000 }
      ))

    it(`every frame comes, or its group is counted (${groups} groups kept)`, () =>
      fc.assert(
        fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
          const { complete, items, written } = play({ _tag: "Everything" }, groups, steps)
          assertFrames(items, false)
          assert.strictEqual(count(items), written.size - complete.length)
        }),
        { numRuns: 1_000 }
      ))
  }
})

/** Stands still unless a test moves it. */
class Clock implements EffectClock.Clock {
  nowMs = 0
  currentTimeMillisUnsafe = () => this.nowMs
  currentTimeMillis = Effect.sync(() => this.nowMs)
  currentTimeNanosUnsafe = () => BigInt(this.nowMs) * 1_000_000n
  currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  monotonicTimeNanosUnsafe = () => this.currentTimeNanosUnsafe()
  monotonicTimeNanos = this.currentTimeNanos
  sleep = () => Effect.never
}
