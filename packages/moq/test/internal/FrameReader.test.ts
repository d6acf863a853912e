import { Blocked } from "@effect-live/endpoint/Stream"
import { encode } from "@effect-live/wire/Writer"
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as ErrorCode from "../../src/ErrorCode.ts"
import * as Group from "../../src/Group.ts"
import { FrameReader } from "../../src/internal/FrameReader.ts"
import * as Limits from "../../src/Limits.ts"
import { fromHex } from "../support/raw.ts"

interface Frame {
  readonly timestamp: number
  readonly payload: Uint8Array
}

const frames = fc.array(
  fc.record({
    timestamp: fc.oneof(fc.nat(100_000), fc.maxSafeNat()),
    payload: fc.oneof(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 200 }))
  }),
  { maxLength: 20 }
)
const cuts = fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 300 })), { minLength: 1, maxLength: 10 })

/** What a stream carries, in the words of the specification. */
const streamOf = (frames: ReadonlyArray<Frame>, timed: boolean): Uint8Array =>
  encode((writer) => {
    let previous = 0n
    for (const { payload, timestamp } of frames) {
      const delta = BigInt(timestamp) - previous
      previous = BigInt(timestamp)
      if (timed) writer.varint(delta >= 0n ? 2n * delta : -2n * delta - 1n)
      writer.varint(payload.length)
      writer.raw(payload)
    }
  })

/** Pushes a stream in pieces; answers the first refusal. */
const push = (reader: FrameReader, stream: Uint8Array, cuts: ReadonlyArray<number>): number | undefined => {
  for (let at = 0, n = 0; at < stream.length; n++) {
    const end = at + (cuts[n % cuts.length] ?? 1)
    const refused = reader.push(stream.subarray(at, end))
    if (refused !== undefined) return refused
    at = end
  }
  return undefined
}

/** Every frame with its timestamp, and the stream that goes out to others. */
const readAll = (group: Group.GroupProducer) => {
  const plain = group.consume()
  const read: Array<{ timestamp: number | undefined; payload: Uint8Array }> = []
  for (let payload = plain.tryRead(); payload instanceof Uint8Array; payload = plain.tryRead())
    read.push({ timestamp: plain.timestamp, payload: payload.slice() })
  const sent = (timed: boolean): Uint8Array => {
    const encoded = group.consume()
    const pieces: Array<number> = []
    for (let piece = encoded.tryReadEncoded(timed); piece instanceof Uint8Array; piece = encoded.tryReadEncoded(timed))
      pieces.push(...piece)
    return Uint8Array.from(pieces)
  }
  return { read, sent }
}

