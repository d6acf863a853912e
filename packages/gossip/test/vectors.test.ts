/** The kept vectors of iroh-gossip, all of them: what this package writes and reads, byte for byte. */
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import * as SecretKey from "@effect-live/endpoint/SecretKey"
import * as Signature from "@effect-live/endpoint/Signature"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Base32 from "@effect-live/wire/Base32"
import * as Postcard from "@effect-live/wire/Postcard"
import { Reader } from "@effect-live/wire/Reader"
import { encode } from "@effect-live/wire/Writer"
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { readFileSync } from "node:fs"
import * as AddrInfo from "../src/AddrInfo.ts"
import * as Config from "../src/Config.ts"
import { contentId } from "../src/internal/contentId.ts"
import type * as Message from "../src/Message.ts"
import * as TopicId from "../src/TopicId.ts"
import * as Wire from "../src/Wire.ts"
import { fromHex, idA, toHex } from "./support/messages.ts"

interface Info {
  readonly id: string
  readonly data: string | null
}
interface Fields {
  readonly [name: string]: unknown
}
interface Vector {
  readonly message: string
  readonly fields: Fields
  readonly hex: string
  readonly body?: string
  readonly invalid?: boolean
}
const vectors = JSON.parse(
  readFileSync(new URL("vectors/gossip.json", import.meta.url), "utf8")
) as ReadonlyArray<Vector>

const idOf = (hex: unknown): EndpointId.EndpointId => Result.getOrThrow(EndpointId.parse(hex as string))
const topicOf = (fields: Fields): TopicId.TopicId => Result.getOrThrow(TopicId.parse(fields["topic"] as string))
const dataOf = (hex: unknown) => (hex === null || hex === undefined ? undefined : fromHex(hex as string))
const infoOf = ({ data, id }: Info) => ({ id: idOf(id), data: dataOf(data) })
const infosOf = (infos: unknown) => (infos as ReadonlyArray<Info>).map(infoOf)
const numberOf = (value: unknown) => value as number

/** A text, hex, or `a x200`: so many times the same. */
const contentOf = ({ content, contentUtf8 }: Fields): Uint8Array => {
  const repeated = /^(\w+) x(\d+)$/.exec((contentUtf8 ?? content) as string)
  const [, unit = "", times = "1"] = repeated ?? ["", (contentUtf8 ?? content) as string]
  return contentUtf8 === undefined
    ? fromHex(unit.repeat(Number(times)))
    : new TextEncoder().encode(unit.repeat(Number(times)))
}
const scopeOf = (scope: unknown): Message.Scope =>
  scope === "Neighbors" ? { _tag: "Neighbors" } : { _tag: "Swarm", round: (scope as { readonly Swarm: number }).Swarm }

const messages: Readonly<Record<string, (fields: Fields) => Message.Message<EndpointId.EndpointId>>> = {
  "Swarm.Join": ({ data }) => ({ _tag: "Join", data: dataOf(data) }),
  "Swarm.ForwardJoin": ({ peer, ttl }) => ({ _tag: "ForwardJoin", peer: infoOf(peer as Info), ttl: numberOf(ttl) }),
  "Swarm.Shuffle": ({ nodes, origin, ttl }) => ({
    _tag: "Shuffle",
    origin: idOf(origin),
    nodes: infosOf(nodes),
    ttl: numberOf(ttl)
  }),
  "Swarm.ShuffleReply": ({ nodes }) => ({ _tag: "ShuffleReply", nodes: infosOf(nodes) }),
  "Swarm.Neighbor": ({ data, priority }) => ({
    _tag: "Neighbor",
    priority: priority as Message.Priority,
    data: dataOf(data)
  }),
  "Swarm.Disconnect": ({ alive }) => ({ _tag: "Disconnect", alive: alive as boolean }),
  "Gossip.Gossip": (fields) => ({
    _tag: "Gossip",
    id: fields["id"] as string,
    content: contentOf(fields),
    scope: scopeOf(fields["scope"])
  }),
  "Gossip.Prune": () => ({ _tag: "Prune" }),
  "Gossip.Graft": ({ id, round }) => ({
    _tag: "Graft",
    id: (id ?? undefined) as string | undefined,
    round: numberOf(round)
  }),
  "Gossip.IHave": ({ list }) => ({ _tag: "IHave", messages: list as ReadonlyArray<Message.Advertised> })
}

