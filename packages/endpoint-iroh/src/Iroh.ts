/**
 * The Endpoint Layer on real iroh: UDP sockets, QUIC, hole punching and relays, found by public key. What carries it is
 * `@number0/iroh`, a native binding that npm has for some platforms; elsewhere the Layer fails with `BackingMissing`.
 */
import { AddressBook } from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import * as SecretKey from "@effect-live/endpoint/SecretKey"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import type * as Native from "@number0/iroh"
import { Config, ConfigProvider, Effect, Layer, Redacted, Result, Schedule, Schema } from "effect"
import { toNumbers } from "./internal/bytes.ts"
import { collectGarbage } from "./internal/collect.ts"
import * as Endpoints from "./internal/endpoint.ts"
import { textOf } from "./internal/errors.ts"
import * as Limits from "./Limits.ts"

/** No native binding for this platform. */
export class BackingMissing extends Schema.TaggedError<BackingMissing>()("BackingMissing", {
  platform: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return (
      `@number0/iroh has no binary for ${this.platform} or it does not load: ${this.detail}. ` +
      "Install the dependencies again on this machine (npm install); where npm has none for it, use another one"
    )
  }
}

/** Another process or endpoint has the port. */
export class AddressInUse extends Schema.TaggedError<AddressInUse>()("AddressInUse", {
  bindAddrs: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `${this.bindAddrs.join(", ")}: the port is taken; choose another one, or 0 for any`
  }
}

/** Anything else that kept the sockets from being bound. */
export class BindFailed extends Schema.TaggedError<BindFailed>()("BindFailed", { detail: Schema.String }) {
  override get message(): string {
    return `the endpoint could not be bound: ${this.detail}`
  }
}

export class IrohError extends Schema.TaggedError<IrohError>()("IrohError", {
  reason: Schema.Union([BackingMissing, AddressInUse, BindFailed])
}) {
  override get message(): string {
    return this.reason.message
  }
}

/** `default`: the public relays and their discovery. `disabled`: neither. URLs: these relays. */
export type RelayMode = "default" | "disabled" | ReadonlyArray<RelayUrl.RelayUrl>

export interface Options {
  /** Who we are. Without it a fresh key. */
  readonly secretKey?: SecretKey.SecretKey
  /** `ip:port`, at most one of each family; port 0 is any. Without it every interface and any port. */
  readonly bindAddrs?: ReadonlyArray<TransportAddr.Ip>
  /** `default` without it. */
  readonly relayMode?: RelayMode
  /** Milliseconds until a dial gives up; `Limits.connectTimeoutMs` without it. */
  readonly connectTimeoutMs?: number
}

/** Loads the binding, or says that there is none. Costs some milliseconds, once. */
export const binding: Effect.Effect<typeof Native, IrohError> = Effect.tryPromise({
  try: () => import("@number0/iroh"),
  catch: (error) =>
    new IrohError({
      reason: new BackingMissing({
        platform: `${process.platform}-${process.arch}`,
        detail: textOf(error).split("\n")[0] ?? ""
      })
    })
})

/** The endpoint on `@number0/iroh`; it closes with the Layer's Scope. Works without any network, on one machine. */
export const layer = (options: Options = {}): Layer.Layer<Endpoint, IrohError, AddressBook> =>
  Layer.effect(
    Endpoint,
    Effect.gen(function* () {
      const book = yield* AddressBook
      const native = yield* binding
      const secretKey = options.secretKey ?? (yield* SecretKey.generate)
      const { endpoint, probe } = yield* Effect.acquireRelease(
        Effect.map(bind(native, secretKey, options.bindAddrs ?? [], options.relayMode ?? "default"), (bound) =>
          Endpoints.make(native, bound, book, options.connectTimeoutMs ?? Limits.connectTimeoutMs)
        ),
        ({ endpoint }) => endpoint.close
      )
      const probing = Effect.delay(Effect.sync(probe), Limits.stopProbeIntervalMs)
      yield* Effect.forkScoped(Effect.forever(probing))
      return endpoint
    })
  )

