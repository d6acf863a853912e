/**
 * What a user of actors may rely on, as programs that run in any world: on the test clock, and under the race finder with a
 * thousand seeds (the tests of `@effect-live/sim` do that).
 */
import type { Case } from "./cases/Case.ts"
import { chains } from "./cases/chains.ts"
import { ends } from "./cases/ends.ts"
import { inbox } from "./cases/inbox.ts"
import { outboxCases } from "./cases/outbox.ts"
import { recordingCases } from "./cases/recording.ts"
import { timersAndChildren } from "./cases/timersAndChildren.ts"
import { watcherCases } from "./cases/watcher.ts"

export const actorCases: ReadonlyArray<Case> = [...inbox, ...ends, ...timersAndChildren, ...chains]

export const cases: ReadonlyArray<Case> = [...actorCases, ...outboxCases, ...recordingCases, ...watcherCases]
