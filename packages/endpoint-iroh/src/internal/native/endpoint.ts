/** An endpoint over the addon's. */
import type { AddressBook } from "@effect-live/endpoint/AddressBook"
import type { Connection } from "@effect-live/endpoint/Connection"
import * as Contract from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import { Blocked } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import type * as Native from "@effect-live/native"
import { Effect, Exit, Redacted, type Scope } from "effect"
import { Control, type RelayStatus } from "../../Control.ts"
import * as Limits from "../../Limits.ts"
import * as Alpns from "../alpns.ts"
import * as Failure from "../failure.ts"
import type { AdmissionRule, Options } from "../options.ts"
import { redial } from "../redial.ts"
import * as Ways from "../ways.ts"
import { changes } from "./changes.ts"
import * as Connections from "./connection.ts"
import { type Addon, Condition, Source } from "./waiting.ts"

export interface Made {
  readonly endpoint: Contract.Endpoint["Service"]
  readonly control: Control["Service"]
}

/** Binds an endpoint. It keeps the process alive only while somebody waits for it. */
export const bind = (addon: Addon, options: Options): Effect.Effect<Native.Endpoint, Failure.IrohError> =>
  Effect.flatMap(Effect.try({ try: () => addon.bind(bindOptions(options)), catch: notBound }), (binding) => {
    let bound: Native.Endpoint | undefined
    const done = new Condition(addon, "wait", binding.token + addon.Token.Pending.done, () => {
      const value = binding.poll()
      if (value === addon.BLOCKED) return false
      if (value !== addon.OVER) bound = value
      return true
    })
    // Milliseconds, and an endpoint that nobody has is one that nobody closes.
    return Effect.uninterruptible(
      Effect.flatMap(done.wait, () =>
        bound === undefined ? Effect.fail(bindFailure(binding, options)) : Effect.succeed(bound)
      )
    )
  })

const bindOptions = (options: Options): Native.BindOptions => {
  const {
    admission: _,
    bindAddrs,
    connectTimeoutMs: __,
    peers: ___,
    relayMode = "default",
    secretKey,
    ...rest
  } = options
  const discovery = relayMode !== "disabled"
  return {
    dns: discovery,
    pkarr: rest.dns ?? discovery,
    maxUniStreams: Limits.concurrentUniStreams,
    maxBiStreams: Limits.concurrentBiStreams,
    receiveWindowBytes: Limits.receiveWindowBytes,
    idleTimeoutMs: Limits.idleTimeoutMs,
    maxHandshakes: Limits.handshakes,
    acceptBacklog: Limits.acceptBacklog,
    ...rest,
    relays: relayMode,
    ...(secretKey === undefined ? {} : { secretKey: Redacted.value(secretKey) }),
    ...(bindAddrs === undefined ? {} : { bindAddrs: bindAddrs.map(TransportAddr.format) })
  }
}

const bindFailure = (binding: Native.Binding, { bindAddrs = [] }: Options): Failure.IrohError => {
  const { kind, message } = binding.failure() ?? { kind: "other", message: "nobody says why" }
  return new Failure.IrohError({
    reason:
      kind === "addressInUse"
        ? new Failure.AddressInUse({ bindAddrs: bindAddrs.map(TransportAddr.format) })
        : new Failure.BindFailed({ detail: message })
  })
}

/** Only a TypeError is about the options. */
const notBound = (error: unknown): Failure.IrohError =>
  error instanceof TypeError
    ? invalid(error)
    : new Failure.IrohError({ reason: new Failure.BindFailed({ detail: String(error) }) })

/** Arguments that the addon refuses. */
const invalid = (error: unknown): Failure.IrohError =>
  new Failure.IrohError({
    reason: new Failure.InvalidOptions({ detail: error instanceof Error ? error.message : String(error) })
  })

