import type { Remote } from "@effect-live/endpoint/Connection"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import * as Limits from "../Limits.ts"
import * as TokenBucket from "./TokenBucket.ts"

/** What one peer may ask for. */
export interface Allowance {
  /** Of everything. */
  readonly work: TokenBucket.TokenBucket
  /** How fast it may open bidirectional streams. */
  readonly streams: TokenBucket.TokenBucket
}

export const make = (nowMs: number): Allowance => ({
  work: TokenBucket.make({ perSecond: Limits.requestsPerSecond, burst: Limits.requestBurst }, nowMs),
  streams: TokenBucket.make({ perSecond: Limits.streamsPerSecond, burst: Limits.streamBurst }, nowMs)
})

/** What each peer may ask for, however often it connects: a new connection is no new burst. */
export class Requests {
  /** The one that came last is last. */
  readonly #peers = new Map<EndpointId, Allowance>()

  /** Who has no key is new with every connection. */
  of(remote: Remote, nowMs: number): Allowance {
    if (remote._tag === "Anonymous") return make(nowMs)
    const allowance = this.#peers.get(remote.id) ?? make(nowMs)
    this.#peers.delete(remote.id)
    if (this.#peers.size >= Limits.rememberedPeers) this.#forget(nowMs)
    this.#peers.set(remote.id, allowance)
    return allowance
  }

  /** Those who have asked for nothing lately, or else whoever has been away for longest. */
  #forget(nowMs: number): void {
    for (const [id, { work }] of this.#peers) if (TokenBucket.isFull(work, nowMs)) this.#peers.delete(id)
    const [oldest] = this.#peers.keys()
    if (oldest !== undefined && this.#peers.size >= Limits.rememberedPeers) this.#peers.delete(oldest)
  }
}
