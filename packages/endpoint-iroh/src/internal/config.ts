/** The options from `Config`. Errors name the variable and what is wrong with it, never its value: it may be a secret. */
import * as EndpointTicket from "@effect-live/endpoint/EndpointTicket"
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import * as SecretKey from "@effect-live/endpoint/SecretKey"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import { Config, ConfigProvider, Effect, Result } from "effect"
import type { AdmissionRule, Options, RelayMode } from "./options.ts"

interface Wrong {
  readonly message: string
}
type Parse<A> = (text: string) => Result.Result<A, Wrong>

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

const oneOf =
  <const A extends string>(...names: ReadonlyArray<A>): Parse<A> =>
  (text) => {
    const found = names.find((name) => name === text)
    return found === undefined ? Result.fail({ message: `one of ${names.join(", ")}` }) : Result.succeed(found)
  }

const relayMode = (text: string): Result.Result<RelayMode, Wrong> =>
  text === "default" || text === "disabled" ? Result.succeed(text) : listOf(RelayUrl.parse)(text)

const yesNo: Parse<boolean> = (text) => Result.map(oneOf("true", "false")(text), (found) => found === "true")

/** The addon says which numbers it takes. */
const wholeNumber: Parse<number> = (text) =>
  /^\d{1,15}$/.test(text) ? Result.succeed(Number(text)) : Result.fail({ message: "a whole number" })

/** `refuse 203.0.113.0/24`; that it is an address is checked by the addon. */
const rule: Parse<AdmissionRule> = (text) => {
  const [action = "", from, ...rest] = text.split(/\s+/)
  return from === undefined || rest.length > 0
    ? Result.fail({ message: "rules such as `refuse 203.0.113.0/24`, joined by commas" })
    : Result.map(oneOf("accept", "refuse", "ignore")(action), (action) => ({ action, from }))
}

/** Which backing: the first that loads, the addon before the binding, or one of them and no other. */
export type Choice = "auto" | "native" | "number0"
export const backing: Config.Config<Choice> = Config.map(
  variable("IROH_BACKING", oneOf("auto", "native", "number0")),
  (choice) => choice ?? "auto"
)

/** An empty variable counts as unset. */
export const options: Config.Config<Options> = Config.map(
  Config.all({
    secretKey: variable("IROH_SECRET", SecretKey.parse),
    bindAddrs: variable("IROH_BIND", listOf(TransportAddr.parseIp)),
    relayMode: variable("IROH_RELAY", relayMode),
    peers: variable("IROH_PEERS", listOf(EndpointTicket.decode)),
    connectTimeoutMs: variable("IROH_CONNECT_TIMEOUT_MS", wholeNumber),
    maxUniStreams: variable("IROH_MAX_UNI_STREAMS", wholeNumber),
    maxBiStreams: variable("IROH_MAX_BI_STREAMS", wholeNumber),
    dns: variable("IROH_DNS", yesNo),
    pkarr: variable("IROH_PKARR", yesNo),
    congestion: variable("IROH_CONGESTION", oneOf("cubic", "bbr3", "newReno")),
    initialWindowBytes: variable("IROH_INITIAL_WINDOW_BYTES", wholeNumber),
    initialRttMs: variable("IROH_INITIAL_RTT_MS", wholeNumber),
    idleTimeoutMs: variable("IROH_IDLE_TIMEOUT_MS", wholeNumber),
    keepAliveMs: variable("IROH_KEEP_ALIVE_MS", wholeNumber),
    sendWindowBytes: variable("IROH_SEND_WINDOW_BYTES", wholeNumber),
    receiveWindowBytes: variable("IROH_RECEIVE_WINDOW_BYTES", wholeNumber),
    streamReceiveWindowBytes: variable("IROH_STREAM_RECEIVE_WINDOW_BYTES", wholeNumber),
    datagramSendBufferBytes: variable("IROH_DATAGRAM_SEND_BUFFER_BYTES", wholeNumber),
    datagramReceiveBufferBytes: variable("IROH_DATAGRAM_RECEIVE_BUFFER_BYTES", wholeNumber),
    admission: variable("IROH_ADMISSION", listOf(rule))
  }),
  given
)

/** Without the names that have no value. */
type Given<A> = { readonly [K in keyof A]?: Exclude<A[K], undefined> }
function given<A extends object>(all: A): Given<A> {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Given<A>
}
