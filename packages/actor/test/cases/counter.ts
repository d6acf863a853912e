/** The actor that most cases use, and short words for what they say often. */
import { assert } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Logger } from "effect"
import * as Actor from "../../src/Actor.ts"
import * as Rng from "../../src/Rng.ts"

type Event =
  | { readonly _tag: "Add"; readonly n: number }
  | { readonly _tag: "Get"; readonly replyTo: Actor.ReplyTo<number, string> }
  | { readonly _tag: "Ignore"; readonly replyTo: Actor.ReplyTo<number> }
  | { readonly _tag: "Arm"; readonly key: string; readonly afterMs: number }
  | { readonly _tag: "Disarm"; readonly key: string }
  | { readonly _tag: "Fired"; readonly key: string }
  | { readonly _tag: "Start"; readonly key: string }
  | { readonly _tag: "Kill"; readonly key: string }
  | { readonly _tag: "Ended"; readonly key: string; readonly how: string }
  | { readonly _tag: "Boom" }
  | { readonly _tag: "Wait" }
  | { readonly _tag: "TellSelf" }
  | { readonly _tag: "AskSelf" }
  | { readonly _tag: "Quit" }
  | { readonly _tag: "WaitAndAnswer"; readonly replyTo: Actor.ReplyTo<number> }

type Output =
  | { readonly _tag: "Sum"; readonly sum: number }
  | { readonly _tag: "Child"; readonly key: string }
  | { readonly _tag: "EndChild"; readonly key: string }
  | { readonly _tag: "Block" }
  | { readonly _tag: "Again" }
  | { readonly _tag: "Question" }

interface State {
  sum: number
  readonly rng: Rng.Rng
  readonly log: Array<string>
}

const core: Actor.Core<State, Event, Output> = {
  initial: (seed) => ({ sum: 0, rng: Rng.make(seed), log: [] }),
  step: (state, event, now) => {
    switch (event._tag) {
      case "Add":
        state.sum += event.n
        return [{ _tag: "Sum", sum: state.sum }]
      case "Get":
        return [state.sum < 0 ? Actor.refuse(event.replyTo, "negative") : Actor.reply(event.replyTo, state.sum)]
      case "Ignore":
        return []
      case "Arm":
        return [Actor.setTimer(event.key, now + event.afterMs, { _tag: "Fired", key: event.key })]
      case "Disarm":
        return [Actor.clearTimer(event.key)]
      case "Fired":
        state.log.push(`${now} ${event.key}`)
        return []
      case "Start":
        return [{ _tag: "Child", key: event.key }]
      case "Kill":
        return [{ _tag: "EndChild", key: event.key }]
      case "Ended":
        state.log.push(`${event.key} ${event.how}`)
        return []
      case "Boom":
        throw new Error("boom")
      case "Wait":
        return [{ _tag: "Block" }]
      case "TellSelf":
        return [{ _tag: "Again" }]
      case "AskSelf":
        return [{ _tag: "Question" }]
      case "Quit":
        return [Actor.stop]
      case "WaitAndAnswer":
        return [{ _tag: "Block" }, Actor.reply(event.replyTo, 1)]
    }
  }
}

export const start = (options?: {
  readonly limit?: number
  readonly gate?: Deferred.Deferred<void>
  readonly child?: Effect.Effect<void>
}) =>
  Effect.gen(function* () {
    const state = core.initial(0)
    const outputs: Array<Output> = []
    const actor = yield* Actor.make<State, Event, Output>({
      name: "counter",
      core: { ...core, initial: () => state },
      inboxLimit: options?.limit ?? 4,
      perform: (output, self) => {
        outputs.push(output)
        switch (output._tag) {
          case "Sum":
            return undefined
          case "Child":
            return self.spawn(output.key, options?.child ?? Effect.never, (exit) => ({
              _tag: "Ended",
              key: output.key,
              how: Exit.isSuccess(exit) ? "ok" : Exit.hasInterrupts(exit) ? "killed" : "failed"
            }))
          case "EndChild":
            return self.kill(output.key)
          case "Block":
            return options?.gate ? Deferred.await(options.gate) : Effect.never
          case "Again":
            return Effect.ignore(self.tell({ _tag: "Add", n: 1 }))
          case "Question":
            return Effect.ignore(get(self))
        }
      }
    })
    return { actor, state, outputs }
  })

export const get = (actor: Actor.Actor<Event>) => actor.ask<number, string>((replyTo) => ({ _tag: "Get", replyTo }))
export const ignored = (actor: Actor.Actor<Event>) => actor.ask<number>((replyTo) => ({ _tag: "Ignore", replyTo }))
export const fork = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.forkChild(Effect.exit(effect), { startImmediately: true })

export const isStopped = (exit: Exit.Exit<unknown, unknown>, reason: Actor.Stopped["reason"]): void => {
  assert.isTrue(Exit.isFailure(exit))
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  assert.instanceOf(error, Actor.Stopped)
  assert.strictEqual(error.reason, reason)
}
export const defect = (exit: Exit.Exit<unknown, unknown>): string => {
  assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
  return Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : ""
}
export const silent = Effect.provide(Logger.layer([]))
export const range = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)
