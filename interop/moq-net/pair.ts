/**
 * Two ends of a WebTransport session in one process, in the shape of the W3C interface: byte windows, stream credit, codes of
 * resets and of STOP_SENDING, datagrams, closing.
 */
import * as W3c from "./W3c.ts"

export interface Options {
  /** The application protocol. */
  readonly protocol: string
  /** Unread bytes that a stream takes. */
  readonly windowBytes?: number
  /** Streams of each kind that an end may have open. */
  readonly streams?: number
  /** 0: none. */
  readonly datagramBytes?: number
  /** What both ends report of themselves. */
  readonly stats?: W3c.Stats
}

export const pair = (options: Options): readonly [End, End] => {
  const [a, b] = [new End(options), new End(options)]
  a.peer = b
  b.peer = a
  return [a, b]
}

type Kind = "uni" | "bi"

/** A queue that the other end fills. */
interface Incoming<A> {
  readonly stream: ReadableStream<A>
  readonly controller: ReadableStreamDefaultController<A>
}
const incoming = <A>(): Incoming<A> => {
  let controller: ReadableStreamDefaultController<A> | undefined
  const stream = new ReadableStream<A>({ start: (its) => void (controller = its) })
  if (controller === undefined) throw new Error("a stream starts at once")
  return { stream, controller }
}

/** What a session that ended does to its streams. */
type Cut = (error: Error) => void

/** The concurrent streams of one kind. */
class Credit {
  open = 0
  readonly waiting: Array<() => void> = []
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

export class End implements W3c.Session {
  peer: End | undefined
  readonly ready = Promise.resolve(undefined)
  readonly closed: Promise<W3c.CloseInfo | undefined>
  readonly protocol: string
  readonly congestionControl = "default"
  readonly reliability = "supports-unreliable"
  readonly incomingUnidirectionalStreams: ReadableStream<ReadableStream<Uint8Array>>
  readonly incomingBidirectionalStreams: ReadableStream<W3c.BidirectionalStream>
  readonly datagrams: W3c.Datagrams
  readonly #uni = incoming<ReadableStream<Uint8Array>>()
  readonly #bi = incoming<W3c.BidirectionalStream>()
  readonly #datagrams = incoming<Uint8Array>()
  readonly #credit: Readonly<Record<Kind, Credit>> = { uni: new Credit(), bi: new Credit() }
  readonly #cuts = new Set<Cut>()
  readonly #settle: (info: W3c.CloseInfo) => void
  readonly #stats: W3c.Stats
  readonly #windowBytes: number
  readonly #streams: number
  #over = false

