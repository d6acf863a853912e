import { Blocked, End } from "@effect-live/endpoint/Stream"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import * as Budget from "../src/Budget.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import { type GroupConsumer, GroupError, GroupProducer } from "../src/Group.ts"
import * as Limits from "../src/Limits.ts"
import * as Track from "../src/Track.ts"
import { allOf, bytes, text, write } from "./support/world.ts"

const said = (value: ReturnType<Track.TrackConsumer["tryNext"]>): string => {
  if (value === Blocked) return "blocked"
  if (value === End) return "end"
  if (value instanceof Track.TrackError) return `error ${value.code}`
  return "_tag" in value ? `lagged ${value.groups}` : `group ${value.sequence}`
}
const next = (consumer: Track.TrackConsumer): string => said(consumer.tryNext())
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

  it.effect("times frames by its own clock in units of its timescale, never backwards", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust(5_000)
      const track = Track.make("video", { timescale: 90_000 })
      const group = track.appendGroup()
      const reader = group.consume()
      const next = () => {
        group.write(bytes("x"))
        reader.tryRead()
        return reader.timestamp
      }
      assert.strictEqual(next(), 0)
      yield* TestClock.adjust(10)
      assert.strictEqual(next(), 900)
      yield* TestClock.setTime(0)
      assert.strictEqual(next(), 900)
      assert.deepStrictEqual(track.info, { priority: 0, ordered: false, maxLatencyMs: 30_000, timescale: 90_000 })
      assert.strictEqual(track.consume().timescale, 90_000)
    })
  )

  it("takes what the publisher of a remote track says of it", () => {
    const track = Track.make("video")
    const consumer = track.consume()
    track.setInfo({ priority: 7, ordered: true, maxLatencyMs: 100, timescale: 48_000 })
    assert.deepStrictEqual([consumer.priority, consumer.timescale, consumer.info.maxLatencyMs], [7, 48_000, 100])
  })

  it("gives groups that are one datagram in the sequence of all others", () => {
    const track = Track.make("video")
    const consumer = track.consume()
    write(track, "stream")
    assert.strictEqual(track.appendDatagram(bytes("datagram"), 40), "written")
    assert.strictEqual(track.createDatagram(5, bytes("from afar"), 80), "written")
    assert.strictEqual(track.createDatagram(5, bytes("twice"), 80), "duplicate")
    assert.strictEqual(track.appendDatagram(new Uint8Array(Limits.maxFrameBytes + 1)), "tooLarge")
    track.finish()
    assert.strictEqual(track.appendDatagram(bytes("late")), "ended")
    const seen: Array<unknown> = []
    for (let group = consumer.tryNext(); group !== End && group !== Blocked; group = consumer.tryNext()) {
      assert("sequence" in group)
      const frame = group.tryRead()
      seen.push([group.sequence, group.datagram, frame instanceof Uint8Array && text(frame), group.tryRead() === End])
    }
    assert.deepStrictEqual(seen, [
      [0, false, "stream", true],
      [1, true, "datagram", true],
      [5, true, "from afar", true]
    ])
  })

  it("says from where it has to be asked for again, and lets groups go on whose streams were cut", () => {
    const track = Track.make("video")
    assert.strictEqual(track.resumePoint, 0)
    write(track, "0")
    write(track, "1")
    assert.strictEqual(track.resumePoint, 2)
    const cut = track.createGroup(4)
    track.createGroup(7)
    assert.strictEqual(track.resumePoint, 4)
    assert.strictEqual(track.resumeGroup(4), cut)
    assert.isUndefined(track.resumeGroup(1), "it is complete")
    assert.isUndefined(track.resumeGroup(5), "it never began")
    if (typeof cut !== "string") cut.finish()
    assert.strictEqual(track.resumePoint, 7)
  })

  it("hands over no group above the last one that is wanted", () => {
    const track = Track.make("video", { retention: { groups: 4 } })
    const consumer = track.consume({ start: 2, end: 4 })
    for (const sequence of [1, 2, 5, 4, 9]) track.createGroup(sequence)
    assert.deepStrictEqual(rest(consumer), ["group 2", "group 4", "blocked"])
    for (const sequence of [10, 11, 12, 13, 3]) track.createGroup(sequence)
    assert.deepStrictEqual(rest(consumer), ["group 3", "blocked"])
  })

  it("agrees with a plain model of itself, whatever happens in whatever order", () => {
    const sequence = fc.nat(12)
    const bound = fc.option(fc.nat(9), { nil: undefined })
    fc.assert(
      fc.property(
        fc.commands(
          [
            sequence.map((sequence) =>
              command(`create ${sequence}`, (model, { track }) => {
                const made = track.createGroup(sequence)
                assert.strictEqual(made instanceof GroupProducer ? "group" : made, model.create(sequence))
              })
            ),
            fc.constant(
              command("append", (model, { track }) => {
                const ended = model.final !== undefined || model.aborted
                assert.strictEqual(track.appendGroup().ended, ended)
                if (!ended) model.create(model.highest + 1)
              })
            ),
            fc.tuple(bound, bound).map(([start, end]) =>
              command(`consume ${start} ${end}`, (model, { consumers, track }) => {
                if (consumers.length >= 4) return
                model.consume(start, end ?? Number.POSITIVE_INFINITY)
                consumers.push(
                  track.consume({ ...(start !== undefined && { start }), ...(end !== undefined && { end }) })
                )
              })
            ),
            fc.nat(3).map((n) =>
              command(`next ${n}`, (model, { consumers, readers }) => {
                const got = consumers[n]?.tryNext()
                if (got !== undefined) assert.strictEqual(said(got), model.next(n))
                if (typeof got === "object" && "sequence" in got) readers.push(got)
              })
            ),
            sequence.map((sequence) =>
              command(`finish group ${sequence}`, (model, { track }) => {
                const group = track.group(sequence)
                group?.finish()
                const kept = model.kept.find((one) => one.sequence === sequence)
                assert.strictEqual(group !== undefined, kept !== undefined)
                if (kept !== undefined) kept.finished = true
              })
            ),
            fc.constant(
              command("squeeze the budget", (model, { budget }) => {
                budget.grew(1_000_000)
                budget.grew(-1_000_000)
                model.evict(
                  model.kept.filter((group) => group !== model.newest),
                  ErrorCode.evicted
                )
              })
            ),
            fc.constant(
              command("finish", (model, { track }) => {
                track.finish()
                if (!model.aborted) model.final ??= model.highest + 1
              })
            ),
            fc.constant(
              command("abort", (model, { track }) => {
                track.abort(ErrorCode.dropped)
                model.abort(ErrorCode.dropped)
              })
            ),
            fc.constant(
              command("release", (model, { track }) => {
                track.release()
                if (model.final === undefined) model.abort(ErrorCode.cancel)
                else {
                  model.final = 0
                  model.evict([...model.kept], ErrorCode.cancel)
                }
              })
            )
          ],
          { maxCommands: 60 }
        ),
        (commands) => {
          const budget = Budget.make({ bytes: 1_000 })
          const track = Track.make("t", { retention: { groups: 4 }, budget })
          fc.modelRun(() => ({ model: new Model(), real: { budget, track, consumers: [], readers: [] } }), commands)
        }
      ),
      { numRuns: 1_000 }
    )
  })
})

