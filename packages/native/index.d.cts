/**
 * iroh for Node as an addon: bytes, tokens and error values. Nothing here is a promise and nothing that can be expected throws.
 *
 * The pattern, everywhere the same:
 *
 * - **try**: a `try...` or `poll` call answers at once, on the calling thread. It gives the value, or a number below zero that
 *   says why there is none: `BLOCKED` (not now), `OVER` (never again; ask the object why), `END` (the clean end).
 * - **wait**: every object has a `token`; `Token` says which offset from it belongs to which operation. An operation that
 *   answered `BLOCKED` has registered itself: `wait(token, callback)` *in the same turn* calls back once when it is worth
 *   trying again. A call-back may come early: try again, and wait again when it still says `BLOCKED`.
 * - **forget**: nothing runs for a waiter; `forget(token)` only removes the call-back. A value that became ready stays there.
 * - **latched**: after the first `END` or `OVER` every later try gives the same.
 *
 * One waiter per token: QUIC keeps one reader and one writer per stream, so whoever wants more queues them above.
 *
 * A waiting call-back keeps the process (or the worker) alive, unless it was registered by `watch`. Objects stay usable in
 * whatever order they are collected: a stream keeps its connection, a connection its endpoint. What is collected unfinished
 * ends hard: a stream is reset with code 0 (or stopped with it), a connection is closed with code 0, an endpoint closes.
 *
 * Wrong arguments, and options that there are not, throw a `TypeError` and change nothing. A panic inside is thrown as an `Error`. Codes are integers of 0 to
 * 2^53-1 in both directions; a larger one from a peer is given as 2^53-1. Every worker thread that loads the package has
 * endpoints of its own; objects do not move between threads.
 */

/** Not now: wait for the token of the operation. */
export declare const BLOCKED: -1
export type Blocked = typeof BLOCKED
/** Never again; the object says why (`ended`, `closed`, `failure`). */
export declare const OVER: -2
export type Over = typeof OVER
/** The clean end: everything was read, or the peer has everything. */
export declare const END: -3
export type End = typeof END
/** The datagram is larger than `maxDatagramBytes()`, which is 0 where the peer or we take none. */
export declare const TOO_LARGE: -4
export type TooLarge = typeof TOO_LARGE

/** What to add to the `token` of an object, by operation. */
export declare const Token: {
  readonly Pending: { readonly done: 0 }
  readonly Endpoint: { readonly accept: 0; readonly addr: 1; readonly relays: 2; readonly closed: 3 }
  readonly Connection: {
    readonly acceptUni: 0
    readonly acceptBi: 1
    readonly openUni: 2
    readonly openBi: 3
    readonly datagramReceived: 4
    readonly datagramRoom: 5
    readonly closed: 6
    readonly paths: 7
  }
  readonly SendStream: { readonly writable: 0; readonly settled: 1 }
  readonly RecvStream: { readonly readable: 0 }
}

/** Calls back once, at the next wake-up of the token. It throws an `Error` where somebody waits for it already. */
export declare function wait(token: number, callback: () => void): void
/** As `wait`, without keeping the process alive. */
export declare function watch(token: number, callback: () => void): void
/** Removes the call-back, if there is one. */
export declare function forget(token: number): void

/** Which releases are inside. */
export declare const versions: { readonly addon: string; readonly iroh: string; readonly noq: string }
/** The file that was loaded. */
export declare const binary: string

/** Begins to bind an endpoint. Options that cannot be meant throw a `TypeError` here, at once. */
export declare function bind(options?: BindOptions): Binding

