/** Measurements for peers (moq-lite section 4.5): when a publisher reports them, and how a subscriber hears of them. */
import type { Connection } from "@effect-live/endpoint/Connection"
import { type BiStream, End } from "@effect-live/endpoint/Stream"
import { Cause, Effect, type Scope, Stream } from "effect"
import * as ErrorCode from "../ErrorCode.ts"
import * as Message from "../Message.ts"
import { ControlReader, type ReadError } from "./ControlReader.ts"
import type { Link } from "./Link.ts"

/** What the congestion control of a connection knows of its way now; undefined when it knows nothing. */
export const measure = (connection: Connection): Message.Probe | undefined => {
  const path = connection.paths().find(({ selected }) => selected)
  if (path === undefined || path.rttMs <= 0 || path.congestionWindowBytes <= 0) return undefined
  return {
    bitrate: Math.round((path.congestionWindowBytes * 8 * 1_000) / path.rttMs),
    rttMs: Math.max(1, Math.round(path.rttMs))
  }
}

/** How often a publisher looks whether there is something to report, in milliseconds. */
const lookMs = 100

/** When a publisher reports: at once the first time, then the sooner the more has changed, and at least every ten seconds. */
export class Schedule {
  #last: { readonly probe: Message.Probe | undefined; readonly atMs: number } | undefined

  /** What to say now, if anything. */
  due(measured: Message.Probe | undefined, nowMs: number): Message.Probe | undefined {
    const last = this.#last
    // nothing is known: say so once, if something was
    if (measured === undefined) return last?.probe === undefined ? undefined : this.#report(undefined, nowMs)
    if (last?.probe !== undefined && !this.#changed(last.probe, measured, nowMs - last.atMs)) return undefined
    return this.#report(measured, nowMs)
  }

  #report(probe: Message.Probe | undefined, atMs: number): Message.Probe {
    this.#last = { probe, atMs }
    return probe ?? { bitrate: undefined, rttMs: undefined }
  }

  #changed(last: Message.Probe, now: Message.Probe, elapsedMs: number): boolean {
    if (elapsedMs >= 10_000) return true
    const seconds = Math.max(0.1, elapsedMs / 1_000)
    const threshold = (0.25 * (10 - seconds)) / 9.9
    return moved(last.bitrate, now.bitrate) >= threshold || moved(last.rttMs, now.rttMs) >= 0.25
  }
}

const moved = (before: number | undefined, now: number | undefined): number =>
  before === now ? 0 : before === undefined || now === undefined ? Infinity : Math.abs(now - before) / before

/**
 * Serves a Probe stream behind its type, as long as the peer wants it. Without measurements the stream is finished, and it is never
 * reset: some peers close their session on that.
 */
export const serveProbe = (link: Link, { send }: BiStream, reader: ControlReader): Effect.Effect<void> => {
  const { clock } = link.shared
  const finish = Effect.sync(() => send.finish())
  if (measure(link.connection) === undefined) return Effect.andThen(finish, Effect.ignore(readToEnd(link, reader)))
  const schedule = new Schedule()
  const look = Effect.suspend(() => {
    const probe = schedule.due(measure(link.connection), clock.currentTimeMillisUnsafe())
    return probe === undefined ? Effect.void : send.write(Message.encode(link.version.probe, probe))
  })
  const report = Effect.forever(Effect.andThen(look, Effect.sleep(lookMs)))
  return Effect.raceFirst(Effect.ignore(report), Effect.ignore(readToEnd(link, reader))).pipe(Effect.ensuring(finish))
}

/** What the publisher at the other end measures, over the present connection and those that follow it. */
export const estimates = (after: (seen: number) => Effect.Effect<Link | undefined>): Stream.Stream<Message.Probe> => {
  const from = (seen: number): Stream.Stream<Message.Probe> =>
    Stream.unwrap(
      Effect.map(after(seen), (link) =>
        link === undefined
          ? nothing
          : Stream.concat(
              Stream.unwrap(probe(link)),
              Stream.suspend(() => from(link.number))
            )
      )
    )
  return from(-1)
}

/** One Probe stream; it ends where the publisher ends it. Nothing from one that says that it measures nothing. */
const probe = (link: Link): Effect.Effect<Stream.Stream<Message.Probe>, never, Scope.Scope> =>
  Effect.gen(function* () {
    yield* Effect.raceFirst(link.ready, link.connection.closed)
    if (link.version.setup && (link.peer?.probe ?? 0) === 0) return nothing
    const { recv, send } = yield* Effect.acquireRelease(link.connection.openBi, ({ recv, send }) =>
      Effect.sync(() => {
        send.finish()
        recv.stop(ErrorCode.toStream(ErrorCode.cancel))
      })
    )
    yield* send.write(Uint8Array.of(Message.StreamType.probe))
    const reader = new ControlReader(recv)
    const next: Effect.Effect<Message.Probe, ReadError | Cause.Done> = Effect.flatMap(
      reader.message(),
      (body): Effect.Effect<Message.Probe, ReadError | Cause.Done> =>
        body === End ? Cause.done() : Effect.fromResult(Message.decode(link.version.probe, body))
    )
    return Stream.fromEffectRepeat(next).pipe(Stream.catch(() => nothing))
  }).pipe(Effect.catch(() => Effect.succeed(nothing)))

const nothing: Stream.Stream<Message.Probe> = Stream.empty

/** Reads until the peer ends its side, ignoring what it says; it is work all the same. */
export const readToEnd = (link: Link, reader: ControlReader): Effect.Effect<void, ReadError> =>
  Effect.asVoid(
    Effect.repeat(
      Effect.tap(reader.message(), (message) => (message === End ? Effect.void : link.charge)),
      { until: (message) => message === End }
    )
  )
