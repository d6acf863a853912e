/**
 * The kept vectors of moq-lite: what the versions of this package write and read, byte for byte. Those of other layers are named
 * at the end with the reason why they are not looked at here.
 */
import { Reader } from "@effect-live/wire/Reader"
import * as Varint from "@effect-live/wire/Varint"
import { encode } from "@effect-live/wire/Writer"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { readFileSync } from "node:fs"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Group from "../src/Group.ts"
import { name } from "../src/internal/fields.ts"
import { FrameReader } from "../src/internal/FrameReader.ts"
import * as Message from "../src/Message.ts"
import * as Version from "../src/Version.ts"
import { fromHex, toHex } from "./support/raw.ts"

type Fields = Readonly<Record<string, unknown>>

interface Vector {
  readonly version: string
  readonly message: string
  readonly fields: Fields
  readonly hex: string
  readonly invalid?: boolean
  readonly reason?: string
}

/** Some rows hold for several versions. */
const covers = (row: string, alpn: string): boolean =>
  row === alpn || row === "any-lite" || (row === "moq-lite-01..04" && alpn < "moq-lite-05")

const vectors = JSON.parse(
  readFileSync(new URL("vectors/moq-lite.json", import.meta.url), "utf8")
) as ReadonlyArray<Vector>

/** Rows of other layers: how many there are, and why this package does not speak them. */
const elsewhere: ReadonlyArray<readonly [version: RegExp, count: number, reason: string]> = [
  [/^moq-lite-0[12]$/, 19, "only spoken behind the legacy SETUP of old WebSocket pages"],
  [/^moq-lite-06-wip$/, 32, "unreleased, and no peer offers it by itself"],
  [/^legacy-setup$/, 4, "how a WebSocket without a version in its subprotocol agrees on lite-02"],
  [/^qmux-/, 25, "framing of streams over WebSocket, below any version of moq-lite"],
  [/^webtransport-ws$/, 5, "the older framing of streams over WebSocket"]
]

const hopId = (value: unknown): Message.HopId => {
  const id = BigInt(value as string)
  return id <= Number.MAX_SAFE_INTEGER ? Number(id) : id
}
const none = (value: unknown): unknown => (value === null ? undefined : value)

/** What the body of a message is, and the value that the fields of a vector stand for. */
interface Entry<A = unknown> {
  readonly codec: Message.Codec<A>
  readonly value: (fields: Fields) => A
}
const entry = <A>(codec: Message.Codec<A>, value: (fields: Fields) => unknown): Entry =>
  ({ codec, value }) as unknown as Entry // the tests compare what comes out, whatever it is

const without = (fields: Fields, name: string): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name))

const wishes = ({ startGroup, endGroup, ...rest }: Fields) => ({
  ...rest,
  start: none(startGroup),
  end: none(endGroup)
})

const bodiesOf = (version: Version.Version): Readonly<Record<string, Entry>> => ({
  ANNOUNCE_REQUEST: entry(version.announceRequest, ({ prefix, excludeHop = 0 }) => ({
    prefix,
    excludeHop: hopId(excludeHop)
  })),
  ANNOUNCE_BROADCAST: entry(version.announceBroadcast, ({ status, suffix, hopCount, hops }) => ({
    active: status !== 0, // 2 is a restart, which is what 1 is for a path that is active
    suffix,
    hops: Array.isArray(hops) ? hops.map(hopId) : Array.from({ length: hopCount as number }, () => 0)
  })),
  SUBSCRIBE: entry(version.subscribe, ({ id, ...rest }) => ({ id: hopId(id), ...wishes(rest) })),
  SUBSCRIBE_UPDATE: entry(version.subscribeUpdate, wishes),
  GROUP: entry(version.group, ({ subscribe, sequence }) => ({ subscribe: hopId(subscribe), sequence })),
  PROBE: entry(version.probe, ({ bitrate, rttMs = null }) => ({ bitrate: none(bitrate), rttMs: none(rttMs) })),
  FETCH: entry(version.fetch, (fields) => fields),
  ...(version.announceOk && {
    ANNOUNCE_OK: entry(Message.announceOk, (fields) => ({ hop: hopId(fields["hopId"]), active: fields["activeCount"] }))
  }),
  ...(version.goaway && { GOAWAY: entry(Message.goaway, (fields) => fields) }),
  ...(version.trackInfo && {
    TRACK: entry(Message.trackRequest, (fields) => fields),
    TRACK_INFO: entry(Message.trackInfo, (fields) => fields)
  }),
  ...(version.setup && { SETUP: entry(Message.setup, ({ params }) => setupOf(params as ReadonlyArray<Fields>)) })
})

const setupOf = (params: ReadonlyArray<Fields>): Message.Setup => {
  const value = (id: number) => params.find((param) => param["id"] === id)
  const [path, role, origin] = [value(2), value(3), value(5)]
  return {
    probe: value(1) === undefined ? 0 : 1,
    ...(path && { path: path["string"] as string }),
    ...(role && { role: role["varint"] === "1" ? ("publisher" as const) : ("subscriber" as const) }),
    ...(origin && { origin: hopId(origin["varint"]) })
  }
}

