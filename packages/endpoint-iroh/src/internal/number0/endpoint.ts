/** An endpoint over the binding's. */
import type { AddressBook } from "@effect-live/endpoint/AddressBook"
import type { Connection, Remote } from "@effect-live/endpoint/Connection"
import * as Contract from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import { Outcome, WaitQueue } from "@effect-live/endpoint/StreamKit"
import type { RelayUrl } from "@effect-live/endpoint/RelayUrl"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import type * as Native from "@number0/iroh"
import { Effect, Exit, Result, type Scope, Stream } from "effect"
import { Control } from "../../Control.ts"
import * as Limits from "../../Limits.ts"
import * as Alpns from "../alpns.ts"
import * as Failure from "../failure.ts"
import type { CommonOptions } from "../options.ts"
import { redial } from "../redial.ts"
import * as Ways from "../ways.ts"
import { fromNumbers, toNumbers } from "./bytes.ts"
import { type ConnectReason, connectReason } from "./errors.ts"
import * as Connections from "./connection.ts"
import * as Protocols from "./protocols.ts"

type Binding = typeof Native

export interface Made {
  readonly endpoint: Contract.Endpoint["Service"]
  readonly control: Control["Service"]
  /** Asks every stream that writes nothing whether the peer stopped it. */
  readonly probe: () => void
}

