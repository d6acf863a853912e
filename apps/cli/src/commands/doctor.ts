import { Effect } from "effect"
import { Command } from "effect/cli"

export const doctor = Command.make("doctor", {}, () =>
  Effect.flatMap(
    Effect.promise(() => import("../run/doctor.ts")),
    (run) => run.doctor
  )
).pipe(
  Command.withDescription(
    "What this machine can do: transport, ports, relays, key, and what is missing. Fails when something needed is."
  ),
  Command.withExamples([{ command: "irl doctor", description: "When a connection does not work, look here first" }])
)
