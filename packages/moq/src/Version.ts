/**
 * The versions of moq-lite that this package speaks: one row each, with the bytes of its messages and what it does differently.
 * Sessions know versions only through this table. Messages that only some versions have stand in `Message.ts` with their one
 * layout; the row says whether the version has them.
 */
import { DecodeError } from "@effect-live/wire/DecodeError"
import type { Reader } from "@effect-live/wire/Reader"
import { Result } from "effect"
import {
  absent,
  behind,
  byte,
  type Codec,
  flag,
  integer,
  mapped,
  measured,
  name,
  optional,
  path,
  struct,
  wide
} from "./internal/fields.ts"
import * as Limits from "./Limits.ts"
import {
  type AnnounceBroadcast,
  type AnnounceRequest,
  decode,
  encodeTyped,
  type Fetch,
  type GroupHeader,
  type HopId,
  type Probe,
  type Subscribe,
  type SubscribeDrop,
  type SubscribeResponse,
  type SubscribeUpdate
} from "./Message.ts"

export interface Version {
  readonly alpn: string
  readonly announceRequest: Codec<AnnounceRequest>
  readonly announceBroadcast: Codec<AnnounceBroadcast>
  readonly subscribe: Codec<Subscribe>
  readonly subscribeUpdate: Codec<SubscribeUpdate>
  /** Type, length and body. Defect: a response that the version does not have. */
  readonly encodeResponse: (response: SubscribeResponse) => Uint8Array
  readonly decodeResponse: (type: number, body: Uint8Array) => Result.Result<SubscribeResponse, DecodeError>
  readonly group: Codec<GroupHeader>
  readonly probe: Codec<Probe>
  readonly fetch: Codec<Fetch>
  /** Both ends say `Message.setup` first, on a stream of its own. */
  readonly setup: boolean
  /** Announcements begin with `Message.announceOk`: who speaks, and how many are active already. */
  readonly announceOk: boolean
  /** Active for a path that is active already replaces it; before, Ended has to come first. */
  readonly restarts: boolean
  /**
   * What an announcement says of its way: how many hops it passed, its sender included; or their ids, the sender's last; or
   * their ids without the sender's, which whoever receives it appends from `Message.announceOk`.
   */
  readonly hops: "count" | "senderLast" | "receiverAppends"
  /**
   * A track can be asked about (`Message.trackRequest`), single groups are served (FETCH), and the responses to a subscription are
   * SUBSCRIBE_START and SUBSCRIBE_END.
   */
  readonly trackInfo: boolean
  /** A publisher says SUBSCRIBE_OK before the first group; later versions accept without a word. */
  readonly subscribeOk: boolean
  /** A subscriber may change its wishes. Some peers of the others take any byte behind SUBSCRIBE as a violation (section 4.3). */
  readonly subscribeUpdates: boolean
  /** Who is about to close says so, with `Message.goaway`. */
  readonly goaway: boolean
  /** Every frame carries its timestamp. */
  readonly timestamps: boolean
  /** Groups of one frame may travel as datagrams. */
  readonly datagrams: boolean
  /** Two nodes keep one connection and close a second one as a duplicate; peers of before may have both in use (section 6.3). */
  readonly oneConnection: boolean
}

const wishes = {
  priority: byte,
  ordered: flag,
  maxLatencyMs: integer,
  start: optional,
  end: optional
} as const
const subscribeUpdate = struct<SubscribeUpdate>(wishes)

const tagged = <Tag extends string, A extends object>(
  tag: Tag,
  codec: Codec<A>
): Codec<{ readonly _tag: Tag } & A> => ({
  write: codec.write,
  read: (reader) => ({ _tag: tag, ...codec.read(reader) })
})
const subscribeOk = tagged("SubscribeOk", subscribeUpdate)
const subscribeStart = tagged("SubscribeStart", struct<{ readonly group: number }>({ group: integer }))
const subscribeEnd = tagged("SubscribeEnd", struct<{ readonly group: number }>({ group: behind }))
const subscribeDrop = tagged("SubscribeDrop", struct<SubscribeDrop>({ start: integer, end: integer, code: integer }))
const unknownResponse = Result.fail(
  new DecodeError({ offset: 0, expected: "a response to SUBSCRIBE that this version has" })
)

