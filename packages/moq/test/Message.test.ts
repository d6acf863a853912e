import { decode, Reader } from "@effect-live/wire/Reader"
import { encode } from "@effect-live/wire/Writer"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import fc from "fast-check"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Group from "../src/Group.ts"
import * as fields from "../src/internal/fields.ts"
import { FrameReader } from "../src/internal/FrameReader.ts"
import * as Limits from "../src/Limits.ts"
import * as Message from "../src/Message.ts"
import * as Path from "../src/Path.ts"
import * as Version from "../src/Version.ts"
import { fromHex, toHex } from "./support/raw.ts"

const sequence = fc.oneof(fc.nat(), fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER))
/** An id of the full range: a number wherever it fits. */
const id = fc.oneof(fc.nat(), fc.maxSafeNat(), fc.bigInt(2n ** 53n, 2n ** 62n - 1n))
const priority = fc.integer({ min: 0, max: 255 })
const wishes = {
  priority,
  ordered: fc.boolean(),
  maxLatencyMs: sequence,
  start: fc.option(sequence, { nil: undefined }),
  end: fc.option(sequence, { nil: undefined })
}
const path = fc.string({ unit: "binary", maxLength: 40 }).map((text) => Path.normalize(text.toWellFormed()))
const name = fc.string({ unit: "binary", maxLength: 40 }).map((text) => text.toWellFormed())
const measured = fc.option(
  sequence.filter((value) => value > 0),
  { nil: undefined }
)

/** A codec with the values that it has to carry. */
interface Sample {
  readonly name: string
  readonly codec: Message.Codec<unknown>
  readonly values: fc.Arbitrary<unknown>
}
const sample = <A>(name: string, codec: Message.Codec<A>, values: fc.Arbitrary<A>): Sample =>
  ({ name, codec, values }) as unknown as Sample // each codec is given its own values

/** Every message of a version. */
const messagesOf = (version: Version.Version): ReadonlyArray<Sample> => {
  const hop = version.hops === "count" ? fc.constant<Message.HopId>(0) : id
  return [
    sample("ANNOUNCE_REQUEST", version.announceRequest, fc.record({ prefix: path, excludeHop: hop })),
    sample(
      "ANNOUNCE_BROADCAST",
      version.announceBroadcast,
      fc.record({ active: fc.boolean(), suffix: path, hops: fc.array(hop, { maxLength: Limits.hops }) })
    ),
    sample("SUBSCRIBE", version.subscribe, fc.record({ id, broadcast: path, track: name, ...wishes })),
    sample("SUBSCRIBE_UPDATE", version.subscribeUpdate, fc.record(wishes)),
    sample("GROUP", version.group, fc.record({ subscribe: id, sequence })),
    sample(
      "PROBE",
      version.probe,
      fc.record({ bitrate: measured, rttMs: version.goaway ? measured : fc.constant(undefined) })
    ),
    sample("FETCH", version.fetch, fc.record({ broadcast: path, track: name, priority, group: sequence })),
    ...(version.goaway ? [sample("GOAWAY", Message.goaway, fc.record({ uri: name }))] : []),
    ...(version.announceOk
      ? [sample("ANNOUNCE_OK", Message.announceOk, fc.record({ hop: id, active: sequence }))]
      : []),
    ...(version.trackInfo
      ? [
          sample("TRACK", Message.trackRequest, fc.record({ broadcast: path, track: name })),
          sample(
            "TRACK_INFO",
            Message.trackInfo,
            fc.record({
              priority,
              ordered: fc.boolean(),
              maxLatencyMs: sequence,
              timescale: sequence.map((n) => n || 1)
            })
          )
        ]
      : []),
    ...(version.setup
      ? [
          sample(
            "SETUP",
            Message.setup,
            fc.record(
              {
                probe: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
                path: name,
                role: fc.constantFrom<"publisher" | "subscriber">("publisher", "subscriber"),
                origin: id.filter((id) => id !== 0)
              },
              { requiredKeys: ["probe"] }
            )
          )
        ]
      : [])
  ]
}

/** Every response of a version. */
const responsesOf = (version: Version.Version): fc.Arbitrary<Message.SubscribeResponse> => {
  const drop = fc.record({
    _tag: fc.constant("SubscribeDrop" as const),
    start: sequence,
    end: sequence,
    code: sequence
  })
  if (version.subscribeOk) return fc.oneof(drop, fc.record({ _tag: fc.constant("SubscribeOk" as const), ...wishes }))
  return fc.oneof(
    drop,
    fc.record({ _tag: fc.constant("SubscribeStart" as const), group: sequence }),
    fc.record({
      _tag: fc.constant("SubscribeEnd" as const),
      group: fc.oneof(sequence, fc.constant(2 ** 53))
    })
  )
}

const frame = fc.record({ payload: fc.uint8Array({ maxLength: 300 }), timestamp: sequence })
type Frame = { readonly payload: Uint8Array; readonly timestamp: number }

