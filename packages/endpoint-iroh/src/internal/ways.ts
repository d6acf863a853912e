/** Addresses between the house's values and the texts of a backing. */
import type { AddressBook } from "@effect-live/endpoint/AddressBook"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import { Result } from "effect"

/** Every way to the peer that was given or is known. */
export const to = (
  peer: EndpointAddr.EndpointAddr | EndpointId,
  book: AddressBook["Service"]
): EndpointAddr.EndpointAddr => {
  const given = typeof peer === "string" ? EndpointAddr.make(peer) : peer
  return EndpointAddr.make(given.id, [...given.addrs, ...(book.lookup(given.id)?.addrs ?? [])])
}

/** What a backing says about itself, as texts. */
export interface Own {
  readonly relays: ReadonlyArray<string>
  /** `ip:port` */
  readonly ips: ReadonlyArray<string>
  /** The sockets, for a machine without any network, which still has itself. */
  readonly bound: () => ReadonlyArray<string>
}

/** Where we are reached. What a backing says and is no address is left out. */
export const own = (id: EndpointId, { bound, ips, relays }: Own): EndpointAddr.EndpointAddr =>
  EndpointAddr.make(id, [
    ...relays.flatMap(relayWay),
    ...(ips.length > 0 ? ips : bound().map(onThisMachine)).flatMap(ipWay)
  ])

export const sameAddr = (before: EndpointAddr.EndpointAddr, after: EndpointAddr.EndpointAddr): boolean =>
  sameTexts(before.addrs.map(TransportAddr.format), after.addrs.map(TransportAddr.format))

export const sameTexts = (before: ReadonlyArray<string>, after: ReadonlyArray<string>): boolean =>
  before.length === after.length && before.every((text, index) => text === after[index])

export const relayWay = (url: string): ReadonlyArray<TransportAddr.Relay> =>
  Result.match(RelayUrl.parse(url), { onSuccess: (parsed) => [TransportAddr.relay(parsed)], onFailure: () => [] })

const ipWay = (text: string): ReadonlyArray<TransportAddr.Ip> =>
  Result.match(TransportAddr.parseIp(text), { onSuccess: (way) => [way], onFailure: () => [] })

const onThisMachine = (socket: string): string =>
  socket.replace(/^0\.0\.0\.0:/, "127.0.0.1:").replace(/^\[::\]:/, "[::1]:")
