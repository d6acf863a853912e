import { Blocked, End } from "@effect-live/endpoint/Stream"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import * as ErrorCode from "../src/ErrorCode.ts"
import { GroupError, GroupProducer } from "../src/Group.ts"
import * as Limits from "../src/Limits.ts"
import * as Track from "../src/Track.ts"
import { allOf, bytes, write } from "./support/world.ts"

const next = (consumer: Track.TrackConsumer): string => {
  const value = consumer.tryNext()
  if (value === Blocked) return "blocked"
  if (value === End) return "end"
  if (value instanceof Track.TrackError) return `error ${value.code}`
  return "_tag" in value ? `lagged ${value.groups}` : `group ${value.sequence}`
}
const rest = (consumer: Track.TrackConsumer): ReadonlyArray<string> => {
  const values = [next(consumer)]
  while (!["blocked", "end"].includes(values.at(-1) ?? "") && !values.at(-1)?.startsWith("error"))
    values.push(next(consumer))
  return values
}

describe("a track", () => {
  it("lets a consumer begin with the newest group and gives it every later one", () => {
    const track = Track.make("video")
    write(track, "0")
    write(track, "1")
    const consumer = track.consume()
    write(track, "2")
    track.finish()
    assert.deepStrictEqual(rest(consumer), ["group 1", "group 2", "end"])
  })

  it("lets a consumer of an empty track begin with the first group", () => {
    const track = Track.make("video")
    const consumer = track.consume()
    assert.strictEqual(next(consumer), "blocked")
    track.createGroup(7)
    track.createGroup(6)
    assert.deepStrictEqual(rest(consumer), ["group 7", "blocked"])
  })

  it("lets a consumer begin at any group that is kept, or the first one after it", () => {
    const track = Track.make("video")
    for (const sequence of [2, 3, 9, 5]) track.createGroup(sequence)
    assert.deepStrictEqual(rest(track.consume({ start: 3 })), ["group 3", "group 9", "group 5", "blocked"])
    assert.deepStrictEqual(rest(track.consume({ start: 4 })), ["group 9", "group 5", "blocked"])
  })

  it("hands groups over in the order of their arrival, late ones too, but none below the first", () => {
    const track = Track.make("video")
    track.createGroup(5)
    const consumer = track.consume()
    for (const sequence of [8, 6, 4, 7]) track.createGroup(sequence)
    assert.deepStrictEqual(rest(consumer), ["group 5", "group 8", "group 6", "group 7", "blocked"])
  })

  it("refuses a sequence number twice, and any at or above the end; those below it may still come", () => {
    const track = Track.make("video")
    track.createGroup(4)
    assert.strictEqual(track.createGroup(4), "duplicate")
    track.finish()
    assert.strictEqual(track.createGroup(5), "ended")
    assert.instanceOf(track.createGroup(3), GroupProducer)
    assert.strictEqual(track.appendGroup().write(bytes("x")), "ended")
  })

  it("gives an aborted track's code to its consumers and to the readers of its groups", () => {
    const track = Track.make("video")
    const consumer = track.consume()
    const group = track.appendGroup().consume()
    track.abort(ErrorCode.dropped)
    assert.deepStrictEqual(rest(consumer), [`error ${ErrorCode.dropped}`])
    assert.instanceOf(group.tryRead(), GroupError)
    assert.strictEqual(track.createGroup(9), "ended")
    assert.deepStrictEqual(track.kept, { groups: 0, bytes: 0 })
  })

  it("keeps at most so many groups and tells a consumer how many it lost", () => {
    const track = Track.make("video", { retention: { groups: 3 } })
    const consumer = track.consume()
    for (let n = 0; n < 10; n++) write(track, "x")
    assert.strictEqual(track.kept.groups, 3)
    assert.deepStrictEqual(rest(consumer), ["lagged 7", "group 7", "group 8", "group 9", "blocked"])
  })

  it("keeps at most so many bytes beside its newest group, and takes them from readers", () => {
    const track = Track.make("video", { retention: { bytes: 10_000 } })
    const consumer = track.consume()
    write(track, "x".repeat(4_000))
    const slow = consumer.tryNext()
    for (let n = 0; n < 9; n++) write(track, "x".repeat(4_000))
    assert.isAtMost(track.kept.bytes, 10_000)
    assert.deepStrictEqual(rest(consumer), ["lagged 7", "group 8", "group 9", "blocked"])
    assert.isTrue(slow !== Blocked && slow !== End && "tryRead" in slow && slow.tryRead() instanceof GroupError)
    write(track, "x".repeat(50_000))
    assert.deepStrictEqual(track.kept.groups, 1, "the newest group stays however large it is")
  })

  it.effect("forgets groups that are too old when a new one begins, never the newest", () =>
    Effect.gen(function* () {
      const track = Track.make("video", { retention: { ageMs: 1_000 } })
      const consumer = track.consume()
      write(track, "0")
      write(track, "1")
      yield* TestClock.adjust(900)
      write(track, "2")
      yield* TestClock.adjust(900)
      write(track, "3")
      assert.deepStrictEqual(rest(consumer), ["lagged 2", "group 2", "group 3", "blocked"])
    })
  )

  it("has default limits that hold", () => {
    const track = Track.make("video")
    for (let n = 0; n < Limits.retention.groups + 10; n++) track.appendGroup().finish()
    assert.strictEqual(track.kept.groups, Limits.retention.groups)
    for (let n = 0; n < 40; n++) write(track, "x".repeat(1024 * 1024))
    assert.isAtMost(track.kept.bytes, Limits.retention.bytes)
  })

  it.effect("tells when somebody begins to consume it and when nobody does any more", () =>
    Effect.gen(function* () {
      const track = Track.make("video")
      yield* track.unused
      const used = yield* Effect.forkChild(track.used, { startImmediately: true })
      const [a, b] = [track.consume(), track.consume()]
      yield* Fiber.join(used)
      const unused = yield* Effect.forkChild(track.unused, { startImmediately: true })
      a.close()
      a.close()
      assert.strictEqual(track.consumers, 1)
      assert.isUndefined(unused.pollUnsafe())
      b.close()
      yield* Fiber.join(unused)
      assert.strictEqual(next(b), "end")
    })
  )

  it.effect("lets a consumer wait for groups and for the end", () =>
    Effect.gen(function* () {
      const track = Track.make("video")
      const all = yield* Effect.forkChild(allOf(track.consume()), { startImmediately: true })
      write(track, "a", "b")
      write(track, "c")
      track.finish()
      assert.deepStrictEqual(yield* Fiber.join(all), ["0:a,b", "1:c"])
    })
  )

  it("agrees with a plain model of itself, whatever happens in whatever order", () =>
    fc.assert(
      fc.property(
        fc.commands(
          [
            fc.integer({ min: 0, max: 12 }).map((sequence) => new Create(sequence)),
            fc.constant(new Append()),
            fc.tuple(fc.nat(3), fc.boolean()).map(([n, start]) => new Consume(n, start)),
            fc.nat(3).map((n) => new Next(n)),
            fc.constant(new Finish())
          ],
          { maxCommands: 60 }
        ),
        (commands) => {
          fc.modelRun(
            () => ({
              model: new Model(),
              real: { track: Track.make("t", { retention: { groups: 4 } }), consumers: [] }
            }),
            commands
          )
        }
      ),
      { numRuns: 500 }
    ))
})

