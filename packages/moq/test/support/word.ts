/** Outputs of cores in words, for tables of events and answers. */
import type * as Actor from "@effect-live/actor/Actor"
import { Cause, Exit, Predicate } from "effect"

interface Tagged {
  readonly _tag: string
}

export const isCommand = (output: Tagged): output is Actor.Command<unknown> => output._tag.startsWith("Actor.")

export const commandWord = (command: Actor.Command<unknown>): string => {
  switch (command._tag) {
    case "Actor.Reply": {
      const { exit, to } = command
      if (Exit.isSuccess(exit)) return `reply ${to} ${JSON.stringify(exit.value) ?? ""}`.trim()
      const error = Cause.squash(exit.cause)
      return `refuse ${to} ${String(Predicate.hasProperty(error, "_tag") ? error._tag : error)}`
    }
    case "Actor.SetTimer":
      return `timer ${command.key} ${command.at}`
    case "Actor.ClearTimer":
      return `clear ${command.key}`
    case "Actor.Stop":
      return "stop"
  }
}