/** What a track should do, by the plainest means: the whole past, and per consumer what it has and may have. */
class Model {
  readonly arrived: Array<{ readonly sequence: number; finished: boolean; evicted: number | undefined }> = []
  final: number | undefined
  aborted = false
  readonly consumers: Array<{ floor: number | undefined; readonly ceiling: number; at: number; lost: number }> = []

  get kept() {
    return this.arrived.filter(({ evicted }) => evicted === undefined)
  }

  get highest(): number {
    return Math.max(-1, ...this.arrived.map(({ sequence }) => sequence))
  }

  get newest() {
    return this.aborted || this.final === 0
      ? undefined
      : this.arrived.findLast(({ sequence }) => sequence === this.highest)
  }

  create(sequence: number): "group" | "duplicate" | "ended" {
    if (this.aborted || (this.final !== undefined && sequence >= this.final)) return "ended"
    if (this.kept.some((group) => group.sequence === sequence)) return "duplicate"
    this.arrived.push({ sequence, finished: false, evicted: undefined })
    while (this.kept.length > 4) {
      const oldest = this.kept.find((group) => group !== this.newest)
      if (oldest !== undefined) this.evict([oldest], ErrorCode.lagged)
    }
    return "group"
  }

  evict(groups: Model["arrived"], code: number): void {
    for (const group of groups) {
      group.evicted = code
      const index = this.arrived.indexOf(group)
      for (const consumer of this.consumers) if (index >= consumer.at && wants(consumer, group)) consumer.lost++
    }
  }

