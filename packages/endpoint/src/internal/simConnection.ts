/** One end of a simulated connection: QUIC's streams, credit, datagrams and closing, without its packets. */
import type { Simulation } from "@effect-live/sim/Simulation"
import { Effect, Exit, Stream } from "effect"
import type { Close } from "../Close.ts"
import { type Connection, DatagramTooLarge, type Path } from "../Connection.ts"
import type { EndpointId } from "../EndpointId.ts"
import * as Limits from "../Limits.ts"
import type { BiStream, ConnectionLost, RecvStream } from "../Stream.ts"
import {
  codeOf,
  type Loss,
  loss,
  Outcome,
  RecvBuffer,
  type RecvDriver,
  SendBuffer,
  type SendDriver,
  Waiters,
  WaitQueue
} from "../StreamKit.ts"
import { type Direction, type Packet, retransmitMs, type Source } from "./simLink.ts"

/** One life of a node: from `bind` to the end of its Scope or its crash. */
export interface Host {
  readonly id: EndpointId
  /** False: its packets go nowhere, and what comes is lost. */
  readonly up: boolean
  readonly ends: Set<End>
}

/** What the network gives to a connection. */
export interface Wiring {
  readonly sim: Simulation["Service"]
  readonly host: Host
  readonly remoteId: EndpointId
  readonly out: Direction
  readonly back: Direction
  /** In the trace. */
  readonly label: string
  readonly dialed: boolean
}

type Kind = "uni" | "bi"

/** What one end says to the other. Streams are named as in RFC 9000 section 2.1. */
export type Frame =
  | { readonly _tag: "Confirm" }
  | {
      readonly _tag: "Data"
      readonly stream: number
      readonly seq: number
      readonly bytes: Uint8Array
      readonly fin: boolean
    }
  | { readonly _tag: "Reset"; readonly stream: number; readonly code: number }
  | { readonly _tag: "Stop"; readonly stream: number; readonly code: number }
  /** The peer has the whole stream. */
  | { readonly _tag: "Complete"; readonly stream: number }
  | { readonly _tag: "StreamWindow"; readonly stream: number; readonly maxBytes: number }
  | { readonly _tag: "StreamLimit"; readonly kind: Kind; readonly max: number }
  | { readonly _tag: "Datagram"; readonly bytes: Uint8Array }
  | { readonly _tag: "Close"; readonly code: number; readonly reason: string }

const nothing = new Uint8Array(0)
const isUni = (stream: number): boolean => (stream & 2) !== 0
const idOf = (index: number, kind: Kind, dialed: boolean): number =>
  index * 4 + (kind === "uni" ? 2 : 0) + (dialed ? 0 : 1)
const indexOf = (stream: number): number => Math.floor(stream / 4)

/** Credit is given back in steps, as QUIC stacks do. */
const step = (window: number): number => window / 8

class SimSend implements SendDriver {
  readonly id: number
  readonly buffer: SendBuffer
  priority = 0
  maxBytes = Limits.simStreamWindowBytes
  written = 0
  seq = 0
  readonly queue: Array<Uint8Array> = []
  finQueued = false
  readonly #end: End

  constructor(end: End, id: number) {
    this.#end = end
    this.id = id
    this.buffer = new SendBuffer(this)
  }

  readonly room = (): number => Math.min(this.maxBytes - this.written, this.#end.sendRoom(this))
  readonly take = (chunk: Uint8Array): void => {
    this.written += chunk.length
    this.#end.take(this, chunk)
  }
  readonly finish = (): void => this.#end.finish(this)
  readonly reset = (code: number): void => this.#end.reset(this, code)
  readonly setPriority = (priority: number): void => {
    this.priority = priority
  }

  get pending(): boolean {
    return this.queue.length > 0 || this.finQueued
  }
}

class SimRecv implements RecvDriver {
  readonly id: number
  readonly buffer: RecvBuffer
  /** Everything arrived, up to the end. */
  complete = false
  /** The reader gave up before that. */
  stoppedByUs = false
  /** The peer gave up before that. */
  #over = false
  #nextSeq = 0
  readonly #early = new Map<number, { readonly bytes: Uint8Array; readonly fin: boolean }>()
  #taken = 0
  #granted = Limits.simStreamWindowBytes
  readonly #end: End

