/** The bytes of the membership's messages (iroh-gossip section 2.5, outer variant 0), derived from their schemas. */
import { EndpointId } from "@effect-live/endpoint/EndpointId"
import * as Postcard from "@effect-live/wire/Postcard"
import type { Reader } from "@effect-live/wire/Reader"
import { Schema } from "effect"
import * as Limits from "../Limits.ts"
import { hashBytes } from "./hash.ts"

/** Copied when it is read: views of the core keep it long after the frame that it came in. */
const PeerData = Postcard.annotate(Schema.Uint8Array, {
  minBytes: 1,
  write: (writer, data) => writer.byteString(data),
  read: (reader) => new Uint8Array(reader.byteString())
})
const data = Schema.UndefinedOr(PeerData)
const PeerInfo = Schema.Struct({ id: EndpointId, data })
const info = Postcard.codec(PeerInfo)
const AllNodes = Schema.Array(PeerInfo)
const allNodes = Postcard.codec(AllNodes)

/** It costs much to tell whether an id is a public key, so that only those that are used are looked at. */
const Nodes = Postcard.annotate(AllNodes, {
  minBytes: allNodes.minBytes,
  write: allNodes.write,
  read: (reader) => {
    const count = reader.count(info.minBytes)
    const nodes: Array<typeof PeerInfo.Type> = []
    for (let index = 0; index < count; index++) {
      if (index < Limits.shuffleNodes) nodes.push(info.read(reader))
      else skip(reader)
    }
    return nodes
  }
})

/** Behind a node. */
const skip = (reader: Reader): void => {
  reader.raw(hashBytes)
  if (reader.bool()) reader.byteString()
}

const Disconnect = Schema.TaggedStruct("Disconnect", { alive: Schema.Boolean })

/** In the order of their variants. */
export const Membership = Schema.Union([
  Schema.TaggedStruct("Join", { data }),
  Schema.TaggedStruct("ForwardJoin", { peer: PeerInfo, ttl: Postcard.u16 }),
  Schema.TaggedStruct("Shuffle", { origin: EndpointId, nodes: Nodes, ttl: Postcard.u16 }),
  Schema.TaggedStruct("ShuffleReply", { nodes: Nodes }),
  Schema.TaggedStruct("Neighbor", { priority: Schema.Literals(["High", "Low"]), data }),
  // behind `alive` stands the obsolete `respond`: sent as false, never looked at
  Postcard.annotate(Disconnect, {
    minBytes: 2,
    write: (writer, { alive }) => {
      writer.bool(alive)
      writer.bool(false)
    },
    read: (reader) => {
      const alive = reader.bool()
      reader.bool()
      return { _tag: "Disconnect" as const, alive }
    }
  })
])

export const codec = Postcard.codec(Membership)
