/** What was dropped, refused or given up on the connections of a service, and for its subscribers. Only grows. */
export interface Faults {
  /** Contents for which a slow peer had no room: `Limits.queuedPayloadBytes`. */
  payloadsDropped: number
  /** Contents under an id that was not their own. */
  forged: number
  /** Connections that we closed because their peer sent what is no gossip. */
  malformed: number
  /** Connections that we closed because their peer took nothing, or stopped a stream. */
  stalled: number
  /** Events that subscribers did not read in time. */
  eventsLost: number
  /** Data of peers that is no address information. */
  addressesRefused: number
}

export const faults = (): Faults => ({
  payloadsDropped: 0,
  forged: 0,
  malformed: 0,
  stalled: 0,
  eventsLost: 0,
  addressesRefused: 0
})
