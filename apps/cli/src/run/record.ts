/** `irl record`: a broadcast into a file or a pipe. */
import { format as formatClose } from "@effect-live/endpoint/Close"
import * as Live from "@effect-live/live/Live"
import type { SubscribeError } from "@effect-live/live/Live"
import type { LiveTicket } from "@effect-live/live/LiveTicket"
import type { Subscription } from "@effect-live/live/Subscription"
import * as Export from "@effect-live/media/Export"
import * as Recorder from "@effect-live/media/Recorder"
import * as ErrorCode from "@effect-live/moq/ErrorCode"
import { Effect, Exit, Fiber, type FileSystem, Option, Schedule } from "effect"
import * as Connection from "../Connection.ts"
import * as Failure from "../Failure.ts"
import { onNode } from "../onNode.ts"
import { Output } from "../Output.ts"
import * as Progress from "../Progress.ts"
import * as Stdout from "../Stdout.ts"
import * as Tickets from "../Tickets.ts"

interface Input {
  readonly ticket: string
  readonly output: string
  /** Milliseconds. */
  readonly duration: Option.Option<number>
  readonly resume: boolean
}

/** Between two progress lines. */
const progressEvery = "1 second"
/** Between two attempts to find a publisher that is gone. */
const retryEvery = "1 second"
/** How long after its tracks a broadcast or its session may take to end, when they end together. */
const closedGrace = "2 seconds"

export const record = Effect.fnUntraced(function* (input: Input) {
  const ticket = yield* Tickets.parse(input.ticket)
  const target = yield* targetOf(input.output)
  yield* onNode(run(input, ticket, target))
})

interface Target {
  readonly format: Export.Format
  readonly open: Recorder.Options<FileSystem.FileSystem>["open"]
  /** Whether the program behind the pipe went away. */
  readonly isUnread: () => boolean
}

const targetOf = (path: string): Effect.Effect<Target, Failure.Failure> => {
  if (path === "-") {
    const format = "mkv"
    const stdout = Stdout.sink()
    return Effect.succeed({
      format,
      open: (tracks) => Export.open({ format, sink: stdout }, tracks),
      isUnread: stdout.isUnread
    })
  }
  const format = Export.formatOf(path)
  if (format === undefined) {
    const reason = new Export.UnknownExtension({})
    return Effect.fail(Failure.from(new Export.ExportError({ target: path, reason })))
  }
  return Effect.succeed({ format, open: (tracks) => Export.toFile(path, tracks), isUnread: () => false })
}

/** How a life of the publisher ended for us. */
type End =
  | { readonly _tag: "Finished" }
  | { readonly _tag: "DurationReached" }
  /** The publisher said goodbye in the middle. */
  | { readonly _tag: "Stopped" }
  /** Who answers at its place now has something else, or nothing: it was restarted. */
  | { readonly _tag: "Restarted" }
  /** Nobody answers. */
  | { readonly _tag: "Vanished"; readonly how: string }