/**
 * `layer`, configured by `IROH_SECRET` (64 hex digits or 52 letters of base32), `IROH_BIND` (`ip:port` joined by commas) and
 * `IROH_RELAY` (`default`, `disabled`, or URLs joined by commas). An empty variable counts as unset.
 */
export const layerConfig: Layer.Layer<Endpoint, IrohError | Config.ConfigError, AddressBook> = Layer.unwrap(
  Effect.gen(function* () {
    const secretKey = yield* variable("IROH_SECRET", SecretKey.parse)
    const bindAddrs = yield* variable("IROH_BIND", listOf(TransportAddr.parseIp))
    const relayMode = yield* variable("IROH_RELAY", parseRelayMode)
    return layer({
      ...(secretKey === undefined ? {} : { secretKey }),
      ...(bindAddrs === undefined ? {} : { bindAddrs }),
      ...(relayMode === undefined ? {} : { relayMode })
    })
  })
)

// ---- configuration

type Parse<A> = (text: string) => Result.Result<A, { readonly message: string }>

/** The error names the variable and what is wrong with it, never its value: it may be a secret. */
const variable = <A>(name: string, parse: Parse<A>): Config.Config<A | undefined> =>
  Config.String(name).pipe(
    Config.withDefault(""),
    Config.mapEffect((text) =>
      text === ""
        ? Effect.succeed(undefined)
        : Effect.mapError(
            Effect.fromResult(parse(text)),
            ({ message }) => new Config.ConfigError(new ConfigProvider.SourceError({ message: `${name}: ${message}` }))
          )
    )
  )

const listOf =
  <A, E>(parse: (text: string) => Result.Result<A, E>) =>
  (text: string): Result.Result<ReadonlyArray<A>, E> =>
    Result.all(text.split(",").map((part) => parse(part.trim())))

const parseRelayMode = (text: string): Result.Result<RelayMode, RelayUrl.RelayUrlError> =>
  text === "default" || text === "disabled" ? Result.succeed(text) : listOf(RelayUrl.parse)(text)

// ---- binding

/**
 * One builder, used once and in this order: the binding aborts the process when a builder is touched after a failure or after
 * `bind`. A port that a closed endpoint of this process held stays taken until that is collected: collect, and try again.
 */
const bind = (
  native: typeof Native,
  secretKey: SecretKey.SecretKey,
  bindAddrs: ReadonlyArray<TransportAddr.Ip>,
  relayMode: RelayMode
): Effect.Effect<Native.Endpoint, IrohError> => {
  const sockets = bindAddrs.map(TransportAddr.format)
  return Effect.tryPromise({
    try: () => {
      const builder = native.Endpoint.builder()
      if (relayMode === "disabled") {
        native.presetMinimal(builder)
        builder.relayMode(native.RelayMode.disabled())
      } else {
        native.presetN0(builder)
        if (relayMode !== "default") builder.relayMode(native.RelayMode.customFromUrls([...relayMode]))
      }
      builder.secretKey(toNumbers([Redacted.value(secretKey)]))
      for (const socket of sockets) builder.bindAddr(socket)
      return builder.bind()
    },
    catch: (error) => {
      const detail = textOf(error)
      const taken = /address (already )?in use/i.test(detail)
      return new IrohError({ reason: taken ? new AddressInUse({ bindAddrs: sockets }) : new BindFailed({ detail }) })
    }
  }).pipe(
    Effect.tapError(({ reason }) => (reason._tag === "AddressInUse" ? Effect.sync(collectGarbage) : Effect.void)),
    Effect.retry({
      while: (error) => error.reason._tag === "AddressInUse",
      schedule: Schedule.spaced(Limits.rebindIntervalMs).pipe(Schedule.upTo({ times: Limits.rebinds }))
    })
  )
}
