/**
 * The versions of moq-lite that this package speaks: one row each, with the bytes of its messages and what it does differently.
 * Sessions know versions only through this table.
 */
import { DecodeError } from "@effect-live/wire/DecodeError"
import type { Reader } from "@effect-live/wire/Reader"
import { Result } from "effect"
import * as Limits from "./Limits.ts"
import {
  type AnnounceBroadcast,
  type AnnounceRequest,
  byte,
  type Codec,
  decode,
  encodeTyped,
  type Fetch,
  flag,
  type GroupHeader,
  integer,
  mapped,
  name,
  optional,
  path,
  type Probe,
  struct,
  type Subscribe,
  type SubscribeDrop,
  subscribeId,
  type SubscribeResponse,
  type SubscribeUpdate
} from "./Message.ts"

export interface Version {
  readonly alpn: string
  readonly announceRequest: Codec<AnnounceRequest>
  readonly announceBroadcast: Codec<AnnounceBroadcast>
  readonly subscribe: Codec<Subscribe>
  readonly subscribeUpdate: Codec<SubscribeUpdate>
  /** Type, length and body. */
  readonly encodeResponse: (response: SubscribeResponse) => Uint8Array
  readonly decodeResponse: (type: number, body: Uint8Array) => Result.Result<SubscribeResponse, DecodeError>
  readonly group: Codec<GroupHeader>
  readonly probe: Codec<Probe>
  readonly fetch: Codec<Fetch>
  /** A publisher says SUBSCRIBE_OK before the first group; later versions accept without a word. */
  readonly subscribeOk: boolean
  /** A subscriber may change its wishes. Peers of lite-03 take any byte behind SUBSCRIBE as a violation (section 4.3). */
  readonly subscribeUpdates: boolean
}

/** moq-lite section 3.3. */
export const lite03: Version = ((): Version => {
  const wishes = {
    priority: byte,
    ordered: flag,
    maxLatencyMs: integer,
    start: optional,
    end: optional
  } as const
  const ok = struct<SubscribeUpdate>(wishes)
  const drop = struct<SubscribeDrop>({ start: integer, end: integer, code: integer })
  return {
    alpn: "moq-lite-03",
    announceRequest: struct<AnnounceRequest>({ prefix: path }),
    announceBroadcast: struct<AnnounceBroadcast>({
      active: mapped(
        { write: byte.write, read: (reader) => status(reader) },
        (value) => value === 1,
        (active) => (active ? 1 : 0)
      ),
      suffix: path,
      // this version counts the relays and does not name them
      hops: mapped<number, ReadonlyArray<number>>(
        { write: integer.write, read: (reader) => hopCount(reader) },
        (count) => Array.from({ length: count }, () => 0),
        (hops) => hops.length
      )
    }),
    subscribe: struct<Subscribe>({ id: subscribeId, broadcast: path, track: name, ...wishes }),
    subscribeUpdate: ok,
    encodeResponse: (response) =>
      response._tag === "SubscribeOk" ? encodeTyped(0, ok, response) : encodeTyped(1, drop, response),
    decodeResponse: (type, body) => {
      if (type === 0) return Result.map(decode(ok, body), (wishes) => ({ _tag: "SubscribeOk" as const, ...wishes }))
      if (type === 1) return Result.map(decode(drop, body), (range) => ({ _tag: "SubscribeDrop" as const, ...range }))
      return Result.fail(new DecodeError({ offset: 0, expected: "SUBSCRIBE_OK or SUBSCRIBE_DROP" }))
    },
    group: struct<GroupHeader>({ subscribe: subscribeId, sequence: integer }),
    probe: struct<Probe>({
      bitrate: mapped(
        integer,
        (bitrate) => (bitrate === 0 ? undefined : bitrate),
        (bitrate) => (bitrate === undefined ? 0 : Math.max(1, bitrate))
      )
    }),
    fetch: struct<Fetch>({ broadcast: path, track: name, priority: byte, group: integer }),
    subscribeOk: true,
    subscribeUpdates: false
  }
})()

/** Every version, the one we prefer first. */
export const all: readonly [Version, ...Array<Version>] = [lite03]

/** Their ALPNs, in the same order. */
export const alpns: readonly [string, ...Array<string>] = [lite03.alpn]

/** The version of an ALPN. */
export const fromAlpn = (alpn: string): Version | undefined => all.find((version) => version.alpn === alpn)

function status(reader: Reader): number {
  const value = reader.u8()
  return value <= 1 ? value : reader.fail("status 0 or 1", reader.offset - 1)
}

function hopCount(reader: Reader): number {
  const at = reader.offset
  const count = reader.varint()
  return count <= Limits.hops ? count : reader.fail(`at most ${Limits.hops} hops`, at)
}
