/**
 * Nodes that are nothing but a core of the Moq service, and connections between them that are nothing but messages: whoever asks
 * decides which message arrives next.
 */
import type * as Actor from "@effect-live/actor/Actor"
import type { Close } from "@effect-live/endpoint/Close"
import { ConnectError, ConnectTimeout } from "@effect-live/endpoint/Endpoint"
import { Exit } from "effect"
import * as closes from "../../src/internal/closes.ts"
import { core, type Event, type Output, type State } from "../../src/MoqCore.ts"
import type { Connectivity } from "../../src/Peer.ts"
import { idOf, realId } from "./ids.ts"

interface End {
  readonly node: Node
  readonly number: number
  readonly dialed: boolean
  open: boolean
  other?: End
}

/** What is on its way; those of one `lane` arrive in their order. */
interface Message {
  readonly lane: string
  readonly arrive: () => void
}

class Node {
  readonly index: number
  readonly life: number
  readonly core: Actor.Core<State, Event, Output>
  readonly state: State
  readonly timers = new Map<string, { readonly at: number; readonly event: Event }>()
  readonly ends = new Map<number, End>()
  /** The connection of each session that is not over. */
  readonly sessions = new Map<number, number | undefined>()
  readonly losses = new Map<number, Close>()
  /** By the number of the `ask`. */
  readonly answers = new Map<number, Exit.Exit<unknown, unknown>>()
  readonly cancelled = new Set<number>()
  /** What the holders of peers were told. */
  readonly told: Array<Connectivity> = []
  readonly joined = new Set<number>()
  dials = 0
  up = true
  next = 0

  constructor(index: number, life: number) {
    this.index = index
    this.life = life
    this.core = core(idOf(index))
    this.state = this.core.initial(index * 100 + life)
  }
}

export class World {
  readonly nodes: Array<Node>
  readonly #oneConnection: boolean
  #messages: Array<Message> = []
  #asks = 0
  nowMs = 0

  constructor(count: number, oneConnection: boolean) {
    this.#oneConnection = oneConnection
    this.nodes = Array.from({ length: count }, (_, index) => new Node(index, 0))
  }

  node(index: number): Node {
    const node = this.nodes[index]
    if (node === undefined) throw new Error(`no node ${index}`)
    return node
  }

  // ---- what users and the network do ----------------------------------------------------------------------------------

  /** The holder, which is the number of the `ask` too. */
  connect(from: number, to: number): number {
    const holder = ++this.#asks
    this.#step(this.node(from), { _tag: "Connect", replyTo: holder, holder, id: idOf(to), to: idOf(to) })
    return holder
  }

  disconnect(from: number, holder: number): void {
    this.#step(this.node(from), { _tag: "Disconnect", holder })
  }

  /** Every connection between two nodes is lost; each end finds out in its time. */
  cut(a: number, b: number): void {
    for (const node of [this.node(a), this.node(b)]) {
      for (const end of node.ends.values()) {
        const other = end.other?.node.index
        if (end.open && (other === a || other === b)) this.#lose(end)
      }
    }
  }

  restart(index: number): void {
    const dead = this.node(index)
    dead.up = false
    for (const end of dead.ends.values()) {
      end.open = false
      if (end.other?.open === true) this.#lose(end.other)
    }
    this.nodes[index] = new Node(index, dead.life + 1)
  }

  get pending(): number {
    return this.#lanes().length
  }

  deliver(choice: number): void {
    const lanes = this.#lanes()
    const message = lanes[choice % Math.max(1, lanes.length)]
    if (message === undefined) return
    this.#messages = this.#messages.filter((other) => other !== message)
    message.arrive()
  }

  /** The earliest timer of all nodes. */
  fireNext(): boolean {
    let first: { readonly node: Node; readonly key: string; readonly at: number; readonly event: Event } | undefined
    for (const node of this.nodes) {
      for (const [key, timer] of node.timers) {
        if (first === undefined || timer.at < first.at) first = { node, key, ...timer }
      }
    }
    if (first === undefined) return false
    this.nowMs = Math.max(this.nowMs, first.at)
    first.node.timers.delete(first.key)
    this.#step(first.node, first.event)
    return true
  }

  /** Everything arrives, and time passes, until nothing is left to do. */
  settle(): void {
    for (let steps = 0; steps < 10_000; steps++) {
      if (this.pending > 0) this.deliver(0)
      else if (!this.fireNext()) return
    }
    throw new Error("it never comes to rest")
  }

  // ---- the network ----------------------------------------------------------------------------------------------------

  #lanes(): ReadonlyArray<Message> {
    const first = new Map<string, Message>()
    for (const message of this.#messages) if (!first.has(message.lane)) first.set(message.lane, message)
    return [...first.values()]
  }