/** moq-lite section 3.3. */
export const lite03: Version = {
  alpn: "moq-lite-03",
  announceRequest: struct<AnnounceRequest>({ prefix: path, excludeHop: absent<HopId>(0) }),
  announceBroadcast: struct<AnnounceBroadcast>({
    active: status(1),
    suffix: path,
    // this version counts the hops and does not name them
    hops: mapped<number, ReadonlyArray<HopId>>(
      { write: integer.write, read: hopCount },
      (count) => Array.from({ length: count }, () => 0),
      (hops) => hops.length
    )
  }),
  subscribe: struct<Subscribe>({ id: wide, broadcast: path, track: name, ...wishes }),
  subscribeUpdate,
  encodeResponse: (response) => {
    switch (response._tag) {
      case "SubscribeOk":
        return encodeTyped(0, subscribeOk, response)
      case "SubscribeDrop":
        return encodeTyped(1, subscribeDrop, response)
      default:
        throw new RangeError(`${response._tag} came with lite-05`)
    }
  },
  decodeResponse: (type, body) =>
    type === 0 ? decode(subscribeOk, body) : type === 1 ? decode(subscribeDrop, body) : unknownResponse,
  group: struct<GroupHeader>({ subscribe: wide, sequence: integer }),
  probe: struct<Probe>({ bitrate: measured, rttMs: absent<number | undefined>(undefined) }),
  fetch: struct<Fetch>({ broadcast: path, track: name, priority: byte, group: integer }),
  setup: false,
  announceOk: false,
  restarts: false,
  hops: "count",
  trackInfo: false,
  subscribeOk: true,
  subscribeUpdates: false,
  goaway: false,
  timestamps: false,
  datagrams: false,
  oneConnection: false
}

const hopIds: Codec<ReadonlyArray<HopId>> = {
  write: (writer, hops) => {
    writer.varint(hops.length)
    for (const hop of hops) writer.varint(hop)
  },
  read: (reader) => {
    const hops: Array<HopId> = []
    for (let left = hopCount(reader); left > 0; left--) hops.push(wide.read(reader))
    return hops
  }
}

/** moq-lite section 3.4. */
export const lite04: Version = {
  ...lite03,
  alpn: "moq-lite-04",
  announceRequest: struct<AnnounceRequest>({ prefix: path, excludeHop: wide }),
  announceBroadcast: struct<AnnounceBroadcast>({ active: status(1), suffix: path, hops: hopIds }),
  probe: struct<Probe>({ bitrate: measured, rttMs: measured }),
  hops: "senderLast",
  goaway: true
}

/** moq-lite section 3.5. */
export const lite05: Version = {
  ...lite04,
  alpn: "moq-lite-05",
  announceBroadcast: struct<AnnounceBroadcast>({ active: status(2), suffix: path, hops: hopIds }),
  encodeResponse: (response) => {
    switch (response._tag) {
      case "SubscribeStart":
        return encodeTyped(0, subscribeStart, response)
      case "SubscribeEnd":
        return encodeTyped(1, subscribeEnd, response)
      case "SubscribeDrop":
        return encodeTyped(2, subscribeDrop, response)
      case "SubscribeOk":
        throw new RangeError("SubscribeOk went with lite-05")
    }
  },
  decodeResponse: (type, body) => {
    switch (type) {
      case 0:
        return decode(subscribeStart, body)
      case 1:
        return decode(subscribeEnd, body)
      case 2:
        return decode(subscribeDrop, body)
      default:
        return unknownResponse
    }
  },
  setup: true,
  announceOk: true,
  restarts: true,
  hops: "receiverAppends",
  trackInfo: true,
  subscribeOk: false,
  subscribeUpdates: true,
  timestamps: true,
  datagrams: true,
  oneConnection: true
}

/** Every version, the one we prefer first. */
export const all: readonly [Version, ...Array<Version>] = [lite05, lite04, lite03]

/** Their ALPNs in the same order: what we accept, and what one handshake offers. */
export const alpns: readonly [string, ...Array<string>] = [lite05.alpn, lite04.alpn, lite03.alpn]

/**
 * What to dial an unknown peer with: everything where one handshake can offer several ALPNs. Where they are tried one after the
 * other, the newest and the one that everybody speaks: a peer that has 04 and not 05 has 03 too.
 */
export const dialAlpns = (severalAlpns: boolean): readonly [string, ...Array<string>] =>
  severalAlpns ? alpns : [lite05.alpn, lite03.alpn]

/** The version of an ALPN. */
export const fromAlpn = (alpn: string): Version | undefined => all.find((version) => version.alpn === alpn)

/** One byte: 0 ended, 1 active. From lite-05 on also 2, which says the same as 1 and is never sent. */
function status(highest: 1 | 2): Codec<boolean> {
  return {
    write: (writer, active) => writer.u8(active ? 1 : 0),
    read: (reader) => {
      const value = reader.u8()
      return value <= highest ? value > 0 : reader.fail(`a status from 0 to ${highest}`, reader.offset - 1)
    }
  }
}

function hopCount(reader: Reader): number {
  const at = reader.offset
  const count = reader.varint()
  return count <= Limits.hops ? count : reader.fail(`at most ${Limits.hops} hops`, at)
}
