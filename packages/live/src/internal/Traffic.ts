/** What the connections to a peer carried since a moment, whichever of them is the present one. */
import type { Path } from "@effect-live/endpoint/Connection"

export interface Totals {
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly lostPackets: number
}

/** Only the counters of its paths matter. */
interface Carrier {
  readonly paths: () => ReadonlyArray<Pick<Path, keyof Totals>>
}

/** Counts from now on. Call it whenever the connection may have changed: it remembers what the last one carried. */
export const since = (present: () => Carrier): (() => Totals) => {
  let connection = present()
  /** Of the connections before, less what the first one carried until now. */
  let before = minus(none, totals(connection))
  return () => {
    const now = present()
    if (now !== connection) {
      before = plus(before, totals(connection))
      connection = now
    }
    return plus(before, totals(connection))
  }
}

const none: Totals = { receivedBytes: 0, sentBytes: 0, lostPackets: 0 }

const totals = (connection: Carrier): Totals => connection.paths().reduce<Totals>(plus, none)

const plus = (a: Totals, b: Totals): Totals => ({
  receivedBytes: a.receivedBytes + b.receivedBytes,
  sentBytes: a.sentBytes + b.sentBytes,
  lostPackets: a.lostPackets + b.lostPackets
})

const minus = (a: Totals, b: Totals): Totals => ({
  receivedBytes: a.receivedBytes - b.receivedBytes,
  sentBytes: a.sentBytes - b.sentBytes,
  lostPackets: a.lostPackets - b.lostPackets
})
