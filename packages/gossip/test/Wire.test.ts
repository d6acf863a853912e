import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import type { DecodeError } from "@effect-live/wire/DecodeError"
import * as Postcard from "@effect-live/wire/Postcard"
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import fc from "fast-check"
import * as Config from "../src/Config.ts"
import { Membership } from "../src/internal/membershipCodec.ts"
import * as Limits from "../src/Limits.ts"
import type * as Message from "../src/Message.ts"
import * as TopicId from "../src/TopicId.ts"
import * as Wire from "../src/Wire.ts"
import { anyMessage, fromHex, idA, toHex } from "./support/messages.ts"

/** The whole of section 2.5 as schemas: what the codec that is written by hand must agree with. */
const MessageId = Postcard.annotate(Schema.String, {
  minBytes: 32,
  write: (writer, id) => writer.raw(fromHex(id)),
  read: (reader) => toHex(reader.raw(32))
})
const Scope = Schema.Union([
  Schema.TaggedStruct("Swarm", { round: Postcard.u16 }),
  Schema.TaggedStruct("Neighbors", {})
])
const Broadcast = Schema.Union([
  Schema.TaggedStruct("Gossip", { id: MessageId, content: Postcard.bytes, scope: Scope }),
  Schema.TaggedStruct("Prune", {}),
  Schema.TaggedStruct("Graft", { id: Schema.UndefinedOr(MessageId), round: Postcard.u16 }),
  Schema.TaggedStruct("IHave", {
    messages: Schema.Array(Schema.Struct({ id: MessageId, round: Postcard.u16 }))
  })
])
const Derived = Schema.Union([
  Schema.TaggedStruct("Swarm", { message: Membership }),
  Schema.TaggedStruct("Gossip", { message: Broadcast })
])
const derived = Postcard.codec(Derived)

const bodyOf = (frame: Uint8Array): Uint8Array => {
  const reader = new Wire.FrameReader(frame.length)
  reader.push(frame)
  const body = reader.next()
  if (!(body instanceof Uint8Array)) throw new Error("no frame")
  assert.strictEqual(reader.partialBytes, 0)
  return body
}

const encodeDerived = (message: Message.Message<EndpointId>): Uint8Array => {
  switch (message._tag) {
    case "Gossip":
    case "Prune":
    case "Graft":
    case "IHave":
      return derived.encode({ _tag: "Gossip", message })
    default:
      return derived.encode({ _tag: "Swarm", message })
  }
}

