import { Clock, Context, Fiber } from "effect"

/** The Clock of the fiber that runs now; outside of one, the clock of the machine. For plain code that keeps time. */
export const clockOfFiber = (): Clock.Clock =>
  Fiber.getCurrent()?.getRef(Clock.Clock) ?? Context.get(Context.empty(), Clock.Clock)
