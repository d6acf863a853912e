/** Commands that need a node: endpoint, router, moq and live as the environment wants them. */
import * as Node from "@effect-live/node/Node"
import { Effect } from "effect"
import * as Failure from "./Failure.ts"

/** How long a command that has failed may take to say goodbye to its peers. */
const goodbye = "1 second"

/**
 * Runs a command on a node of its own. A failure is told at once, and then the process waits for nobody: an endpoint with a dial
 * under way takes seconds to close.
 */
export const onNode = <A, E extends Failure.Tagged, R>(command: Effect.Effect<A, E, R>) =>
  command.pipe(
    Effect.mapError(Failure.from),
    Effect.tapError((failure) =>
      Effect.andThen(
        Failure.tell(failure),
        Effect.forkDetach(
          Effect.delay(
            Effect.sync(() => process.exit(failure.exitCode)),
            goodbye
          )
        )
      )
    ),
    Effect.scoped,
    Effect.provide(Node.layer),
    Effect.mapError(Failure.from)
  )
