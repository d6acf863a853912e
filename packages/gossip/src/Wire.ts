/**
 * The bytes of gossip (iroh-gossip section 2): a stream begins with the frame of its topic, then comes a frame per message. A frame
 * is the length of its body as four bytes, big-endian, and the body in postcard. Membership is derived from its schemas; the
 * broadcast, where every content passes, is written by hand.
 */
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import * as Postcard from "@effect-live/wire/Postcard"
import { decode as decodeWith, type Reader } from "@effect-live/wire/Reader"
import { encode as encodeWith, type Writer } from "@effect-live/wire/Writer"
import type { DecodeError } from "@effect-live/wire/DecodeError"
import type { Result } from "effect"
import * as hash from "./internal/hash.ts"
import * as membership from "./internal/membershipCodec.ts"
import { varintBytes } from "./internal/varint.ts"
import type * as Message from "./Message.ts"
import { TopicId } from "./TopicId.ts"

/** Bytes of a frame in front of its body. */
export const lengthBytes = 4

/** The frame that a stream begins with (section 2.2). */
export const header = (topic: TopicId): Uint8Array => frame(hash.hashBytes, (writer) => topicCodec.write(writer, topic))

/** The topic of a stream, from the body of its first frame. Bytes behind it are ignored, as the Rust peers do. */
export const decodeHeader = (body: Uint8Array): Result.Result<TopicId, DecodeError> => topicCodec.decode(body)

/** The frame of a message: a view of a shared block that is never written again. Its size is not checked: see `bodyBytes`. */
export const encode = (message: Message.Message<EndpointId>): Uint8Array =>
  frame(bodyBytes(message), (writer) => write(writer, message))

/**
 * The message of a body (section 2.5). A content is a view of the body, peer data are copies. Bytes behind the message are ignored, as the Rust peers
 * do, and so are nodes of a Shuffle or ShuffleReply behind the first `Limits.shuffleNodes`. That the id of a Gossip is the one of its content is not checked, nor whether numbers make sense. Errors: what the reader
 * refused, with its offset; the stream cannot be read further.
 */
export const decode = (body: Uint8Array): Result.Result<Message.Message<EndpointId>, DecodeError> =>
  decodeWith(body, read)

/**
 * Whether a body may be that of a ForwardJoin, Shuffle or ShuffleReply, which bring ids of others. Also true of one that Rust peers would
 * not write.
 */
export const introduces = (body: Uint8Array): boolean =>
  body[0] !== 1 && (body[0] !== 0 || (body[1] !== 0 && body[1] !== 4 && body[1] !== 5))

/** How long the body of a message is, without encoding it. A frame may be sent when it is below `maxMessageBytes` (section 2.3). */
export const bodyBytes = (message: Message.Message<EndpointId>): number => {
  switch (message._tag) {
    case "Join":
      return 2 + dataBytes(message.data)
    case "ForwardJoin":
      return 2 + infoBytes(message.peer) + varintBytes(message.ttl)
    case "Shuffle":
      return 2 + idBytes + infosBytes(message.nodes) + varintBytes(message.ttl)
    case "ShuffleReply":
      return 2 + infosBytes(message.nodes)
    case "Neighbor":
      return 3 + dataBytes(message.data)
    case "Disconnect":
      return 4
    case "Gossip":
      return (
        2 +
        hash.hashBytes +
        varintBytes(message.content.length) +
        message.content.length +
        (message.scope._tag === "Swarm" ? 1 + varintBytes(message.scope.round) : 1)
      )
    case "Prune":
      return 2
    case "Graft":
      return 3 + (message.id === undefined ? 0 : hash.hashBytes) + varintBytes(message.round)
    case "IHave": {
      let bytes = 2 + varintBytes(message.messages.length)
      for (const { round } of message.messages) bytes += hash.hashBytes + varintBytes(round)
      return bytes
    }
  }
}

/**
 * The most bytes that a content may have where frames have a body below `maxMessageBytes` (section 2.8): 4,057 for `Swarm` and 4,058
 * for `Neighbors` by default. The number of hops is part of the body and takes a second byte from 128 on and a third from 16,384 on:
 * a content of the swarm with the most bytes gets no further than 127 hops, one with a byte less no further than 16,383.
 */
export const maxContentBytes = (maxMessageBytes: number, scope: Message.Scope["_tag"]): number => {
  const scopeBytes = scope === "Swarm" ? 2 : 1
  const room = maxMessageBytes - 1 - 2 - hash.hashBytes - scopeBytes
  let lengthBytes = 1
  while (varintBytes(room - lengthBytes) > lengthBytes) lengthBytes++
  return room - lengthBytes
}

/**
 * Cuts what arrives on a stream into the bodies of its frames. After a `push` call `next` until there is none: what is left then is
 * the beginning of a frame, and at most twice its bytes are kept for it, never what its length promises.
 */
export class FrameReader {
  readonly #maxMessageBytes: number
  /** What is not read yet lies from `#start` to `#end`. Bytes before `#end` are never written again: bodies are views of it. */
  #bytes: Uint8Array = nothing
  #start = 0
  #end = 0
  /** Whether `#bytes` was made here, so that there may be room behind `#end`. */
  #own = false

