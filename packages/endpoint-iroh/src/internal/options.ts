/** What an endpoint on iroh can be told. */
import type * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import type * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import type * as SecretKey from "@effect-live/endpoint/SecretKey"
import type * as TransportAddr from "@effect-live/endpoint/TransportAddr"

/** `default`: the public relays. `disabled`: none. URLs: these relays and no others. */
export type RelayMode = "default" | "disabled" | ReadonlyArray<RelayUrl.RelayUrl>

/** How fast is sent when packets are lost. */
export type Congestion = "cubic" | "bbr3" | "newReno"

/** The first rule that matches an incoming connection decides; what none matches is accepted. */
export interface AdmissionRule {
  /** `ip`, `ip/bits`, or `relay`: whatever comes by a relay. */
  readonly from: string
  /** `refuse` tells the peer; `ignore` answers nothing at all and lets it run into its timeout. */
  readonly action: "accept" | "refuse" | "ignore"
}

/** What both backings can do. */
export interface CommonOptions {
  /** Who we are. Without it a fresh key. */
  readonly secretKey?: SecretKey.SecretKey
  /**
   * `ip:port`, at most one of each family; port 0 is any. Without it every interface and any port. Where only one family is given,
   * `@number0/iroh` still binds the other one, on every interface.
   */
  readonly bindAddrs?: ReadonlyArray<TransportAddr.Ip>
  /** `default` without it. */
  readonly relayMode?: RelayMode
  /** Where peers live: said to the address book as the source `options`. */
  readonly peers?: ReadonlyArray<EndpointAddr.EndpointAddr>
  /** Milliseconds until a dial gives up, at least 1 and at most 2^31-1; `Limits.connectTimeoutMs` without it. */
  readonly connectTimeoutMs?: number
  /**
   * Streams of each kind that a peer may have open at once; `Limits.concurrentUniStreams`, `concurrentBiStreams` without it. The peer
   * hears of room once more than an eighth of them is over.
   */
  readonly maxUniStreams?: number
  readonly maxBiStreams?: number
}

/** What only the addon can do. What is left out is as iroh has it. */
export interface NativeOptions {
  /** Ask number 0's DNS where an id lives. Without it: unless `relayMode` is `disabled`. */
  readonly dns?: boolean
  /** Publish the own address to number 0's pkarr server, and ask it where an id lives. Without it as `dns`. */
  readonly pkarr?: boolean
  /** For what we send. `cubic` without it. */
  readonly congestion?: Congestion
  /** The first congestion window. */
  readonly initialWindowBytes?: number
  /** The round trip assumed before there is a sample; 333 ms. */
  readonly initialRttMs?: number
  /** A silent connection is over after this; the smaller one of both ends counts. 30,000. */
  readonly idleTimeoutMs?: number
  /** A connection without traffic sends something this often; 5,000, which is also the most. */
  readonly keepAliveMs?: number
  /** Bytes of all streams of a connection that may be sent and not acknowledged; 10,000,000. */
  readonly sendWindowBytes?: number
  /**
   * Bytes that a peer may send on all streams of a connection and we have not read; `Limits.receiveWindowBytes`. Until somebody
   * accepts the connection 256 KiB at most.
   */
  readonly receiveWindowBytes?: number
  /** Bytes that a peer may send on one stream and we have not read; 1,250,000, at most 2,400,000. */
  readonly streamReceiveWindowBytes?: number
  /** Datagrams not sent yet; beyond it the oldest go. 1 MiB. */
  readonly datagramSendBufferBytes?: number
  /** Datagrams not read yet; beyond it the oldest go. 1,250,000; 0: we take none. */
  readonly datagramReceiveBufferBytes?: number
  /** Whose connections are taken, asked before any work is done for them. Everybody's. */
  readonly admission?: ReadonlyArray<AdmissionRule>
}

export type Options = CommonOptions & NativeOptions

/** What is wrong with the options that both backings know; the addon says which of its own it does not take. */
export const amiss = (options: CommonOptions): string | undefined => {
  const { bindAddrs, connectTimeoutMs, maxBiStreams, maxUniStreams } = options
  // A name that is misspelt would be left out without a word.
  const unknown = Object.keys(options).find((name) => !(name in commonOptions || name in nativeOptions))
  if (unknown !== undefined) return `there is no option ${unknown}`
  if (bindAddrs !== undefined) {
    const families = new Set(bindAddrs.map(({ ip }) => ip.includes(":")))
    if (bindAddrs.length === 0 || families.size < bindAddrs.length)
      return "bindAddrs must be one or two, of one family each"
  }
  return (
    notAnInteger("connectTimeoutMs", connectTimeoutMs, 1, 2 ** 31 - 1) ??
    notAnInteger("maxUniStreams", maxUniStreams, 0, 2 ** 32 - 1) ??
    notAnInteger("maxBiStreams", maxBiStreams, 0, 2 ** 32 - 1)
  )
}

const notAnInteger = (name: string, value: number | undefined, least: number, most: number): string | undefined =>
  value === undefined || (Number.isInteger(value) && value >= least && value <= most)
    ? undefined
    : `${name} must be an integer of ${least} to ${most}`

const commonOptions: { readonly [name in keyof CommonOptions]-?: true } = {
  secretKey: true,
  bindAddrs: true,
  relayMode: true,
  peers: true,
  connectTimeoutMs: true,
  maxUniStreams: true,
  maxBiStreams: true
}

const nativeOptions: { readonly [name in keyof NativeOptions]-?: true } = {
  dns: true,
  pkarr: true,
  congestion: true,
  initialWindowBytes: true,
  initialRttMs: true,
  idleTimeoutMs: true,
  keepAliveMs: true,
  sendWindowBytes: true,
  receiveWindowBytes: true,
  streamReceiveWindowBytes: true,
  datagramSendBufferBytes: true,
  datagramReceiveBufferBytes: true,
  admission: true
}

/** The names of the options given that need the addon. */
export const needingNative = (options: Options): ReadonlyArray<string> =>
  Object.entries(options).flatMap(([name, value]) => (name in nativeOptions && value !== undefined ? [name] : []))
