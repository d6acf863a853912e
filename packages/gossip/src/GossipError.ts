/** What `Gossip` fails with. */
import { Schema } from "effect"

/** So many topics are joined: `Limits.topics`. */
export class TooManyTopics extends Schema.TaggedError<TooManyTopics>()("TooManyTopics", { limit: Schema.Int }) {
  override get message(): string {
    return `${this.limit} topics are joined: leave one first`
  }
}
/** So many are subscribed to this one: `Limits.subscribersPerTopic`. */
export class TooManySubscribers extends Schema.TaggedError<TooManySubscribers>()("TooManySubscribers", {
  limit: Schema.Int
}) {
  override get message(): string {
    return `the topic has ${this.limit} subscribers: end one first, or let several readers share one subscription`
  }
}
/** The service was shut down, or the subscription's Scope has closed. */
export class Stopped extends Schema.TaggedError<Stopped>()("Stopped", {}) {
  override get message(): string {
    return "the service or this subscription has ended"
  }
}
/** No frame would hold it. */
export class TooLarge extends Schema.TaggedError<TooLarge>()("TooLarge", { bytes: Schema.Int, maxBytes: Schema.Int }) {
  override get message(): string {
    return `the content has ${this.bytes} bytes, and at most ${this.maxBytes} fit`
  }
}
/** There is nobody to send it to. */
export class NoNeighbors extends Schema.TaggedError<NoNeighbors>()("NoNeighbors", {}) {
  override get message(): string {
    return "there is no neighbor to send it to: wait for `joined`"
  }
}
/** The same content came or went within the retention of ids, 90 seconds by default: peers would not take it for a new one. */
export class Known extends Schema.TaggedError<Known>()("Known", {}) {
  override get message(): string {
    return "the same content came or went a moment ago, and peers would not take it for a new one"
  }
}

/** Nobody is subscribed. */
export class SubscribeError extends Schema.TaggedError<SubscribeError>()("SubscribeError", {
  /** Its first digits: who knows a topic can join it. */
  topic: Schema.String,
  reason: Schema.Union([TooManyTopics, TooManySubscribers, Stopped])
}) {
  override get message(): string {
    return `not subscribed to topic ${this.topic}: ${this.reason.message}`
  }
}

/** Nothing was sent. */
export class BroadcastError extends Schema.TaggedError<BroadcastError>()("BroadcastError", {
  /** Its first digits. */
  topic: Schema.String,
  reason: Schema.Union([TooLarge, NoNeighbors, Known, Stopped])
}) {
  override get message(): string {
    return `nothing was sent to topic ${this.topic}: ${this.reason.message}`
  }
}