/** What a track should do, by the plainest means: the whole past, and per consumer what it has and may have. */
class Model {
  readonly arrived: Array<{ readonly sequence: number; kept: boolean }> = []
  final: number | undefined
  readonly consumers: Array<{ floor: number | undefined; at: number; lost: number }> = []

  get highest(): number {
    return Math.max(-1, ...this.arrived.map(({ sequence }) => sequence))
  }

  create(sequence: number): "group" | "duplicate" | "ended" {
    if (this.final !== undefined && sequence >= this.final) return "ended"
    if (this.arrived.some((group) => group.kept && group.sequence === sequence)) return "duplicate"
    this.arrived.push({ sequence, kept: true })
    const newest = this.arrived.findLast(({ sequence }) => sequence === this.highest)
    while (this.arrived.filter(({ kept }) => kept).length > 4) {
      const index = this.arrived.findIndex((group) => group.kept && group !== newest)
      const oldest = this.arrived[index]
      if (oldest === undefined) break
      oldest.kept = false
      for (const consumer of this.consumers) {
        if (index >= consumer.at && oldest.sequence >= (consumer.floor ?? 0)) consumer.lost++
      }
    }
    return "group"
  }

  consume(start: number | undefined): void {
    const newest = this.arrived.findLastIndex(({ sequence }) => sequence === this.highest)
    const at = start === undefined ? Math.max(0, newest) : 0
    this.consumers.push({ floor: start ?? this.arrived[newest]?.sequence, at, lost: 0 })
  }

  next(n: number): string {
    const consumer = this.consumers[n]
    if (consumer === undefined) return "none"
    if (consumer.lost > 0) {
      const lost = consumer.lost
      consumer.lost = 0
      return `lagged ${lost}`
    }
    for (; consumer.at < this.arrived.length; consumer.at++) {
      const group = this.arrived[consumer.at]
      if (group?.kept !== true || group.sequence < (consumer.floor ?? 0)) continue
      consumer.at++
      consumer.floor ??= group.sequence
      return `group ${group.sequence}`
    }
    return this.final === undefined ? "blocked" : "end"
  }
}

interface Real {
  readonly track: Track.TrackProducer
  readonly consumers: Array<Track.TrackConsumer>
}
type Command = fc.Command<Model, Real>

class Create implements Command {
  readonly sequence: number
  constructor(sequence: number) {
    this.sequence = sequence
  }
  check = () => true
  run(model: Model, { track }: Real) {
    const made = track.createGroup(this.sequence)
    assert.strictEqual(made instanceof GroupProducer ? "group" : made, model.create(this.sequence))
  }
  toString = () => `create ${this.sequence}`
}
class Append implements Command {
  check = () => true
  run(model: Model, { track }: Real) {
    const ended = model.final !== undefined
    assert.strictEqual(track.appendGroup().ended, ended)
    if (!ended) model.create(model.highest + 1)
  }
  toString = () => "append"
}
class Consume implements Command {
  readonly start: number | undefined
  constructor(start: number, given: boolean) {
    this.start = given ? start : undefined
  }
  check = (model: Readonly<Model>) => model.consumers.length < 4
  run(model: Model, { track, consumers }: Real) {
    model.consume(this.start)
    consumers.push(track.consume(this.start === undefined ? {} : { start: this.start }))
  }
  toString = () => `consume ${this.start}`
}
class Next implements Command {
  readonly n: number
  constructor(n: number) {
    this.n = n
  }
  check = (model: Readonly<Model>) => this.n < model.consumers.length
  run(model: Model, { consumers }: Real) {
    const consumer = consumers[this.n]
    assert.strictEqual(consumer === undefined ? "none" : next(consumer), model.next(this.n))
  }
  toString = () => `next ${this.n}`
}
class Finish implements Command {
  check = () => true
  run(model: Model, { track }: Real) {
    model.final ??= model.highest + 1
    track.finish()
  }
  toString = () => "finish"
}
