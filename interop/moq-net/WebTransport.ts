/** A connection over a session of the W3C WebTransport interface: a browser's, or any other object of that shape. */
import type { Close } from "@effect-live/endpoint/Close"
import { type Connection, DatagramTooLarge, type Path, type Remote } from "@effect-live/endpoint/Connection"
import { type BiStream, ConnectionLost } from "@effect-live/endpoint/Stream"
import { type Loss, loss, Opener, Outcome, Waiters, WaitQueue } from "@effect-live/endpoint/StreamKit"
import { Effect, Exit, type Scope, Stream } from "effect"
import * as Limits from "./Limits.ts"
import * as Streams from "./streams.ts"
import type * as W3c from "./W3c.ts"

export interface Options {
  readonly session: W3c.Session
  /** Who is at the other end: the interface does not say. */
  readonly remote: Remote
  /** What the path is shown as: the URL that was dialed, or the client's address. */
  readonly name: string
}

/** The connection, once the session is ready; it closes with the Scope. */
export const make = (options: Options): Effect.Effect<Connection, ConnectionLost, Scope.Scope> => {
  const { session } = options
  return Effect.acquireRelease(
    Effect.tryPromise({
      // measured once before it is used: whoever asks for paths gets an answer at once
      try: () => session.ready.then(() => session.getStats?.().catch(unknownStats)),
      catch: (error) => new ConnectionLost({ close: failed(error) })
    }).pipe(
      Effect.onInterrupt(() => Effect.sync(() => session.close())),
      Effect.map((stats) => connect(options, stats))
    ),
    (connection) => Effect.sync(() => connection.close(0, "")),
    { interruptible: true }
  )
}

const connect = ({ name, remote, session }: Options, stats: W3c.Stats = {}): Connection => {
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
    }
  }
  const bi = (stream: W3c.BidirectionalStream): BiStream => ({
    send: Streams.send(stream.writable, owner),
    recv: Streams.recv(stream.readable, owner)
  })

  const end = (close: Close, by: "us" | "others") => {
    if (over !== undefined) return
    over = loss(close)
    for (const stream of held) stream.lose(over, by)
    held.clear()
    for (const waiting of [openedUni, openedBi]) waiting.fail(over.connection)
    for (const waiting of [acceptedUni, acceptedBi, datagrams]) waiting.fail(over.connection, { drop: by === "us" })
    outgoing.lost()
    closed.done(Exit.succeed(close))
  }
  /** Opening fails with the session, of which `closed` tells at the same moment; else the platform broke. */
  const broken = (error: unknown) => {
    queueMicrotask(() => {
      if (over !== undefined) return
      end(failed(error), "others")
      session.close()
    })
  }

  const lost = () => over?.connection
  const wait = { waitUntilAvailable: true }
  const openedUni = new Opener(
    () => session.createUnidirectionalStream(wait),
    (stream) => Streams.send(stream, owner),
    broken
  )
  const openedBi = new Opener(() => session.createBidirectionalStream(wait), bi, broken)
  const acceptedUni = puller("Connection.acceptUni", session.incomingUnidirectionalStreams, (stream) =>
    Streams.recv(stream, owner)
  )
  const acceptedBi = puller("Connection.acceptBi", session.incomingBidirectionalStreams, bi)
  const datagrams = puller("Connection.readDatagram", session.datagrams.readable, (datagram) => datagram)
  const outgoing = datagramsOut(session.datagrams, lost)

  session.closed.then(
    (info) => end({ _tag: "Remote", code: info?.closeCode ?? 0, reason: info?.reason ?? "" }, "others"),
    (error: unknown) => end(failed(error), "others")
  )

  const measured = measuring(session, name, stats)
  const paths = () => [measured()]
  return {
    alpn: session.protocol ?? "",
    remote,
    openUni: openedUni.open,
    openBi: openedBi.open,
    acceptUni: acceptedUni.take,
    acceptBi: acceptedBi.take,
    maxDatagramBytes: outgoing.maxBytes,
    sendDatagram: outgoing.send,
    writeDatagram: outgoing.write,
    readDatagram: datagrams.take,
    paths,
    pathChanges: Stream.concat(Stream.sync(paths), Stream.drain(Stream.fromEffect(closed.await))),
    close: (code, reason) => {
      if (over !== undefined) return
      const bytes = new Uint8Array(Limits.closeReasonBytes)
      const { read } = new TextEncoder().encodeInto(reason, bytes) // cut between two characters
      const text = reason.slice(0, read)
      end({ _tag: "Local", code, reason: text }, "us")
      session.close({ closeCode: code, reason: text })
    },
    closed: closed.await
  }
}

