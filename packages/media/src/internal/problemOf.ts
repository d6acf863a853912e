import type { PlatformError } from "effect"

/** What the operating system said, rather than which call of ours it said it to. */
export const problemOf = ({ message, reason }: PlatformError.PlatformError): string =>
  reason.cause instanceof Error ? reason.cause.message : message
