/** The command line tool against iroh-live's moq-lite. */
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { assertOneShift, assertRuns, assertWhole, unitsOf } from "../apps/cli/test/units.ts"
import { folder } from "./support/folder.ts"
import { irl, publish, sample, ticketFor } from "./support/irl.ts"
import { peer } from "./support/peer.ts"
import type { Event, Process } from "./support/process.ts"

/** What is published here goes through the Rust peer into a file. */
const throughRust = Effect.fnUntraced(function* (...how: ReadonlyArray<string>) {
  const publisher = yield* publish(...how)
  const rust = yield* peer("--dial", publisher.at, "forward")
  yield* rust.sees({ event: "announce", path: "hello", active: true })
  const copy = join(yield* folder, "copy.mp4")
  const recorder = yield* irl("record", ticketFor(rust.at), "-o", copy, "--json")
  return { publisher, rust, copy, recorder }
})

/** Hash of every frame by where it belongs. */
const frames = ({ events }: Process): ReadonlyMap<string, unknown> => {
  const place = ({ group, index, track }: Event) => `${String(track)} ${String(group)} ${String(index)}`
  return new Map(events.filter(({ event }) => event === "frame").map((frame) => [place(frame), frame["sha256"]]))
}

describe("irl and the Rust peer", { concurrent: true }, () => {
  it.live("irl publish: the Rust peer gets the catalog and the same frames as irl tap", () =>
    Effect.gen(function* () {
      const publisher = yield* publish("--loop")
      const track = "video/h264-360p"
      const rust = yield* peer("--dial", publisher.at, "subscribe", "--track", "catalog.json", "--track", track)
      yield* rust.sees({ event: "frame", track: "catalog.json", index: 0 })
      const tap = yield* irl("tap", publisher.ticket, "--track", track, "--json")
      yield* tap.sees({ event: "frame", track }, 60)
      yield* rust.sees({ event: "frame", track }, 60)
      const [theirs, ours] = [frames(rust), frames(tap)]
      const common = [...ours.keys()].filter((place) => theirs.has(place))
      assert.isAbove(common.length, 30)
      for (const place of common) assert.strictEqual(theirs.get(place), ours.get(place), place)
    })
  )

  it.live("irl publish, through the Rust peer, to irl record: the file has every access unit", () =>
    Effect.gen(function* () {
      const { copy, publisher, recorder } = yield* throughRust("--wait")
      assert.strictEqual(yield* recorder.ended, 0)
      assert.strictEqual(yield* publisher.ended, 0)
      const [source, units] = yield* Effect.promise(() => Promise.all([unitsOf(sample), unitsOf(copy)]))
      assertWhole(units, source)
      assertOneShift(units, source)
    })
  )

  it.live("Ctrl-C at irl publish: the Rust peer hears the end of the broadcast, then the close with code 0", () =>
    Effect.gen(function* () {
      const publisher = yield* publish("--loop")
      const rust = yield* peer("--dial", publisher.at, "subscribe", "--track", "video/h264-360p")
      yield* rust.sees({ event: "frame" })
      publisher.kill("SIGINT")
      yield* rust.sees({ event: "announce", path: "hello", active: false })
      yield* rust.sees({ event: "closed", code: 0 })
      assert.strictEqual(yield* publisher.ended, 0)
    })
  )

  it.live("kill -9 at irl publish: the Rust peer hears nothing more and gives up after its idle timeout", () =>
    Effect.gen(function* () {
      const publisher = yield* publish("--loop")
      const rust = yield* peer("--dial", publisher.at, "subscribe", "--track", "video/h264-360p")
      yield* rust.sees({ event: "frame" })
      publisher.kill("SIGKILL")
      const closed = yield* rust.sees({ event: "closed" })
      assert.strictEqual(closed["code"], null, String(closed["why"]))
      yield* rust.sees({ event: "announce", path: "hello", active: false })
    })
  )

  it.live("the Rust peer ends while irl record is running: the file is finished and holds what came", () =>
    Effect.gen(function* () {
      const { copy, recorder, rust } = yield* throughRust("--loop")
      yield* recorder.sees({ event: "progress" }, 3)
      yield* rust.stop
      yield* recorder.ended
      const [source, units] = yield* Effect.promise(() => Promise.all([unitsOf(sample), unitsOf(copy)]))
      assert.isAbove(units.video.length, 30)
      assertRuns(units, source)
    })
  )
})
