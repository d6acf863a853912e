import { Blocked, End } from "@effect-live/endpoint/Stream"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import fc from "fast-check"
import * as Broadcast from "../src/Broadcast.ts"
import * as Limits from "../src/Limits.ts"
import * as Origin from "../src/Origin.ts"

const pull = (watcher: Origin.AnnouncedConsumer): ReadonlyArray<string> => {
  const next = watcher.tryNext()
  if (next === Blocked) return []
  return next === End ? ["end"] : next.map(({ path, active }) => `${active ? "+" : "-"}${path}`)
}

describe("an origin", () => {
  it("gives a watcher what is under its prefix, then the changes", () => {
    const origin = Origin.make()
    const one = Broadcast.make().consume()
    origin.publish("/room//ada/", one)
    origin.publish("rooms/eve", one)
    const watcher = origin.announced("room")
    assert.deepStrictEqual(pull(watcher), ["+room/ada"])
    assert.deepStrictEqual(pull(watcher), [])
    origin.publish("room", one)
    origin.unpublish("room/ada")
    assert.deepStrictEqual(pull(watcher), ["+room", "-room/ada"])
    assert.strictEqual(origin.consume("rooms//eve"), one)
  })

  it("merges what changed between two pulls, and shows the end of a broadcast before its successor", () => {
    const origin = Origin.make()
    const watcher = origin.announced("")
    const [old, young] = [Broadcast.make().consume(), Broadcast.make().consume()]
    origin.publish("a", old)
    origin.unpublish("a")
    assert.deepStrictEqual(pull(watcher), [])
    origin.publish("a", old)
    assert.deepStrictEqual(pull(watcher), ["+a"])
    origin.publish("a", young)
    assert.deepStrictEqual(pull(watcher), ["-a", "+a"])
    assert.isFalse(origin.unpublish("a", old), "the path belongs to another broadcast by now")
    assert.deepStrictEqual(pull(watcher), [])
  })

  it("says which hops a broadcast passed, and announces it anew when they change", () => {
    const origin = Origin.make()
    const watcher = origin.announced("")
    const broadcast = Broadcast.make().consume()
    const far = 2n ** 60n
    origin.publish("a", broadcast, [7, far])
    assert.deepStrictEqual(watcher.tryNext(), [{ path: "a", active: true, hops: [7, far] }])
    origin.publish("a", broadcast, [7, far])
    assert.strictEqual(watcher.tryNext(), Blocked)
    origin.publish("a", broadcast, [7])
    assert.deepStrictEqual(watcher.tryNext(), [
      { path: "a", active: false, hops: [] },
      { path: "a", active: true, hops: [7] }
    ])
    origin.publish("b", broadcast)
    assert.deepStrictEqual(watcher.tryNext(), [{ path: "b", active: true, hops: [] }])
  })

  it("ends every broadcast and then the watchers when it is closed", () => {
    const origin = Origin.make()
    const watcher = origin.announced("")
    origin.publish("a", Broadcast.make().consume())
    pull(watcher)
    origin.close()
    assert.deepStrictEqual([...pull(watcher), ...pull(watcher)], ["-a", "end"])
    assert.strictEqual(origin.publish("b", Broadcast.make().consume()), "closed")
  })

  it("refuses more than broadcastsPerOrigin", () => {
    const origin = Origin.make()
    const broadcast = Broadcast.make().consume()
    for (let n = 0; n < Limits.broadcastsPerOrigin; n++) origin.publish(`b${n}`, broadcast)
    assert.strictEqual(origin.publish("one more", broadcast), "tooMany")
    assert.strictEqual(origin.publish("b7", Broadcast.make().consume()), "published")
  })

  it.effect("is watched as a Stream", () =>
    Effect.gen(function* () {
      const origin = Origin.make()
      const seen = yield* Effect.forkChild(Stream.runCollect(Origin.announcements(origin, "")), {
        startImmediately: true
      })
      origin.publish("a", Broadcast.make().consume())
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      origin.close()
      const announcements = yield* Fiber.join(seen)
      assert.strictEqual(announcements.length % 2, 0, "whoever saw it come saw it go")
    })
  )

  it("never shows an end without a beginning, and leads every watcher to what is there", () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            path: fc.constantFrom("a", "a/b", "a/c", "d"),
            what: fc.constantFrom("publish", "unpublish", "pull")
          }),
          { maxLength: 100 }
        ),
        fc.constantFrom("", "a", "a/b"),
        (steps, prefix) => {
          const origin = Origin.make()
          const watcher = origin.announced(prefix)
          const known = new Set<string>()
          const see = () => {
            for (const entry of pull(watcher)) {
              const path = entry.slice(1)
              assert.strictEqual(known.has(path), entry.startsWith("-"))
              if (entry.startsWith("-")) known.delete(path)
              else known.add(path)
            }
          }
          for (const { path, what } of steps) {
            if (what === "publish") origin.publish(path, Broadcast.make().consume())
            else if (what === "unpublish") origin.unpublish(path)
            else see()
          }
          see()
          const there = origin.paths.filter((path) => prefix === "" || path === prefix || path.startsWith(`${prefix}/`))
          assert.deepStrictEqual([...known].toSorted(), there.toSorted())
        }
      )
    ))
})