  constructor(end: End, id: number) {
    this.#end = end
    this.id = id
    this.buffer = new RecvBuffer(this)
  }

  data(seq: number, bytes: Uint8Array, fin: boolean): void {
    if (this.#over) return
    if (seq !== this.#nextSeq) {
      this.#early.set(seq, { bytes, fin })
      return
    }
    for (
      let next: { readonly bytes: Uint8Array; readonly fin: boolean } | undefined = { bytes, fin };
      next !== undefined;
    ) {
      this.#early.delete(this.#nextSeq++)
      if (next.fin) {
        this.complete = true
        this.#end.send({ _tag: "Complete", stream: this.id })
        if (this.stoppedByUs) this.#end.recvOver(this)
      }
      this.buffer.push(next.bytes)
      if (next.fin) return this.buffer.finish()
      next = this.#early.get(this.#nextSeq)
    }
  }

  reset(code: number): void {
    if (this.complete) return
    this.#early.clear()
    this.#over = true
    if (this.stoppedByUs) this.#end.recvOver(this)
    this.buffer.reset(code)
  }

  readonly taken = (bytes: number): void => {
    this.#taken += bytes
    const granted = this.#taken + Limits.simStreamWindowBytes
    if (this.complete || granted - this.#granted < step(Limits.simStreamWindowBytes)) return
    this.#granted = granted
    this.#end.send({ _tag: "StreamWindow", stream: this.id, maxBytes: granted })
  }
  readonly drained = (): void => {
    if (this.complete || this.#over) this.#end.recvOver(this)
  }
  readonly stopped = (code: number): void => {
    if (this.complete) return this.#end.recvOver(this)
    this.stoppedByUs = true
    this.#early.clear()
    this.#end.send({ _tag: "Stop", stream: this.id, code })
  }
}

/** Streams of one kind: how many each side opened and may open. */
class Streams {
  opened = 0
  mayOpen = Limits.simConcurrentStreams
  readonly waiting: Waiters
  /** Of the peer's: how many are known, how many are over, how many we allowed. */
  known = 0
  over = 0
  allowed = Limits.simConcurrentStreams

  constructor(closed: () => boolean) {
    this.waiting = new Waiters(() => this.opened < this.mayOpen || closed())
  }
}

/** A frame under way; a class, because there are very many. */
class FramePacket implements Packet {
  readonly bytes: number
  readonly #end: End
  readonly #frame: Frame
  readonly #attempt: number

  constructor(end: End, frame: Frame, bytes: number, attempt: number) {
    this.#end = end
    this.#frame = frame
    this.bytes = bytes
    this.#attempt = attempt
  }

  get label(): string {
    return this.#end.wiring.label + describe(this.#frame)
  }
  get datagram(): boolean {
    return this.#frame._tag === "Datagram"
  }
  arrive(): boolean {
    return this.#end.arrive(this.#frame)
  }
  lost(): void {
    this.#end.lost(this.#frame, this.#attempt)
  }
}

export class End implements Source {
  /** The other end, once the network told us. */
  peer: End | undefined
  /** Accepting side: was the handshake confirmed, and whom to tell. */
  confirmed: (() => void) | undefined
  /** Called once, however it ends. */
  ended: (() => void) | undefined
  readonly wiring: Wiring
  readonly connection: Connection
  readonly closed = new Outcome<Close>()
  #loss: Loss | undefined
  /** What we answer to late packets, and until when (RFC 9000 section 10.2.1). */
  #closing: { readonly frame: Frame; readonly untilMs: number } | undefined
  #silence: (() => void) | undefined
  readonly #sends = new Map<number, SimSend>()
  readonly #recvs = new Map<number, SimRecv>()
  readonly #streams: Readonly<Record<Kind, Streams>>
  readonly #incomingUni = new WaitQueue<RecvStream, ConnectionLost>("Connection.acceptUni")
  readonly #incomingBi = new WaitQueue<BiStream, ConnectionLost>("Connection.acceptBi")
  readonly #datagrams = new WaitQueue<Uint8Array, ConnectionLost>("Connection.readDatagram", (datagram) => {
    this.#datagramBytes -= costOf(datagram)
  })
  #datagramBytes = 0
  /** Taken from the application and not yet with the peer. */
  #unsentBytes = 0
  readonly #starved = new Set<SimSend>()
  /** With data that waits for the link, in the order in which they take turns. */
  readonly #ready = new Set<SimSend>()
  #sentBytes = 0
  #receivedBytes = 0
  #lostPackets = 0

  constructor(wiring: Wiring, alpn: string) {
    this.wiring = wiring
    const isClosed = () => this.#loss !== undefined
    this.#streams = { uni: new Streams(isClosed), bi: new Streams(isClosed) }
    wiring.host.ends.add(this)
    this.connection = {
      alpn,
      remote: { _tag: "Peer", id: wiring.remoteId },
      openUni: this.#open("uni", (id) => this.#newSend(id).buffer),
      openBi: this.#open("bi", (id) => ({ send: this.#newSend(id).buffer, recv: this.#newRecv(id).buffer })),
      acceptUni: this.#incomingUni.take,
      acceptBi: this.#incomingBi.take,
      maxDatagramBytes: () => Limits.simDatagramBytes,
      sendDatagram: (datagram) => Effect.suspend(() => this.#sendDatagram(datagram)),
      writeDatagram: (datagram) => Effect.suspend(() => this.#writeDatagram(datagram)),
      readDatagram: this.#datagrams.take,
      paths: () => [this.#path()],
      pathChanges: Stream.concat(
        Stream.sync(() => [this.#path()]),
        Stream.drain(Stream.fromEffect(this.closed.await))
      ),
      close: (code, reason) => this.close(code, reason),
      closed: this.closed.await
    }
  }

  get open(): boolean {
    return this.#loss === undefined
  }

  // Sending

  send(frame: Frame): void {
    if (this.open) this.#transmit(frame, 0)
  }

  #transmit(frame: Frame, attempt: number): void {
    if (this.wiring.host.up) this.wiring.out.carry(this.#packet(frame, attempt))
  }

  #packet(frame: Frame, attempt: number): Packet {
    const bytes = payloadBytes(frame)
    this.#sentBytes += bytes
    return new FramePacket(this, frame, bytes, attempt)
  }

  /** What a packet does when it is there. False: nobody is. */
  arrive(frame: Frame): boolean {
    const { peer } = this
    if (peer === undefined || !peer.wiring.host.up) return false
    if (frame._tag === "Data") this.#release(frame.bytes.length)
    peer.#receive(frame)
    return true
  }

  /** Stream frames and control frames are sent until they arrive; datagrams and closes once. */
  lost(frame: Frame, attempt: number): void {
    const { back, host, out, sim } = this.wiring
    this.#lostPackets++
    if (frame._tag === "Datagram" || frame._tag === "Close") return
    if (frame._tag === "Data" && !this.#sends.has(frame.stream)) {
      return this.#release(frame.bytes.length) // the stream was reset since: nobody wants this any more
    }
    sim.at(sim.nowMs() + retransmitMs(out.link, back.link, attempt), () => {
      if (this.open && host.up) this.#transmit(frame, attempt + 1)
    })
  }

  sendRoom(side: SimSend): number {
    const room = Limits.simSendBufferBytes - this.#unsentBytes
    if (room <= 0) this.#starved.add(side)
    return room
  }

  take(side: SimSend, chunk: Uint8Array): void {
    this.#unsentBytes += chunk.length
    if (this.#sendsAtOnce(side)) {
      this.send({ _tag: "Data", stream: side.id, seq: side.seq++, bytes: chunk, fin: false })
    } else {
      side.queue.push(chunk)
      this.#wantLink(side)
    }
  }

  finish(side: SimSend): void {
    if (this.#sendsAtOnce(side)) {
      this.send({ _tag: "Data", stream: side.id, seq: side.seq++, bytes: nothing, fin: true })
    } else {
      side.finQueued = true
      this.#wantLink(side)
    }
  }

  reset(side: SimSend, code: number): void {
    this.#sendOver(side)
    this.send({ _tag: "Reset", stream: side.id, code })
  }

  /** Without a rate, chunks pass by reference and never wait. */
  #sendsAtOnce(side: SimSend): boolean {
    return this.wiring.out.link.bytesPerSecond === Infinity && !side.pending
  }

  #wantLink(side: SimSend): void {
    this.#ready.add(side)
    this.wiring.out.want(this)
  }

  /** The stream with the highest priority; those of one priority take turns. */
  readonly nextPacket = (): Packet | undefined => {
    if (!this.open || !this.wiring.host.up) return undefined
    let best: SimSend | undefined
    for (const side of this.#ready) if (best === undefined || side.priority > best.priority) best = side
    if (best === undefined) return undefined
    this.#ready.delete(best)
    const chunk = best.queue[0] ?? nothing
    const bytes = chunk.length > Limits.simPacketBytes ? chunk.subarray(0, Limits.simPacketBytes) : chunk
    if (bytes.length < chunk.length) best.queue[0] = chunk.subarray(bytes.length)
    else best.queue.shift()
    const fin = best.finQueued && best.queue.length === 0
    if (fin) best.finQueued = false
    if (best.pending) this.#ready.add(best)
    return this.#packet({ _tag: "Data", stream: best.id, seq: best.seq++, bytes, fin }, 0)
  }

  /** Bytes that are with the peer, or that nobody wants any more. Writers are woken in steps. */
  #release(bytes: number): void {
    this.#unsentBytes -= bytes
    const { simSendBufferBytes } = Limits
    if (this.#starved.size === 0 || this.#unsentBytes > simSendBufferBytes - step(simSendBufferBytes)) return
    const starved = [...this.#starved]
    this.#starved.clear()
    for (const side of starved) side.buffer.wake()
  }

  #sendOver(side: SimSend): void {
    if (!this.#sends.delete(side.id)) return
    const queuedBytes = side.queue.reduce((sum, chunk) => sum + chunk.length, 0)
    side.queue.length = 0
    side.finQueued = false
    this.#ready.delete(side)
    this.#starved.delete(side)
    this.#streamOver(side.id)
    this.#release(queuedBytes)
  }

  recvOver(side: SimRecv): void {
    if (this.#recvs.delete(side.id)) this.#streamOver(side.id)
  }

  /** When both halves of a peer's stream are over, the peer may open another one. */
  #streamOver(id: number): void {
    if (this.#isOurs(id) || this.#recvs.has(id) || this.#sends.has(id)) return
    const kind = isUni(id) ? "uni" : "bi"
    const streams = this.#streams[kind]
    streams.over++
    const max = streams.over + Limits.simConcurrentStreams
    if (max - streams.allowed < step(Limits.simConcurrentStreams)) return
    streams.allowed = max
    this.send({ _tag: "StreamLimit", kind, max })
  }

  // Opening

  #open<A>(kind: Kind, make: (id: number) => A): Effect.Effect<A, ConnectionLost> {
    const streams = this.#streams[kind]
    const open: Effect.Effect<A, ConnectionLost> = Effect.suspend(() => {
      if (this.#loss !== undefined) return Effect.fail(this.#loss.connection)
      if (streams.opened >= streams.mayOpen) return Effect.flatMap(streams.waiting.wait, () => open)
      return Effect.succeed(make(idOf(streams.opened++, kind, this.wiring.dialed)))
    })
    return open
  }

  #newSend(id: number): SimSend {
    const side = new SimSend(this, id)
    this.#sends.set(id, side)
    return side
  }

  #newRecv(id: number): SimRecv {
    const side = new SimRecv(this, id)
    this.#recvs.set(id, side)
    return side
  }

  #isOurs(id: number): boolean {
    return ((id & 1) === 0) === this.wiring.dialed
  }

  /** A frame about a stream of the peer makes that stream and all before it known. */
  #know(id: number): void {
    if (this.#isOurs(id)) return
    const kind = isUni(id) ? "uni" : "bi"
    const streams = this.#streams[kind]
    while (streams.known <= indexOf(id)) {
      const next = idOf(streams.known++, kind, !this.wiring.dialed)
      const recv = this.#newRecv(next).buffer
      if (kind === "uni") this.#incomingUni.push(recv)
      else this.#incomingBi.push({ send: this.#newSend(next).buffer, recv })
    }
  }

  // Receiving

  #receive(frame: Frame): void {
    if (!this.open) {
      if (frame._tag !== "Close" && this.#closing !== undefined && this.wiring.sim.nowMs() <= this.#closing.untilMs) {
        this.#transmit(this.#closing.frame, 0)
      }
      return
    }
    this.#receivedBytes += payloadBytes(frame)
    const { confirmed } = this
    if (confirmed !== undefined && frame._tag !== "Close") {
      this.confirmed = undefined
      confirmed()
    }
    switch (frame._tag) {
      case "Confirm":
        return
      case "Data": {
        this.#know(frame.stream)
        const side = this.#recvs.get(frame.stream)
        if (side !== undefined) side.data(frame.seq, frame.bytes, frame.fin)
        return
      }
      case "Reset": {
        this.#know(frame.stream)
        return this.#recvs.get(frame.stream)?.reset(frame.code)
      }
      case "Stop": {
        this.#know(frame.stream)
        const side = this.#sends.get(frame.stream)
        if (side === undefined) return
        this.reset(side, frame.code) // RFC 9000 section 3.5: a stop is answered with a reset
        return side.buffer.stoppedByPeer(frame.code)
      }
      case "Complete": {
        const side = this.#sends.get(frame.stream)
        if (side === undefined) return
        this.#sendOver(side)
        return side.buffer.flushedByPeer()
      }
      case "StreamWindow": {
        this.#know(frame.stream)
        const side = this.#sends.get(frame.stream)
        if (side === undefined || frame.maxBytes <= side.maxBytes) return
        side.maxBytes = frame.maxBytes
        return side.buffer.wake()
      }
      case "StreamLimit": {
        const streams = this.#streams[frame.kind]
        if (frame.max <= streams.mayOpen) return
        streams.mayOpen = frame.max
        return streams.waiting.wakeAll()
      }
      case "Datagram":
        return this.#receiveDatagram(frame.bytes)
      case "Close":
        return this.end({ _tag: "Remote", code: frame.code, reason: frame.reason })
    }
  }

  // Datagrams

  #sendDatagram(datagram: Uint8Array): Effect.Effect<void, DatagramTooLarge | ConnectionLost> {
    if (this.#loss !== undefined) return Effect.fail(this.#loss.connection)
    if (datagram.length > Limits.simDatagramBytes) {
      return Effect.fail(new DatagramTooLarge({ bytes: datagram.length, maxBytes: Limits.simDatagramBytes }))
    }
    this.send({ _tag: "Datagram", bytes: datagram })
    return Effect.void
  }

  #writeDatagram(datagram: Uint8Array): Effect.Effect<void, DatagramTooLarge | ConnectionLost> {
    const fullMs = this.wiring.out.roomInMs(datagram.length)
    if (fullMs === 0 || this.#loss !== undefined) return this.#sendDatagram(datagram)
    return Effect.raceFirst(Effect.sleep(fullMs), this.closed.await).pipe(
      Effect.andThen(Effect.suspend(() => this.#writeDatagram(datagram)))
    )
  }

  #receiveDatagram(datagram: Uint8Array): void {
    this.#datagramBytes += costOf(datagram)
    while (this.#datagramBytes > Limits.simDatagramBufferBytes) {
      if (this.#datagrams.poll() === undefined) break
      this.wiring.sim.note(`${this.wiring.label} drops a datagram that nobody reads`)
    }
    this.#datagrams.push(datagram)
  }

  // Ending

  close(code: number, reason: string): void {
    codeOf(code)
    if (!this.open) return
    const { back, out, sim } = this.wiring
    const frame: Frame = { _tag: "Close", code, reason: cut(reason) }
    this.#transmit(frame, 0)
    this.#closing = { frame, untilMs: sim.nowMs() + 3 * retransmitMs(out.link, back.link, 0) }
    this.end({ _tag: "Local", code, reason: frame.reason })
  }

  /** Ends this end only; the peer hears nothing. */
  end(close: Close): void {
    if (this.#loss !== undefined) return
    const lost = loss(close)
    const options = { drop: close._tag === "Local" }
    this.#loss = lost
    this.confirmed = undefined
    this.ended?.()
    this.wiring.host.ends.delete(this)
    const sends = [...this.#sends.values()]
    const recvs = [...this.#recvs.values()]
    this.#sends.clear()
    this.#recvs.clear()
    this.#ready.clear()
    this.#starved.clear()
    this.watchSilence()
    this.peer?.watchSilence()
    for (const { buffer } of recvs) buffer.lose(lost.stream, options)
    for (const { buffer } of sends) buffer.lose(lost.stream)
    this.#incomingUni.fail(lost.connection, options)
    this.#incomingBi.fail(lost.connection, options)
    this.#datagrams.fail(lost.connection, options)
    this.#streams.uni.waiting.wakeAll()
    this.#streams.bi.waiting.wakeAll()
    this.closed.done(Exit.succeed(close)) // last: who waits for it finds everything ended
  }

  /**
   * Both sides keep a living connection alive, so silence begins when the peer is gone or its packets do not come through.
   * The keep-alives themselves need not be simulated: a world in which nothing happens has nothing to do.
   */
  watchSilence(): void {
    const { back, sim } = this.wiring
    const silent = this.open && this.peer !== undefined && (back.dead || !this.peer.open || !this.peer.wiring.host.up)
    if (!silent) {
      this.#silence?.()
      this.#silence = undefined
    } else {
      this.#silence ??= sim.at(sim.nowMs() + Limits.simIdleTimeoutMs, () => this.end({ _tag: "IdleTimeout" }))
    }
  }

  #path(): Path {
    const { back, out } = this.wiring
    const rttMs = out.link.latencyMs + back.link.latencyMs + (out.link.jitterMs + back.link.jitterMs) / 2
    const flightBytes = rttMs === 0 ? 0 : Math.ceil((out.link.bytesPerSecond * rttMs) / 1000)
    return {
      kind: "simulated",
      remote: out.name,
      selected: true,
      rttMs,
      lostPackets: this.#lostPackets,
      congestionWindowBytes: Math.min(Limits.simSendBufferBytes, Math.max(Limits.simPacketBytes, flightBytes)),
      sentBytes: this.#sentBytes,
      receivedBytes: this.#receivedBytes
    }
  }
}

const costOf = (datagram: Uint8Array): number => datagram.length + 64

const payloadBytes = (frame: Frame): number =>
  frame._tag === "Data" || frame._tag === "Datagram" ? frame.bytes.length : 8

const describe = (frame: Frame): string => {
  switch (frame._tag) {
    case "Data":
      return `.${frame.stream}:${frame.bytes.length}${frame.fin ? "." : ""}`
    case "Datagram":
      return `~${frame.bytes.length}`
    case "StreamLimit":
      return `+${frame.kind}:${frame.max}`
    case "StreamWindow":
      return `.${frame.stream}+${frame.maxBytes}`
    case "Reset":
    case "Stop":
      return `.${frame.stream}${frame._tag}(${frame.code})`
    case "Complete":
      return `.${frame.stream}ok`
    case "Close":
      return `Close(${frame.code})`
    case "Confirm":
      return "Confirm"
  }
}

/** At most the limit in bytes, at a character's border. */
const cut = (reason: string): string => {
  const bytes = new TextEncoder().encode(reason)
  if (bytes.length <= Limits.closeReasonBytes) return reason
  let end: number = Limits.closeReasonBytes
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return new TextDecoder().decode(bytes.subarray(0, end))
}
