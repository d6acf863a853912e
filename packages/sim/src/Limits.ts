/** What a simulation may use up, unless it is told otherwise. */

/** Steps (tasks and timer jumps) until a run counts as stuck: a loop that never ends, or timers that set each other. */
export const steps = 20_000_000

/** Steps that finalizers get after a run was given up. */
export const finalizerSteps = 1_000_000

/** Event-loop turns that a promise from outside gets to settle while nothing else is left to do. */
export const graceTurns = 3

/** Steps after which the host's own fibers and signals get an event-loop turn. */
export const stepsPerTurn = 8192