export interface BindOptions {
  /** 32 bytes. Without it a fresh key. They are copied. */
  readonly secretKey?: Uint8Array
  /**
   * The protocols that incoming connections may speak; none without it. See `Endpoint.setAlpns`. Names of protocols have 1 to 255
   * bytes of UTF-8 here and everywhere, and 8,192 together with one more for each.
   */
  readonly alpns?: ReadonlyArray<string>
  /** `ip:port`, one or none of each family, port 0 is any. Without it every interface of both families and any port. */
  readonly bindAddrs?: ReadonlyArray<string>
  /** `disabled` without it; `default` are the public relays of number 0; URLs are these relays and no others. */
  readonly relays?: "disabled" | "default" | ReadonlyArray<string>
  /** Ask number 0's DNS where an id lives. False without it. */
  readonly dns?: boolean
  /** Publish the own address to number 0's pkarr server, and ask it where an id lives, over HTTPS. False without it. */
  readonly pkarr?: boolean
  /** Of every connection of the endpoint, for what it sends. `cubic` without it. */
  readonly congestion?: "cubic" | "bbr3" | "newReno"
  /** The first congestion window, in bytes, 2,400 at least; the controller's own without it. */
  readonly initialWindowBytes?: number
  /** The round trip assumed before there is a sample, 333 ms without it. At least 1. */
  readonly initialRttMs?: number
  /** A silent connection is over after this: the smaller one of both ends counts. 30,000 without it. At least 1. */
  readonly idleTimeoutMs?: number
  /** A connection without traffic sends something this often. 5,000 without it; iroh caps it there for every path. At least 1. */
  readonly keepAliveMs?: number
  /** Bytes of all streams of a connection that may be sent and not acknowledged. 10,000,000 without it, 1,200 at least. */
  readonly sendWindowBytes?: number
  /**
   * Bytes that the peer may send on all streams of a connection and we have not read. 64 MiB without it. Until somebody takes the
   * connection (`tryAccept`, `Dial.poll`) it is 256 KiB at most. Streams that nobody reads take their part of it from the others:
   * read or `stop` what was accepted.
   */
  readonly receiveWindowBytes?: number
  /**
   * Bytes that the peer may send on one stream and we have not read. 1,250,000 without it, and 2,400,000 at most: iroh gives a
   * connection up when one stream has more than 1,024 gaps, which losses in a larger window can make.
   */
  readonly streamReceiveWindowBytes?: number
  /** Streams that the peer may have open at once. 100 each without it. The peer hears of room once more than an eighth of them is over. */
  readonly maxUniStreams?: number
  readonly maxBiStreams?: number
  /**
   * Datagrams not sent yet: beyond it the oldest go (`sendDatagram`) or one waits (`trySendDatagram`). 1 MiB without it, 1,500 at
   * least.
   */
  readonly datagramSendBufferBytes?: number
  /**
   * Datagrams not read yet: beyond it the oldest go. 1,250,000 without it, 65,567 at least, or 0: we take no datagrams, and then
   * send none either.
   */
  readonly datagramReceiveBufferBytes?: number
  /**
   * Incoming connections in their handshake; one more is refused. 64 without it. Anybody can forge the address of a first packet:
   * beyond a quarter of this (and of `acceptBacklog`) only those go on that answer from their address (RFC 9000 section 8.1.2).
   */
  readonly maxHandshakes?: number
  /**
   * Connections that nobody took with `tryAccept`, and those in their handshake; one more is refused, unless one that waits can go
   * because its peer has closed it. 256 without it.
   */
  readonly acceptBacklog?: number
  /** An incoming handshake that takes longer is given up. 10,000 without it. */
  readonly handshakeTimeoutMs?: number
}

/** Something that ends once, with a value or a failure. Its token calls when it has. */
interface Pending<A, Failure> {
  readonly token: number
  /** The value, once: the first call that finds it takes it, later ones say `OVER`, as after a failure. */
  poll(): A | Blocked | Over
  /** Why there is none, or null. */
  failure(): Failure | null
}

export interface BindFailure {
  readonly kind: "addressInUse" | "other"
  /** For people, not for comparing. */
  readonly message: string
}
export interface Binding extends Pending<Endpoint, BindFailure> {}

/** Where an endpoint can be reached. */
export interface Addr {
  /** 64 hex digits in what we give; base32 is taken too. */
  readonly id: string
  /** Given to us, what is no URL to iroh is passed over. */
  readonly relays: ReadonlyArray<string>
  /** `ip:port` */
  readonly ips: ReadonlyArray<string>
}

/**
 * - `wrongAlpn`: the peer speaks none of the protocols
 * - `wrongId`: somebody else answered at that address
 * - `self`: the id is our own
 * - `noAddress`: neither given nor known nor found by discovery
 * - `refused`: the peer's admission said no
 * - `timedOut`: nobody answered within the idle timeout
 * - `closedByPeer`: the peer closed it before the handshake was done; `code` and `message` are its own, or 0 and empty where it
 *   did so before it could say them (RFC 9000 section 10.2.3)
 * - `cancelled`: by `cancel`
 * - `endpointClosed`: our endpoint is closed, or closed meanwhile
 * - `other`: `message` says it
 */
export interface ConnectFailure {
  readonly kind:
    | "wrongAlpn"
    | "wrongId"
    | "self"
    | "noAddress"
    | "refused"
    | "timedOut"
    | "closedByPeer"
    | "cancelled"
    | "endpointClosed"
    | "other"
  readonly code: number | null
  /** For people, not for comparing. */
  readonly message: string
}
export interface Dial extends Pending<Connection, ConnectFailure> {
  /** Gives the attempt up: the failure is `cancelled`, unless it had ended already. A connection that nobody took is closed. */
  cancel(): void
}

