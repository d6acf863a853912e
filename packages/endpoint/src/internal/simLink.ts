/** One direction between two simulated nodes: what happens to packets on their way. */
import type { Rng } from "@effect-live/actor/Rng"
import type { Simulation } from "@effect-live/sim/Simulation"
import * as Limits from "../Limits.ts"

/** How one direction of a link behaves. */
export interface Link {
  /** One way. */
  readonly latencyMs: number
  /** Up to so much more, evenly spread; datagrams overtake each other by it. */
  readonly jitterMs: number
  /** Chance of a packet to be lost, 0 to 1. */
  readonly loss: number
  /** Chance of a datagram to arrive twice, 0 to 1. */
  readonly duplicates: number
  /** `Infinity`: packets take no time to send. */
  readonly bytesPerSecond: number
  /** What waits in front of a link with a rate; more is lost. */
  readonly queueBytes: number
}

/** A packet under way. What it does on arrival is the connection's business. */
export interface Packet {
  readonly label: string
  /** Payload. The headers are added here. */
  readonly bytes: number
  readonly datagram: boolean
  /** False: nobody is there (any more), and the packet is lost. */
  arrive(): boolean
  /** Called for every loss; the sender decides whether to send it again. */
  lost(): void
}

/** Somebody who has stream data to send on a link with a rate, packet by packet. */
export interface Source {
  /** The next packet, or undefined when nothing is left. */
  readonly nextPacket: () => Packet | undefined
}

interface Batch {
  readonly atMs: number
  readonly packets: Array<Packet>
}

const headerBytes = 40

export class Direction {
  readonly name: string
  #link: Link
  #blocked = false
  readonly #sim: Simulation["Service"]
  readonly #rng: Rng
  #freeAtMs = 0
  /** Packets that arrive at the same instant share a timer. */
  #batch: Batch | undefined
  /** Take turns, first come first served. */
  readonly #sources = new Set<Source>()
  #pump: (() => void) | undefined

  constructor(sim: Simulation["Service"], name: string, link: Link) {
    this.#sim = sim
    this.name = name
    this.#link = link
    this.#rng = sim.rng(`link ${name}`) // by name: another link, or more traffic there, changes nothing here
  }

  get link(): Link {
    return this.#link
  }
  set link(link: Link) {
    this.#link = link
    this.#arm()
  }

  get blocked(): boolean {
    return this.#blocked
  }
  set blocked(blocked: boolean) {
    this.#blocked = blocked
    this.#arm()
  }

  /** Nothing gets through, whatever is sent. */
  get dead(): boolean {
    return this.#blocked || this.#link.loss >= 1
  }

  /** Sends at once. A queue that is full loses it. */
  carry(packet: Packet): void {
    const { bytesPerSecond, duplicates, jitterMs, latencyMs, loss, queueBytes } = this.#link
    const now = this.#sim.nowMs()
    if (this.#blocked) return this.#lose(packet, "lost")
    let leavesAtMs = now
    if (bytesPerSecond !== Infinity) {
      const size = packet.bytes + headerBytes
      const startsAtMs = Math.max(now, this.#freeAtMs)
      if (((startsAtMs - now) * bytesPerSecond) / 1000 + size > queueBytes) return this.#lose(packet, "overflow")
      this.#freeAtMs = leavesAtMs = startsAtMs + (size * 1000) / bytesPerSecond
    }
    if (loss > 0 && this.#rng.next() < loss) return this.#lose(packet, "lost")
    this.#arrivesAt(leavesAtMs + latencyMs + this.#jitter(jitterMs), packet)
    if (packet.datagram && duplicates > 0 && this.#rng.next() < duplicates) {
      this.#arrivesAt(leavesAtMs + latencyMs + this.#jitter(jitterMs), packet)
    }
  }

  /** Milliseconds until the queue has room for so many bytes; 0 where it has. */
  roomInMs(bytes: number): number {
    const { bytesPerSecond, queueBytes } = this.#link
    const queuedMs = this.#freeAtMs - this.#sim.nowMs()
    if (queuedMs <= 0) return 0
    return Math.max(0, queuedMs + ((bytes + headerBytes - queueBytes) * 1000) / bytesPerSecond)
  }

  /** Takes packets from this source whenever the link is free, in turn with the others, until it has none left. */
  want(source: Source): void {
    this.#sources.add(source)
    this.#arm()
  }

  #jitter(jitterMs: number): number {
    return jitterMs > 0 ? this.#rng.next() * jitterMs : 0
  }

  #arm(): void {
    if (this.#pump !== undefined || this.#sources.size === 0 || this.#blocked) return
    this.#pump = this.#sim.at(Math.max(this.#sim.nowMs(), this.#freeAtMs), () => {
      this.#pump = undefined
      for (const source of this.#sources) {
        if (this.#blocked) return
        this.#sources.delete(source)
        const packet = source.nextPacket()
        if (packet === undefined) continue
        this.#sources.add(source)
        this.carry(packet)
        break
      }
      this.#arm()
    })
  }

  #arrivesAt(atMs: number, packet: Packet): void {
    if (this.#batch?.atMs === atMs) {
      this.#batch.packets.push(packet)
      return
    }
    const batch: Batch = { atMs, packets: [packet] }
    this.#batch = batch
    this.#sim.at(atMs, () => {
      if (this.#batch === batch) this.#batch = undefined
      if (!this.#blocked) this.#sim.note(`${this.name} ${batch.packets.map(({ label }) => label).join(" ")}`)
      for (const packet of batch.packets) if (this.#blocked || !packet.arrive()) this.#lose(packet, "lost")
    })
  }

  #lose(packet: Packet, how: "lost" | "overflow"): void {
    this.#sim.note(`${this.name} ${how} ${packet.label}`)
    packet.lost()
  }
}

/** When a packet of the n-th attempt (from 0) counts as lost and is sent again, after its sending. */
export const retransmitMs = (there: Link, back: Link, attempt: number): number => {
  const rttMs = there.latencyMs + there.jitterMs + back.latencyMs + back.jitterMs
  const first = rttMs * 1.25 + 25
  return Math.min(first * 2 ** attempt, first + Limits.simRetransmitMs)
}
