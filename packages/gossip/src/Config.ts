/** What HyParView and PlumTree can be told; the defaults are those of the Rust peers (iroh-gossip sections 3.1, 4.1). */
export interface Membership {
  /** Peers that we talk to. With 1 a swarm of more than two is never whole. */
  readonly activeViewCapacity: number
  /** Peers that we know of besides. */
  readonly passiveViewCapacity: number
  /** Hops of a ForwardJoin. */
  readonly activeRandomWalkLength: number
  /** With so many hops left a ForwardJoin also fills the passive view. */
  readonly passiveRandomWalkLength: number
  /** Hops of a Shuffle. */
  readonly shuffleRandomWalkLength: number
  readonly shuffleActiveViewCount: number
  readonly shufflePassiveViewCount: number
  readonly shuffleIntervalMs: number
  readonly neighborRequestTimeoutMs: number
}

export interface Broadcast {
  /** From the first IHave of an unknown id to the first Graft. */
  readonly graftTimeout1Ms: number
  /** From a Graft to the next one. */
  readonly graftTimeout2Ms: number
  /** How long IHaves are collected. */
  readonly dispatchTimeoutMs: number
  /** Rounds that a lazy link must save to become an eager one. */
  readonly optimizationThreshold: number
  /** How long contents are kept to answer a Graft. */
  readonly messageCacheRetentionMs: number
  /** How long ids are kept to know duplicates. */
  readonly messageIdRetentionMs: number
  readonly cacheEvictIntervalMs: number
}

export interface Config {
  readonly membership: Membership
  readonly broadcast: Broadcast
  /** The most bytes of a frame's body, the same for the whole swarm; at least `Limits.minMessageBytes` (section 2.8). */
  readonly maxMessageBytes: number
}

export const membership: Membership = {
  activeViewCapacity: 5,
  passiveViewCapacity: 30,
  activeRandomWalkLength: 6,
  passiveRandomWalkLength: 3,
  shuffleRandomWalkLength: 6,
  shuffleActiveViewCount: 3,
  shufflePassiveViewCount: 4,
  shuffleIntervalMs: 60_000,
  neighborRequestTimeoutMs: 500
}

export const broadcast: Broadcast = {
  graftTimeout1Ms: 80,
  graftTimeout2Ms: 40,
  dispatchTimeoutMs: 5,
  optimizationThreshold: 7,
  messageCacheRetentionMs: 30_000,
  messageIdRetentionMs: 90_000,
  cacheEvictIntervalMs: 1_000
}

export const defaults: Config = { membership, broadcast, maxMessageBytes: 4_096 }