/** A relay that this endpoint uses as its home, or tries to. */
export interface RelayInfo {
  readonly url: string
  readonly connected: boolean
  /** Why it is not connected, where that is known. */
  readonly error: string | null
}

/** The first rule that matches decides; what none matches is accepted. */
export interface AdmissionRule {
  /** `ip/bits`, an ip, or `relay`: whatever comes by a relay. */
  readonly from: string
  /** `refuse` tells the peer; `ignore` sends nothing at all and lets it run into its timeout. */
  readonly action: "accept" | "refuse" | "ignore"
}

/** Incoming connections since the endpoint was bound, and those in between right now. */
export interface IncomingCounts {
  /** In their handshake. */
  readonly pending: number
  /** Done, and nobody took them yet. */
  readonly waiting: number
  readonly accepted: number
  /** Told to come again with proof of their address; who does is counted once more. */
  readonly retried: number
  /** By rule, or above `maxHandshakes` or `acceptBacklog`. */
  readonly refused: number
  readonly ignored: number
  /** The handshake failed: no common protocol, no proof of a key, timed out, gone. */
  readonly failed: number
}

export interface Endpoint {
  readonly token: number
  /** 64 hex digits. */
  readonly id: string
  /** The sockets, `ip:port`; with the unspecified address where that was bound. */
  readonly boundAddrs: ReadonlyArray<string>
  /** Where others reach us, as far as it is known now: without any network it may be nothing but the id. */
  addr(): Addr
  /** Whether `addr` changed since the last call (the first says true). On false, `Token.Endpoint.addr` calls at the next change. */
  addrChanged(): boolean
  /** The home relays, in no order. Online: one of them is connected. */
  relays(): ReadonlyArray<RelayInfo>
  /** As `addrChanged`, for `relays`. */
  relaysChanged(): boolean
  /** The protocols of incoming connections from now on, in our order of preference. */
  setAlpns(alpns: ReadonlyArray<string>): void
  /** The rules of admission from now on, asked before any work is done for an incoming connection. */
  setAdmission(rules: ReadonlyArray<AdmissionRule>): void
  incoming(): IncomingCounts
  /** Addresses of a peer, for dials by id alone. They replace those remembered for it before. */
  remember(addr: Addr): void
  forget(id: string): void
  /**
   * Dials. `alpns`: at least one, all offered in one handshake; the first in the *acceptor's* list that is among them is agreed
   * on. The address is used together with what is remembered and discovered, and with what the endpoint knows from earlier
   * connections to that id.
   */
  connect(addr: Addr, alpns: ReadonlyArray<string>): Dial
  /** The next incoming connection whose handshake is done. `OVER`: the endpoint is closed. */
  tryAccept(): Connection | Blocked | Over
  /** Closes every connection with code 0, as `Connection.close` does, then tells the peers and frees the sockets. Idempotent. */
  close(): void
  /** Whether all that is done. On false after `close`, `Token.Endpoint.closed` calls when it is. */
  closed(): boolean
  /** Counters of iroh and its sockets by name, since the endpoint was bound. */
  metrics(): Record<string, number>
}

/**
 * - `local`: we closed it, or our endpoint; the code and reason are ours (0 and empty for the endpoint)
 * - `remote`: the peer did
 * - `idle`: nothing was heard from the peer for the idle timeout
 * - `transport`: the transport gave up; `code` is QUIC's where it has one (RFC 9000 section 20.1), `reason` a text for people
 */
export interface Close {
  readonly kind: "local" | "remote" | "idle" | "transport"
  readonly code: number | null
  readonly reason: string
}

/** One way the packets may take. Counters run since it was opened. */
export interface Path {
  readonly id: number
  readonly kind: "direct" | "relay"
  /** `ip:port`, or the URL of the relay. */
  readonly remote: string
  readonly selected: boolean
  readonly rttUs: number
  readonly congestionWindowBytes: number
  readonly mtuBytes: number
  readonly sentPackets: number
  readonly lostPackets: number
  readonly lostBytes: number
  readonly congestionEvents: number
  /** UDP payload. */
  readonly sentBytes: number
  readonly receivedBytes: number
}

export interface BiStream {
  readonly send: SendStream
  readonly recv: RecvStream
}

