/**
 * A swarm in one thread: many cores of one topic, joined by messages that take the latency of their pair (iroh-gossip section 6.1).
 * Discrete events in virtual time, all chance from one seed: the same seed gives the same run, event for event.
 *
 * Messages are never lost between peers that can reach each other and nothing limits their size or rate; setting up a connection
 * takes no time. What the network of real connections does beyond that is not simulated here but by `SimNetwork`.
 */
import * as Rng from "@effect-live/actor/Rng"
import * as Config from "../Config.ts"
import type * as Message from "../Message.ts"
import * as Topic from "../Topic.ts"
import { EventQueue } from "./EventQueue.ts"

/** How long a message is on its way: drawn once for each pair, at least `minMs` and below `maxMs`. */
export interface Latency {
  readonly minMs: number
  readonly maxMs: number
}

/** How long it takes until a peer notices that another one is silent, as for connections of iroh, in milliseconds. */
export const silenceMs = 30_000
/** How long it takes until a peer gives up to reach another one, in milliseconds. */
export const dialTimeoutMs = 10_000

/** What a swarm begins with. */
export interface Options {
  readonly seed: number
  readonly latency: Latency
  readonly config?: Config.Config
  /** Called for every event that a topic emits. It must not act on the simulator. */
  readonly onEvent?: (peer: number, event: Topic.Event<number>) => void
}

/** What a peer of the swarm is asked about others and contents. */
export type Policy = Pick<Topic.Options<number>, "admit" | "validate">

/** What has been handled since the start. */
export interface Counters {
  /** Messages of every kind. */
  readonly messages: number
  /** Gossip messages, those that came again too. */
  readonly contents: number
  /** Prune, Graft, IHave. */
  readonly control: number
}

interface Peer {
  readonly id: number
  readonly topic: Topic.State<number>
  /** Peers with which there is a connection. */
  readonly links: Set<number>
  /** Peers that do not answer and are being dialed. */
  readonly dialing: Set<number>
  /** What its clock shows beyond the simulated time. */
  clockOffsetMs: number
  /** Only peers of the same part reach each other. */
  part: number
}

type Arrival = Extract<Topic.Input<number>, { readonly _tag: "RecvMessage" }>

type What =
  | { readonly _tag: "Arrival"; readonly to: number; readonly input: Arrival }
  | { readonly _tag: "Timer"; readonly peer: Peer; readonly timer: Topic.Timer<number> }
  /** The other side ended the connection. */
  | { readonly _tag: "Closed"; readonly peer: Peer; readonly other: number }
  /** Nothing was heard for long; that counts only when it is still so. */
  | { readonly _tag: "Silent"; readonly peer: Peer; readonly other: number }

/**
 * The swarm: peers join, quit and are killed, links are cut and mended, and `run` lets time pass. Nothing happens but within its calls,
 * which throw only where one says so.
 */
export class Simulator {
  readonly #queue = new EventQueue<What>()
  readonly #peers = new Map<number, Peer>()
  readonly #rng: Rng.Rng
  readonly #latencySeed: number
  readonly #options: Options
  readonly #config: Config.Config
  readonly #out: Array<Topic.Output<number>> = []
  readonly #disconnects: Array<number> = []
  #nowMs = 0
  #partOf: (peer: number) => number = () => 0
  #messages = 0
  #contents = 0
  #control = 0

  constructor(options: Options) {
    this.#options = options
    this.#config = options.config ?? Config.defaults
    this.#rng = Rng.make(options.seed, "peers")
    this.#latencySeed = Rng.hash("latency", options.seed)
  }

  /** Simulated time in milliseconds. */
  get nowMs(): number {
    return this.#nowMs
  }

