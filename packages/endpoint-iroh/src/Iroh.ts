/**
 * The Endpoint Layer on real iroh: UDP sockets, QUIC, hole punching and relays, found by public key. It has two backings:
 * `@effect-live/native`, the addon of this house, which is built with `npm run build:native`, and `@number0/iroh`, a binding that
 * npm has for some platforms. Programs see no difference but speed and what the README's table says.
 */
import { AddressBook } from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import { type Config, Context, Effect, Layer, Result, type Scope } from "effect"
import { Control } from "./Control.ts"
import * as Backing from "./internal/backing.ts"
import * as Configuration from "./internal/config.ts"
import { BackingMissing, InvalidOptions, IrohError, packages } from "./internal/failure.ts"
import type { Backing as BackingName } from "./internal/failure.ts"
import { amiss, type CommonOptions, type Options } from "./internal/options.ts"

export { AddressInUse, BackingMissing, BindFailed, InvalidOptions, IrohError, Unsupported } from "./internal/failure.ts"
export type { AdmissionRule, CommonOptions, Congestion, NativeOptions, Options, RelayMode } from "./internal/options.ts"

/** What every Layer here gives. */
export type Services = Endpoint | Control

/**
 * The endpoint on the addon where its binary loads, and on `@number0/iroh` where it does not; `IROH_BACKING` (`auto`, `native`,
 * `number0`) insists. It says which in one line at debug level, and in `Endpoint.backing`. The endpoint closes with the Layer's
 * Scope. Works without any network, on one machine. Errors: see `IrohError`; options that only the addon can fulfil are
 * `Unsupported` on the other one.
 */
export const layer = (options: Options = {}): Layer.Layer<Services, IrohError, AddressBook> =>
  Layer.effectContext(
    Configuration.backing.pipe(
      Effect.mapError(({ cause }) => new IrohError({ reason: new InvalidOptions({ detail: cause.message }) })),
      Effect.flatMap((choice) => endpoint(choice === "auto" ? ["native", "number0"] : [choice], options))
    )
  )

/** The endpoint on the addon and nothing else. */
export const layerNative = (options: Options = {}): Layer.Layer<Services, IrohError, AddressBook> =>
  Layer.effectContext(endpoint(["native"], options))

/** The endpoint on `@number0/iroh` and nothing else. */
export const layerNumber0 = (options: CommonOptions = {}): Layer.Layer<Services, IrohError, AddressBook> =>
  Layer.effectContext(endpoint(["number0"], options))

/** `layer`, with each of its options from a variable: see the table in the README. An empty variable counts as unset. */
export const layerConfig: Layer.Layer<Services, IrohError | Config.ConfigError, AddressBook> = Layer.unwrap(
  // A wrong IROH_BACKING is told as what it is here.
  Effect.map(Effect.andThen(Configuration.backing, Configuration.options), layer)
)

/** On the first of the backings that loads. */
const endpoint = (
  wanted: ReadonlyArray<BackingName>,
  options: Options
): Effect.Effect<Context.Context<Services>, IrohError, AddressBook | Scope.Scope> =>
  Effect.gen(function* () {
    const detail = amiss(options)
    if (detail !== undefined) return yield* new IrohError({ reason: new InvalidOptions({ detail }) })
    const book = yield* AddressBook
    for (const peer of options.peers ?? []) book.add(peer, "options")
    const looked: Array<BackingMissing["looked"][number]> = []
    for (const backing of wanted) {
      const open = yield* Backing.load[backing]
      if (Result.isFailure(open)) {
        looked.push({ backing, detail: open.failure })
        continue
      }
      const { endpoint, control } = yield* open.success(options, book)
      const { name, version } = endpoint.backing
      const instead = looked.map(({ backing, detail }) => `; ${packages[backing]} does not load: ${detail}`)
      yield* Effect.logDebug(`iroh runs on ${name} ${version}${instead.join("")}`)
      return Context.make(Endpoint, endpoint).pipe(Context.add(Control, control))
    }
    return yield* new IrohError({
      reason: new BackingMissing({ platform: `${process.platform}-${process.arch}`, looked })
    })
  })
