import { Blocked } from "@effect-live/endpoint/Stream"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import fc from "fast-check"
import * as Budget from "../src/Budget.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import type { GroupProducer } from "../src/Group.ts"
import { FrameReader } from "../src/internal/FrameReader.ts"
import * as Limits from "../src/Limits.ts"
import * as Track from "../src/Track.ts"

const kilobytes = (n: number): Uint8Array => new Uint8Array(n * 1_000)

/** A group of one frame. */
const fill = (track: Track.TrackProducer, n: number): GroupProducer => {
  const group = track.appendGroup()
  group.write(kilobytes(n))
  group.finish()
  return group
}

const codeOf = (group: GroupProducer): number | undefined => group.error?.code

describe("a budget", () => {
  it("gives up the group that was overtaken first, of whatever track, and no track's newest", () => {
    const budget = Budget.make({ bytes: 10_000 })
    const [a, b] = [Track.make("a", { budget }), Track.make("b", { budget })]
    const first = fill(a, 3)
    const second = fill(b, 3)
    fill(b, 3) // overtakes the second group before the first one is overtaken
    const newest = fill(a, 3)
    assert.strictEqual(codeOf(second), ErrorCode.evicted)
    assert.isUndefined(codeOf(first))
    fill(a, 9)
    assert.strictEqual(codeOf(first), ErrorCode.evicted)
    assert.strictEqual(codeOf(newest), ErrorCode.evicted)
    assert.deepStrictEqual([a.kept.groups, b.kept.groups, budget.evictable], [1, 1, 0])
    assert.strictEqual(budget.used, a.kept.bytes + b.kept.bytes)
  })

  it.effect("tells the readers of a group that it gives up, and counts it for those who had not come to it", () =>
    Effect.gen(function* () {
      const track = Track.make("a", { budget: Budget.make({ bytes: 10_000 }) })
      const [ahead, behind] = [track.consume(), track.consume()]
      const open = track.appendGroup()
      const reader = ahead.tryNext()
      assert.isTrue(reader !== Blocked && "sequence" in (reader as object))
      const waiting = yield* Effect.forkChild(Effect.flip(open.consume().read), { startImmediately: true })
      fill(track, 4)
      fill(track, 4)
      fill(track, 4)
      assert.strictEqual((yield* Fiber.join(waiting)).code, ErrorCode.evicted)
      assert.deepStrictEqual(behind.tryNext(), { _tag: "Lagged", groups: 2 })
    })
  )

  it("of a session takes nothing from other sessions, and all of them count against the one of the service", () => {
    const service = Budget.make({ bytes: 25_000 })
    const sessions = [service.child({ bytes: 10_000 }), service.child({ bytes: 10_000 }), service.child()]
    const tracks = sessions.map((budget) => Track.make("a", { budget }))
    const [one, two, three] = tracks
    assert(one !== undefined && two !== undefined && three !== undefined)
    for (let n = 0; n < 3; n++) fill(one, 3)
    for (let n = 0; n < 20; n++) fill(two, 3)
    assert.deepStrictEqual([one.kept.groups, two.kept.groups], [3, 3])
    for (let n = 0; n < 4; n++) fill(three, 3)
    assert.isAtMost(service.used, 25_000)
    assert.strictEqual(one.kept.groups, 1, "its groups were the oldest of all")
    assert.strictEqual(
      service.used,
      sessions.reduce((sum, { used }) => sum + used, 0)
    )
  })

  it("has default limits that hold", () => {
    const service = Budget.make()
    const tracks = Array.from({ length: 6 }, () =>
      Track.make("a", { budget: service.child(), retention: { bytes: Number.POSITIVE_INFINITY } })
    )
    // kept without copying: one piece of memory stands for all
    const encoded = new Uint8Array(4 * 1024 * 1024)
    encoded.set([0x80, 0x3f, 0xff, 0xfc])
    for (const track of tracks) {
      for (let n = 0; n < 40; n++) track.appendGroup().writeEncoded(encoded)
      assert.isAtMost(track.kept.bytes, Limits.heldBytesPerSession)
      assert.isAbove(track.kept.bytes, Limits.heldBytesPerSession - 2 * encoded.length)
    }
    assert.isAtMost(service.used, Limits.heldBytes)
    assert.isAbove(service.used, Limits.heldBytes - 2 * encoded.length)
  })

  it("counts frames that are still arriving, and forgets them with their group", () => {
    const budget = Budget.make({ bytes: 10_000 })
    const track = Track.make("a", { budget })
    const group = track.appendGroup()
    const reader = new FrameReader(group, { timed: false })
    reader.push(Uint8Array.of(0x80, 0x10, 0, 0, ...new Uint8Array(6_000)))
    assert.isAtLeast(budget.used, 6_000)
    fill(track, 9)
    assert.strictEqual(codeOf(group), ErrorCode.evicted)
    assert.strictEqual(reader.push(new Uint8Array(1)), ErrorCode.evicted, "and the stream is refused with the code")
    assert.strictEqual(budget.used, track.kept.bytes)
  })

  it("loses nothing of what is aborted or released, finished or not", () => {
    const budget = Budget.make({ bytes: 100_000 })
    const session = budget.child()
    for (const end of ["abort", "release", "finish and release"] as const) {
      const track = Track.make("a", { budget: session })
      const consumer = track.consume()
      for (let n = 0; n < 5; n++) fill(track, 3)
      const open = track.createGroup(9)
      track.createGroup(8)
      if (end === "abort") track.abort(ErrorCode.transport)
      else {
        if (end === "finish and release") track.finish()
        track.release()
        track.release()
        if (end === "finish and release") assert.deepStrictEqual(consumer.tryNext(), { _tag: "Lagged", groups: 7 })
      }
      assert.strictEqual(track.createGroup(7), "ended")
      if (typeof open !== "string") assert.strictEqual(open.write(kilobytes(1)), "ended")
      assert.deepStrictEqual([budget.used, budget.evictable, session.used, session.evictable], [0, 0, 0, 0])
    }
  })

  it("is exact and holds beside newest groups, whatever tracks do", () => {
    type Step = readonly [
      what: "begin" | "late" | "write" | "came" | "hold" | "finish" | "abort" | "renew" | "read",
      track: number,
      size: number
    ]
    const step: fc.Arbitrary<Step> = fc.tuple(
      fc.constantFrom(
        "begin",
        "begin",
        "late",
        "write",
        "write",
        "came",
        "came",
        "hold",
        "finish",
        "abort",
        "renew",
        "read"
      ),
      fc.nat(3),
      fc.nat(900)
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const service = Budget.make({ bytes: 3_000 })
        const budgets = [service.child({ bytes: 1_500 }), service.child({ bytes: 2_000 })]
        const made = (n: number) => {
          const budget = budgets[n % 2]
          assert(budget !== undefined)
          return {
            budget,
            track: Track.make("t", { budget, retention: { groups: 6 } }),
            groups: new Array<GroupProducer>()
          }
        }
        const all = [0, 1, 2, 3].map(made)
        for (const [what, n, size] of steps) {
          const one = all[n]
          assert(one !== undefined)
          const group = one.groups[size % Math.max(1, one.groups.length)]
          if (what === "begin") one.groups.push(one.track.appendGroup())
          else if (what === "late") {
            const late = one.track.createGroup(size % 10)
            if (typeof late !== "string") one.groups.push(late)
          } else if (what === "write") group?.write(new Uint8Array(size))
          else if (what === "came") group?.writeEncoded(Uint8Array.of(size % 64, ...new Uint8Array(size % 64)))
          else if (what === "hold") group?.hold(size)
          else if (what === "finish") group?.finish()
          else if (what === "abort") group?.abort(ErrorCode.old)
          else if (what === "read") group?.consume().tryReadEncoded(size % 2 === 0)
          else {
            if (size % 3 === 0) one.track.finish()
            one.track.release()
            all[n] = made(n)
          }
          for (const budget of budgets) {
            const mine = all.filter((one) => one.budget === budget)
            const held = mine.flatMap(({ groups }) => groups).reduce((sum, { bytes }) => sum + bytes, 0)
            assert.strictEqual(budget.used, held, "every byte is counted once")
            assert.strictEqual(
              mine.reduce((sum, { track }) => sum + track.kept.bytes, 0),
              held
            )
            const newest = mine.flatMap(({ track }) => track.group(track.latest)?.bytes ?? 0)
            assert.isAtMost(
              held,
              Math.max(
                budget === budgets[0] ? 1_500 : 2_000,
                newest.reduce((a, b) => a + b, 0)
              )
            )
            assert.strictEqual(
              budget.evictable,
              mine.reduce(
                (sum, { track }) => sum + track.kept.groups - (track.group(track.latest) === undefined ? 0 : 1),
                0
              )
            )
          }
          const newest = all.reduce((sum, { track }) => sum + (track.group(track.latest)?.bytes ?? 0), 0)
          assert.isAtMost(service.used, Math.max(3_000, newest))
          assert.strictEqual(service.used, (budgets[0]?.used ?? 0) + (budgets[1]?.used ?? 0))
        }
        for (const { track } of all) track.release()
        assert.deepStrictEqual([service.used, service.evictable], [0, 0])
        for (const { groups } of all) for (const { ended } of groups) assert.isTrue(ended)
      }),
      { numRuns: 500 }
    )
  })
})
