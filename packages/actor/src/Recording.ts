/**
 * Recording the inboxes of a program, and reading a recording back: that is how a bug from the field becomes a test. One line
 * of JSON for each event that reached a core. What JSON has no form for but events do hold is an object with one key: bytes
 * are `{"$bytes":"c0ffee"}`, bigints `{"$bigint":"1"}`; `{"$special":"NaN"}` stands for NaN, infinities, -0 and undefined.
 *
 * An event that is not plain data (a function, a class instance, a cycle) does not disturb its actor: its line says that it
 * could not be recorded, and reading that line fails.
 */
import { Effect, Result, Schema } from "effect"
import { decode, encode, NotPlain } from "./internal/plain.ts"
import * as Watcher from "./Watcher.ts"

const Line = Schema.Struct({
  actor: Schema.String,
  /** Which of the actors of this name, from 1 on in the order of their start. */
  life: Schema.Int,
  seed: Schema.Int,
  /** The time that the core saw, in milliseconds. */
  now: Schema.Number,
  event: Schema.optionalKey(Schema.Unknown),
  unrecordable: Schema.optionalKey(Schema.String)
})

/** One event that reached a core. */
export type Entry = Omit<typeof Line.Type, "unrecordable" | "event"> & { readonly event: unknown }

/** A line that is no entry, or holds an event that could not be recorded. */
export class RecordingError extends Schema.TaggedError<RecordingError>()("RecordingError", {
  /** From 1 on. */
  line: Schema.Int,
  reason: Schema.Literals(["not JSON", "not an entry", "unrecordable event"]),
  detail: Schema.String
}) {
  override get message(): string {
    return `line ${this.line} of the recording: ${this.reason}: ${this.detail}`
  }
}

/** Records every actor that starts where this Layer is provided. The sink gets lines without their line ends. */
export const layer = (sink: (line: string) => void) =>
  Watcher.layer(
    Effect.sync(() => {
      const lives = new Map<string, number>()
      return ({ name }, seed) => {
        const life = (lives.get(name) ?? 0) + 1
        lives.set(name, life)
        return {
          event: (now, event) => {
            sink(JSON.stringify({ actor: name, life, seed, now, ...plain(event) }))
          }
        }
      }
    })
  )

const plain = (event: unknown): object => {
  try {
    return { event: encode(event) }
  } catch (error) {
    if (error instanceof NotPlain) return { unrecordable: error.what }
    throw error
  }
}

/** Reads a recording, line by line. Empty lines are skipped. */
export const read = (lines: Iterable<string>): Result.Result<ReadonlyArray<Entry>, RecordingError> => {
  const all: Array<Entry> = []
  let line = 0
  for (const text of lines) {
    line++
    if (text.trim() === "") continue
    const entry = readLine(line, text)
    if (Result.isFailure(entry)) return Result.fail(entry.failure)
    all.push(entry.success)
  }
  return Result.succeed(all)
}

const readLine = (line: number, text: string): Result.Result<Entry, RecordingError> => {
  const failed = (reason: RecordingError["reason"], detail: string) =>
    Result.fail(new RecordingError({ line, reason, detail }))
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    return failed("not JSON", String(error))
  }
  const parsed = Schema.decodeUnknownResult(Line)(json)
  if (Result.isFailure(parsed)) return failed("not an entry", String(parsed.failure))
  const { event, unrecordable, ...entry } = parsed.success
  if (unrecordable !== undefined) return failed("unrecordable event", unrecordable)
  try {
    return Result.succeed({ ...entry, event: decode(event) })
  } catch (error) {
    if (error instanceof NotPlain) return failed("not an entry", error.what)
    throw error
  }
}

/**
 * What `Actor.replay` needs of one actor: its seed and its events. That they are of type `Event` is the caller's word, as the
 * recording comes from a program that the compiler saw; where it does not, decode the events with a Schema first.
 */
export const select = <Event>(
  entries: Iterable<Entry>,
  actor: string,
  life = 1
): { readonly seed: number; readonly events: ReadonlyArray<{ readonly now: number; readonly event: Event }> } => {
  const own = Array.from(entries).filter((entry) => entry.actor === actor && entry.life === life)
  return { seed: own[0]?.seed ?? 0, events: own.map(({ now, event }) => ({ now, event: event as Event })) }
}