  /** Peers that are up, in the order in which they came. */
  get peers(): ReadonlyArray<number> {
    return [...this.#peers.keys()]
  }

  get counters(): Counters {
    return { messages: this.#messages, contents: this.#contents, control: this.#control }
  }

  /** The core of a peer that is up. */
  topic(peer: number): Topic.State<number> | undefined {
    return this.#peers.get(peer)?.topic
  }

  /** Connections that a peer believes to have. */
  connections(peer: number): number {
    return this.#peers.get(peer)?.links.size ?? 0
  }

  /**
   * Starts a peer that knows `bootstrap`. An id that was up before is a restart: its past is forgotten, by itself alone. Throws when it
   * is up still.
   */
  join(id: number, bootstrap: ReadonlyArray<number>, policy: Policy = {}): void {
    if (this.#peers.has(id)) throw new Error(`peer ${id} is up already`)
    const rng = Rng.make(this.#rng.below(2 ** 32), String(id))
    const topic = Topic.make<number>({ self: id, config: this.#config, rng, data: noData, ...policy })
    this.#peers.set(id, {
      id,
      topic,
      links: new Set(),
      dialing: new Set(),
      clockOffsetMs: 0,
      part: this.#partOf(id)
    })
    this.input(id, { _tag: "Join", peers: bootstrap })
  }

  /** Hands an input to a peer at once; nothing happens when it is not up. */
  input(id: number, input: Topic.Input<number>): void {
    const peer = this.#peers.get(id)
    if (peer !== undefined) this.#handle(peer, input)
  }

  /** Broadcasts a text, which is its own id, so texts must differ. */
  broadcast(id: number, text: string, scope: "Swarm" | "Neighbors" = "Swarm"): void {
    this.input(id, { _tag: "Broadcast", id: text, content: encoder.encode(text), scope })
  }

  /** A message on its way as if `from` had sent it, whether its core would or not. */
  send(from: number, to: number, message: Message.Message<number>): void {
    const input = { _tag: "RecvMessage", from, message } as const
    this.#queue.push(this.#nowMs + this.latencyMs(from, to), { _tag: "Arrival", to, input })
  }

  /** Leaves the topic, with goodbyes. */
  quit(id: number): void {
    this.input(id, { _tag: "Quit" })
    this.kill(id)
  }

  /**
   * Ends a peer without goodbyes. Its neighbors notice when its connections are closed (`"closed"`, after the latency, as when a
   * process dies) or by their silence (`"silent"`, after `silenceMs`, as when a machine loses power).
   */
  kill(id: number, how: "closed" | "silent" = "closed"): void {
    const gone = this.#peers.get(id)
    if (gone === undefined) return
    this.#peers.delete(id)
    for (const other of gone.links) {
      const peer = this.#peers.get(other)
      if (peer === undefined) continue
      if (how === "closed") this.#close(gone, peer)
      else this.#queue.push(this.#nowMs + silenceMs, { _tag: "Silent", peer, other: id })
    }
  }

  /** From now on only peers of the same part reach each other; the connections between others fall silent. */
  partition(partOf: (peer: number) => number): void {
    this.#partOf = partOf
    for (const peer of this.#peers.values()) peer.part = partOf(peer.id)
    for (const peer of this.#peers.values())
      for (const other of peer.links)
        if (!this.#reaches(peer, other)) this.#queue.push(this.#nowMs + silenceMs, { _tag: "Silent", peer, other })
  }

  /** Undoes the partition. Nobody is told. */
  heal(): void {
    this.partition(() => 0)
  }

  /** Sets the clock of a peer forward, or back. Timers run on: they measure time, not the clock. */
  setClock(id: number, byMs: number): void {
    const peer = this.#peers.get(id)
    if (peer !== undefined) peer.clockOffsetMs += byMs
  }

  /** How long messages between these two take. */
  latencyMs(a: number, b: number): number {
    const { maxMs, minMs } = this.#options.latency
    let h = Math.imul(Math.min(a, b) + 1, 0x9e3779b1) ^ this.#latencySeed
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13) ^ (Math.max(a, b) + 1), 0xc2b2ae35)
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d)
    h = Math.imul(h ^ (h >>> 12), 0x297a2d39)
    return minMs + (((h ^ (h >>> 15)) >>> 0) / 2 ** 32) * (maxMs - minMs)
  }

  /** Runs for a time. */
  run(forMs: number): void {
    this.runWhile(() => true, forMs)
  }

  /** Runs while `going` says so, which is asked before each event, `forMs` at most. False: the time was over first. */
  runWhile(going: () => boolean, forMs: number): boolean {
    const endMs = this.#nowMs + forMs
    while (going()) {
      if (this.#queue.nextMs > endMs) {
        this.#nowMs = endMs
        return false
      }
      this.#step()
    }
    return true
  }

  #step(): void {
    const event = this.#queue.pop()
    if (event === undefined) return
    this.#nowMs = event.atMs
    const { what } = event
    if (what._tag === "Arrival") return this.#arrive(what.to, what.input)
    const { peer } = what
    if (this.#peers.get(peer.id) !== peer) return
    switch (what._tag) {
      case "Timer":
        return this.#handle(peer, { _tag: "TimerExpired", timer: what.timer })
      case "Closed":
        // Also when a message that was on its way has come since: it came over this connection.
        peer.links.delete(what.other)
        this.#peers.get(what.other)?.links.delete(peer.id)
        return this.#handle(peer, { _tag: "PeerDisconnected", peer: what.other })
      case "Silent":
        peer.dialing.delete(what.other)
        if (this.#reaches(peer, what.other)) return
        peer.links.delete(what.other)
        return this.#handle(peer, { _tag: "PeerDisconnected", peer: what.other })
    }
  }

  #arrive(to: number, input: Arrival): void {
    const peer = this.#peers.get(to)
    if (peer === undefined) return
    const from = this.#peers.get(input.from)
    if (from !== undefined) {
      if (from.part !== peer.part) return
      from.links.add(to)
    } else if (!peer.links.has(input.from)) {
      this.#queue.push(this.#nowMs + silenceMs, { _tag: "Silent", peer, other: input.from })
    }
    peer.links.add(input.from)
    this.#messages++
    switch (input.message._tag) {
      case "Gossip":
        this.#contents++
        break
      case "Prune":
      case "Graft":
      case "IHave":
        this.#control++
    }
    this.#handle(peer, input)
  }

  #handle(peer: Peer, input: Topic.Input<number>): void {
    const out = this.#out
    Topic.handle(peer.topic, input, this.#nowMs + peer.clockOffsetMs, out)
    for (const output of out) {
      switch (output._tag) {
        case "SendMessage":
          this.#sendFrom(peer, output.peer, output.message)
          break
        case "ScheduleTimer":
          this.#queue.push(this.#nowMs + output.delayMs, { _tag: "Timer", peer, timer: output.timer })
          break
        case "EmitEvent":
          this.#options.onEvent?.(peer.id, output.event)
          break
        case "DisconnectPeer":
          this.#disconnects.push(output.peer)
          break
        case "PeerData":
      }
    }
    out.length = 0
    for (const id of this.#disconnects) {
      const other = this.#peers.get(id)
      if (peer.links.delete(id) && other !== undefined) this.#close(peer, other)
    }
    this.#disconnects.length = 0
  }

  #sendFrom(peer: Peer, to: number, message: Message.Message<number>): void {
    if (this.#reaches(peer, to)) return this.send(peer.id, to, message)
    if (peer.links.has(to) || peer.dialing.has(to)) return // lost; the silence is noticed
    peer.dialing.add(to)
    this.#queue.push(this.#nowMs + dialTimeoutMs, { _tag: "Silent", peer, other: to })
  }

  #reaches(peer: Peer, other: number): boolean {
    return this.#peers.get(other)?.part === peer.part
  }

  /** The connection is over for `by`; the other one hears of it just behind what was sent before. */
  #close(by: Peer, peer: Peer): void {
    if (!peer.links.delete(by.id)) return
    const afterMs = this.latencyMs(by.id, peer.id) + microsecond
    this.#queue.push(this.#nowMs + afterMs, { _tag: "Closed", peer, other: by.id })
  }
}

const microsecond = 0.001
const noData = new Uint8Array(0)
const encoder = new TextEncoder()
