import { Blocked, End } from "@effect-live/endpoint/Stream"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import * as Broadcast from "../../src/Broadcast.ts"
import * as ErrorCode from "../../src/ErrorCode.ts"
import { Merged } from "../../src/internal/Merged.ts"
import type { AnnouncedConsumer } from "../../src/Origin.ts"

const finished: Broadcast.Ended = { _tag: "Finished" }

/** A merge of sessions that are only names. */
const world = () => {
  const merged = new Merged<string>()
  const came = (session: string, path = "cam") =>
    merged.came(path, [], { session, broadcast: Broadcast.make().consume() })
  const went = (session: string, path = "cam") => merged.went(path, session, finished)
  return { merged, came, went, watcher: merged.table.announced("") }
}

/** What the watcher has not seen yet. */
const news = (watcher: AnnouncedConsumer): string => {
  const next = watcher.tryNext()
  if (next === Blocked) return ""
  return next === End ? "end" : next.map(({ active, path }) => `${active ? "+" : "-"}${path}`).join(" ")
}

describe("what several sessions with one peer announce", () => {
  it("a path is that of who announced it first, then the next one's, without an end for watchers", () => {
    const { came, merged, watcher, went } = world()
    came("old")
    came("new")
    assert.strictEqual(news(watcher), "+cam")
    assert.strictEqual(merged.source("cam")?.session, "old")
    went("old")
    assert.deepStrictEqual([news(watcher), merged.source("cam")?.session], ["", "new"])
    went("new")
    assert.deepStrictEqual([news(watcher), merged.source("cam")], ["-cam", undefined])
  })

  it("one that comes back is behind the others", () => {
    const { came, merged, went } = world()
    came("a")
    came("b")
    went("a")
    came("a")
    assert.strictEqual(merged.source("cam")?.session, "b")
    assert.isDefined(merged.source("cam", "a"))
  })

  it("a path that ends everywhere and comes again is another broadcast", () => {
    const { came, watcher, went } = world()
    came("a")
    news(watcher)
    went("a")
    came("b")
    assert.strictEqual(news(watcher), "-cam +cam")
  })

  it.effect("says how the last one ended", () =>
    Effect.gen(function* () {
      const { came, merged, went } = world()
      const closed = () => merged.table.consume("cam")?.closed ?? Effect.die("not announced")
      came("a")
      const finishing = closed()
      went("a")
      assert.deepStrictEqual(yield* finishing, finished)
      came("a")
      came("b")
      const losing = closed()
      merged.left("a")
      went("b", "other")
      merged.left("b")
      assert.deepStrictEqual(yield* losing, { _tag: "Aborted", code: ErrorCode.transport })
    })
  )

  it("ends for watchers when it is closed, and whoever announces afterwards is not heard", () => {
    const { came, merged, watcher } = world()
    came("a")
    news(watcher)
    merged.close()
    came("a", "late")
    assert.deepStrictEqual([news(watcher), news(watcher), merged.source("late")], ["-cam", "end", undefined])
  })

  it("shows a path exactly while somebody announces it, whoever comes and goes", () =>
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.constantFrom("x", "y"), fc.boolean()), { maxLength: 40 }),
        (steps) => {
          const { came, merged, watcher, went } = world()
          const order = new Map<string, Array<string>>([
            ["x", []],
            ["y", []]
          ])
          const seen = new Set<string>()
          for (const [session, path, announce] of steps) {
            const sessions = order.get(path) ?? []
            if (announce === sessions.includes(session)) continue
            if (announce) {
              sessions.push(session)
              came(session, path)
            } else {
              sessions.splice(sessions.indexOf(session), 1)
              went(session, path)
            }
            for (const word of news(watcher)
              .split(" ")
              .filter((word) => word !== "")) {
              if (word.startsWith("+")) seen.add(word.slice(1))
              else seen.delete(word.slice(1))
            }
            const expected = [...order].filter(([, sessions]) => sessions.length > 0).map(([path]) => path)
            assert.deepStrictEqual([...seen].toSorted(), expected.toSorted())
            assert.deepStrictEqual(merged.table.paths.toSorted(), expected.toSorted())
            assert.strictEqual(merged.source(path)?.session, sessions[0])
          }
        }
      )
    ))
})
