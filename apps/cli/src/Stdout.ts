/** stdout as a pipe whose reader may go away, and as the target of a recording. */
import { type Sink, type SinkError, sinkError } from "@effect-live/media/Export"
import { Effect } from "effect"
import * as Failure from "./Failure.ts"

/** Ends when the reader of stdout goes away, as `head` does when it has enough; fails when stdout takes no more for another reason. */
export const readerGone: Effect.Effect<void, Failure.Failure> = Effect.callback((resume) => {
  // Stays to the end: whatever is still written then fails once more.
  process.stdout.on("error", (error) =>
    resume(
      isBrokenPipe(error)
        ? Effect.void
        : Effect.fail(Failure.make("StdoutFailed", `stdout cannot be written (${error.message})`))
    )
  )
})

const isBrokenPipe = (error: Error): boolean => "code" in error && error.code === "EPIPE"

/** Waits until the reader has taken most of what was written, for commands whose events have no end. */
export const drained: Effect.Effect<void> = Effect.callback((resume) => {
  if (!process.stdout.writableNeedDrain) return resume(Effect.void)
  const taken = () => resume(Effect.void)
  process.stdout.once("drain", taken)
  return Effect.sync(() => process.stdout.off("drain", taken))
})

/** Waits for the reader of the pipe. `isUnread`: it went away. */
export const sink = (): Sink & { readonly isUnread: () => boolean } => {
  let unread = false
  process.stdout.on("error", () => {}) // every write hears of it itself
  return {
    name: "stdout",
    isUnread: () => unread,
    write: (bytes) =>
      Effect.callback<void, SinkError>((resume) => {
        process.stdout.write(bytes, (error) => {
          if (error === null || error === undefined) return resume(Effect.void)
          unread ||= isBrokenPipe(error)
          resume(Effect.fail(sinkError(error, error.message)))
        })
      })
  }
}
