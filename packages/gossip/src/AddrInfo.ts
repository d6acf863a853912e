/**
 * Where a peer lives, inside its PeerData (iroh-gossip section 2.7): one relay and a set of socket addresses. Custom addresses have
 * no place in it.
 */
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import type { DecodeError } from "@effect-live/wire/DecodeError"
import * as Postcard from "@effect-live/wire/Postcard"
import { Result, Schema } from "effect"
import type { Config } from "./Config.ts"
import * as Limits from "./Limits.ts"
import type { PeerData } from "./Message.ts"

/**
 * What we publish about ourselves: the relay with the smallest URL, then socket addresses in ascending order, as many as
 * `Limits.addressesPerPeer` and `maxBytes` allow; what does not fit is left out. A fresh copy.
 */
export const encode = (addr: EndpointAddr.EndpointAddr, config: Config): PeerData => {
  const { addrs } = EndpointAddr.make(addr.id, addr.addrs)
  const relay = addrs.find((way) => way._tag === "Relay")?.url
  let room = maxBytes(config) - codec.minBytes
  const fits = (bytes: number): boolean => {
    if (bytes > room) return false
    room -= bytes
    return true
  }
  const relayUrl = relay !== undefined && fits(relayCodec.encode(relay).length) ? relay : undefined
  const directAddresses: Array<TransportAddr.Ip> = []
  for (const way of addrs) {
    if (directAddresses.length === Limits.addressesPerPeer) break
    if (way._tag === "Ip" && fits(ipCodec.encode(way).length)) directAddresses.push(way)
  }
  return codec.encode({ relayUrl, directAddresses }).slice()
}

/**
 * What a peer says about itself or about `id`; nobody vouches for it. No data at all means that nothing is known: an address
 * without ways. Socket addresses beyond `Limits.addressesPerPeer` are not looked at. Errors: what the reader refused, among it a
 * relay that is no URL; the message that the data came in counts all the same.
 */
export const decode = (id: EndpointId, data: PeerData): Result.Result<EndpointAddr.EndpointAddr, DecodeError> =>
  data.length === 0
    ? Result.succeed(EndpointAddr.make(id))
    : Result.map(codec.decode(data), ({ directAddresses, relayUrl }) =>
        EndpointAddr.make(id, [
          ...(relayUrl === undefined ? [] : [TransportAddr.relay(relayUrl)]),
          ...directAddresses.slice(0, Limits.addressesPerPeer)
        ])
      )

/**
 * The most bytes of own data that let a Shuffle of peers that say as much stay below the limit of a frame: 472 by default. At
 * least 2, which is an AddrInfo without addresses.
 */
export const maxBytes = ({ maxMessageBytes, membership }: Config): number => {
  const nodes = membership.shuffleActiveViewCount + membership.shufflePassiveViewCount + 1
  return Math.max(codec.minBytes, Math.floor((maxMessageBytes - 1 - shuffleBytes) / nodes) - nodeBytes)
}

/** Of a Shuffle, at most: its kind, origin, the count of its nodes and the ttl. */
const shuffleBytes = 2 + 32 + 2 + 3
/** Of one of its nodes: id, that there is data, and how much. */
const nodeBytes = 32 + 1 + 2

const Relay = Postcard.annotate(RelayUrl.RelayUrl, {
  minBytes: 1,
  write: (writer, url) => writer.str(url),
  read: (reader) => {
    const start = reader.offset
    const url = RelayUrl.parse(reader.str())
    return Result.isSuccess(url) ? url.success : reader.fail("an absolute URL of a relay", start)
  }
})

const Ip = Postcard.annotate(TransportAddr.Ip, {
  minBytes: 6,
  write: (writer, way) => {
    const bytes = TransportAddr.ipBytes(way)
    writer.u8(bytes.length === 4 ? 0 : 1)
    writer.raw(bytes)
    writer.leb16(way.port)
  },
  read: (reader) => {
    const start = reader.offset
    const version = reader.leb32()
    if (version > 1) return reader.fail("0 for IPv4 or 1 for IPv6", start)
    const bytes = reader.raw(version === 0 ? 4 : 16)
    return TransportAddr.fromIpBytes(bytes, reader.leb16())
  }
})

const relayCodec = Postcard.codec(Relay)
const ipCodec = Postcard.codec(Ip)
const codec = Postcard.codec(Schema.Struct({ relayUrl: Schema.UndefinedOr(Relay), directAddresses: Schema.Array(Ip) }))
