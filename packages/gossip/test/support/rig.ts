/** The core of the service without a driver. */
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import type { Exit } from "effect"
import * as Config from "../../src/Config.ts"
import { core, type Event, type Output, type State } from "../../src/GossipCore.ts"
import type * as Message from "../../src/Message.ts"
import type { TopicId } from "../../src/TopicId.ts"
import { content } from "./raw.ts"
import { topicOf } from "./services.ts"

/** Ids in the order of their numbers: cores only compare them, so these need not be keys. */
export const idOf = (n: number): EndpointId => n.toString(16).padStart(64, "0") as EndpointId
export const self = idOf(1)
export const topic = topicOf(1)

/** A core with a clock and timers, and what it put out last. */
export class Rig {
  readonly core = core({
    self,
    config: Config.defaults,
    data: undefined,
    admit: () => true,
    validate: () => true
  })
  readonly state: State = this.core.initial(7)
  readonly timers = new Map<string, { readonly at: number; readonly event: Event }>()
  readonly replies: Array<Exit.Exit<unknown, unknown>> = []
  #asks = 0
  now = 0

  /** The outputs of one event, without those for the kit. */
  step(event: Event): ReadonlyArray<Output> {
    const outputs: Array<Output> = []
    for (const output of this.core.step(this.state, event, this.now)) {
      if (output._tag === "Actor.SetTimer") this.timers.set(output.key, output)
      else if (output._tag === "Actor.ClearTimer") this.timers.delete(output.key)
      else if (output._tag === "Actor.Reply") this.replies.push(output.exit)
      else if (output._tag !== "Actor.Stop") outputs.push(output)
    }
    return outputs
  }

  /** Lets time pass; what came of it. */
  pass(ms: number): ReadonlyArray<Output> {
    const outputs: Array<Output> = []
    const untilMs = this.now + ms
    for (;;) {
      const next = [...this.timers].toSorted(([, a], [, b]) => a.at - b.at)[0]
      if (next === undefined || next[1].at > untilMs) break
      this.timers.delete(next[0])
      this.now = Math.max(this.now, next[1].at)
      outputs.push(...this.step(next[1].event))
    }
    this.now = untilMs
    return outputs
  }

  subscribe(peers: ReadonlyArray<EndpointId>, to: TopicId = topic): ReadonlyArray<Output> {
    return this.step({ _tag: "Subscribe", replyTo: this.#asks++, subscriber: this.#asks, topic: to, peers })
  }

  incoming(connection: number, id: EndpointId): ReadonlyArray<Output> {
    return this.step({ _tag: "Incoming", replyTo: this.#asks++, connection, id })
  }

  receive(connection: number, ...messages: ReadonlyArray<Message.Message<EndpointId>>): ReadonlyArray<Output> {
    return this.step({ _tag: "Received", connection, topic, messages })
  }

  broadcast(text: string): ReadonlyArray<Output> {
    const { content: payload, id } = content(text)
    return this.step({ _tag: "Broadcast", replyTo: this.#asks++, topic, id, content: payload, scope: "Swarm" })
  }
}

/** Short words for outputs. */
export const words = (outputs: ReadonlyArray<Output>): ReadonlyArray<string> =>
  outputs.map((output) => {
    switch (output._tag) {
      case "Dial":
        return `dial ${Number(output.peer)}`
      case "Send":
        return `send ${output.connection} ${output.message._tag}`
      case "CloseConnection":
        return `close ${output.connection} ${output.code}`
      case "Rest":
        return `rest ${output.connection}`
      case "Emit":
        return output.event._tag
      default:
        return output._tag
    }
  })