/** The bytes of a group's stream behind its header, in the words of the specification. */
const encodeFrames = (frames: ReadonlyArray<Frame>, timed: boolean): Uint8Array =>
  encode((writer) => {
    let previous = 0n
    for (const { payload, timestamp } of frames) {
      const delta = BigInt(timestamp) - previous
      if (timed) writer.varint(delta >= 0n ? 2n * delta : -2n * delta - 1n)
      previous = BigInt(timestamp)
      writer.varint(payload.length)
      writer.raw(payload)
    }
  })

const bodyOf = <A>(codec: Message.Codec<A>, value: A): Uint8Array =>
  encode((writer) => codec.write(writer, value)).slice()
const refuses = <A>(codec: Message.Codec<A>, hex: string): void =>
  assert.isTrue(Result.isFailure(Message.decode(codec, fromHex(hex))), hex)
const varint = (value: number | bigint): string => toHex(encode((writer) => writer.varint(value)))

describe.each(Version.all)("messages of $alpn", (version) => {
  for (const { codec, name, values } of messagesOf(version)) {
    it(`${name} decodes to what was encoded, and not with a byte more or less`, () =>
      fc.assert(
        fc.property(values, (value) => {
          const body = bodyOf(codec, value)
          assert.deepStrictEqual(Result.getOrThrow(Message.decode(codec, body)), value)
          assert.isTrue(Result.isFailure(Message.decode(codec, Uint8Array.of(...body, 0))), "bytes left over")
          for (let end = 0; end < body.length; end++) {
            assert.isTrue(Result.isFailure(Message.decode(codec, body.subarray(0, end))), `cut at ${end}`)
          }
        })
      ))

    it(`${name} answers any bytes with a value or a DecodeError`, () =>
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
          const answer = Message.decode(codec, bytes)
          if (Result.isFailure(answer)) assert.strictEqual(answer.failure._tag, "DecodeError")
        }),
        { numRuns: 1_000 }
      ))
  }

  it("responses decode to what was encoded, and to a DecodeError for any other bytes", () => {
    fc.assert(
      fc.property(responsesOf(version), (response) => {
        const reader = new Reader(version.encodeResponse(response))
        const decoded = version.decodeResponse(reader.varint(), reader.raw(reader.varint()))
        assert.deepStrictEqual(Result.getOrThrow(decoded), response)
        reader.done()
      })
    )
    fc.assert(
      fc.property(fc.nat({ max: 4 }), fc.uint8Array({ maxLength: 40 }), (type, bytes) => {
        const answer = version.decodeResponse(type, bytes)
        if (Result.isFailure(answer)) assert.strictEqual(answer.failure._tag, "DecodeError")
      })
    )
  })

  it("the group header written by hand is that of the codec", () =>
    fc.assert(
      fc.property(fc.record({ subscribe: id, sequence }), (header) => {
        const derived = Message.encodeTyped(Message.StreamType.group, version.group, header)
        assert.strictEqual(toHex(Message.encodeGroupHeader(header)), toHex(derived))
      })
    ))

  it("paths are normalised when they are read", () => {
    const { prefix } = Result.getOrThrow(
      Message.decode(version.announceRequest, bodyOf(version.announceRequest, { prefix: "/a//b/", excludeHop: 0 }))
    )
    assert.strictEqual(prefix, "a/b")
  })

  it("names of nameBytes and paths of pathSegments are read, and nothing longer", () => {
    const fetch = (track: string) =>
      Message.decode(version.fetch, bodyOf(version.fetch, { broadcast: "b", track, priority: 0, group: 0 }))
    assert.isTrue(Result.isSuccess(fetch("x".repeat(Limits.nameBytes))))
    assert.isTrue(Result.isFailure(fetch("x".repeat(Limits.nameBytes + 1))))
    const deep = (segments: number) => {
      const prefix = Array.from({ length: segments }, () => "a").join("/")
      return Message.decode(version.announceRequest, bodyOf(version.announceRequest, { prefix, excludeHop: 0 }))
    }
    assert.isTrue(Result.isSuccess(deep(Limits.pathSegments)))
    assert.isTrue(Result.isFailure(deep(Limits.pathSegments + 1)))
    const long = Array.from({ length: Limits.nameBytes + 1 }, () => "/").join("")
    const slashes = bodyOf(version.announceRequest, { prefix: long, excludeHop: 0 })
    assert.isTrue(Result.isFailure(Message.decode(version.announceRequest, slashes)), "counted before normalising")
  })

  it("an announcement may have passed as many hops as Limits.hops, and no count is trusted", () => {
    const codec = version.announceBroadcast
    const ids = (count: number) => (version.hops === "count" ? "" : "00".repeat(count))
    const most = Message.decode(codec, fromHex(`010161${varint(Limits.hops)}${ids(Limits.hops)}`))
    assert.isTrue(Result.isSuccess(most))
    for (const count of [Limits.hops + 1, 16_383, 2 ** 53 - 1, 2n ** 62n - 1n]) {
      refuses(codec, `010161${varint(count)}${ids(Limits.hops + 1)}`)
    }
  })

  it("sequence numbers above 2^53 - 1 are refused", () => {
    refuses(version.group, `00${varint(2n ** 53n)}`)
    refuses(version.fetch, `01610162 00${varint(2n ** 53n)}`)
    refuses(version.subscribeUpdate, `00 00 00 ${varint(2n ** 53n + 1n)} 00`)
  })
})

