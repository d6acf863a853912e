/** A connection over the binding's: one call outstanding per kind, everything that waits told how it ended. */
import type { Close } from "@effect-live/endpoint/Close"
import { type Connection, DatagramTooLarge, type Path, type Remote } from "@effect-live/endpoint/Connection"
import type { BiStream, ConnectionLost } from "@effect-live/endpoint/Stream"
import { codeOf, type Loss, loss, Opener, Outcome, WaitQueue } from "@effect-live/endpoint/StreamKit"
import type * as Native from "@number0/iroh"
import { Effect, Exit, Stream } from "effect"
import * as Limits from "../../Limits.ts"
import { fromNumbers, toNumbers } from "./bytes.ts"
import { closeOf, textOf } from "./errors.ts"
import * as Streams from "./streams.ts"

export interface Made {
  readonly connection: Connection
  /** Asks every stream that writes nothing whether the peer stopped it. */
  readonly probe: () => void
}

/** Streams that the peer may have open at once. */
export interface MaxStreams {
  readonly uni: number
  readonly bi: number
}

/** `ended` is called once, when the connection is over. */
export const make = (
  native: Native.Connection,
  alpn: string,
  remote: Remote,
  maxStreams: MaxStreams,
  ended: () => void
): Made => {
  let over: Loss | undefined
  const closed = new Outcome<Close>()
  const held = new Set<Streams.Held>()
  const owner: Streams.Owner = {
    hold: (stream) => {
      if (over === undefined) held.add(stream)
      else stream.lose(over, "others")
    },
    release: (stream) => {
      held.delete(stream)
    },
    failed: (error) => {
      // Its own end is told by `closed()`; anything else is a fault of the binding, after which nothing can be relied on.
      if (over !== undefined || native.closeReason() !== null) return
      native.close(0n, [])
      end({ _tag: "TransportFailed", message: textOf(error) }, "others")
    }
  }
  native.setMaxConcurrentUniStreams(BigInt(maxStreams.uni))
  native.setMaxConcurrentBiStreams(BigInt(maxStreams.bi))

  const bi = (stream: Native.BiStream): BiStream => ({
    send: Streams.send(stream.send, owner),
    recv: Streams.recv(stream.recv, owner)
  })
  // a failure is the end of the connection, which `fail` tells
  const openedUni = new Opener(
    () => native.openUni(),
    (stream) => Streams.send(stream, owner),
    () => {}
  )
  const openedBi = new Opener(
    () => native.openBi(),
    bi,
    () => {}
  )
  const acceptedUni = puller(
    "Connection.acceptUni",
    () => native.acceptUni(),
    (stream) => Streams.recv(stream, owner)
  )
  const acceptedBi = puller("Connection.acceptBi", () => native.acceptBi(), bi)
  const datagrams = puller("Connection.readDatagram", () => native.readDatagram(), fromNumbers)

  const end = (close: Close, by: "us" | "others") => {
    if (over !== undefined) return
    over = loss(close)
    for (const stream of held) stream.lose(over, by)
    for (const waiting of [openedUni, openedBi, acceptedUni, acceptedBi, datagrams]) waiting.fail(over.connection, by)
    closed.done(Exit.succeed(close))
    ended()
  }
  native.closed().then(
    (text) => end(closeOf(text), "others"),
    (error: unknown) => end({ _tag: "TransportFailed", message: textOf(error) }, "others")
  )

  /** It cannot be taken back: interrupted, the datagram is sent all the same. */
  const writeDatagram = (datagram: Uint8Array) =>
    Effect.suspend((): Effect.Effect<void, DatagramTooLarge | ConnectionLost> => {
      if (over !== undefined) return Effect.fail(over.connection)
      const maxBytes = native.maxDatagramSize() ?? 0
      if (datagram.length > maxBytes) return Effect.fail(new DatagramTooLarge({ bytes: datagram.length, maxBytes }))
      const sent = Effect.tryPromise({ try: () => native.sendDatagramWait(toNumbers([datagram])), catch: textOf })
      return Effect.matchEffect(sent, {
        onSuccess: () => Effect.void,
        onFailure: (why) =>
          over === undefined ? Effect.logDebug("a datagram was not sent", { why }) : Effect.fail(over.connection)
      })
    })

  const paths = () => native.paths().map(pathOf)
  const probe = () => {
    for (const stream of held) stream.probe?.()
  }
  const connection: Connection = {
    alpn,
    remote,
    openUni: openedUni.open,
    openBi: openedBi.open,
    acceptUni: acceptedUni.take,
    acceptBi: acceptedBi.take,
    maxDatagramBytes: () => (over === undefined ? (native.maxDatagramSize() ?? 0) : 0),
    sendDatagram: (datagram) =>
      Effect.suspend((): Effect.Effect<void, DatagramTooLarge | ConnectionLost> => {
        if (over !== undefined) return Effect.fail(over.connection)
        const maxBytes = native.maxDatagramSize() ?? 0
        if (datagram.length > maxBytes) return Effect.fail(new DatagramTooLarge({ bytes: datagram.length, maxBytes }))
        return Effect.try({ try: () => native.sendDatagram(toNumbers([datagram])), catch: textOf }).pipe(
          // The path shrank since, or the connection ends: the datagram is lost, as datagrams may be.
          Effect.catch((why) => Effect.logDebug("a datagram was not sent", { why }))
        )
      }),
    writeDatagram,
    readDatagram: datagrams.take,
    paths,
    pathChanges: Stream.tick(Limits.pollIntervalMs).pipe(
      Stream.map(paths),
      Stream.changesWith(samePaths),
      Stream.interruptWhen(closed.await)
    ),
    close: (code, reason) => {
      codeOf(code)
      if (over !== undefined) return
      // Cut between two characters.
      const bytes = new Uint8Array(Limits.closeReasonBytes)
      const { read, written } = new TextEncoder().encodeInto(reason, bytes)
      native.close(BigInt(code), toNumbers([bytes.subarray(0, written)]))
      end({ _tag: "Local", code, reason: reason.slice(0, read) }, "us")
    },
    closed: closed.await
  }
  return { connection, probe }
}