  /** `maxMessageBytes`: the most bytes of a body. */
  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes
  }

  /** Bytes that wait for the rest of their frame. */
  get partialBytes(): number {
    return this.#end - this.#start
  }

  /** What came next on the stream. The bytes are the reader's from now on. */
  push(chunk: Uint8Array): void {
    const end = this.#end + chunk.length
    if (this.#start === this.#end) {
      this.#bytes = chunk
      this.#start = 0
      this.#end = chunk.length
      this.#own = false
    } else if (this.#own && end <= this.#bytes.length) {
      this.#bytes.set(chunk, this.#end)
      this.#end = end
    } else {
      this.#grow(chunk)
    }
  }

  /**
   * The body of the next frame, a view: copy what you keep. Undefined when it is not here yet; `"tooLarge"` when it will be above
   * `maxMessageBytes`, as soon as its length is known: the stream cannot be read further.
   */
  next(): Uint8Array | "tooLarge" | undefined {
    const body = this.#cut()
    // a small part must not keep a large chunk
    if (body === undefined && !this.#own && this.partialBytes > 0) this.#grow(nothing)
    return body
  }

  #cut(): Uint8Array | "tooLarge" | undefined {
    if (this.partialBytes < lengthBytes) return undefined
    const at = this.#start + lengthBytes
    let bodyBytes = 0
    for (let index = this.#start; index < at; index++) bodyBytes = bodyBytes * 256 + (this.#bytes[index] ?? 0)
    if (bodyBytes > this.#maxMessageBytes) return "tooLarge"
    const end = at + bodyBytes
    if (end > this.#end) return undefined
    this.#start = end
    return this.#bytes.subarray(at, end)
  }

  /** Twice what is needed, so that the work stays in proportion to the bytes however small the chunks are. */
  #grow(chunk: Uint8Array): void {
    const needed = this.partialBytes + chunk.length
    const grown = new Uint8Array(Math.max(needed, Math.min(2 * needed, lengthBytes + this.#maxMessageBytes)))
    grown.set(this.#bytes.subarray(this.#start, this.#end))
    grown.set(chunk, this.partialBytes)
    this.#bytes = grown
    this.#start = 0
    this.#end = needed
    this.#own = true
  }
}

const idBytes = 32
const nothing = new Uint8Array(0)
const topicCodec = Postcard.codec(TopicId)

const frame = (bodyBytes: number, body: (writer: Writer) => void): Uint8Array =>
  encodeWith((writer) => {
    writer.u16be(bodyBytes >>> 16)
    writer.u16be(bodyBytes & 0xffff)
    body(writer)
  })

const write = (writer: Writer, message: Message.Message<EndpointId>): void => {
  switch (message._tag) {
    case "Gossip":
      writer.u8(1)
      writer.u8(0)
      hash.write(writer, message.id)
      writer.byteString(message.content)
      if (message.scope._tag === "Swarm") {
        writer.u8(0)
        writer.leb16(message.scope.round)
      } else {
        writer.u8(1)
      }
      return
    case "Prune":
      writer.u8(1)
      writer.u8(1)
      return
    case "Graft":
      writer.u8(1)
      writer.u8(2)
      writer.bool(message.id !== undefined)
      if (message.id !== undefined) hash.write(writer, message.id)
      writer.leb16(message.round)
      return
    case "IHave":
      writer.u8(1)
      writer.u8(3)
      writer.leb32(message.messages.length)
      for (const { id, round } of message.messages) {
        hash.write(writer, id)
        writer.leb16(round)
      }
      return
    default:
      writer.u8(0)
      membership.codec.write(writer, message)
  }
}

const read = (reader: Reader): Message.Message<EndpointId> => {
  const start = reader.offset
  switch (reader.leb32()) {
    case 0:
      return membership.codec.read(reader)
    case 1:
      return readBroadcast(reader)
    default:
      return reader.fail("0 or 1 for membership or broadcast", start)
  }
}

const readBroadcast = (reader: Reader): Message.Broadcast => {
  const start = reader.offset
  switch (reader.leb32()) {
    case 0:
      return {
        _tag: "Gossip",
        id: hash.read(reader),
        content: reader.byteString(),
        scope: readScope(reader)
      }
    case 1:
      return { _tag: "Prune" }
    case 2:
      return { _tag: "Graft", id: reader.bool() ? hash.read(reader) : undefined, round: reader.leb16() }
    case 3: {
      const count = reader.count(hash.hashBytes + 1)
      const messages: Array<Message.Advertised> = []
      for (let index = 0; index < count; index++) messages.push({ id: hash.read(reader), round: reader.leb16() })
      return { _tag: "IHave", messages }
    }
    default:
      return reader.fail("a variant from 0 to 3", start)
  }
}

const readScope = (reader: Reader): Message.Scope => {
  const start = reader.offset
  switch (reader.leb32()) {
    case 0:
      return { _tag: "Swarm", round: reader.leb16() }
    case 1:
      return { _tag: "Neighbors" }
    default:
      return reader.fail("0 or 1 for the swarm or neighbors", start)
  }
}

const dataBytes = (data: Message.PeerData | undefined): number =>
  data === undefined ? 1 : 1 + varintBytes(data.length) + data.length

const infoBytes = (info: Message.PeerInfo<EndpointId>): number => idBytes + dataBytes(info.data)

const infosBytes = (infos: ReadonlyArray<Message.PeerInfo<EndpointId>>): number => {
  let bytes = varintBytes(infos.length)
  for (const info of infos) bytes += infoBytes(info)
  return bytes
}