  constructor({ protocol, windowBytes = 262_144, streams = 1_000, datagramBytes = 1_200, stats = {} }: Options) {
    const { promise, resolve } = Promise.withResolvers<W3c.CloseInfo | undefined>()
    this.closed = promise
    this.#settle = resolve
    this.protocol = protocol
    this.#stats = stats
    this.#windowBytes = windowBytes
    this.#streams = streams
    this.incomingUnidirectionalStreams = this.#uni.stream
    this.incomingBidirectionalStreams = this.#bi.stream
    this.datagrams = {
      readable: this.#datagrams.stream,
      maxDatagramSize: datagramBytes,
      writable: new WritableStream<Uint8Array>({
        write: (datagram) => {
          const { peer } = this
          if (peer === undefined || peer.#over || datagram.length > datagramBytes) return
          peer.#datagrams.controller.enqueue(datagram.slice())
        }
      })
    }
  }

  readonly createUnidirectionalStream = async (options: W3c.SendOptions = {}): Promise<W3c.SendStream> => {
    const { end, peer } = await this.#take("uni", options)
    const [writable, readable] = this.#channel(peer, end)
    peer.#uni.controller.enqueue(readable)
    return Object.assign(writable, { sendOrder: options.sendOrder ?? null })
  }

  readonly createBidirectionalStream = async (options: W3c.SendOptions = {}): Promise<W3c.BidirectionalStream> => {
    const { end, peer } = await this.#take("bi", options)
    let halves = 2
    const half = () => {
      if (--halves === 0) end()
    }
    const [there, theirs] = this.#channel(peer, half)
    const [back, ours] = peer.#channel(this, half)
    peer.#bi.controller.enqueue({ readable: theirs, writable: Object.assign(back, { sendOrder: null }) })
    return { readable: ours, writable: Object.assign(there, { sendOrder: options.sendOrder ?? null }) }
  }

  readonly close = (info: W3c.CloseInfo = {}): void => {
    const { peer } = this
    this.#end(info)
    if (peer !== undefined) peer.#end(info)
  }

  readonly getStats = async (): Promise<W3c.Stats> => this.#stats

  #end(info: W3c.CloseInfo): void {
    if (this.#over) return
    this.#over = true
    const error = Object.assign(new Error("the session is closed"), { source: "session", streamErrorCode: null })
    for (const cut of this.#cuts) cut(error)
    this.#cuts.clear()
    for (const { controller } of [this.#uni, this.#bi, this.#datagrams]) controller.close()
    for (const { waiting } of Object.values(this.#credit)) for (const wake of waiting.splice(0)) wake()
    this.#settle({ closeCode: info.closeCode ?? 0, reason: info.reason ?? "" })
  }

  /** A place for one more stream, and what gives it back. */
  async #take(
    kind: Kind,
    { waitUntilAvailable = false }: W3c.SendOptions
  ): Promise<{ readonly peer: End; readonly end: () => void }> {
    const credit = this.#credit[kind]
    while (credit.open >= this.#streams && !this.#over) {
      if (!waitUntilAvailable) throw Object.assign(new Error("no stream credit"), { name: "QuotaExceededError" })
      await new Promise<void>((resolve) => credit.waiting.push(resolve))
    }
    const { peer } = this
    if (this.#over || peer === undefined) throw new Error("the session is closed")
    credit.open++
    return {
      peer,
      end: () => {
        credit.open--
        credit.waiting.shift()?.()
      }
    }
  }

  /** One direction of a stream: from here to `peer`. `over` is called once, when both ends are through with it. */
  #channel(peer: End, over: () => void): readonly [WritableStream<Uint8Array>, ReadableStream<Uint8Array>] {
    let room: (() => void) | undefined
    let wrote = false
    let read = false
    const done = () => {
      if (!wrote || !read) return
      this.#cuts.delete(cutWriter)
      peer.#cuts.delete(cutReader)
      over()
    }
    const writerDone = () => {
      if (wrote) return
      wrote = true
      done()
    }
    const readerDone = () => {
      if (read) return
      read = true
      done()
    }
    let reader: ReadableStreamDefaultController<Uint8Array> | undefined
    const readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (reader = controller),
        pull: () => {
          const wake = room
          room = undefined
          wake?.()
        },
        cancel: (reason) => {
          readerDone()
          const wake = room
          room = undefined
          if (!wrote) writer?.error(W3c.streamError(W3c.streamCode(reason)))
          writerDone()
          wake?.()
        }
      },
      new ByteLengthQueuingStrategy({ highWaterMark: this.#windowBytes })
    )
    let writer: WritableStreamDefaultController | undefined
    const writable = new WritableStream<Uint8Array>(
      {
        start: (controller) => void (writer = controller),
        write: (chunk) => {
          if (read || chunk.length === 0) return undefined
          reader?.enqueue(chunk.slice()) // the writer may use its buffer again
          if ((reader?.desiredSize ?? 1) > 0) return undefined
          return new Promise<void>((resolve) => {
            room = resolve
          })
        },
        close: () => {
          if (!read) reader?.close()
          readerDone()
          writerDone()
          return nextTurn() // that the peer has everything is heard of later
        },
        abort: (reason) => {
          if (!read) reader?.error(W3c.streamError(W3c.streamCode(reason)))
          readerDone()
          writerDone()
        }
      },
      new ByteLengthQueuingStrategy({ highWaterMark: this.#windowBytes })
    )
    const cutWriter: Cut = (error) => {
      room?.()
      if (!wrote) writer?.error(error)
    }
    const cutReader: Cut = (error) => {
      if (!read) reader?.error(error)
    }
    this.#cuts.add(cutWriter)
    peer.#cuts.add(cutReader)
    return [writable, readable]
  }
}