describe("SETUP", () => {
  const setup = (hex: string) => Result.getOrThrow(Message.decode(Message.setup, fromHex(hex)))
  const codec = Message.setup

  it("skips what it does not know, and reads values of later versions as the highest that it knows", () => {
    assert.deepStrictEqual(setup("02 04 01 05 7fff 03 616263"), { probe: 0 })
    assert.deepStrictEqual(setup("01 ffffffffffffffff 00"), { probe: 0 })
    assert.deepStrictEqual(setup("01 01 01 07"), { probe: 2 })
    assert.deepStrictEqual(setup("01 01 08 ffffffffffffffff"), { probe: 2 })
    assert.deepStrictEqual(setup("01 03 01 03"), { probe: 0 }, "a role of both")
    assert.deepStrictEqual(setup("01 05 01 00"), { probe: 0 }, "an origin that is not named")
    assert.deepStrictEqual(setup("02 05 08 ffffffffffffffff 02 00"), { probe: 0, origin: 2n ** 62n - 1n, path: "" })
  })

  it("reads setupParameters of them with setupValueBytes each, every one once, and nothing above", () => {
    const unknown = (count: number) => Array.from({ length: count }, (_, n) => `${varint(64 + n)} 00`).join("")
    assert.deepStrictEqual(setup(varint(Limits.setupParameters) + unknown(Limits.setupParameters)), { probe: 0 })
    refuses(codec, varint(Limits.setupParameters + 1) + unknown(Limits.setupParameters + 1))
    refuses(codec, varint(2n ** 62n - 1n))
    const long = (bytes: number) => `01 40ff ${varint(bytes)} ${"61".repeat(bytes)}`
    assert.deepStrictEqual(setup(long(Limits.setupValueBytes)), { probe: 0 })
    refuses(codec, long(Limits.setupValueBytes + 1))
    refuses(codec, "01 40ff ffffffffffffffff")
    refuses(codec, "02 01 01 01 01 01 01")
    refuses(codec, "02 40ff 00 40ff 00")
  })

  it("refuses values that are longer or shorter than their length says, and bad UTF-8", () => {
    refuses(codec, "01 01 02 01 00")
    refuses(codec, "01 01 00")
    refuses(codec, "01 05 01 4040")
    refuses(codec, "01 02 02 c328")
  })
})

describe("datagrams", () => {
  const datagram = fc.record({
    subscribe: id,
    sequence,
    timestamp: sequence,
    payload: fc.uint8Array({ maxLength: 200 })
  })

  it("written and read by hand are those of the codec", () =>
    fc.assert(
      fc.property(datagram, (datagram) => {
        const derived = encode((writer) => {
          fields.wide.write(writer, datagram.subscribe)
          fields.integer.write(writer, datagram.sequence)
          fields.integer.write(writer, datagram.timestamp)
          writer.raw(datagram.payload)
        })
        assert.strictEqual(toHex(Message.encodeDatagram(datagram)), toHex(derived))
        assert.deepStrictEqual(Message.decodeDatagram(derived), datagram)
      })
    ))

  it("are read or refused, whatever the bytes", () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const read = Message.decodeDatagram(bytes)
        const derived = decode(bytes, (reader) => ({
          subscribe: fields.wide.read(reader),
          sequence: reader.varint(),
          timestamp: reader.varint(),
          payload: reader.rest()
        }))
        assert.deepStrictEqual(read, Result.isSuccess(derived) ? derived.success : undefined)
      }),
      { numRuns: 2_000 }
    ))
})

describe.each([{ timed: false }, { timed: true }])("the frames of a group's stream, timed: $timed,", ({ timed }) => {
  it("are written by hand as the codec writes them", () =>
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), (frames) => {
        const group = Group.make(0)
        for (const { payload, timestamp } of frames) assert.strictEqual(group.write(payload, timestamp), "written")
        const consumer = group.consume()
        const written = frames.map(() => consumer.tryReadEncoded(timed) as Uint8Array)
        assert.strictEqual(toHex(Buffer.concat(written)), toHex(encodeFrames(frames, timed)))
      })
    ))

  it("of one group are taken to maxGroupBytes, then refused", () => {
    const group = Group.make(0)
    const reader = new FrameReader(group, { timed })
    const chunk = new Uint8Array(20_000)
    let refused: number | undefined
    for (let n = 0; refused === undefined && n < 200; n++) refused = reader.push(chunk)
    assert.strictEqual(refused, ErrorCode.boundsExceeded)
    assert.isAtMost(group.bytes, Limits.maxGroupBytes + Limits.frameOverheadBytes + 2)
  })
})

it("frames of lite-05 whose timestamps fall below 0 or rise above 2^53 - 1 are refused", () => {
  for (const hex of ["01 00", "06 00 09 00", "c03ffffffffffffe 00 02 00", "ffffffffffffffff 00"]) {
    const whole = new FrameReader(Group.make(0), { timed: true })
    assert.strictEqual(whole.push(fromHex(hex)), ErrorCode.decode, hex)
  }
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
