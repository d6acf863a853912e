/**
 * The frames of a track the way a reader wants them. A track hands groups over as they arrive, some of them late or never; what to
 * do about that is a policy of each reader, and whatever it passes over is counted.
 *
 * ```ts
 * const track = yield* session.consume("room/ada").subscribe("video")
 * yield* Stream.runForEach(Frames.stream(track, { _tag: "InOrder", latencyMs: 200 }), (item) =>
 *   item._tag === "Frame" ? show(item.payload, item.timestamp) : restart(`lost ${item.groups} groups`)
 * )
 * ```
 */
import { Blocked, End } from "@effect-live/endpoint/Stream"
import { Array as Arr, Cause, type Clock, Effect, Stream } from "effect"
import type { GroupConsumer } from "./Group.ts"
import { clockOfFiber } from "./internal/clockOfFiber.ts"
import { AllAtOnce, type FrameSource, OneByOne } from "./internal/FrameSource.ts"
import { Reading, type Source } from "./internal/Reading.ts"
import { Everything, InOrder, type Lagged, Latest, type Selection } from "./internal/Selection.ts"
import { type TrackConsumer, TrackError } from "./Track.ts"

export type { Lagged, Reason } from "./internal/Selection.ts"

/** What a reader does when groups come late, or more than one at a time. */
export type Policy =
  /** Leaves a group as soon as a newer one begins: for what only matters now. */
  | { readonly _tag: "Latest" }
  /**
   * By sequence number. Waits for a group that is missing or unfinished until a newer one has waited for it so long: for playing.
   * 0 waits for nothing, Infinity for everything (up to `Limits.reorderGroups`).
   */
  | { readonly _tag: "InOrder"; readonly latencyMs: number }
  /** Every frame as it arrives, of several groups at a time: for passing on. */
  | { readonly _tag: "Everything" }

export interface Frame {
  readonly _tag: "Frame"
  /** Of its group. */
  readonly sequence: number
  /** In its group, from 0. */
  readonly index: number
  /** In units of the track's `timescale`; undefined when the publisher said none (lite-03, lite-04). */
  readonly timestamp: number | undefined
  /** A view of shared bytes, not to be changed. */
  readonly payload: Uint8Array
}

/** Reads without waiting where something is there, for players and other loops that look themselves. One fiber reads it. */
export interface Reader {
  readonly tryNext: () => Frame | Lagged | Blocked | End | TrackError
  /** Waits until the next `tryNext` is not `Blocked`. */
  readonly readable: Effect.Effect<void>
  readonly next: Effect.Effect<Frame | Lagged | End, TrackError>
  /** Reads no more of the group of the frame that was read last, and does not count the rest. */
  readonly leave: () => void
}

/** A reader of a consumer, which nobody else may read. Keeps time by the Clock of the fiber that makes it. */
export const reader = (consumer: TrackConsumer, policy: Policy): Reader => {
  const clock = clockOfFiber()
  const selection = select(consumer, policy, clock)
  const source: FrameSource = policy._tag === "Everything" ? new AllAtOnce(selection) : new OneByOne(selection)
  const reading = new Reading(source, clock)
  const { next, readable } = reading
  return { tryNext: () => reading.tryNext(), readable, next, leave: () => source.leave() }
}

/**
 * The frames of a consumer, which nobody else may read, and what was passed over on the way. Ends with the track; fails when the
 * track was given up. Closing the consumer is left to whoever made it.
 */
export const stream = (consumer: TrackConsumer, policy: Policy): Stream.Stream<Frame | Lagged, TrackError> =>
  Stream.fromPull(Effect.sync(() => pull(reader(consumer, policy), policy._tag === "Latest" ? 1 : batchFrames)))

/**
 * The same by whole groups, for those who read their frames themselves: an unfinished group keeps nobody waiting here, only a
 * missing one does.
 */
export const groups = (consumer: TrackConsumer, policy: Policy): Stream.Stream<GroupConsumer | Lagged, TrackError> =>
  Stream.fromPull(
    Effect.sync(() => {
      const clock = clockOfFiber()
      const selection = select(consumer, policy, clock)
      const source: Source<GroupConsumer | Lagged> = {
        take: () => selection.next(),
        watched: () => selection.watched(),
        dueMs: () => selection.dueMs()
      }
      return pull(new Reading(source, clock), 1)
    })
  )

const select = (consumer: TrackConsumer, policy: Policy, clock: Clock.Clock): Selection => {
  switch (policy._tag) {
    case "Latest":
      return new Latest(consumer)
    case "InOrder":
      return new InOrder(consumer, policy.latencyMs, clock)
    case "Everything":
      return new Everything(consumer)
  }
}

/** What can be had without waiting for a stream. */
interface Pulled<A extends object> {
  readonly tryNext: () => A | Blocked | End | TrackError
  readonly readable: Effect.Effect<void>
}

const pull = <A extends object>(
  from: Pulled<A>,
  most: number
): Effect.Effect<Arr.NonEmptyReadonlyArray<A>, TrackError | Cause.Done> => {
  let last: End | TrackError | undefined
  const advance: Effect.Effect<Arr.NonEmptyReadonlyArray<A>, TrackError | Cause.Done> = Effect.suspend(() => {
    const items: Array<A> = []
    while (last === undefined && items.length < most) {
      const next = from.tryNext()
      if (next === Blocked) break
      if (next === End || next instanceof TrackError) last = next
      else items.push(next)
    }
    if (Arr.isArrayNonEmpty(items)) return Effect.succeed(items)
    if (last === undefined) return Effect.andThen(from.readable, advance)
    return last === End ? Cause.done() : Effect.fail(last)
  })
  return advance
}

/** Frames that a stream hands on at a time. */
const batchFrames = 64