/** The service over a bound endpoint. `close` must be called, or the process does not end. */
export const make = (
  binding: Binding,
  native: Native.Endpoint,
  book: AddressBook["Service"],
  options: CommonOptions
): Made => {
  const { connectTimeoutMs = Limits.connectTimeoutMs } = options
  const maxStreams: Connections.MaxStreams = {
    uni: options.maxUniStreams ?? Limits.concurrentUniStreams,
    bi: options.maxBiStreams ?? Limits.concurrentBiStreams
  }
  const id = idOf(native.id())
  const closed = new Outcome<void>()
  /** With their probes. Native objects that are collected take their connections with them. */
  const live = new Map<Native.Connection, () => void>()
  const accepted = new WaitQueue<Connection, Contract.EndpointClosed>("Endpoint.accept")
  const protocols = Protocols.make()
  let alpns: ReadonlyArray<string> = []
  let handshakes = 0
  const counts = { accepted: 0, retried: 0, refused: 0, ignored: 0, failed: 0 }

  const wrap = (native: Native.Connection): Connection => {
    const remote: Remote = { _tag: "Peer", id: idOf(native.remoteId()) }
    const ended = () => live.delete(native)
    const { connection, probe } = Connections.make(native, textOfAlpn(native.alpn()), remote, maxStreams, ended)
    live.set(native, probe)
    return connection
  }

  // ---- accepting

  const handshake = async (incoming: Native.Incoming): Promise<void> => {
    // Anybody can send a first packet in anybody's name (RFC 9000 section 8.1.2): those get no more than a part of the places.
    if (handshakes >= Limits.unvalidatedHandshakes && !(await incoming.remoteAddrValidated())) {
      counts.retried++
      return incoming.retry()
    }
    // A handshake under way has its place in the backlog.
    const full = handshakes >= Limits.handshakes || handshakes + accepted.length >= Limits.acceptBacklog
    if (full) {
      counts.refused++
      return incoming.refuse()
    }
    handshakes++
    try {
      const accepting = await incoming.accept()
      accepted.push(wrap(await accepting.connect()))
      counts.accepted++
    } catch {
      // A peer that speaks none of our protocols, proves no key or goes away fails its own handshake and nothing else.
      counts.failed++
    } finally {
      handshakes--
    }
  }
  const acceptLoop = async (): Promise<void> => {
    for (;;) {
      const incoming = await native.acceptNext()
      if (incoming === null) return
      // A refusal that does not get through is no news.
      handshake(incoming).catch(() => {})
    }
  }
  const ended = () => {
    const left = accepted.fail(new Contract.EndpointClosed(), { drop: true })
    for (const connection of left) connection.close(0, "")
    closed.done(Exit.void)
  }
  acceptLoop().then(ended, ended)

  // ---- dialing

  /** They come from strangers, and what is a URL to us may be none to the binding: the other ways are still tried. */
  const isUrl = (relay: RelayUrl): boolean => Result.isSuccess(Result.try(() => binding.RelayMap.fromUrls([relay])))

  const dialOnce = (
    addr: EndpointAddr.EndpointAddr,
    alpn: string,
    dialed: Set<Native.Connection>
  ): Effect.Effect<Native.Connection, ConnectReason> =>
    Effect.callback((resume) => {
      let wanted = true
      const target = new binding.EndpointAddr(
        binding.EndpointId.fromString(addr.id),
        EndpointAddr.relays(addr).find(isUrl) ?? null,
        EndpointAddr.ips(addr).map(TransportAddr.format)
      )
      native.connect(target, toNumbers([new TextEncoder().encode(alpn)])).then(
        (connection) => {
          // Where nobody waits any more, it is closed: the binding could not be told.
          if (!wanted) return connection.close(0n, [])
          dialed.add(connection)
          resume(Effect.succeed(connection))
        },
        (error: unknown) => resume(Effect.fail(connectReason(error, alpn, connectTimeoutMs)))
      )
      return Effect.sync(() => {
        wanted = false
      })
    })

  /** The binding offers one protocol in a handshake: those that the peer did not speak the last time come last. */
  const dial = (
    addr: EndpointAddr.EndpointAddr,
    offered: ReadonlyArray<string>,
    dialed: Set<Native.Connection>
  ): Effect.Effect<Native.Connection, ConnectReason> => {
    const order = protocols.order(addr.id, offered)
    const none: Effect.Effect<Native.Connection, ConnectReason> = Effect.fail(new Contract.WrongAlpn({ offered }))
    return order.reduceRight(
      (next, alpn, index) =>
        Effect.catchTag(dialOnce(addr, alpn, dialed), "WrongAlpn", () => {
          protocols.refused(addr.id, order.slice(0, index + 1))
          return next
        }),
      none
    )
  }

  const connect: Contract.Endpoint["Service"]["connect"] = (peer, offered) => {
    const peerId = typeof peer === "string" ? peer : peer.id
    const attempt = Effect.suspend((): Effect.Effect<Native.Connection, ConnectReason> => {
      if (closed.exit !== undefined) return Effect.fail(new Contract.EndpointClosed())
      if (peerId === id) return Effect.fail(new Contract.SelfDial())
      const amiss = Alpns.dialing(offered)
      if (amiss !== undefined) return Effect.fail(new Contract.TransportFailure({ message: amiss }))
      const dialed = new Set<Native.Connection>()
      // A connection may come in the very moment in which the attempt is given up.
      const closeAll = Effect.sync(() => {
        for (const connection of dialed) connection.close(0n, [])
      })
      const where = Ways.to(peer, book)
      return redial(dial(where, offered, dialed), where.addrs.length).pipe(
        Effect.timeoutOrElse({
          duration: connectTimeoutMs,
          orElse: () => Effect.fail(new Contract.ConnectTimeout({ timeoutMs: connectTimeoutMs }))
        }),
        Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : closeAll))
      )
    }).pipe(Effect.mapError((reason) => new Contract.ConnectError({ peer: peerId, reason })))
    return Effect.uninterruptibleMask((restore) => restore(attempt).pipe(Effect.map(wrap), Effect.tap(closeWithScope)))
  }

  // ---- who and where

  const addr = (): EndpointAddr.EndpointAddr => {
    const known = native.addr()
    const relay = known.relayUrl()
    return Ways.own(id, {
      relays: relay === null ? [] : [relay],
      ips: known.directAddresses(),
      bound: () => native.boundSockets()
    })
  }
  /** The binding tells of the relay that it is connected to, by the address, and of no other. */
  const relays = () => EndpointAddr.relays(addr()).map((url) => ({ url, connected: true, error: undefined }))

  const endpoint = Contract.Endpoint.of({
    id,
    backing: { name: Failure.packages.number0, version: "1.1.0", severalAlpns: false },
    addr,
    addrChanges: Stream.tick(Limits.pollIntervalMs).pipe(
      Stream.map(addr),
      Stream.changesWith(Ways.sameAddr),
      Stream.interruptWhen(closed.await)
    ),
    setAlpns: (next) =>
      Effect.sync(() => {
        Alpns.accepting(next)
        if (closed.exit !== undefined || Ways.sameTexts(alpns, next)) return
        alpns = next
        native.setAlpns(next.map((alpn) => toNumbers([new TextEncoder().encode(alpn)])))
      }),
    connect,
    accept: Effect.uninterruptibleMask((restore) => Effect.tap(restore(accepted.take), closeWithScope)),
    close: Effect.suspend(() => {
      if (closed.exit !== undefined) return Effect.void
      ended()
      // An error here means that it is closed already.
      return Effect.promise(() => native.close().catch(() => {})).pipe(
        Effect.timeoutOption(Limits.closeTimeoutMs),
        Effect.asVoid
      )
    })
  })
  const probe = () => {
    for (const ask of live.values()) ask()
  }
  const control = Control.of({
    relays,
    relayChanges: Stream.changesWith(Stream.map(endpoint.addrChanges, relays), (before, after) =>
      Ways.sameTexts(
        before.map(({ url }) => url),
        after.map(({ url }) => url)
      )
    ),
    setAdmission: () =>
      Effect.fail(
        new Failure.IrohError({ reason: new Failure.Unsupported({ backing: "number0", options: ["admission"] }) })
      ),
    incoming: () => ({ ...counts, pending: handshakes, waiting: accepted.length }),
    metrics: () => ({})
  })
  return { endpoint, control, probe }
}

const closeWithScope = (connection: Connection): Effect.Effect<void, never, Scope.Scope> =>
  Effect.addFinalizer(() => Effect.sync(() => connection.close(0, "")))

const idOf = (native: Native.EndpointId): EndpointId.EndpointId =>
  Result.getOrThrow(EndpointId.fromBytes(fromNumbers(native.toBytes())))

const textOfAlpn = (bytes: ReadonlyArray<number>): string => new TextDecoder().decode(fromNumbers(bytes))