/** One call outstanding, made when somebody waits; its value is kept when that fiber goes away. */
const puller = <N, A>(what: string, call: () => Promise<N>, made: (native: N) => A) => {
  const queue = new WaitQueue<A, ConnectionLost>(what)
  let calling = false
  let broken = false
  let lost: ConnectionLost | undefined
  const take = Effect.suspend(() => {
    if (!calling && queue.length === 0) {
      calling = true
      call().then(
        (native) => {
          calling = false
          queue.push(made(native))
        },
        () => {
          broken = true
          if (lost !== undefined) queue.fail(lost)
        }
      )
    }
    return queue.take
  })
  const fail = (error: ConnectionLost, by: "us" | "others") => {
    lost = error
    // What arrived before the peer closed is still to be had: the call that is under way, or the next one, gives it or fails.
    if (by === "us" || broken) queue.fail(error, { drop: by === "us" })
  }
  return { take, fail }
}

const pathOf = (path: Native.PathSnapshot): Path => ({
  kind: path.isRelay ? "relay" : "direct",
  remote: path.remoteAddr,
  selected: path.isSelected,
  rttMs: path.rttMs,
  lostPackets: path.stats.lostPackets,
  congestionWindowBytes: path.stats.cwnd,
  sentBytes: path.stats.udpTxBytes,
  receivedBytes: path.stats.udpRxBytes
})

const samePaths = (before: ReadonlyArray<Path>, after: ReadonlyArray<Path>): boolean =>
  before.length === after.length &&
  before.every((path, index) => {
    const other = after[index]
    return other !== undefined && path.remote === other.remote && path.selected === other.selected
  })
