/** Streams over those of the W3C interface: codes are QUIC's here and the application's there (`StreamCode.ts`). */
import * as StreamCode from "@effect-live/endpoint/StreamCode"
import { type Loss, RecvBuffer, SendBuffer } from "@effect-live/endpoint/StreamKit"
import * as Limits from "./Limits.ts"
import * as W3c from "./W3c.ts"

/** What a connection tells its streams when it ends. */
export interface Held {
  readonly lose: (loss: Loss, by: "us" | "others") => void
}

/** The streams of a connection that are not over. */
export interface Owner {
  readonly hold: (stream: Held) => void
  readonly release: (stream: Held) => void
}

/** The sending half. */
export const send = (stream: W3c.SendStream, owner: Owner): SendBuffer => {
  const writer = stream.getWriter()
  let pendingBytes = 0
  const buffer: SendBuffer = new SendBuffer({
    room: () => Limits.sendBufferBytes - pendingBytes,
    take: (chunk) => {
      pendingBytes += chunk.length
      writer.write(chunk).then(() => {
        pendingBytes -= chunk.length
        buffer.wake()
      }, toldByClosed)
    },
    finish: () => {
      writer.close().catch(toldByClosed)
    },
    reset: (code) => {
      owner.release(handle)
      writer.abort(W3c.streamError(StreamCode.fromQuic(code) ?? 0)).catch(toldByClosed)
    },
    setPriority: (priority) => {
      stream.sendOrder = priority
    }
  })
  const handle: Held = { lose: (loss) => buffer.lose(loss.stream) }
  owner.hold(handle)
  writer.closed.then(
    () => {
      owner.release(handle)
      buffer.flushedByPeer()
    },
    (error: unknown) => {
      if (W3c.isOfSession(error)) return // the connection says how it ended
      owner.release(handle)
      buffer.stoppedByPeer(StreamCode.toQuic(W3c.streamCode(error)))
    }
  )
  return buffer
}

/** The receiving half. It reads ahead of its reader, within a limit, from the first look on. */
export const recv = (stream: ReadableStream<Uint8Array>, owner: Owner): RecvBuffer => {
  const reader = stream.getReader()
  let reading = false
  let over = false

  const end = () => {
    over = true
    owner.release(handle)
  }

  const read = () => {
    if (reading || over || buffer.bufferedBytes >= Limits.readAheadBytes) return
    reading = true
    reader.read().then(
      ({ done, value }) => {
        reading = false
        if (over) return
        if (done) {
          end()
          buffer.finish()
          return
        }
        buffer.push(value)
        read()
      },
      (error: unknown) => {
        // It stays reading: a second read would only fail again.
        if (over || W3c.isOfSession(error)) return // the connection says how it ended
        end()
        buffer.reset(StreamCode.toQuic(W3c.streamCode(error)))
      }
    )
  }

  const buffer: RecvBuffer = new RecvBuffer({
    wanted: read,
    taken: read,
    drained: () => {},
    stopped: (code) => {
      end()
      reader.cancel(W3c.streamError(StreamCode.fromQuic(code) ?? 0)).catch(toldByClosed)
    }
  })
  const handle: Held = {
    lose: (loss, by) => {
      over = true
      buffer.lose(loss.stream, { drop: by === "us" })
    }
  }
  owner.hold(handle)
  return buffer
}

/** A call failed because its stream is over: that is heard of in one place. */
const toldByClosed = (): void => {}