const responses: Readonly<Record<string, (fields: Fields) => unknown>> = {
  SUBSCRIBE_OK: (fields) => ({ _tag: "SubscribeOk", ...without(wishes(fields), "type") }),
  SUBSCRIBE_START: ({ group }) => ({ _tag: "SubscribeStart", group }),
  SUBSCRIBE_END: ({ groupExclusive }) => ({ _tag: "SubscribeEnd", group: groupExclusive }),
  SUBSCRIBE_DROP: ({ start, end, error }) => ({ _tag: "SubscribeDrop", start, end, code: error })
}

/** A message without its length. Invalid ones may promise more bytes than they have. */
const bodyOf = (bytes: Uint8Array, invalid = false): Uint8Array => {
  const reader = new Reader(bytes)
  const length = reader.varint()
  const body = reader.rest()
  if (!invalid) assert.strictEqual(body.length, length)
  return body
}

/** The messages of a stream one after the other. */
const messagesOf = (stream: Reader): ReadonlyArray<Uint8Array> => {
  const bodies: Array<Uint8Array> = []
  while (stream.remaining > 0) bodies.push(stream.raw(stream.varint()))
  return bodies
}

const decoded = <A>(codec: Message.Codec<A>, body: Uint8Array | undefined): A => {
  if (body === undefined) throw new Error("the stream ended")
  return Result.getOrThrow(Message.decode(codec, body))
}

const join = (...parts: ReadonlyArray<Uint8Array>): string => parts.map(toHex).join("")

interface Frame {
  readonly timestamp?: number
  /** Hex. */
  readonly payload: string
}

/** Frames behind a group's header, as we write them; what we read of it are the same frames. */
const framesOf = (version: Version.Version, frames: ReadonlyArray<Frame>): string => {
  const group = Group.make(0)
  for (const { payload, timestamp } of frames) group.write(fromHex(payload), timestamp)
  const written = group.consume()
  const stream = Buffer.concat(frames.map(() => written.tryReadEncoded(version.timestamps) as Uint8Array))
  const received = Group.make(0)
  assert.isUndefined(new FrameReader(received, { timed: version.timestamps }).push(stream))
  const read = received.consume()
  for (const { payload, timestamp } of frames) {
    assert.strictEqual(toHex(read.tryRead() as Uint8Array), payload)
    assert.strictEqual(read.timestamp, version.timestamps ? timestamp : undefined)
  }
  return toHex(stream)
}

/** Reads a captured stream and writes it again; random ids in it are taken over. */
const again = (version: Version.Version, message: string, fields: Fields, bytes: Uint8Array): string => {
  const stream = new Reader(bytes)
  switch (message) {
    case "STREAM:ANNOUNCE subscriber->publisher": {
      const type = stream.varint()
      const request = decoded(version.announceRequest, messagesOf(stream)[0])
      assert.strictEqual(request.prefix, "room")
      return join(Message.encodeTyped(type, version.announceRequest, request))
    }
    case "STREAM:ANNOUNCE publisher->subscriber": {
      const bodies = [...messagesOf(stream)]
      const ok = version.announceOk ? decoded(Message.announceOk, bodies.shift()) : undefined
      const announcements = bodies.map((body) => decoded(version.announceBroadcast, body))
      assert.deepStrictEqual(
        announcements.map(({ active, suffix }) => `${active ? "active" : "ended"} ${suffix}`),
        fields["events"]
      )
      assert.strictEqual(announcements[0]?.hops.length, version.hops === "receiverAppends" ? 0 : 1)
      return join(
        ...(ok === undefined ? [] : [Message.encode(Message.announceOk, ok)]),
        ...announcements.map((announcement) => Message.encode(version.announceBroadcast, announcement))
      )
    }
    case "STREAM:SUBSCRIBE subscriber->publisher": {
      const id = hopId(fields["id"])
      const rest = { ordered: false, maxLatencyMs: 0, start: undefined, end: undefined }
      const request = { ...(fields as unknown as Message.Subscribe), id, ...rest }
      assert.strictEqual(stream.varint(), Message.StreamType.subscribe)
      assert.deepStrictEqual(decoded(version.subscribe, messagesOf(stream)[0]), request)
      return join(Message.encodeTyped(Message.StreamType.subscribe, version.subscribe, request))
    }
    case "STREAM:SUBSCRIBE publisher->subscriber": {
      const parts: Array<Uint8Array> = []
      const tags: Array<string> = []
      while (stream.remaining > 0) {
        const response = Result.getOrThrow(version.decodeResponse(stream.varint(), stream.raw(stream.varint())))
        tags.push(response._tag)
        parts.push(version.encodeResponse(response))
      }
      assert.deepStrictEqual(tags, version.subscribeOk ? ["SubscribeOk"] : ["SubscribeStart", "SubscribeEnd"])
      return join(...parts)
    }
    case "STREAM:TRACK subscriber->publisher": {
      const request = fields as unknown as Message.TrackRequest
      return join(Message.encodeTyped(Message.StreamType.track, Message.trackRequest, request))
    }
    case "STREAM:TRACK publisher->subscriber": {
      const info = without(fields, "then") as unknown as Message.TrackInfo
      assert.deepStrictEqual(decoded(Message.trackInfo, messagesOf(stream)[0]), info)
      return join(Message.encode(Message.trackInfo, info))
    }
    case "STREAM:GROUP": {
      const header = Message.encodeGroupHeader({ subscribe: 0, sequence: 0 })
      return join(header) + framesOf(version, fields["frames"] as ReadonlyArray<Frame>)
    }
    default:
      throw new Error(`no reader for ${message}`)
  }
}

