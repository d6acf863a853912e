/** What can grow in this package, and how far; and how long it waits. The application sets them with the Layer. */
import { Config, Duration } from "effect"

export interface Limits {
  /** Subscriptions open at the same time. */
  readonly subscriptions: number
  /** How long a subscriber waits for the publisher to answer and to announce the broadcast, in milliseconds. */
  readonly subscribeTimeoutMs: number
}

export const defaults: Limits = { subscriptions: 1_024, subscribeTimeoutMs: 6_000 }

/** `LIVE_SUBSCRIPTIONS` (a number) and `LIVE_SUBSCRIBE_TIMEOUT` (a duration such as `6 seconds`). */
export const config: Config.Config<Limits> = Config.all({
  subscriptions: Config.Int("SUBSCRIPTIONS").pipe(Config.withDefault(defaults.subscriptions)),
  subscribeTimeoutMs: Config.Duration("SUBSCRIBE_TIMEOUT").pipe(
    Config.map(Duration.toMillis),
    Config.withDefault(defaults.subscribeTimeoutMs)
  )
}).pipe(Config.nested("LIVE"))
