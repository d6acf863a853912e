/**
 * What every Endpoint Layer must do, as one table: each row runs over fresh endpoints that the Layer under test provides. A
 * Layer that cannot do something says so by capability, with the reason that the test prints.
 */
import { Effect } from "effect"
import { connections } from "../internal/cases/connections.ts"
import { endpoints } from "../internal/cases/endpoints.ts"
import type { Case, Party } from "../internal/cases/kit.ts"
import { streamEnds } from "../internal/cases/streamEnds.ts"
import { streams } from "../internal/cases/streams.ts"

export { type Capability, type Case, CaseFailed, type Parties, type Party } from "../internal/cases/kit.ts"

/** Runs one row over three fresh endpoints, each with the name it gets. */
export const run = <E, R>(row: Case, make: (name: string) => Effect.Effect<Party, E, R>) =>
  Effect.scoped(Effect.flatMap(Effect.all({ a: make("a"), b: make("b"), c: make("c") }), (parties) => row.run(parties)))

export const cases: ReadonlyArray<Case> = [...endpoints, ...streams, ...streamEnds, ...connections]