export interface Connection {
  readonly token: number
  /** 64 hex digits; the peer has proved it. */
  readonly remoteId: string
  /** The protocol agreed on. */
  readonly alpn: string
  /** The peer hears of the stream with its first byte, end or reset. */
  tryOpenUni(): SendStream | Blocked | Over
  tryOpenBi(): BiStream | Blocked | Over
  /** In the order in which the peer opened them. What the peer opened before it closed the connection still comes. */
  tryAcceptUni(): RecvStream | Blocked | Over
  /**
   * Accepts streams that are here whole, up to their clean end: their bytes go into `into` one after the other, their lengths into
   * `lengths`, and nothing is left of them. How many; 0: `tryAcceptUni` has the next one, or there is no place in `lengths`.
   * `BLOCKED` and `OVER` as there.
   */
  tryAcceptWholeUni(into: Uint8Array, lengths: Uint32Array): number
  tryAcceptBi(): BiStream | Blocked | Over
  /** 0 where the peer or we take none. Changes with the path. */
  maxDatagramBytes(): number
  /** Sends or drops: where the buffer is full the oldest go, uncounted. `0`: taken. They are copied. */
  sendDatagram(datagram: Uint8Array): 0 | TooLarge | Over
  /**
   * The waiting form: `0` taken, and nothing was pushed out for it. At most one waits inside for room; until it has gone the
   * next is `BLOCKED` and `Token.Connection.datagramRoom` calls.
   */
  trySendDatagram(datagram: Uint8Array): 0 | Blocked | TooLarge | Over
  /**
   * Reads one datagram into `into`: its length, which may be 0. Where `into` is too short it throws a `RangeError` that names
   * the length needed, and the datagram stays; 65,535 are always enough.
   */
  tryReadDatagram(into: Uint8Array): number
  /** Every open path; after the end those that were open at it. */
  paths(): ReadonlyArray<Path>
  /**
   * Whether a path came, went or was selected since the last call (the first says true). On false, `Token.Connection.paths`
   * calls at the next change. The end of the connection is the last one: look at `closed` before waiting again.
   */
  pathsChanged(): boolean
  /**
   * Closes at once: what is in flight or unread is lost, and everything of this connection is over in this very turn, also where
   * the peer was first. The first close counts. `reason` is cut to 1,024 bytes of UTF-8 between two characters.
   */
  close(code: number, reason: string): void
  /** How it ended, or null while it is open; then `Token.Connection.closed` calls. */
  closed(): Close | null
}

/**
 * Why a stream is over.
 *
 * - `finished`: the peer finished and everything was read (receiving); we finished and the peer has everything (sending)
 * - `reset`: the peer reset it with `code` (receiving)
 * - `stopped`: the peer stopped it with `code` (sending)
 * - `ended`: we finished, reset or stopped it ourselves
 * - `lost`: with its connection; `Connection.closed()` says how
 */
export interface Ended {
  readonly kind: "finished" | "reset" | "stopped" | "ended" | "lost"
  readonly code: number | null
}

export interface SendStream {
  readonly token: number
  /** QUIC's stream id. */
  readonly id: number
  /**
   * Copies a prefix of the bytes for sending: how many, at least 1 of some. `BLOCKED`: no credit, `Token.SendStream.writable`
   * calls. `OVER`: finished, reset, stopped by the peer or lost; `ended` says it. A stream that the peer stopped is reset with
   * the peer's code as soon as that is noticed, by this or by `settled`.
   */
  tryWrite(bytes: Uint8Array): number
  /** The clean end after what was written. Idempotent. */
  finish(): void
  /** Gives up what the peer does not have, also after `finish`. A blocked writer is called. Idempotent, the first code counts. */
  reset(code: number): void
  /** Higher goes first among the streams of the connection; a signed 32-bit integer, 0 at first. */
  setPriority(priority: number): void
  /**
   * How it came out: `END` the peer has everything (after `finish`), `OVER` stopped by the peer, reset by us or lost
   * (`ended` says it), `BLOCKED` undecided: then `Token.SendStream.settled` calls.
   */
  settled(): Blocked | Over | End
  /** Why it is over, or null. */
  ended(): Ended | null
}

export interface RecvStream {
  readonly token: number
  /** QUIC's stream id. */
  readonly id: number
  /**
   * Fills `into` from the front with what has arrived: how many bytes (0 only where `into` is empty), `BLOCKED`, `END` after the
   * last byte, `OVER`. What had arrived when the connection was lost is still read; what had arrived before a reset is not.
   */
  tryRead(into: Uint8Array): number
  /** Whether `tryRead` would not be `BLOCKED`. On false, `Token.RecvStream.readable` calls. */
  readable(): boolean
  /** Asks the peer to stop; what is unread is dropped. A blocked reader is called. Idempotent. */
  stop(code: number): void
  /** Why it is over, or null. */
  ended(): Ended | null
}
