/** What ends a command without success: a text that says what to try, and the exit code that belongs to it. */
import { Config, Data, Effect, Runtime } from "effect"
import { Output } from "./Output.ts"

/** Exit codes of every command. */
export const failed = 1
export const misused = 2

export class Failure extends Data.TaggedError("Failure")<{
  /** The tag of the error underneath, and of its innermost reason, for programs that read `--json`. */
  readonly kind: string
  readonly reason?: string
  readonly message: string
  readonly exitCode: number
}> {
  override readonly [Runtime.errorReported] = false
}

/** The command could not do what it was asked. */
export const make = (kind: string, message: string): Failure =>
  new Failure({ kind, message: hideTickets(message), exitCode: failed })

/** The command was asked for something that it cannot do. */
export const misuse = (kind: string, message: string): Failure =>
  new Failure({ kind, message: hideTickets(message), exitCode: misused })

/** An error of any package. */
export interface Tagged {
  readonly _tag: string
  readonly message: string
}

/** What a user can do about an error, by its tag or the tag of its reason. */
const advice: { readonly [tag: string]: string } = {
  ConfigError: "Correct the variable, or unset it",
  Unreachable: "Ask for a fresh ticket, and see `irl doctor` on both sides",
  NoAnswer: "Is `irl publish` still running there? A publisher without IROH_SECRET has another ticket after each start",
  NotAnnounced: "The name in the ticket may be wrong, or the broadcast has ended",
  BackingMissing: "See `irl doctor`",
  DiskFull: "Make room and record again",
  FileTooLarge: "See `ulimit -f`, or record to another disk"
}

/** Tags of errors that come from how the command was called. */
const misuses = new Set(["ConfigError", "TicketError", "InvalidPath", "UnknownExtension", "NotRewindable"])

/** The tags of an error and of the reasons inside it, from the outside in. */
const tagsOf = (error: unknown): ReadonlyArray<string> => {
  if (typeof error !== "object" || error === null || !("_tag" in error) || typeof error._tag !== "string") return []
  const inner = "reason" in error ? error.reason : "cause" in error ? error.cause : undefined
  return [error._tag, ...tagsOf(inner)]
}

/** An error of the packages, told to a user. */
export const from = (error: Tagged): Failure => {
  if (error instanceof Failure) return error
  const tags = tagsOf(error)
  const reason = tags.at(-1)
  const hints = tags.flatMap((tag) => advice[tag] ?? [])
  return new Failure({
    kind: error._tag,
    ...(reason === undefined || reason === error._tag ? {} : { reason }),
    message: hideTickets([messageOf(error), ...hints.slice(-1)].join(". ")),
    exitCode: tags.some((tag) => misuses.has(tag)) ? misused : failed
  })
}

/** The cause of a ConfigError says what is wrong; its own message puts the name of a class in front. */
const messageOf = (error: Tagged): string => (error instanceof Config.ConfigError ? error.cause.message : error.message)

/** Whoever has a ticket can watch, so none is printed in an error. */
const hideTickets = (text: string): string => text.replace(/iroh-live:[\w-]+\/\S*/g, "iroh-live:<redacted>")

/** For text that quotes the command line: also tickets that lost their scheme, and keys. */
export const hideSecrets = (text: string): string => hideTickets(text).replace(/[\w-]{40,}/g, "<redacted>")

const told = new WeakSet<Failure>()

/** Tells it: a line on stderr, or the `error` event. Once. */
export const tell = Effect.fnUntraced(function* (failure: Failure) {
  if (told.has(failure)) return
  told.add(failure)
  const output = yield* Output
  const { kind, message, reason } = failure
  yield* output.statusDone
  yield* output.event("error", { kind, reason, message })
  yield* output.hint(`error: ${message}`)
})
