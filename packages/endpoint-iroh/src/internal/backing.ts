/** The two backings, and which of them this machine has. */
import type { AddressBook } from "@effect-live/endpoint/AddressBook"
import type { Endpoint } from "@effect-live/endpoint/Endpoint"
import type * as Number0 from "@number0/iroh"
import { Effect, type Result, type Scope } from "effect"
import type { Control } from "../Control.ts"
import * as Limits from "../Limits.ts"
import * as Failure from "./failure.ts"
import * as NativeEndpoint from "./native/endpoint.ts"
import type { Addon } from "./native/waiting.ts"
import { bind as bindNumber0 } from "./number0/bind.ts"
import * as Number0Endpoint from "./number0/endpoint.ts"
import { textOf } from "./number0/errors.ts"
import { needingNative, type Options } from "./options.ts"

interface Services {
  readonly endpoint: Endpoint["Service"]
  readonly control: Control["Service"]
}

/** A backing that loaded: makes an endpoint, which closes with the Scope. */
export type Open = (
  options: Options,
  book: AddressBook["Service"]
) => Effect.Effect<Services, Failure.IrohError, Scope.Scope>

/** Loads a backing, or says why it does not load. Costs some milliseconds, once. */
export const load: { readonly [name in Failure.Backing]: Effect.Effect<Result.Result<Open, string>> } = {
  native: Effect.suspend(() => loaded(import("@effect-live/native"), openNative)),
  number0: Effect.suspend(() => loaded(import("@number0/iroh"), openNumber0))
}

const loaded = <A>(module: Promise<A>, open: (module: A) => Open): Effect.Effect<Result.Result<Open, string>> =>
  Effect.result(
    Effect.tryPromise({
      try: () => module.then(open),
      catch: (error) => textOf(error).split("\n")[0] ?? ""
    })
  )

const openNative =
  (addon: Addon): Open =>
  (options, book) =>
    Effect.acquireRelease(
      Effect.map(NativeEndpoint.bind(addon, options), (bound) => NativeEndpoint.make(addon, bound, book, options)),
      ({ endpoint }) => endpoint.close
    ).pipe(
      Effect.tap(({ control }) =>
        options.admission === undefined ? Effect.void : control.setAdmission(options.admission)
      )
    )

const openNumber0 =
  (binding: typeof Number0): Open =>
  (options, book) =>
    Effect.gen(function* () {
      const unsupported = needingNative(options)
      if (unsupported.length > 0) {
        return yield* new Failure.IrohError({
          reason: new Failure.Unsupported({ backing: "number0", options: unsupported })
        })
      }
      const made = yield* Effect.acquireRelease(
        Effect.map(bindNumber0(binding, options), (bound) => Number0Endpoint.make(binding, bound, book, options)),
        ({ endpoint }) => endpoint.close
      )
      const probing = Effect.delay(Effect.sync(made.probe), Limits.stopProbeIntervalMs)
      yield* Effect.forkScoped(Effect.forever(probing))
      return made
    })