const run = Effect.fnUntraced(function* (input: Input, ticket: LiveTicket, target: Target) {
  const output = yield* Output
  const live = yield* Live.Live
  const recorder = yield* Recorder.make({
    format: target.format,
    open: target.open,
    ...(Option.isSome(input.duration) ? { durationUs: Math.round(input.duration.value * 1000) } : {})
  })
  let subscription: Subscription | undefined

  const follow: Effect.Effect<End, SubscribeError | Recorder.RecordError, FileSystem.FileSystem | Output> = Effect.gen(
    function* () {
      const current = yield* live.subscribe(ticket)
      subscription = current
      yield* Connection.tell(current.peer)
      yield* output.hint(`recording ${current.name}, press Ctrl-C to stop`)
      const ended = yield* recorder.run(current.broadcast)
      return ended._tag === "Lost" ? yield* howLost(current) : ended
    }
  ).pipe(Effect.scoped)

  const recording = Effect.gen(function* () {
    for (;;) {
      const end = yield* input.resume ? Effect.catchIf(follow, isAbsence, vanished) : follow
      if (end._tag === "Finished" || end._tag === "DurationReached") return end._tag
      if (!input.resume) {
        if (end._tag === "Stopped") return end._tag
        const recorded = `${(progress().mediaMs / 1000).toFixed(1)} s are in ${input.output}`
        return yield* end._tag === "Restarted"
          ? Failure.make(
              end._tag,
              `the publisher was restarted: ${recorded}; --resume would go on with what it has now`
            )
          : Failure.make(end._tag, `the publisher is gone: ${end.how}; ${recorded}; --resume would wait for it`)
      }
      yield* output.event("waiting", { reason: end._tag })
      yield* output.hint(
        end._tag === "Restarted"
          ? "the publisher was restarted, going on with what it has now"
          : "the publisher is gone, waiting for it to come back"
      )
      yield* Effect.sleep(retryEvery)
    }
  })

  const progress = progressOf(recorder, () => subscription)
  const report = Effect.suspend(() => {
    const now = progress()
    return Effect.andThen(output.event("progress", now), output.status(Progress.format(now)))
  })

  /** Interrupted or not, the file is completed and accounted for. */
  yield* Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const reporter = yield* Effect.forkScoped(Effect.repeat(Effect.delay(report, progressEvery), Schedule.forever))
      const exit = yield* Effect.exit(restore(recording))
      yield* Fiber.interrupt(reporter)
      const unread = Exit.isFailure(exit) && target.isUnread()
      if (!unread) {
        // What failed before is what the user must hear, not that the end of the file could not be written either.
        yield* Exit.isFailure(exit) && !Exit.hasInterrupts(exit) ? Effect.ignore(recorder.finish) : recorder.finish
      }
      yield* report
      yield* output.statusDone
      if (Exit.isFailure(exit) && !Exit.hasInterrupts(exit) && !unread) yield* exit
      const reason = Exit.isSuccess(exit) ? reasons[exit.value] : unread ? "reader gone" : "interrupted"
      yield* output.event("done", { reason, output: input.output, ...progress() })
      yield* output.hint(`done (${reason}): ${input.output}`)
      if (Exit.isFailure(exit) && !unread) yield* exit // interrupted
    })
  )
})

const reasons = { Finished: "ended", DurationReached: "duration", Stopped: "publisher stopped" } as const

/** Errors that a publisher which comes back would cure. */
const isAbsence = (error: SubscribeError | Recorder.RecordError): boolean =>
  error._tag === "SubscribeError"
    ? error.reason._tag !== "TooManySubscriptions" && error.reason._tag !== "ShutDown"
    : error.reason._tag === "RemoteBroadcastError"

const vanished = (error: { readonly message: string }) => Effect.succeed<End>({ _tag: "Vanished", how: error.message })

const howLost = ({ closed }: Subscription): Effect.Effect<End> =>
  Effect.map(
    Effect.timeoutOption(closed, closedGrace),
    Option.match({
      onNone: (): End => ({ _tag: "Vanished", how: "it gave a track up" }),
      onSome: (how): End => {
        if (how._tag === "Lost" && how.close._tag !== "Remote") return { _tag: "Vanished", how: formatClose(how.close) }
        return how._tag === "Aborted" && how.code === ErrorCode.dropped ? { _tag: "Restarted" } : { _tag: "Stopped" }
      }
    })
  )

/** What the `progress` event says; the rate is that of the time since the last call. */
const progressOf = (
  recorder: Pick<Recorder.Recorder<never>, "progress">,
  subscription: () => Subscription | undefined
) => {
  let last = { bytes: 0, atS: process.uptime(), bitsPerSecond: 0 }
  return (): Progress.Progress => {
    const { durationUs, lostGroups, tracks } = recorder.progress()
    const bytes = tracks.reduce((sum, track) => sum + track.bytes, 0)
    const atS = process.uptime()
    if (atS - last.atS > 0.1)
      last = { bytes, atS, bitsPerSecond: Math.round(((bytes - last.bytes) * 8) / (atS - last.atS)) }
    const path = subscription()
      ?.paths()
      .find(({ selected }) => selected)
    return {
      frames: tracks.reduce((sum, track) => sum + track.samples, 0),
      bytes,
      mediaMs: Math.round(durationUs / 1000),
      missing: lostGroups,
      bitsPerSecond: last.bitsPerSecond,
      ...(path === undefined ? {} : { rttMs: path.rttMs, path: `${path.kind} ${path.remote}` })
    }
  }
}