describe("messages", () => {
  it("have the bytes that their schemas have, and come back from them", () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const body = bodyOf(Wire.encode(message))
        assert.strictEqual(toHex(body), toHex(encodeDerived(message)))
        assert.deepStrictEqual(Result.getOrThrow(Wire.decode(body)), message)
        assert.strictEqual(Wire.bodyBytes(message), body.length)
      }),
      { numRuns: 500 }
    )
  })

  it("are refused where their schemas are, at the same offset, however they were damaged", () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(), fc.nat(255), fc.nat(), (message, at, byte, cut) => {
        const body = bodyOf(Wire.encode(message)).slice()
        body[at % body.length] = byte
        const damaged = body.subarray(0, cut % 4 === 0 ? at % body.length : body.length)
        const [hand, schema] = [Wire.decode(damaged), derived.decode(damaged)]
        if (Result.isFailure(hand) || Result.isFailure(schema)) {
          const offsetOf = (result: Result.Result<unknown, DecodeError>) =>
            Result.isFailure(result) ? result.failure.offset : undefined
          assert.strictEqual(offsetOf(hand), offsetOf(schema))
        } else {
          assert.deepStrictEqual<unknown>(hand.success, schema.success.message)
        }
      }),
      { numRuns: 2_000 }
    )
  })

  it("that bring ids of others are told from all else before they are read, however their numbers are written", () => {
    const brings = new Set(["ForwardJoin", "Shuffle", "ShuffleReply"])
    fc.assert(
      fc.property(anyMessage, (message) => {
        const body = bodyOf(Wire.encode(message))
        assert.strictEqual(Wire.introduces(body), brings.has(message._tag))
        const [variant = 0, inner = 0] = body
        const longer = Uint8Array.of(variant | 0x80, 0, inner | 0x80, 0, ...body.subarray(2))
        assert.deepStrictEqual(Result.getOrThrow(Wire.decode(longer)), message)
        if (brings.has(message._tag)) {
          assert.isTrue(Wire.introduces(longer))
          assert.isTrue(Wire.introduces(Uint8Array.of(variant, inner | 0x80, 0, ...body.subarray(2))))
        }
      }),
      { numRuns: 300 }
    )
  })

  it("of the membership keep nothing of the bytes that they were read from", () => {
    const data = Uint8Array.of(1, 2, 3)
    for (const message of [
      { _tag: "Join", data },
      { _tag: "ShuffleReply", nodes: [{ id: idA, data }] }
    ] as const) {
      const body = Buffer.from(bodyOf(Wire.encode(message)))
      const read = Wire.decode(body)
      body.fill(0xff)
      assert.deepStrictEqual(Result.getOrThrow(read), message)
    }
  })

  it("are refused when a peer is no point of the curve", () => {
    const refused = Wire.decode(fromHex(`0001${"02".padEnd(64, "0")}0006`))
    assert.isTrue(Result.isFailure(refused))
    if (Result.isFailure(refused)) assert.strictEqual(refused.failure.message, "at offset 2: expected a public key")
  })

  it("have so many nodes, and check the curve only for those that are used: further ones are skipped, however many they are", () => {
    const [good, bad] = [
      { id: idA, data: Uint8Array.of(1) },
      { id: "02".padEnd(64, "0") as EndpointId, data: undefined }
    ]
    fc.assert(
      fc.property(fc.nat(150), fc.nat(65_535), fc.boolean(), (more, ttl, isReply) => {
        const used = Array.from({ length: Math.min(more, Limits.shuffleNodes) }, () => good)
        const skipped = Array.from({ length: more - used.length }, (_, n) => (n % 2 === 0 ? bad : good))
        const messageOf = (nodes: ReadonlyArray<Message.PeerInfo<EndpointId>>): Message.Message<EndpointId> =>
          isReply ? { _tag: "ShuffleReply", nodes } : { _tag: "Shuffle", origin: idA, nodes, ttl }
        const body = bodyOf(Wire.encode(messageOf([...used, ...skipped])))
        assert.deepStrictEqual(Result.getOrThrow(Wire.decode(body)), messageOf(used))
        assert.isTrue(Result.isFailure(Wire.decode(body.subarray(0, -1))))
      }),
      { numRuns: 100 }
    )
    const last = Array.from({ length: Limits.shuffleNodes }, (_, n) => (n + 1 < Limits.shuffleNodes ? good : bad))
    const refused = Wire.decode(bodyOf(Wire.encode({ _tag: "ShuffleReply", nodes: last })))
    assert.isTrue(Result.isFailure(refused))
  })

  it("are a defect when an id is no hash", () => {
    for (const id of ["", "zz".repeat(32), "AB".repeat(32), "0".repeat(63), "0".repeat(65), "é".repeat(64)]) {
      assert.throws(() => Wire.encode({ _tag: "Graft", id, round: 0 }), RangeError)
    }
  })
})

describe("the header", () => {
  it("names the topic", () => {
    const topic = Result.getOrThrow(TopicId.parse("17".repeat(32)))
    assert.strictEqual(Result.getOrThrow(Wire.decodeHeader(bodyOf(Wire.header(topic)))), topic)
  })

  it("may have more behind it, but not less", () => {
    assert.isTrue(Result.isSuccess(Wire.decodeHeader(new Uint8Array(40))))
    assert.isTrue(Result.isFailure(Wire.decodeHeader(new Uint8Array(31))))
  })
})