describe("the frames of a group's stream", () => {
  it("come out with their timestamps, and go on to others as they came, however the stream is cut", () =>
    fc.assert(
      fc.property(frames, cuts, fc.boolean(), (frames, cuts, timed) => {
        const group = Group.make(0)
        const reader = new FrameReader(group, { timed })
        assert.isUndefined(push(reader, streamOf(frames, timed), cuts))
        assert.isTrue(reader.atFrameEnd)
        const { read, sent } = readAll(group)
        assert.deepStrictEqual(
          read,
          frames.map(({ payload, timestamp }) => ({ timestamp: timed ? timestamp : undefined, payload }))
        )
        assert.deepStrictEqual(sent(false), streamOf(frames, false))
        // without timestamps, all of them get the time at which they are asked for
        const known = frames.map(({ payload, timestamp }) => ({ timestamp: timed ? timestamp : 0, payload }))
        assert.deepStrictEqual(sent(true), streamOf(known, true))
        assert.deepStrictEqual(sent(false), streamOf(frames, false))
      })
    ))

  it("are the vector of the specification", () => {
    const group = Group.make(0)
    new FrameReader(group, { timed: true }).push(fromHex("47d0036b65794050 0564656c7461 270162".replaceAll(" ", "")))
    assert.deepStrictEqual(
      readAll(group).read.map(({ timestamp }) => timestamp),
      [1_000, 1_040, 1_020]
    )
  })

  it("go on behind what the group has when its stream was cut, wherever that was", () =>
    fc.assert(
      fc.property(frames, cuts, fc.nat(), fc.boolean(), fc.boolean(), (frames, cuts, cut, timed, timedAgain) => {
        const group = Group.make(0)
        const first = streamOf(frames, timed)
        assert.isUndefined(push(new FrameReader(group, { timed }), first.subarray(0, cut % (first.length + 1)), cuts))
        const again = new FrameReader(group, { timed: timedAgain, skip: group.frames })
        const before = group.frames
        const kept = frames.slice(0, before).map(({ payload }) => payload.length + Limits.frameOverheadBytes)
        assert.isAtMost(
          group.bytes,
          kept.reduce((a, b) => a + b, 0) + 16 * before,
          "nothing is kept of the frame that was cut"
        )
        assert.isUndefined(push(again, streamOf(frames, timedAgain), cuts))
        assert.isTrue(again.atFrameEnd)
        const { read, sent } = readAll(group)
        assert.deepStrictEqual(
          read,
          frames.map(({ payload, timestamp }, index) => ({
            timestamp: (index < before ? timed : timedAgain) ? timestamp : undefined,
            payload
          }))
        )
        assert.deepStrictEqual(sent(false), streamOf(frames, false))
        const copy = Group.make(0)
        assert.isUndefined(new FrameReader(copy, { timed: true }).push(sent(true)))
        for (const [index, { timestamp }] of readAll(copy).read.entries()) {
          const known = read[index]?.timestamp
          if (known !== undefined) assert.strictEqual(timestamp, known, "every difference counts from the frame before")
        }
      })
    ))

  it("are handed on without a copy, to any number of readers", () => {
    const group = Group.make(0)
    const chunk = streamOf([{ timestamp: 5, payload: new Uint8Array(100) }], true)
    new FrameReader(group, { timed: true }).push(chunk)
    for (const timed of [true, false]) {
      const frame = group.consume().tryReadEncoded(timed)
      assert(frame instanceof Uint8Array)
      assert.strictEqual(frame.buffer, chunk.buffer)
    }
    assert.strictEqual(group.consume().tryReadEncoded(true), group.consume().tryReadEncoded(true))
  })

  it("are refused for a timestamp below 0, and for a size above maxFrameBytes before anything is kept", () => {
    const reader = () => new FrameReader(Group.make(0), { timed: true })
    assert.strictEqual(reader().push(Uint8Array.of(1, 0)), ErrorCode.decode)
    assert.strictEqual(reader().push(Uint8Array.of(0, 0x82, 0, 0, 1)), ErrorCode.frameTooLarge)
  })

  it("that are cut take no more room than has arrived, or than they will need, and all of it is counted", () => {
    const group = Group.make(0)
    const reader = new FrameReader(group, { timed: false })
    reader.push(Uint8Array.of(0x80 | (Limits.maxFrameBytes >> 24), (Limits.maxFrameBytes >> 16) & 0xff, 0, 0))
    assert.isAtMost(group.bytes, 16)
    reader.push(new Uint8Array(10_000))
    assert.isAtMost(group.bytes, 2 * 10_004)
    const small = Group.make(1)
    const smallReader = new FrameReader(small, { timed: false })
    smallReader.push(Uint8Array.of(0x40, 100, ...new Uint8Array(99)))
    assert.strictEqual(small.bytes, 102)
    smallReader.push(new Uint8Array(1))
    assert.strictEqual(small.bytes, 102 + Limits.frameOverheadBytes)
    assert.instanceOf(small.consume().tryRead(), Uint8Array)
  })

  it("are refused with the group's own code once it was given up", () => {
    const group = Group.make(0)
    const reader = new FrameReader(group, { timed: false })
    reader.push(Uint8Array.of(3, 1))
    group.evict(ErrorCode.evicted)
    assert.strictEqual(reader.push(Uint8Array.of(2)), ErrorCode.evicted)
    const finished = Group.make(1)
    finished.finish()
    assert.strictEqual(new FrameReader(finished, { timed: false }).push(Uint8Array.of(0)), ErrorCode.old)
    assert.notStrictEqual(finished.consume().tryRead(), Blocked)
  })
})
