/**
 * How much work somebody may ask for: so much at once, so much per second in the long run. Pure: whoever asks says what time it
 * is, in milliseconds of one clock.
 */

export interface Rate {
  /** Tokens that come back per second. */
  readonly perSecond: number
  /** Tokens there are at most, and at first. */
  readonly burst: number
}

export interface TokenBucket {
  readonly rate: Rate
  /** Below 0: so many have been promised to those who wait. */
  tokens: number
  atMs: number
  /** Since when somebody had to wait again and again, and until when somebody last had to. */
  waitingSinceMs: number
  waitingUntilMs: number
}

/** A full one. */
export const make = (rate: Rate, nowMs: number): TokenBucket => ({
  rate,
  tokens: rate.burst,
  atMs: nowMs,
  waitingSinceMs: -Infinity,
  waitingUntilMs: -Infinity
})

/** Takes tokens for one piece of work: how long that has to wait for them, in whole milliseconds. */
export const take = (bucket: TokenBucket, nowMs: number, tokens = 1): number => {
  const { burst, perSecond } = bucket.rate
  // a clock that was set back gives nothing
  const elapsedMs = Math.max(0, nowMs - bucket.atMs)
  bucket.tokens = Math.min(burst, bucket.tokens + (elapsedMs * perSecond) / 1_000) - tokens
  bucket.atMs = nowMs
  if (bucket.tokens >= 0) return 0
  const waitMs = Math.ceil((-bucket.tokens * 1_000) / perSecond)
  if (nowMs - bucket.waitingUntilMs > calmMs) bucket.waitingSinceMs = nowMs
  bucket.waitingUntilMs = nowMs + waitMs
  return waitMs
}

/**
 * For how long more than the rate has been asked for, in milliseconds. A second in which nobody had to wait begins anew; less does
 * not, as timers wake late and a little is refilled meanwhile.
 */
export const overloadedMs = (bucket: TokenBucket, nowMs: number): number =>
  nowMs - bucket.waitingUntilMs > calmMs ? 0 : nowMs - bucket.waitingSinceMs

/** Nobody has to remember this one: a new one is the same. */
export const isFull = ({ atMs, rate, tokens }: TokenBucket, nowMs: number): boolean =>
  tokens + ((nowMs - atMs) * rate.perSecond) / 1_000 >= rate.burst

const calmMs = 1_000