/** One read outstanding, made when somebody waits; its value is kept when that fiber goes away. */
const puller = <N, A>(what: string, incoming: ReadableStream<N>, made: (native: N) => A) => {
  const queue = new WaitQueue<A, ConnectionLost>(what)
  const reader = incoming.getReader()
  let reading = false
  const take = Effect.suspend(() => {
    if (!reading && queue.length === 0) {
      reading = true
      reader.read().then(({ done, value }) => {
        if (done) return // with the session, as the failure below
        reading = false
        queue.push(made(value))
      }, ignore)
    }
    return queue.take
  })
  return { take, fail: queue.fail.bind(queue) }
}

/** Datagrams on their way out: so many at a time, as the platform holds what it cannot send yet. */
const datagramsOut = (datagrams: W3c.Datagrams, lost: () => ConnectionLost | undefined) => {
  const writer = (datagrams.createWritable?.() ?? datagrams.writable)?.getWriter()
  let underway = 0
  const full = () => underway >= Limits.datagramsUnderway
  const room = new Waiters(() => !full() || lost() !== undefined)
  const maxBytes = () => (lost() === undefined && writer !== undefined ? datagrams.maxDatagramSize : 0)
  /** `whenFull` is what happens where there is no room. */
  const sender =
    (whenFull: (datagram: Uint8Array) => Effect.Effect<void, DatagramTooLarge | ConnectionLost>) =>
    (datagram: Uint8Array): Effect.Effect<void, DatagramTooLarge | ConnectionLost> =>
      Effect.suspend(() => {
        const error = lost()
        if (error !== undefined) return Effect.fail(error)
        const bytes = datagram.length
        if (writer === undefined || bytes > maxBytes()) {
          return Effect.fail(new DatagramTooLarge({ bytes, maxBytes: maxBytes() }))
        }
        if (full()) return whenFull(datagram)
        underway++
        writer.write(datagram).then(() => {
          underway--
          room.wakeAll()
        }, ignore)
        return Effect.void
      })
  const write = sender((datagram) => Effect.flatMap(room.wait, () => write(datagram)))
  return { maxBytes, send: sender(() => Effect.void), write, lost: () => room.wakeAll() }
}

/** The one path of a session. What is known of it is as of the look before: the interface tells it later. */
const measuring = (session: W3c.Session, name: string, first: W3c.Stats): (() => Path) => {
  let stats = first
  let asking = false
  return () => {
    if (!asking && session.getStats !== undefined) {
      asking = true
      session.getStats().then((next) => {
        stats = next
        asking = false
      }, ignore)
    }
    const { smoothedRtt: rttMs = 0, estimatedSendRate } = stats
    return {
      kind: "web",
      remote: name,
      selected: true,
      rttMs,
      lostPackets: stats.packetsLost ?? 0,
      congestionWindowBytes: Math.round(((estimatedSendRate ?? 0) * rttMs) / 8_000),
      sentBytes: stats.bytesSent ?? 0,
      receivedBytes: stats.bytesReceived ?? 0
    }
  }
}

const failed = (error: unknown): Close => ({
  _tag: "TransportFailed",
  message: error instanceof Error && error.message !== "" ? error.message : String(error)
})

const unknownStats = (): W3c.Stats => ({})

/** The session is over, which `closed` tells. */
const ignore = (): void => {}
