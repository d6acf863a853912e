import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import * as SecretKey from "@effect-live/endpoint/SecretKey"
import { Result } from "effect"

/** Ids in the order of their numbers, for cores: they only compare them, so these need not be keys. */
export const idOf = (n: number): EndpointId => n.toString(16).padStart(64, "0") as EndpointId

/** The id of a key, for errors that carry one. */
export const realId: EndpointId = SecretKey.endpointId(
  Result.getOrThrow(SecretKey.fromBytes(new Uint8Array(32).fill(1)))
)
