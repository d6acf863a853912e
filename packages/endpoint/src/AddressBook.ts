/**
 * What this node learned about where peers live: from tickets, gossip, rooms, connections. Dialing by id alone asks it. It
 * merges what several sources say about a peer, forgets what is old, and never grows beyond its limits.
 */
import { Clock, Context, Effect, Layer } from "effect"
import * as EndpointAddr from "./EndpointAddr.ts"
import type { EndpointId } from "./EndpointId.ts"
import * as Limits from "./Limits.ts"
import type { TransportAddr } from "./TransportAddr.ts"

export class AddressBook extends Context.Service<
  AddressBook,
  {
    /**
     * What one source (`"ticket"`, `"gossip"`, ...) says now about a peer. It replaces what the same source said before; an
     * address without ways takes it back.
     */
    readonly add: (addr: EndpointAddr.EndpointAddr, source: string) => void
    /** Everything that is believed about a peer, or undefined. */
    readonly lookup: (id: EndpointId) => EndpointAddr.EndpointAddr | undefined
  }
>()("@effect-live/endpoint/AddressBook") {}

interface Said {
  readonly addrs: ReadonlyArray<TransportAddr>
  readonly atMs: number
}

/** An empty book. Its limits are `bookPeers`, `bookSourcesPerPeer`, `bookAddressesPerSource`, `bookMaxAgeMs`. */
export const make: Effect.Effect<AddressBook["Service"]> = Effect.map(Clock.Clock, (clock) => {
  // Both maps are ordered by the last `add`, so that the first entry is the oldest.
  const peers = new Map<EndpointId, Map<string, Said>>()

  const add = ({ id, addrs }: EndpointAddr.EndpointAddr, source: string): void => {
    const said = peers.get(id) ?? new Map<string, Said>()
    peers.delete(id)
    said.delete(source)
    if (addrs.length > 0) {
      said.set(source, { addrs: addrs.slice(0, Limits.bookAddressesPerSource), atMs: clock.currentTimeMillisUnsafe() })
      dropOldest(said, Limits.bookSourcesPerPeer)
    }
    if (said.size === 0) return
    peers.set(id, said)
    dropOldest(peers, Limits.bookPeers)
  }

  const lookup = (id: EndpointId): EndpointAddr.EndpointAddr | undefined => {
    const said = peers.get(id)
    if (said === undefined) return undefined
    const oldestMs = clock.currentTimeMillisUnsafe() - Limits.bookMaxAgeMs
    for (const [source, { atMs }] of said) if (atMs < oldestMs) said.delete(source)
    if (said.size > 0)
      return EndpointAddr.make(
        id,
        [...said.values()].flatMap(({ addrs }) => addrs)
      )
    peers.delete(id)
    return undefined
  }

  return AddressBook.of({ add, lookup })
})

export const layer: Layer.Layer<AddressBook> = Layer.effect(AddressBook, make)

const dropOldest = <K>(map: Map<K, unknown>, limit: number): void => {
  if (map.size <= limit) return
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}
