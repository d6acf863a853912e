/**
 * Which swarm: 32 bytes that mean nothing by themselves (iroh-gossip section 1). Applications draw them at random or hash a name.
 * A topic is a string of 64 lower-case hex digits, so that it compares with `===` and is a key of a Map. Whoever knows it can join.
 */
import * as Hex from "@effect-live/wire/Hex"
import { annotate } from "@effect-live/wire/Postcard"
import { Brand, Effect, Result, Schema } from "effect"
import * as hash from "./internal/hash.ts"

/** Never quotes the text: who knows a topic can join it. */
export class TopicIdError extends Schema.TaggedError<TopicIdError>()("TopicIdError", {}) {
  override get message(): string {
    return "a topic is named by 64 lower-case hex digits, which are 32 bytes"
  }
}

const Checked = Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/, { expected: "64 lower-case hex digits" })).pipe(
  Schema.brand("TopicId")
)

export type TopicId = typeof Checked.Type
/** In postcard: 32 raw bytes. */
export const TopicId = annotate(Checked, {
  minBytes: hash.hashBytes,
  write: hash.write,
  read: (reader) => branded(hash.read(reader))
})

/** Errors: not 32 bytes. */
export const fromBytes = (bytes: Uint8Array): Result.Result<TopicId, TopicIdError> =>
  bytes.length === hash.hashBytes ? Result.succeed(branded(Hex.encode(bytes))) : Result.fail(new TopicIdError())

/** The 32 bytes, a fresh copy. */
export const toBytes = (topic: TopicId): Uint8Array => Result.getOrThrow(Hex.decode(topic))

/** Reads 64 lower-case hex digits; nothing is trimmed. */
export const parse = (text: string): Result.Result<TopicId, TopicIdError> =>
  Result.flatMap(
    Result.mapError(Hex.decode(text), () => new TopicIdError()),
    fromBytes
  )

/** A new topic from the platform's secure randomness: nobody can guess it. */
export const random: Effect.Effect<TopicId> = Effect.sync(() =>
  branded(Hex.encode(crypto.getRandomValues(new Uint8Array(hash.hashBytes))))
)

/** The first 10 hex digits, for people. */
export const fmtShort = (topic: TopicId): string => topic.slice(0, 10)

/** Where the check was already made. */
const branded = Brand.nominal<TopicId>()
