/** A group's frames on a stream, written and read (moq-lite section 4.4): synchronous, and waiting only where there is nothing. */
import { Blocked, End, type RecvStream, type SendStream, StreamError } from "@effect-live/endpoint/Stream"
import { Effect } from "effect"
import * as ErrorCode from "../ErrorCode.ts"
import { type GroupConsumer, GroupError, type GroupProducer } from "../Group.ts"
import { codeOf } from "./failures.ts"
import { FrameReader, type Options } from "./FrameReader.ts"

/** Hands the frames of a group to a stream as they come, `header` first; true when the group is complete. */
export const writeFrames = (
  send: SendStream,
  header: Uint8Array | undefined,
  group: GroupConsumer,
  timed: boolean
): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    let pending = header
    let complete: boolean | undefined
    const blocked = Effect.raceFirst(send.writable, group.lost)
    const advance = (): Effect.Effect<void> => {
      for (;;) {
        if (pending === undefined) {
          const next = group.tryReadEncoded(timed)
          if (next === Blocked) return group.readable
          if (next === End) {
            send.finish()
            complete = true
            return Effect.void
          }
          if (next instanceof GroupError) {
            send.reset(ErrorCode.toStream(next.code))
            complete = false
            return Effect.void
          }
          pending = next
        }
        const taken = send.tryWrite(pending)
        if (taken === Blocked) {
          if (group.error === undefined) return blocked
          send.reset(ErrorCode.toStream(group.error.code))
          complete = false
          return Effect.void
        }
        if (taken instanceof StreamError) {
          send.reset(ErrorCode.toStream(ErrorCode.cancel)) // the peer wants no more of it, or is gone
          complete = false
          return Effect.void
        }
        pending = taken < pending.length ? pending.subarray(taken) : undefined
      }
    }
    return Effect.map(
      Effect.whileLoop({ while: () => complete === undefined, body: advance, step: () => {} }),
      () => complete === true
    )
  })

/**
 * Reads a group's stream to its end into the group. `ended`: the group is finished or aborted. `lost`: the connection ended under
 * it; the group is as far as it came, and whoever asked decides what becomes of it.
 */
export const readFrames = (
  recv: RecvStream,
  first: Uint8Array,
  group: GroupProducer,
  options: Options
): Effect.Effect<"ended" | "lost"> =>
  Effect.suspend(() => {
    const frames = new FrameReader(group, options)
    let open = true
    let lost = false
    const push = (chunk: Uint8Array): void => {
      const refused = frames.push(chunk)
      if (refused === undefined) return
      open = false
      recv.stop(ErrorCode.toStream(refused))
      group.abort(refused)
    }
    const advance = (): Effect.Effect<void> => {
      while (open) {
        const chunk = recv.tryRead()
        if (chunk === Blocked) return recv.readable
        if (chunk instanceof Uint8Array) {
          push(chunk)
        } else if (chunk === End) {
          open = false
          if (frames.atFrameEnd) group.finish()
          else group.abort(ErrorCode.wrongSize)
        } else {
          open = false
          lost = chunk.reason._tag === "ConnectionLost"
          if (!lost) group.abort(codeOf(chunk))
        }
      }
      return Effect.void
    }
    push(first)
    return Effect.map(Effect.whileLoop({ while: () => open, body: advance, step: () => {} }), () =>
      lost ? "lost" : "ended"
    )
  })
