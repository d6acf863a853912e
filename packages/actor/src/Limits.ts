/** What can grow in an actor, and how far. */

/** Events that wait in an inbox unless the actor says otherwise. A full inbox makes senders wait. */
export const inboxEvents = 256

/** Events that an actor handles before other fibers get a turn. */
export const turnEvents = 1024

/** Timers of one actor. One more is a defect of its core. */
export const timers = 65_536

/** Children of one actor. One more is a defect of its `perform`. */
export const children = 65_536

/** Fibers that are resumed inside one another in one stack, before the next one has to yield first. */
export const resumeDepth = 64

/** How often the metrics of running actors are published, in milliseconds. */
export const metricsIntervalMs = 1000
