/**
 * The tree of commands and how it runs. Commands describe themselves in `commands/`; what they do is in `run/` and loaded when it
 * is needed, so that `irl --help` does not wait for it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Exit, Layer, Logger } from "effect"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag } from "effect/cli"
import { demo } from "./commands/demo.ts"
import { doctor } from "./commands/doctor.ts"
import { gossip } from "./commands/gossip.ts"
import { info } from "./commands/info.ts"
import { publish } from "./commands/publish.ts"
import { record } from "./commands/record.ts"
import { sim } from "./commands/sim.ts"
import { tap } from "./commands/tap.ts"
import { ticket } from "./commands/ticket.ts"
import * as Failure from "./Failure.ts"
import { jsonFlag, Output } from "./Output.ts"
import * as Stdout from "./Stdout.ts"
import { version } from "./version.ts"

const irl = Command.make("irl").pipe(
  Command.withDescription(
    "Live media between peers that dial each other by public key. The environment picks key, addresses and relays: IROH_SECRET, IROH_BIND and IROH_RELAY, which may be `disabled`."
  ),
  Command.withExamples([
    { command: "irl publish film.mp4 --loop", description: "Publish a file; prints a ticket" },
    { command: "irl record TICKET -o copy.mp4", description: "Record what somebody publishes" },
    { command: "irl gossip", description: "Chat with whoever joins; prints how to" },
    { command: "irl demo", description: "See both in one terminal" },
    { command: "irl doctor", description: "Find out what this machine can do" }
  ]),
  Command.withSubcommands([publish, record, info, tap, ticket, gossip, sim, doctor, demo]),
  Command.withGlobalFlags([jsonFlag])
)

/** Tells how a command failed. */
const report = Effect.fnUntraced(function* (error: CliError.CliError | Failure.Failure) {
  if (!CliError.isCliError(error)) return yield* Failure.tell(error)
  if (error._tag !== "ShowHelp" || error.errors.length === 0) return
  const output = yield* Output
  const message = Failure.hideSecrets(error.errors.map((each) => each.message).join("\n"))
  yield* output.event("error", { kind: "Usage", message })
  yield* output.hint(`error: ${message}\n\n\`${error.commandPath.join(" ")} --help\` shows how, with examples.`)
})

/** Help goes to stdout. What is wrong with a command line is told by `report`. */
const presenter: CliOutput.Presenter = {
  present: (event) => (event._tag === "InvalidInvocation" ? Effect.void : CliOutput.defaultPresenter.present(event))
}

const exitCode = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return 0
  const error = Cause.squash(exit.cause)
  if (CliError.isCliError(error)) return error._tag === "ShowHelp" && error.errors.length === 0 ? 0 : Failure.misused
  return error instanceof Failure.Failure ? error.exitCode : Failure.failed
}

/** A second Ctrl-C stops waiting for a clean end. Terminal and npm both deliver the first one, so two at once are one. */
const forceOnSecondInterrupt = Effect.sync(() => {
  let first: number | undefined
  process.on("SIGINT", (_signal: string) => {
    const now = process.uptime()
    first ??= now
    if (now - first > 1) process.exit(130)
  })
})

/** Runs the command line. Exit codes: 0 done, interrupted or no longer read, 1 failed, 2 misused. */
export const main = (args: ReadonlyArray<string>): void => {
  const taken = stdoutTaken(args)
  const layer = Layer.mergeAll(
    NodeServices.layer,
    Layer.succeed(Logger.LogToStderr, true),
    Output.layer({ json: args.includes("--json") || args.includes("--json=true"), stdoutTaken: taken }),
    CliOutput.layerPresenter(presenter),
    CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel] })
  )
  process.stderr.on("error", () => {}) // nobody is left who could be told
  const command = Command.runWith(irl, { version })(args)
  forceOnSecondInterrupt.pipe(
    // The recorder hears of its reader itself.
    Effect.andThen(taken ? command : Effect.raceFirst(Stdout.readerGone, command)),
    Effect.tapError(report),
    Effect.provide(layer),
    NodeRuntime.runMain({
      disableErrorReporting: false,
      // The binding's pending calls keep the process alive, so the end is always an exit.
      teardown: (exit) => process.exit(exitCode(exit))
    })
  )
}

/** `record -o -`: stdout is the recording. */
const stdoutTaken = (args: ReadonlyArray<string>): boolean =>
  args.includes("record") &&
  args.some(
    (arg, index) =>
      arg === "-o=-" || arg === "--output=-" || ((arg === "-o" || arg === "--output") && args[index + 1] === "-")
  )
