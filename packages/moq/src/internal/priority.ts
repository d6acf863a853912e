import * as Limits from "../Limits.ts"

/**
 * The priority of a group's stream (moq-lite section 4.7): the more important track first, then what stands first in its own
 * subscription, so that equal tracks alternate; all behind the control streams, which have 0.
 */
export const priorityOf = (priority: number, position: number): number =>
  -((255 - priority) * steps + Math.min(position, Limits.rankedGroups) + 1)

const steps = 2 ** 22
