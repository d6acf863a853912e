import { Blocked, End } from "@effect-live/endpoint/Stream"
import * as Varint from "@effect-live/wire/Varint"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import fc from "fast-check"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Group from "../src/Group.ts"
import * as Limits from "../src/Limits.ts"
import { toHex } from "./support/raw.ts"
import { bytes, framesOf, text } from "./support/world.ts"

describe("a group", () => {
  it("gives every reader all frames, whenever it comes", () => {
    const group = Group.make(3)
    const early = group.consume()
    assert.strictEqual(early.tryRead(), Blocked)
    group.write(bytes("key"))
    const late = group.consume()
    group.write(bytes("delta"))
    group.finish()
    for (const reader of [early, late]) {
      assert.strictEqual(reader.sequence, 3)
      assert.deepStrictEqual(
        [reader.tryRead(), reader.tryRead()].map((frame) => text(frame as Uint8Array)),
        ["key", "delta"]
      )
      assert.strictEqual(reader.tryRead(), End)
      assert.strictEqual(reader.tryRead(), End)
      assert.strictEqual(reader.index, 2)
    }
  })

  it.effect("wakes every reader that waits", () =>
    Effect.gen(function* () {
      const group = Group.make(0)
      const readers = yield* Effect.forEach(Array.from({ length: 200 }), () =>
        Effect.forkChild(framesOf(group.consume()), { startImmediately: true })
      )
      group.write(bytes("a"))
      group.write(new Uint8Array(0))
      group.finish()
      for (const reader of readers) assert.deepStrictEqual(yield* Fiber.join(reader), ["a", ""])
    })
  )

  it("says that it has ended", () => {
    const group = Group.make(0)
    group.finish()
    assert.strictEqual(group.write(bytes("late")), "ended")
    assert.strictEqual(group.consume().tryRead(), End)
  })

  it("gives readers of an aborted group its code, and nothing of what they had not read", () => {
    const group = Group.make(5)
    group.write(bytes("lost"))
    const reader = group.consume()
    group.abort(ErrorCode.application(1))
    const error = reader.tryRead()
    assert.instanceOf(error, Group.GroupError)
    assert.deepStrictEqual(error, new Group.GroupError({ sequence: 5, code: ErrorCode.application(1) }))
    assert.strictEqual(reader.tryRead(), error)
    assert.strictEqual(group.bytes, 0)
  })

  it("shows a clean end to a reader that had all of it before it was evicted", () => {
    const group = Group.make(0)
    group.write(bytes("all"))
    group.finish()
    const done = group.consume()
    const behind = group.consume()
    done.tryRead()
    group.evict(ErrorCode.old)
    assert.strictEqual(done.tryRead(), End)
    assert.instanceOf(behind.tryRead(), Group.GroupError)
  })

  it("copies a frame, so its writer may use the buffer again", () => {
    const group = Group.make(0)
    const buffer = bytes("one")
    group.write(buffer)
    buffer.set(bytes("two"))
    assert.strictEqual(text(group.consume().tryRead() as Uint8Array), "one")
  })

  it("refuses a frame above maxFrameBytes and takes no more at maxGroupBytes", () => {
    const group = Group.make(0)
    assert.strictEqual(group.write(new Uint8Array(Limits.maxFrameBytes + 1)), "tooLarge")
    const frame = new Uint8Array(1024 * 1024)
    let written = 0
    while (group.write(frame) === "written") written++
    assert.isAtMost(written, Limits.maxGroupBytes / frame.length)
    const empty = Group.make(1)
    written = 0
    while (empty.write(new Uint8Array(0)) === "written") written++
    assert.isAtMost(written, Limits.maxGroupBytes / Limits.frameOverheadBytes)
  })

  it("keeps frames in the form that a codec of size and payload gives", () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20_000 }), (frame) => {
        const group = Group.make(0)
        group.write(frame)
        const encoded = group.consume().tryReadEncoded(false) as Uint8Array
        const prefix = frame.length < 64 ? 1 : frame.length < 16_384 ? 2 : 4
        assert.strictEqual(encoded.length, prefix + frame.length)
        assert.deepStrictEqual(group.consume().tryRead(), frame)
      })
    ))

  it("gives every frame its timestamp, in its own units, and its neighbours' bytes as the difference", () => {
    const group = Group.make(0)
    group.write(bytes("key"), 1_000)
    group.write([bytes("del"), new Uint8Array(0), bytes("ta")], 1_040)
    group.write(bytes("b"), 1_020)
    const reader = group.consume()
    assert.isUndefined(reader.timestamp)
    const read = [1, 2, 3].map(() => [text(reader.tryRead() as Uint8Array), reader.timestamp])
    assert.deepStrictEqual(read, [
      ["key", 1_000],
      ["delta", 1_040],
      ["b", 1_020]
    ])
    const sent = group.consume()
    const wire = [1, 2, 3].map(() => toHex(sent.tryReadEncoded(true) as Uint8Array))
    assert.deepStrictEqual(wire, ["47d0036b6579", "40500564656c7461", "270162"])
  })

  it("takes timestamps of 0 to 2^53 - 1 only", () => {
    const group = Group.make(0)
    for (const timestamp of [-1, 0.5, 2 ** 53, Number.NaN]) {
      assert.throws(() => group.write(bytes("x"), timestamp), RangeError)
    }
    assert.strictEqual(group.write(bytes("x"), 2 ** 53 - 1), "written")
    assert.strictEqual(group.write(bytes("x"), 0), "written")
    assert.strictEqual(group.frames, 2)
  })

  it("counts a frame that is still arriving until it is there or will not come", () => {
    const group = Group.make(0)
    assert.isTrue(group.hold(100))
    assert.strictEqual(group.bytes, 100)
    group.finish()
    assert.strictEqual(group.bytes, 0)
    assert.isFalse(group.hold(1), "nothing arrives any more")
    assert.strictEqual(group.bytes, 0)
  })

  it("counts what it keeps to the byte, also after others asked for its frames with timestamps", () => {
    const group = Group.make(0)
    for (const size of [0, 63, 64, 20_000]) {
      const encoded = new Uint8Array(Varint.size(size) + size)
      Varint.write(encoded, 0, size)
      group.writeEncoded(encoded)
    }
    const kept = () => {
      const reader = group.consume()
      return [1, 2, 3, 4].reduce(
        (sum) => sum + (reader.tryReadEncoded(group.timed) as Uint8Array).length + Limits.frameOverheadBytes,
        0
      )
    }
    assert.strictEqual(group.bytes, kept())
    group.consume().tryReadEncoded(true)
    assert.isTrue(group.timed)
    assert.strictEqual(group.bytes, kept())
    group.evict(ErrorCode.old)
    assert.strictEqual(group.bytes, 0)
  })
})