const check = (version: Version.Version, vector: Vector): void => {
  const { message, fields, hex, invalid } = vector
  const bytes = fromHex(hex)
  if (message.startsWith("STREAM:")) {
    assert.strictEqual(again(version, message, fields, bytes), hex)
  } else if (message === "SUBSCRIBE_RESPONSE") {
    assert.isTrue(invalid)
    assert.isTrue(Result.isFailure(version.decodeResponse(bytes[0] ?? 0, bodyOf(bytes.subarray(1)))))
  } else if (message === "DATAGRAM") {
    const datagram = { ...fields, subscribe: hopId(fields["subscribe"]), payload: fromHex(fields["payload"] as string) }
    assert.deepStrictEqual(Message.decodeDatagram(bytes), datagram as unknown as Message.Datagram)
    assert.strictEqual(toHex(Message.encodeDatagram(datagram as unknown as Message.Datagram)), hex)
  } else if (message === "FRAME") {
    assert.strictEqual(framesOf(version, [{ payload: fields["payload"] as string }]), hex)
  } else if (message in responses) {
    const response = responses[message]?.(fields) as Message.SubscribeResponse
    assert.strictEqual(toHex(version.encodeResponse(response)), hex)
    const read = version.decodeResponse(bytes[0] ?? 0, bodyOf(bytes.subarray(1)))
    assert.deepStrictEqual(Result.getOrThrow(read), response)
  } else {
    const body = bodiesOf(version)[message]
    if (body === undefined) throw new Error(`no codec for ${message}`)
    const read = Message.decode(body.codec, bodyOf(bytes, invalid))
    if (invalid === true) return assert.isTrue(Result.isFailure(read))
    const value = body.value(fields)
    assert.deepStrictEqual(Result.getOrThrow(read), value)
    // a restart has the status 2 here, which is read and never sent
    const written = fields["status"] === 2 ? `${hex.slice(0, 2)}01${hex.slice(4)}` : hex
    assert.strictEqual(toHex(Message.encode(body.codec, value)), written)
  }
}

const nameOf = ({ message, fields, hex, invalid, reason }: Vector): string =>
  `${message} ${invalid === true ? `${hex}: refused, ${reason ?? ""}` : JSON.stringify(fields).slice(0, 100)}`

describe.each(Version.all)("vectors of $alpn", (version) => {
  for (const vector of vectors.filter((vector) => covers(vector.version, version.alpn))) {
    it(`${nameOf(vector)}`, () => check(version, vector))
  }
})

describe("vectors of all versions", () => {
  for (const vector of vectors.filter(({ version }) => version === "any" || version === "raw-quic")) {
    const { fields, hex, message } = vector
    it(`${nameOf(vector)}`, () => {
      if (message === "VARINT") {
        const value = BigInt(fields["value"] as string)
        assert.strictEqual(toHex(encode((writer) => writer.varint(value))), hex)
        assert.strictEqual(new Reader(fromHex(hex)).varint64(), value)
      } else if (message === "STRING") {
        assert.strictEqual(toHex(encode((writer) => name.write(writer, fields["value"] as string))), hex)
        assert.strictEqual(name.read(new Reader(fromHex(hex))), fields["value"])
      } else {
        const quicCode = Number(fields["quicCode"])
        assert.strictEqual(ErrorCode.toStream(fields["appCode"] as number), quicCode)
        assert.strictEqual(ErrorCode.fromStream(quicCode), fields["appCode"])
        assert.strictEqual(Varint.tryRead(fromHex(hex), 0), quicCode)
      }
    })
  }
})

describe("vectors of other layers", () => {
  for (const [version, count, reason] of elsewhere) {
    it(`${count} of ${version.source} are not looked at: ${reason}`, () => {
      assert.strictEqual(vectors.filter((vector) => version.test(vector.version)).length, count)
    })
  }

  it("and the ones above are all there are", () => {
    const left = vectors.filter(
      ({ version }) =>
        version !== "any" &&
        version !== "raw-quic" &&
        !Version.alpns.some((alpn) => covers(version, alpn)) &&
        !elsewhere.some(([pattern]) => pattern.test(version))
    )
    assert.deepStrictEqual(left, [])
    assert.strictEqual(vectors.length, 250)
  })
})