  abort(code: number): void {
    if (this.aborted) return
    this.aborted = true
    this.evict(this.kept, code)
    this.error = code
  }
  error: number | undefined

  consume(start: number | undefined, ceiling: number): void {
    const newest = this.newest === undefined ? -1 : this.arrived.lastIndexOf(this.newest)
    const at = start === undefined ? Math.max(0, newest) : 0
    this.consumers.push({ floor: start ?? this.newest?.sequence, ceiling, at, lost: 0 })
  }

  next(n: number): string {
    const consumer = this.consumers[n]
    if (consumer === undefined) return "none"
    if (this.error !== undefined) return `error ${this.error}`
    if (consumer.lost > 0) {
      const lost = consumer.lost
      consumer.lost = 0
      return `lagged ${lost}`
    }
    for (; consumer.at < this.arrived.length; consumer.at++) {
      const group = this.arrived[consumer.at]
      if (group === undefined || group.evicted !== undefined || !wants(consumer, group)) continue
      consumer.at++
      consumer.floor ??= group.sequence
      return `group ${group.sequence}`
    }
    return this.final === undefined ? "blocked" : "end"
  }
}

const wants = (
  { ceiling, floor = 0 }: { readonly floor: number | undefined; readonly ceiling: number },
  { sequence }: { readonly sequence: number }
): boolean => sequence >= floor && sequence <= ceiling

interface Real {
  readonly budget: Budget.Budget
  readonly track: Track.TrackProducer
  readonly consumers: Array<Track.TrackConsumer>
  /** Of every group that was handed over. */
  readonly readers: Array<GroupConsumer>
}

/** Does something to both, then compares all that can be seen. */
const command = (name: string, run: (model: Model, real: Real) => void): fc.Command<Model, Real> => ({
  check: () => true,
  run: (model, real) => {
    run(model, real)
    const { budget, readers, track } = real
    const { kept } = model
    assert.deepStrictEqual(track.kept, { groups: kept.length, bytes: 0 })
    assert.strictEqual(track.latest, model.highest)
    assert.strictEqual(budget.evictable, kept.length - (model.newest === undefined ? 0 : 1))
    const open = kept.filter(({ finished }) => !finished).map(({ sequence }) => sequence)
    assert.strictEqual(track.resumePoint, Math.min(model.highest + 1, ...open))
    for (let n = 0; n <= model.highest; n++) {
      assert.strictEqual(track.resumeGroup(n) !== undefined, open.includes(n))
    }
    for (const reader of readers) {
      const last = reader.tryRead()
      const group = model.arrived.findLast(({ sequence }) => sequence === reader.sequence)
      if (model.arrived.filter(({ sequence }) => sequence === reader.sequence).length > 1) continue // begun anew
      if (group?.finished === true) assert.strictEqual(last, End)
      else if (group?.evicted === undefined) assert.strictEqual(last, Blocked)
      else assert.strictEqual(last instanceof GroupError && last.code, group.evicted)
    }
  },
  toString: () => name
})