const codec = Postcard.codec(Schema.Struct({ u16: Postcard.u16 }))

/** Bodies of the frames of a stream. */
const bodiesOf = (hex: string): ReadonlyArray<Uint8Array> => {
  const reader = new Wire.FrameReader(Config.defaults.maxMessageBytes)
  reader.push(fromHex(hex))
  const bodies: Array<Uint8Array> = []
  for (let body = reader.next(); body !== undefined; body = reader.next()) {
    if (body === "tooLarge") throw new Error("too large")
    bodies.push(body)
  }
  assert.strictEqual(reader.partialBytes, 0)
  return bodies
}

const both = <A>(codec: Postcard.MessageCodec<A>, value: A, hex: string): void => {
  assert.strictEqual(toHex(codec.encode(value)), hex)
  assert.deepStrictEqual(Result.getOrThrow(codec.decode(fromHex(hex))), value)
}

const waysOf = ({ directAddresses, relayUrl }: Fields): ReadonlyArray<TransportAddr.TransportAddr> => [
  ...(relayUrl === null ? [] : [TransportAddr.relay(Result.getOrThrow(RelayUrl.parse(relayUrl as string)))]),
  ...(directAddresses as ReadonlyArray<string>).map((text) => Result.getOrThrow(TransportAddr.parseIp(text)))
]

/** What the example of a chat says on top of gossip. */
const ChatMessage = Postcard.codec(
  Schema.Union([
    Schema.TaggedStruct("AboutMe", { name: Schema.String }),
    Schema.TaggedStruct("Message", { text: Schema.String })
  ])
)
const ChatSigned = Postcard.codec(
  Schema.Struct({ from: EndpointId.EndpointId, data: Postcard.bytes, signature: Postcard.fixed(64) })
)

