/**
 * Streams over the binding's. Each of its stream objects has one lock that a pending call holds, and calls in parallel are not
 * ordered: so there is one call outstanding per object, and the rest waits here. What must never be called is not: `stopped`
 * before the end (it blocks writes), `receivedReset` (it may never settle), `readToEnd` (it may poison the connection).
 */
import { type Loss, RecvBuffer, SendBuffer } from "@effect-live/endpoint/StreamKit"
import type * as Native from "@number0/iroh"
import * as Limits from "../../Limits.ts"
import { fromNumbers, toNumbers } from "./bytes.ts"
import { codeIn } from "./errors.ts"

/** What a connection tells its streams when it ends. */
export interface Held {
  readonly lose: (loss: Loss, by: "us" | "others") => void
  /** Time to ask whether the peer stopped the stream: the binding does not tell, and its credit returns only with a reset. */
  readonly probe?: () => void
}

/**
 * The connection of a stream, as far as the stream needs it. It keeps every stream that is not over from being collected: a
 * send stream that is would end cleanly for the peer in the middle of its data.
 */
export interface Owner {
  readonly hold: (stream: Held) => void
  readonly release: (stream: Held) => void
  /** A call failed for no reason that belongs to the stream: the connection is over, or is given up now. */
  readonly failed: (error: unknown) => void
}

/** The sending half. */
export const send = (native: Native.SendStream, owner: Owner): SendBuffer => {
  const waiting: Array<Uint8Array> = []
  let waitingBytes = 0
  let inFlightBytes = 0
  /** Grows with every batch: what a stream begins with is not held up by the conversion of what follows. */
  let batchBytes = Limits.firstWriteBytes
  let priority: number | undefined
  let running = false
  let finishing = false
  let probing = false
  let over = false

  const end = () => {
    over = true
    waiting.length = 0
    waitingBytes = 0
    owner.release(handle)
  }

  /** A call failed: the peer stopped the stream, or the connection is gone. */
  const failed = (error: unknown) => {
    if (over) return
    const code = codeIn("Stopped", error)
    if (code === undefined) return owner.failed(error)
    end()
    // The peer reads nothing more; this tells it how much there would have been, and frees the stream.
    native.reset(BigInt(code)).catch(ignoreEnded)
    buffer.stoppedByPeer(code)
  }

  /** One batch for one call. */
  const nextBatch = (): ReadonlyArray<Uint8Array> => {
    const batch: Array<Uint8Array> = []
    let bytes = 0
    let taken = 0
    for (const chunk of waiting) {
      if (taken > 0 && bytes + chunk.length > batchBytes) break
      batch.push(chunk)
      bytes += chunk.length
      taken++
    }
    batchBytes = Math.min(2 * batchBytes, Limits.nativeWriteBytes)
    waiting.splice(0, taken)
    waitingBytes -= bytes
    inFlightBytes = bytes
    return batch
  }

  const work = async (): Promise<void> => {
    for (;;) {
      if (over) return
      if (priority !== undefined) {
        const next = priority
        priority = undefined
        await native.setPriority(next)
      } else if (waiting.length > 0) {
        await native.writeAll(toNumbers(nextBatch()))
        inFlightBytes = 0
        buffer.wake()
      } else if (finishing) {
        await native.finish()
        // Null: the peer has everything. It holds the stream's lock, which nobody needs any more but a late reset.
        const code = await native.stopped()
        if (over) return
        end()
        if (code === null) buffer.flushedByPeer()
        else buffer.stoppedByPeer(code)
      } else if (probing) {
        probing = false
        await native.write([]) // fails when the peer stopped the stream
      } else return
    }
  }

  const run = () => {
    if (running || over) return
    running = true
    // Later in this turn: what is written until then goes in one call.
    queueMicrotask(() => {
      work().then(() => {
        running = false
        if (waiting.length > 0 || priority !== undefined || finishing) run()
      }, failed)
    })
  }

  const buffer: SendBuffer = new SendBuffer({
    room: () => Limits.sendBufferBytes - waitingBytes - inFlightBytes,
    take: (chunk) => {
      // In pieces: one call converts all that it is given, and nothing else runs meanwhile.
      for (let at = 0; at < chunk.length; at += Limits.nativeWriteBytes) {
        waiting.push(chunk.subarray(at, at + Limits.nativeWriteBytes))
      }
      waitingBytes += chunk.length
      run()
    },
    finish: () => {
      finishing = true
      run()
    },
    reset: (code) => {
      end()
      // Not awaited: behind a write that waits for credit it takes effect when the peer moves or the connection ends.
      native.reset(BigInt(code)).catch(ignoreEnded)
    },
    setPriority: (next) => {
      priority = next
      run()
    }
  })
  const handle: Held = {
    lose: (loss) => {
      end()
      buffer.lose(loss.stream)
    },
    probe: () => {
      if (running) return
      probing = true
      run()
    }
  }
  owner.hold(handle)
  return buffer
}

/**
 * The receiving half. It reads ahead of its reader, within a limit, while there is more to be had at once. When there is not, it
 * waits for the reader to ask: a read that is under way would keep `stop` from reaching a peer that sends nothing more.
 */
export const recv = (native: Native.RecvStream, owner: Owner): RecvBuffer => {
  let reading = false
  /** The last read was full: there is probably more. */
  let more = true
  /** The reader found nothing. */
  let wanted = false
  let over = false
  let broken = false
  let lost: Loss | undefined

  const end = () => {
    over = true
    owner.release(handle)
  }

  const read = async (): Promise<void> => {
    while (!over && buffer.bufferedBytes < Limits.readAheadBytes) {
      const numbers = await native.read(Limits.nativeReadBytes)
      if (over) return
      wanted = false
      if (numbers.length === 0) {
        end()
        buffer.finish()
        return
      }
      more = numbers.length === Limits.nativeReadBytes
      buffer.push(fromNumbers(numbers))
      if (!more && !wanted) return
    }
  }

  const failed = (error: unknown) => {
    if (over) return
    const code = codeIn("Reset", error)
    if (code !== undefined) {
      end()
      buffer.reset(code)
      return
    }
    broken = true
    // The connection says how it ended by `lose`, or said so already.
    if (lost === undefined) return owner.failed(error)
    end()
    buffer.lose(lost.stream)
  }

  const start = () => {
    if (reading || over) return
    reading = true
    // After a failure it counts as reading for ever: a second read would turn a reset into a clean end.
    read().then(() => {
      reading = false
      if (wanted || (more && buffer.bufferedBytes < Limits.readAheadBytes)) start()
    }, failed)
  }

  const buffer: RecvBuffer = new RecvBuffer({
    wanted: () => {
      wanted = true
      start()
    },
    taken: () => {
      if (more) start()
    },
    drained: () => {},
    stopped: (code) => {
      end()
      // Not awaited: behind a pending read it takes effect when the peer moves or the connection ends.
      native.stop(BigInt(code)).catch(ignoreEnded)
    }
  })
  const handle: Held = {
    lose: (loss, by) => {
      lost = loss
      // What arrived before the peer closed is still to be read: the read that is under way ends with it, or fails.
      if (by === "others" && !broken) return
      end()
      buffer.lose(loss.stream, { drop: by === "us" })
    }
  }
  owner.hold(handle)
  start()
  return buffer
}

/** The last word on a stream that may be over already: that it is, is no news. */
const ignoreEnded = (): void => {}
