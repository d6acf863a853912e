/** stdout as the target of a recording. */
import { type Sink, SinkFailed } from "@effect-live/media/Export"
import { Effect } from "effect"

/** Waits for the reader of the pipe. `isUnread`: it went away. */
export const sink = (): Sink & { readonly isUnread: () => boolean } => {
  let unread = false
  process.stdout.on("error", () => {}) // every write hears of it itself
  return {
    name: "stdout",
    isUnread: () => unread,
    write: (bytes) =>
      Effect.callback<void, SinkFailed>((resume) => {
        process.stdout.write(bytes, (error) => {
          if (error === null || error === undefined) return resume(Effect.void)
          unread ||= "code" in error && error.code === "EPIPE"
          resume(Effect.fail(new SinkFailed({ problem: error.message })))
        })
      })
  }
}
