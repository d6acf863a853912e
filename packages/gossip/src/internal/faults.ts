/** What was dropped, refused or given up on the connections of a service, and for its subscribers. Only grows. */
export interface Faults {
  /** Contents for which a slow peer had no room: `Limits.queuedPayloadBytes`. */
  payloadsDropped: number
  /** Messages that waited for a connection, or came for it, when it had ended. */
  lostWithConnection: number
  /** Grafts beyond `Limits.waitingGrafts`. */
  graftsDropped: number
  /** Messages with ids of others beyond `Limits.freshIds`. */
  introductionsDropped: number
  /** Contents under an id that was not their own. */
  forged: number
  /** Connections that we closed because their peer sent what is no gossip. */
  malformed: number
  /** Connections that we closed because their peer took nothing, or stopped a stream. */
  stalled: number
  /** Events that subscribers did not read in time. */
  eventsLost: number
  /** Answers of `admit` and `validate` that were none, as they threw: taken for a no. */
  rulesFailed: number
  /** Data of peers that is no address information. */
  addressesRefused: number
}

export const faults = (): Faults => ({
  payloadsDropped: 0,
  lostWithConnection: 0,
  graftsDropped: 0,
  introductionsDropped: 0,
  forged: 0,
  malformed: 0,
  stalled: 0,
  eventsLost: 0,
  rulesFailed: 0,
  addressesRefused: 0
})