  #send(lane: string, arrive: () => void): void {
    this.#messages.push({ lane, arrive })
  }

  #lose(end: End): void {
    this.#send(own(end), () => this.#closed(end, { _tag: "IdleTimeout" }))
  }

  #closed(end: End, close: Close): void {
    const { node, number } = end
    if (!end.open || !node.up) return
    end.open = false
    this.#step(node, { _tag: "ConnectionClosed", connection: number, close })
    for (const [session, connection] of node.sessions) {
      if (connection !== number) continue
      node.sessions.set(session, undefined)
      node.losses.set(session, close)
      if (!closes.isLoss(close)) this.#over(node, session, close)
    }
  }

  #close(end: End, code: number, reason: string): void {
    if (!end.open) return
    const { other } = end
    this.#send(own(end), () => this.#closed(end, { _tag: "Local", code, reason }))
    if (other === undefined) return
    // in its turn behind what was said before
    this.#send(lane(end, other), () =>
      this.#send(own(other), () => this.#closed(other, { _tag: "Remote", code, reason }))
    )
  }

  #over(node: Node, session: number, close: Close): void {
    if (!node.sessions.delete(session)) return
    this.#send(`session ${node.index}/${node.life}/${session}`, () => {
      if (node.up) this.#step(node, { _tag: "SessionEnded", session, close })
    })
  }

  /** Initial there, Accepted back, and the acceptor knows with what comes next. */
  #dial(node: Node, dial: number, to: number): void {
    const name = `dial ${node.index}/${node.life}/${dial}`
    this.#send(name, () => {
      const target = this.node(to)
      this.#send(name, () => {
        if (!node.up || node.cancelled.has(dial)) return
        if (!target.up) {
          const error = new ConnectError({ peer: realId, reason: new ConnectTimeout({ timeoutMs: 1 }) })
          return this.#step(node, { _tag: "DialFailed", dial, error })
        }
        const here: End = { node, number: node.next++, dialed: true, open: true }
        const there: End = { node: target, number: target.next++, dialed: false, open: true, other: here }
        here.other = there
        node.ends.set(here.number, here)
        target.ends.set(there.number, there)
        const oneConnection = this.#oneConnection
        this.#send(lane(here, there), () => {
          if (!target.up || !there.open) return
          const replyTo = ++this.#asks
          const id = idOf(node.index)
          this.#step(target, { _tag: "Incoming", replyTo, connection: there.number, id, oneConnection })
          const verdict = target.answers.get(replyTo)
          if (verdict === undefined || !Exit.isSuccess(verdict)) throw new Error("no verdict")
          if (verdict.value !== "accept") {
            const { code, reason } = verdict.value as { readonly code: number; readonly reason: string }
            this.#close(there, code, reason)
          }
        })
        this.#send(own(here), () => {
          if (node.up) this.#step(node, { _tag: "Dialed", dial, connection: here.number, oneConnection })
        })
      })
    })
  }

  // ---- the core -------------------------------------------------------------------------------------------------------

  #step(node: Node, event: Event): void {
    for (const output of node.core.step(node.state, event, this.nowMs)) this.#perform(node, output)
  }

  #perform(node: Node, output: Output | Actor.Command<Event>): void {
    switch (output._tag) {
      case "Actor.SetTimer":
        node.timers.set(output.key, output)
        return
      case "Actor.ClearTimer":
        node.timers.delete(output.key)
        return
      case "Actor.Reply":
        if (node.answers.has(output.to)) throw new Error(`ask ${output.to} was answered twice`)
        node.answers.set(output.to, output.exit)
        return
      case "Join":
        node.joined.add(output.peer)
        return
      case "Leave":
      case "Connectivity":
        if (!node.joined.has(output.peer)) throw new Error(`${output._tag} of a peer that nobody was given`)
        if (output._tag === "Connectivity") node.told.push(output.state)
        return
      case "Forget":
        node.joined.delete(output.peer)
        return
      case "Dial":
        node.dials++
        return this.#dial(node, output.dial, Number.parseInt(String(output.to), 16))
      case "CancelDial":
        node.cancelled.add(output.dial)
        return
      case "OpenSession":
      case "Attach":
        if (output._tag === "Attach" && !node.sessions.has(output.session)) {
          const end = node.ends.get(output.connection)
          if (end !== undefined) this.#close(end, closes.unused.code, closes.unused.reason)
          return
        }
        node.sessions.set(output.session, output.connection)
        return
      case "CloseConnection": {
        const end = node.ends.get(output.connection)
        if (end !== undefined) this.#close(end, output.code, output.reason)
        return
      }
      case "CloseSession": {
        if (!node.sessions.has(output.session)) return
        const connection = node.sessions.get(output.session)
        const end = connection === undefined ? undefined : node.ends.get(connection)
        if (end !== undefined) this.#close(end, output.code, output.reason)
        const loss = node.losses.get(output.session)
        const { code, reason } = output
        this.#over(
          node,
          output.session,
          end === undefined && loss !== undefined ? loss : { _tag: "Local", code, reason }
        )
        return
      }
      case "ForgetConnection":
        node.ends.delete(output.connection)
        return
      default:
        return
    }
  }
}

/** What a node hears of one of its connections, in order. */
const own = ({ node, number }: End): string => `connection ${node.index}/${node.life}/${number}`

const lane = (from: End, to: End): string =>
  `from ${from.node.index}/${from.node.life}/${from.number} to ${to.node.index}/${to.node.life}/${to.number}`