/** The services over a bound endpoint. */
export const make = (addon: Addon, native: Native.Endpoint, book: AddressBook["Service"], options: Options): Made => {
  const { BLOCKED, OVER, Token } = addon
  const id = EndpointId.proven(native.id)
  const { connectTimeoutMs: timeoutMs = Limits.connectTimeoutMs, idleTimeoutMs = Limits.idleTimeoutMs } = options
  let open = true
  const token = (offset: number) => native.token + offset

  const wrap = (connection: Native.Connection): Connection =>
    Connections.make(addon, connection, { _tag: "Peer", id: EndpointId.proven(connection.remoteId) })

  // ---- accepting

  const acceptToken = token(Token.Endpoint.accept)
  const accepted = new Source<Connection | undefined>(addon, "Endpoint.accept", acceptToken, () => {
    const connection = native.tryAccept()
    if (connection === BLOCKED) return Blocked
    return connection === OVER ? undefined : wrap(connection)
  })
  /** The connection leaves the source in the same step in which it gets its Scope: an interruption takes none along. */
  const accept: Contract.Endpoint["Service"]["accept"] = Effect.uninterruptibleMask((restore) => {
    const ready = restore(accepted.ready)
    const next: typeof accept = Effect.suspend(() => {
      const connection = accepted.take()
      if (connection === Blocked) return Effect.flatMap(ready, () => next)
      return connection === undefined ? Effect.fail(new Contract.EndpointClosed()) : withScope(connection)
    })
    return next
  })

  // ---- dialing

  /** Waits for the end of a dial. `taken` hears of a connection at once, so that none is lost to an interruption. */
  const outcome = (
    dial: Native.Dial,
    offered: ReadonlyArray<string>,
    taken: (connection: Native.Connection) => void
  ) => {
    const done = new Condition(addon, "wait", dial.token + Token.Pending.done, () => {
      const value = dial.poll()
      if (value === BLOCKED) return false
      if (value !== OVER) taken(value)
      return true
    })
    return Effect.flatMap(done.wait, () => {
      const failure = dial.failure()
      return failure === null ? Effect.void : connectFailure(failure, offered, Math.min(timeoutMs, idleTimeoutMs))
    })
  }

  const connect: Contract.Endpoint["Service"]["connect"] = (peer, offered) => {
    const peerId = typeof peer === "string" ? peer : peer.id
    const failed = (reason: Contract.ConnectError["reason"]) => new Contract.ConnectError({ peer: peerId, reason })
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (!open) return Effect.fail(failed(new Contract.EndpointClosed()))
        if (peerId === id) return Effect.fail(failed(new Contract.SelfDial()))
        const amiss = Alpns.dialing(offered)
        if (amiss !== undefined) return Effect.fail(failed(new Contract.TransportFailure({ message: amiss })))
        const { addrs } = Ways.to(peer, book)
        const way = EndpointAddr.make(peerId, addrs)
        const where = {
          id: peerId,
          relays: EndpointAddr.relays(way),
          ips: EndpointAddr.ips(way).map(TransportAddr.format)
        }
        let connection: Native.Connection | undefined
        const attempt = Effect.suspend(() => {
          const dial = native.connect(where, offered)
          return Effect.onExit(
            outcome(dial, offered, (taken) => {
              connection = taken
            }),
            () => Effect.sync(() => dial.cancel())
          )
        })
        return redial(attempt, addrs.length).pipe(
          Effect.timeoutOrElse({
            duration: timeoutMs,
            orElse: () => Effect.fail(new Contract.ConnectTimeout({ timeoutMs }))
          }),
          restore,
          Effect.onExit((exit) =>
            Effect.sync(() => {
              if (Exit.isFailure(exit)) connection?.close(0, "")
            })
          ),
          Effect.mapError(failed),
          Effect.flatMap(() =>
            connection === undefined
              ? Effect.fail(failed(new Contract.TransportFailure({ message: "the dial ended with nothing" })))
              : withScope(wrap(connection))
          )
        )
      })
    )
  }

  // ---- who and where

  const isOver = () => !open
  const addr = (): EndpointAddr.EndpointAddr => {
    const { ips, relays } = native.addr()
    return Ways.own(id, { ips, relays, bound: () => native.boundAddrs })
  }
  const addrChanges = changes(addon, token(Token.Endpoint.addr), {
    changed: () => native.addrChanged(),
    over: isOver
  })
  const relays = () => native.relays().flatMap(relayStatus)
  const relayChanges = changes(addon, token(Token.Endpoint.relays), {
    changed: () => native.relaysChanged(),
    over: isOver
  })

  const closed = new Condition(addon, "wait", token(Token.Endpoint.closed), () => native.closed())
  const endpoint = Contract.Endpoint.of({
    id,
    backing: {
      name: Failure.packages.native,
      version: `${addon.versions.addon} (iroh ${addon.versions.iroh})`,
      severalAlpns: true
    },
    addr,
    addrChanges: addrChanges(addr, Ways.sameAddr),
    setAlpns: (alpns) =>
      Effect.sync(() => {
        Alpns.accepting(alpns)
        if (open) native.setAlpns(alpns)
      }),
    connect,
    accept,
    close: Effect.suspend(() => {
      open = false
      accepted.drop()
      native.close()
      return Effect.asVoid(Effect.timeoutOption(closed.wait, Limits.closeTimeoutMs))
    })
  })
  const control = Control.of({
    relays,
    relayChanges: relayChanges(relays, sameRelays),
    setAdmission: (rules: ReadonlyArray<AdmissionRule>) =>
      Effect.try({ try: () => native.setAdmission(rules), catch: invalid }),
    incoming: () => native.incoming(),
    metrics: () => native.metrics()
  })
  return { endpoint, control }
}

const withScope = (connection: Connection): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.as(
    Effect.addFinalizer(() => Effect.sync(() => connection.close(0, ""))),
    connection
  )

const connectFailure = (
  { code, kind, message }: Native.ConnectFailure,
  offered: ReadonlyArray<string>,
  timeoutMs: number
): Effect.Effect<never, Contract.ConnectError["reason"]> => {
  switch (kind) {
    case "wrongAlpn":
      return Effect.fail(new Contract.WrongAlpn({ offered }))
    case "wrongId":
      return Effect.fail(new Contract.WrongId())
    case "self":
      return Effect.fail(new Contract.SelfDial())
    case "noAddress":
      return Effect.fail(new Contract.NoAddress())
    case "refused":
      return Effect.fail(new Contract.Refused())
    case "timedOut":
      return Effect.fail(new Contract.ConnectTimeout({ timeoutMs }))
    case "closedByPeer":
      return Effect.fail(new Contract.ClosedByPeer({ code: code ?? 0, reason: message }))
    case "endpointClosed":
      return Effect.fail(new Contract.EndpointClosed())
    case "cancelled":
      return Effect.interrupt
    case "other":
      return Effect.fail(new Contract.TransportFailure({ message }))
  }
}

const relayStatus = ({ connected, error, url }: Native.RelayInfo): ReadonlyArray<RelayStatus> =>
  Ways.relayWay(url).map((way) => ({ url: way.url, connected, error: error ?? undefined }))

const sameRelays = (before: ReadonlyArray<RelayStatus>, after: ReadonlyArray<RelayStatus>): boolean =>
  before.length === after.length &&
  before.every((relay, index) => {
    const other = after[index]
    return other !== undefined && relay.url === other.url && relay.connected === other.connected
  })
