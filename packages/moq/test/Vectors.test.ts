import { Reader } from "@effect-live/wire/Reader"
import { encode } from "@effect-live/wire/Writer"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { readFileSync } from "node:fs"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Message from "../src/Message.ts"
import { lite03 } from "../src/Version.ts"

interface Vector {
  readonly version: string
  readonly message: string
  readonly fields: Record<string, unknown>
  readonly hex: string
  readonly invalid?: boolean
}

const vectors = (
  JSON.parse(readFileSync(new URL("vectors/moq-lite.json", import.meta.url), "utf8")) as ReadonlyArray<Vector>
).filter(({ version }) => ["any", "any-lite", "moq-lite-03", "raw-quic"].includes(version))

const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
const hexOf = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")
const none = (value: unknown): unknown => (value === null ? undefined : value)
const subscribeId = (value: unknown): number | bigint => {
  const id = BigInt(value as string)
  return id <= Number.MAX_SAFE_INTEGER ? Number(id) : id
}

/** What the body of a message is, and the value that the fields of a vector stand for. */
interface Entry<A = unknown> {
  readonly codec: Message.Codec<A>
  readonly value: (fields: Record<string, unknown>) => A
}
const entry = <A>(codec: Message.Codec<A>, value: (fields: Record<string, unknown>) => unknown): Entry =>
  ({ codec, value }) as unknown as Entry // the tests compare what comes out, whatever it is
const bodies: Record<string, Entry> = {
  ANNOUNCE_REQUEST: entry(lite03.announceRequest, ({ prefix }) => ({ prefix })),
  ANNOUNCE_BROADCAST: entry(lite03.announceBroadcast, ({ status, suffix, hopCount }) => ({
    active: status === 1,
    suffix,
    hops: Array.from({ length: hopCount as number }, () => 0)
  })),
  SUBSCRIBE: entry(lite03.subscribe, ({ id, startGroup, endGroup, ...rest }) => ({
    id: subscribeId(id),
    ...rest,
    start: none(startGroup),
    end: none(endGroup)
  })),
  SUBSCRIBE_UPDATE: entry(lite03.subscribeUpdate, ({ startGroup, endGroup, ...rest }) => ({
    ...rest,
    start: none(startGroup),
    end: none(endGroup)
  })),
  GROUP: entry(lite03.group, ({ subscribe, sequence }) => ({ subscribe: subscribeId(subscribe), sequence })),
  PROBE: entry(lite03.probe, ({ bitrate }) => ({ bitrate: none(bitrate) })),
  FETCH: entry(lite03.fetch, (fields) => fields)
}

const response = ({ type, startGroup, endGroup, start, end, error, ...rest }: Record<string, unknown>) =>
  (type === 0
    ? { _tag: "SubscribeOk", ...rest, start: none(startGroup), end: none(endGroup) }
    : { _tag: "SubscribeDrop", start, end, code: error }) as Message.SubscribeResponse

/** The body behind its length; every vector is one whole message. */
const bodyOf = (bytes: Uint8Array): Uint8Array => {
  const reader = new Reader(bytes)
  const length = reader.varint()
  const body = reader.rest()
  assert.strictEqual(body.length, length)
  return body
}

describe("vectors of moq-lite-03", () => {
  for (const { version, message, fields, hex, invalid } of vectors) {
    const name = `${version} ${message} ${invalid === true ? `refuses ${hex}` : JSON.stringify(fields).slice(0, 80)}`
    const bytes = bytesOf(hex)
    it(`${name}`, () => {
      if (version === "raw-quic") {
        const quicCode = Number(fields["quicCode"])
        assert.strictEqual(ErrorCode.toStream(fields["appCode"] as number), quicCode)
        assert.strictEqual(ErrorCode.fromStream(quicCode), fields["appCode"])
      } else if (message === "VARINT") {
        const value = BigInt(fields["value"] as string)
        assert.strictEqual(hexOf(encode((writer) => writer.varint(value))), hex)
        assert.strictEqual(new Reader(bytes).varint64(), value)
      } else if (message === "STRING") {
        assert.strictEqual(hexOf(encode((writer) => Message.name.write(writer, fields["value"] as string))), hex)
        assert.strictEqual(Message.name.read(new Reader(bytes)), fields["value"])
      } else if (message === "SUBSCRIBE_OK" || message === "SUBSCRIBE_DROP") {
        assert.strictEqual(hexOf(lite03.encodeResponse(response(fields))), hex)
        const decoded = lite03.decodeResponse(bytes[0] ?? 0, bodyOf(bytes.subarray(1)))
        assert.deepStrictEqual(Result.getOrThrow(decoded), response(fields))
      } else if (message === "SUBSCRIBE_RESPONSE") {
        assert.isTrue(Result.isFailure(lite03.decodeResponse(bytes[0] ?? 0, bodyOf(bytes.subarray(1)))))
      } else if (message.startsWith("STREAM:")) {
        assert.strictEqual(hexOf(capture(message, fields)), hex)
      } else {
        const body = bodies[message]
        assert.isDefined(body, `no codec for ${message}`)
        if (body === undefined) return
        const decoded = Message.decode(body.codec, bodyOfOrAll(bytes))
        if (invalid === true) {
          assert.isTrue(Result.isFailure(decoded))
          return
        }
        assert.deepStrictEqual(Result.getOrThrow(decoded), body.value(fields))
        assert.strictEqual(hexOf(Message.encode(body.codec, body.value(fields))), hex)
        if (message === "GROUP") {
          assert.strictEqual(hexOf(Message.encodeGroupHeader(body.value(fields) as Message.GroupHeader)), `00${hex}`)
        }
      }
    })
  }
})

/** Invalid vectors may promise more bytes than they have. */
const bodyOfOrAll = (bytes: Uint8Array): Uint8Array =>
  new Reader(bytes).rest().subarray(bytes[0] !== undefined && bytes[0] >= 0x40 ? 2 : 1)

const announcement = (active: boolean) =>
  Message.encode(lite03.announceBroadcast, { active, suffix: "alice", hops: active ? [0] : [] })

/** The bytes of the captured streams, as we write them. */
const capture = (message: string, fields: Record<string, unknown>): Uint8Array => {
  switch (message) {
    case "STREAM:ANNOUNCE subscriber->publisher":
      return Message.encodeTyped(Message.StreamType.announce, lite03.announceRequest, { prefix: "room" })
    case "STREAM:ANNOUNCE publisher->subscriber":
      return Uint8Array.from([...announcement(true), ...announcement(false)])
    case "STREAM:SUBSCRIBE subscriber->publisher":
      return Message.encodeTyped(Message.StreamType.subscribe, lite03.subscribe, {
        id: 0,
        broadcast: "room/alice",
        track: "video",
        priority: 3,
        ordered: false,
        maxLatencyMs: 0,
        start: undefined,
        end: undefined
      })
    case "STREAM:SUBSCRIBE publisher->subscriber":
      return lite03.encodeResponse({
        _tag: "SubscribeOk",
        priority: 3,
        ordered: false,
        maxLatencyMs: 0,
        start: undefined,
        end: undefined
      })
    case "STREAM:GROUP": {
      const frames = (fields["frames"] as ReadonlyArray<{ readonly payload: string }>).map(({ payload }) =>
        bytesOf(payload)
      )
      const header = Message.encodeGroupHeader({ subscribe: 0, sequence: 0 })
      return Uint8Array.from([...header, ...frames.flatMap((frame) => [frame.length].concat([...frame]))])
    }
    default:
      throw new Error(`no capture for ${message}`)
  }
}
