/** Two ends of a connection in one process, without delay: for measurements and for tests that write streams by hand. */
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection, Remote } from "@effect-live/endpoint/Connection"
import { ConnectionLost, type BiStream, type RecvStream, type SendStream } from "@effect-live/endpoint/Stream"
import { loss, Outcome, RecvBuffer, SendBuffer, WaitQueue } from "@effect-live/endpoint/StreamKit"
import { Effect, Exit, Stream } from "effect"

export interface Options {
  readonly alpn?: string
  /** Bytes that a stream takes before its reader took some. */
  readonly windowBytes?: number
  /** Streams of one kind that an end may have open at the peer. */
  readonly streams?: number
}

/** What a test may see of one end. */
export interface End extends Connection {
  readonly opened: { uni: number; bi: number }
}

class Half {
  readonly uni = new WaitQueue<RecvStream, ConnectionLost>("acceptUni")
  readonly bi = new WaitQueue<BiStream, ConnectionLost>("acceptBi")
  readonly closed = new Outcome<Close>()
  readonly opened = { uni: 0, bi: 0 }
  readonly buffers = new Set<RecvBuffer | SendBuffer>()
  readonly room: Array<() => void> = []
  openUni = 0
}

export const pair = (remotes: readonly [Remote, Remote], options: Options = {}): readonly [End, End] => {
  const windowBytes = options.windowBytes ?? 262_144
  const streams = options.streams ?? Infinity
  const a = new Half()
  const b = new Half()
  const end = (from: Half, close: Close): void => {
    const lost = loss(close)
    from.closed.done(Exit.succeed(close))
    for (const buffer of from.buffers) buffer.lose(lost.stream)
    from.buffers.clear()
    from.uni.fail(lost.connection)
    from.bi.fail(lost.connection)
    for (const wake of from.room.splice(0)) wake()
  }
  const channel = (from: Half, to: Half, over: () => void): readonly [SendStream, RecvStream] => {
    let finished = false
    const done = (): void => {
      from.buffers.delete(send)
      to.buffers.delete(recv)
      over()
    }
    const recv: RecvBuffer = new RecvBuffer({
      taken: () => {
        send.wake()
        if (finished && recv.bufferedBytes === 0) send.flushedByPeer()
      },
      drained: done,
      stopped: (code) => {
        send.stoppedByPeer(code)
        done()
      }
    })
    const send: SendBuffer = new SendBuffer({
      room: () => windowBytes - recv.bufferedBytes,
      take: (chunk) => recv.push(chunk),
      finish: () => {
        finished = true
        recv.finish()
        if (recv.bufferedBytes === 0) send.flushedByPeer()
      },
      reset: (code) => recv.reset(code),
      setPriority: () => {}
    })
    from.buffers.add(send)
    to.buffers.add(recv)
    return [send, recv]
  }
  const make = (from: Half, to: Half, remote: Remote): End => {
    const lost = (): Effect.Effect<never, ConnectionLost> =>
      Effect.flatMap(from.closed.await, (close) => Effect.fail(new ConnectionLost({ close })))
    const openUni: Effect.Effect<SendStream, ConnectionLost> = Effect.suspend(() => {
      if (from.closed.exit !== undefined) return lost()
      if (from.openUni >= streams) {
        return Effect.andThen(
          Effect.callback<void>((resume) => void from.room.push(() => resume(Effect.void))),
          openUni
        )
      }
      from.openUni++
      from.opened.uni++
      let open = true
      const [send, recv] = channel(from, to, () => {
        if (!open) return
        open = false
        from.openUni--
        from.room.shift()?.()
      })
      to.uni.push(recv)
      return Effect.succeed(send)
    })
    return {
      alpn: options.alpn ?? "moq-lite-03",
      remote,
      opened: from.opened,
      openUni,
      openBi: Effect.suspend(() => {
        if (from.closed.exit !== undefined) return lost()
        from.opened.bi++
        const [send, theirs] = channel(from, to, () => {})
        const [back, recv] = channel(to, from, () => {})
        to.bi.push({ send: back, recv: theirs })
        return Effect.succeed({ send, recv })
      }),
      acceptUni: from.uni.take,
      acceptBi: from.bi.take,
      maxDatagramBytes: () => 0,
      sendDatagram: () => Effect.void,
      writeDatagram: () => Effect.void,
      readDatagram: Effect.never,
      paths: () => [],
      pathChanges: Stream.empty,
      close: (code, reason) => {
        if (from.closed.exit !== undefined) return
        end(from, { _tag: "Local", code, reason })
        end(to, { _tag: "Remote", code, reason })
      },
      closed: from.closed.await
    }
  }
  return [make(a, b, remotes[1]), make(b, a, remotes[0])]
}