const check = ({ body, fields, hex, invalid, message }: Vector): void => {
  const frame = messages[message.replace(" frame", "")]
  if (frame !== undefined) {
    const value = frame(fields)
    assert.strictEqual(toHex(Wire.encode(value)), hex)
    assert.strictEqual(toHex(bodiesOf(hex)[0] ?? new Uint8Array(0)), body)
    assert.deepStrictEqual(Result.getOrThrow(Wire.decode(fromHex(body ?? ""))), value)
    if (value._tag === "Gossip") assert.strictEqual(contentId(value.content), value.id)
    return
  }
  if (message.startsWith("decode rejects")) {
    assert.isTrue(invalid)
    return assert.isTrue(Result.isFailure(Wire.decode(fromHex(hex))))
  }
  switch (message) {
    case "varint u16":
      return both(codec, { u16: numberOf(fields["value"]) }, hex)
    case "option none":
      return both(Postcard.codec(Schema.UndefinedOr(Postcard.u16)), undefined, hex)
    case "byte string":
      return both(Postcard.codec(Postcard.bytes), fromHex(fields["bytes"] as string), hex)
    case "EndpointId": {
      const seed = new Uint8Array(32).fill(Number.parseInt(fields["ed25519Seed"] as string, 16))
      const id = SecretKey.endpointId(Result.getOrThrow(SecretKey.fromBytes(seed)))
      assert.strictEqual(id, fields["publicKey"])
      return both(Postcard.codec(EndpointId.EndpointId), id, hex)
    }
    case "MessageId":
      return assert.strictEqual(contentId(contentOf(fields)), hex)
    case "SocketAddr": {
      const addr = EndpointAddr.make(idA, [
        Result.getOrThrow(TransportAddr.ip(fields["ip"] as string, numberOf(fields["port"])))
      ])
      assert.strictEqual(toHex(AddrInfo.encode(addr, Config.defaults)), `0001${hex}`)
      return assert.deepStrictEqual(Result.getOrThrow(AddrInfo.decode(idA, fromHex(`0001${hex}`))), addr)
    }
    case "AddrInfo": {
      const addr = EndpointAddr.make(idA, waysOf(fields))
      assert.strictEqual(toHex(AddrInfo.encode(addr, Config.defaults)), hex)
      return assert.deepStrictEqual(Result.getOrThrow(AddrInfo.decode(idA, fromHex(hex))), addr)
    }
    case "StreamHeader frame": {
      assert.strictEqual(toHex(Wire.header(topicOf(fields))), hex)
      const [header] = bodiesOf(hex)
      return assert.strictEqual(Result.getOrThrow(Wire.decodeHeader(header ?? new Uint8Array(0))), topicOf(fields))
    }
    case "stream: header + Join + FIN":
      return checkStream(hex, topicOf(fields), [{ _tag: "Join", data: dataOf(fields["data"]) }])
    case "stream: header + ShuffleReply + Disconnect + FIN":
      return checkStream(hex, topicOf(fields), [
        { _tag: "ShuffleReply", nodes: infosOf(fields["nodes"]) },
        { _tag: "Disconnect", alive: true }
      ])
    case "decode accepts: trailing bytes":
    case "decode accepts: non-minimal varint":
      assert.strictEqual(fields["decodesTo"], "Gossip.Prune")
      return assert.deepStrictEqual(Result.getOrThrow(Wire.decode(fromHex(hex))), { _tag: "Prune" })
    case "chat example Ticket":
      return checkTicket(fields, hex)
    case "chat example Message::Message":
      return both(ChatMessage, { _tag: "Message", text: fields["text"] as string }, hex)
    case "chat example Message::AboutMe":
      return both(ChatMessage, { _tag: "AboutMe", name: fields["name"] as string }, hex)
    case "chat example SignedMessage": {
      const [data, signature] = [fromHex(fields["data"] as string), fromHex(fields["signature"] as string)]
      assert.isTrue(Signature.verify(idA, data, signature))
      return both(ChatSigned, { from: idA, data, signature }, hex)
    }
    default:
      throw new Error(`nobody reads ${message}`)
  }
}

const checkStream = (
  hex: string,
  topic: TopicId.TopicId,
  sent: ReadonlyArray<Message.Message<EndpointId.EndpointId>>
): void => {
  assert.strictEqual([Wire.header(topic), ...sent.map(Wire.encode)].map(toHex).join(""), hex)
  const [header, ...bodies] = bodiesOf(hex)
  assert.strictEqual(Result.getOrThrow(Wire.decodeHeader(header ?? new Uint8Array(0))), topic)
  assert.deepStrictEqual(
    bodies.map((body) => Result.getOrThrow(Wire.decode(body))),
    sent
  )
}

const checkTicket = (fields: Fields, hex: string): void => {
  const peers = (fields["peers"] as ReadonlyArray<{ readonly id: string; readonly addrs: ReadonlyArray<Fields> }>).map(
    ({ addrs, id }) =>
      EndpointAddr.make(
        idOf(id),
        addrs.flatMap(({ Ip, Relay }) => waysOf({ relayUrl: Relay ?? null, directAddresses: Ip ? [Ip] : [] }))
      )
  )
  const bytes = encode((writer) => {
    writer.raw(TopicId.toBytes(topicOf(fields)))
    writer.leb32(peers.length)
    for (const peer of peers) EndpointAddr.write(writer, peer)
  })
  assert.strictEqual(toHex(bytes), hex)
  assert.strictEqual(Base32.encode(bytes), fields["text"])
  const reader = new Reader(fromHex(hex))
  assert.strictEqual(toHex(reader.raw(32)), fields["topic"])
  assert.deepStrictEqual(
    Array.from({ length: reader.leb32() }, () => EndpointAddr.read(reader, "bytes")),
    peers
  )
}

describe("vectors", () => {
  it("are 72", () => {
    assert.lengthOf(vectors, 72)
  })

  for (const vector of vectors) {
    it(`${vector.message} ${JSON.stringify(vector.fields).slice(0, 100)}`, () => check(vector))
  }
})