describe("the largest content", () => {
  it("is 4,057 bytes for the swarm and 4,058 for neighbors by default", () => {
    assert.strictEqual(Wire.maxContentBytes(Config.defaults.maxMessageBytes, "Swarm"), 4_057)
    assert.strictEqual(Wire.maxContentBytes(Config.defaults.maxMessageBytes, "Neighbors"), 4_058)
  })

  it("is the one that just stays below the limit of a frame, whatever that is", () => {
    const id = "00".repeat(32)
    const limits = fc.oneof(
      fc.integer({ min: Limits.minMessageBytes, max: 40_000 }),
      fc.integer({ min: 160, max: 180 })
    )
    fc.assert(
      fc.property(limits, fc.constantFrom("Swarm" as const, "Neighbors" as const), (maxMessageBytes, tag) => {
        const bytes = (length: number) => {
          const scope = tag === "Swarm" ? ({ _tag: tag, round: 127 } as const) : ({ _tag: tag } as const)
          return Wire.bodyBytes({ _tag: "Gossip", id, content: new Uint8Array(length), scope })
        }
        const most = Wire.maxContentBytes(maxMessageBytes, tag)
        assert.isBelow(bytes(most), maxMessageBytes)
        assert.isAtLeast(bytes(most + 1), maxMessageBytes)
      })
    )
  })
})

describe("FrameReader", () => {
  const limit = 512

  it("gives the same frames however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: limit }), { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 10 }),
        (bodies, sizes) => {
          const stream = Buffer.concat(bodies.flatMap((body) => [lengthOf(body.length), body]))
          const reader = new Wire.FrameReader(limit)
          const read: Array<Uint8Array> = []
          for (let at = 0, turn = 0; at < stream.length; turn++) {
            const end = at + (sizes[turn % sizes.length] ?? 1)
            reader.push(Uint8Array.from(stream.subarray(at, end)))
            for (let body = reader.next(); body !== undefined; body = reader.next()) {
              if (body === "tooLarge") throw new Error("too large")
              read.push(body)
            }
            at = end
          }
          // compared at the end: a body is never written over by what comes later
          assert.deepStrictEqual(read.map(toHex), bodies.map(toHex))
          assert.strictEqual(reader.partialBytes, 0)
        }
      )
    )
  })

  it("reads on where it was not emptied between two chunks", () => {
    const reader = new Wire.FrameReader(limit)
    for (const byte of [1, 2, 3]) reader.push(Uint8Array.of(0, 0, 0, 1, byte))
    assert.deepStrictEqual(
      [reader.next(), reader.next(), reader.next()],
      [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)]
    )
    assert.isUndefined(reader.next())
  })

  it("takes a body of the limit and refuses one byte more as soon as its length is known", () => {
    const reader = new Wire.FrameReader(limit)
    reader.push(lengthOf(limit))
    assert.isUndefined(reader.next())
    reader.push(new Uint8Array(limit))
    assert.deepStrictEqual(reader.next(), new Uint8Array(limit))
    reader.push(lengthOf(limit + 1))
    assert.strictEqual(reader.next(), "tooLarge")
    assert.strictEqual(reader.next(), "tooLarge")
    const promise = new Wire.FrameReader(limit)
    promise.push(fromHex("ffffffff"))
    assert.strictEqual(promise.next(), "tooLarge")
  })

  it("tells how much waits for the rest of its frame", () => {
    const reader = new Wire.FrameReader(limit)
    reader.push(fromHex("0000"))
    assert.strictEqual(reader.partialBytes, 2)
    reader.push(fromHex("000501"))
    assert.isUndefined(reader.next())
    assert.strictEqual(reader.partialBytes, 5)
  })

  it("reads a frame of 200,000 bytes that come one by one without copying them again and again", () => {
    const bytes = 200_000
    const reader = new Wire.FrameReader(bytes)
    reader.push(lengthOf(bytes))
    let early = 0
    for (let index = 0; index < bytes; index++) {
      if (reader.next() !== undefined) early++
      reader.push(Uint8Array.of(index & 0xff))
    }
    assert.strictEqual(early, 0)
    assert.deepStrictEqual(
      reader.next(),
      Uint8Array.from({ length: bytes }, (_, index) => index)
    )
  })
})

const lengthOf = (bytes: number): Uint8Array =>
  Uint8Array.of(bytes >>> 24, (bytes >>> 16) & 0xff, (bytes >>> 8) & 0xff, bytes & 0xff)
