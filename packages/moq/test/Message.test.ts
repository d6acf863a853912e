import { encode } from "@effect-live/wire/Writer"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import fc from "fast-check"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Group from "../src/Group.ts"
import { FrameReader } from "../src/internal/FrameReader.ts"
import * as Limits from "../src/Limits.ts"
import * as Message from "../src/Message.ts"
import * as Path from "../src/Path.ts"
import * as Version from "../src/Version.ts"
import { toHex } from "./support/raw.ts"

const sequence = fc.maxSafeNat()
const subscribeId = fc.oneof(fc.maxSafeNat(), fc.bigInt(2n ** 53n, 2n ** 62n - 1n))
const wishes = {
  priority: fc.integer({ min: 0, max: 255 }),
  ordered: fc.boolean(),
  maxLatencyMs: fc.maxSafeNat(),
  start: fc.option(fc.nat(), { nil: undefined }),
  end: fc.option(fc.nat(), { nil: undefined })
}
const path = fc.string({ unit: "binary", maxLength: 40 }).map((text) => Path.normalize(text.toWellFormed()))
const name = fc.string({ unit: "binary", maxLength: 40 }).map((text) => text.toWellFormed())

/** Frames as a peer might write them: sizes need not have their shortest form. */
const frame = fc.record({ payload: fc.uint8Array({ maxLength: 300 }), longer: fc.integer({ min: 0, max: 2 }) })
const encodeFrames = (frames: ReadonlyArray<{ readonly payload: Uint8Array; readonly longer: number }>): Uint8Array =>
  Uint8Array.from(
    frames.flatMap(({ payload, longer }) => {
      const size = payload.length
      const prefix =
        longer === 2
          ? [0x80, 0, size >> 8, size & 0xff]
          : longer === 1 || size > 63
            ? [0x40 | (size >> 8), size & 0xff]
            : [size]
      return [...prefix, ...payload]
    })
  )

const roundTrips = <A>(codec: Message.Codec<A>, value: A): void => {
  const body = encode((writer) => codec.write(writer, value))
  assert.deepStrictEqual(Result.getOrThrow(Message.decode(codec, body)), value)
  assert.isTrue(Result.isFailure(Message.decode(codec, Uint8Array.from([...body, 0]))), "bytes left over")
  if (body.length > 0) assert.isTrue(Result.isFailure(Message.decode(codec, body.subarray(0, -1))), "cut")
}

describe.each(Version.all)("messages of $alpn", (version) => {
  it("decode to what was encoded, and not with a byte more or less", () =>
    fc.assert(
      fc.property(
        fc.record({ id: subscribeId, broadcast: path, track: name, ...wishes }),
        fc.record({ active: fc.boolean(), suffix: path, hops: fc.array(fc.constant(0), { maxLength: Limits.hops }) }),
        fc.record({ subscribe: subscribeId, sequence }),
        (subscribe, announcement, header) => {
          roundTrips(version.subscribe, subscribe)
          roundTrips(version.announceBroadcast, announcement)
          roundTrips(version.group, header)
        }
      )
    ))

  it("have a group header whose hand-written form is that of its codec", () =>
    fc.assert(
      fc.property(fc.record({ subscribe: subscribeId, sequence }), (header) => {
        const derived = Message.encodeTyped(Message.StreamType.group, version.group, header)
        assert.strictEqual(toHex(Message.encodeGroupHeader(header)), toHex(derived))
      })
    ))

  it("refuse names above nameBytes and paths above pathSegments", () => {
    const long = Message.encode(version.fetch, {
      broadcast: "b",
      track: "x".repeat(Limits.nameBytes + 1),
      priority: 0,
      group: 0
    })
    assert.isTrue(Result.isFailure(Message.decode(version.fetch, long.subarray(2))))
    const deep = Message.encode(version.announceRequest, { prefix: Array.from({ length: 33 }, () => "a").join("/") })
    assert.isTrue(Result.isFailure(Message.decode(version.announceRequest, deep.subarray(2))))
  })
})

describe("the frames of a group's stream", () => {
  it("come out as they went in, however the stream is cut", () =>
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
        (frames, cuts) => {
          const stream = encodeFrames(frames)
          const group = Group.make(0)
          const reader = new FrameReader(group)
          for (let at = 0, n = 0; at < stream.length; n++) {
            const end = at + (cuts[n % cuts.length] ?? 1)
            assert.isUndefined(reader.push(stream.subarray(at, end)))
            at = end
          }
          assert.isTrue(reader.atFrameEnd)
          const consumer = group.consume()
          for (const { payload } of frames) assert.deepStrictEqual(consumer.tryRead(), payload)
          assert.strictEqual(group.frames, frames.length)
        }
      )
    ))

  it("of one group are taken to maxGroupBytes, then refused", () => {
    const group = Group.make(0)
    const reader = new FrameReader(group)
    const chunk = encodeFrames(Array.from({ length: 20_000 }, () => ({ payload: new Uint8Array(0), longer: 0 })))
    let refused: number | undefined
    for (let n = 0; refused === undefined && n < 100; n++) refused = reader.push(chunk)
    assert.strictEqual(refused, ErrorCode.boundsExceeded)
    assert.isAtMost(group.bytes, Limits.maxGroupBytes + Limits.frameOverheadBytes + 1)
  })

  it("are refused above maxFrameBytes before anything of them is kept", () => {
    const reader = new FrameReader(Group.make(0))
    assert.strictEqual(reader.push(Uint8Array.of(0x82, 0, 0, 1)), ErrorCode.frameTooLarge)
    const slow = new FrameReader(Group.make(0))
    assert.isUndefined(slow.push(Uint8Array.of(0x82, 0, 0)))
    assert.strictEqual(slow.push(Uint8Array.of(1)), ErrorCode.frameTooLarge)
  })
})

describe("stream codes on raw QUIC", () => {
  it("map there and back, and never to a reserved value", () =>
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (code) => {
        const wire = ErrorCode.toStream(code)
        assert.strictEqual(ErrorCode.fromStream(wire), code)
        assert.notStrictEqual((wire - 0x52e4a40fa8db) % 31, 30)
      })
    ))

  it("outside the range mean a transport failure, and raw 0 a cancel", () => {
    assert.strictEqual(ErrorCode.fromStream(0), ErrorCode.cancel)
    for (const raw of [1, 0x52e4a40fa8da, 0x52e5ac983163, 0x52e4a40fa8db + 30]) {
      assert.strictEqual(ErrorCode.fromStream(raw), ErrorCode.transport)
    }
  })
})
