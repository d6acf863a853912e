export const demo = (_input: unknown) => Effect.void
import { Effect } from "effect"
