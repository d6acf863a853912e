/** The tracks of a file merged into one row of samples. */
import { Result } from "effect"
import type { EncodedPacket } from "mediabunny"
import * as Codec from "../Codec.ts"
import type { Sample } from "../Sample.ts"
import { microseconds, type OpenTrack } from "./importTrack.ts"
import type { Library } from "./mediabunny.ts"

interface Head {
  readonly open: OpenTrack
  readonly packets: AsyncGenerator<EncodedPacket, void, unknown>
  packet: EncodedPacket | undefined
  /** The latest time of the track so far: rises in decode order, also where pictures are reordered. */
  orderUs: number
}

/** The samples of all tracks, the earliest first. */
export class Merge {
  readonly #heads: ReadonlyArray<Head>
  readonly #shiftUs: number
  /** Whose packet was given out. */
  #behind: ReadonlyArray<Head>

  constructor(library: Library, tracks: ReadonlyArray<OpenTrack>, shiftUs: number) {
    this.#shiftUs = shiftUs
    this.#heads = tracks.map((open) => ({
      open,
      packets: new library.EncodedPacketSink(open.track).packets(),
      packet: undefined,
      orderUs: -Infinity
    }))
    this.#behind = this.#heads
  }

  async next(): Promise<Sample | undefined> {
    await Promise.all(this.#behind.map((head) => this.#advance(head)))
    let first: Head | undefined
    for (const head of this.#heads) {
      if (head.packet !== undefined && (first === undefined || head.orderUs < first.orderUs)) first = head
    }
    if (first?.packet === undefined) return undefined
    this.#behind = [first]
    return this.#sample(first.open, first.packet)
  }

  async #advance(head: Head): Promise<void> {
    const next = await head.packets.next()
    head.packet = next.done === true ? undefined : next.value
    if (head.packet !== undefined) head.orderUs = Math.max(head.orderUs, microseconds(head.packet.timestamp))
  }

  #sample({ hasAdts, info }: OpenTrack, packet: EncodedPacket): Sample {
    const ptsUs = microseconds(packet.timestamp) + this.#shiftUs
    if (ptsUs < 0) throw new Error(`a sample lies ${-ptsUs} µs before the first one`)
    let data = packet.data
    if (hasAdts) {
      const adts = Codec.decodeAdts(data)
      if (Result.isFailure(adts)) throw adts.failure
      data = adts.success.payload
    }
    const key = info.kind === "audio" || packet.type === "key"
    return { track: info.name, ptsUs, key, data, durationUs: microseconds(packet.duration) }
  }
}
