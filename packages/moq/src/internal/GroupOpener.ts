import * as Resume from "@effect-live/actor/Resume"
import type { Connection } from "@effect-live/endpoint/Connection"
import type { ConnectionLost, SendStream } from "@effect-live/endpoint/Stream"
import { Effect, Exit } from "effect"

/** A group that wants a stream. */
interface Wanting {
  /** Higher goes first, as the priorities of streams. */
  readonly rank: () => number
  /** What it got while it waited: a stream, or that it is its turn to open one. */
  given: SendStream | "turn" | undefined
  resume: ((got: Effect.Effect<void>) => void) | undefined
}

/**
 * Hands the streams that a peer grants us to the groups that want one, the most important first: where credit is short, what waited
 * longest is not what is wanted most. One of them opens at a time, for whoever is first when the stream is there.
 */
export class GroupOpener {
  readonly #connection: Connection
  readonly #waiting = new Set<Wanting>()
  /** Opened for somebody who left meanwhile. */
  readonly #spare: Array<SendStream> = []
  #opening = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Groups that wait for one. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** A stream, when it is this one's turn. */
  open(rank: () => number): Effect.Effect<SendStream, ConnectionLost> {
    // whose turn it is, is decided and undone where nobody can interrupt
    return Effect.uninterruptibleMask((restore) => {
      const own: Wanting = { rank, given: undefined, resume: undefined }
      if (this.#opening) {
        this.#waiting.add(own)
      } else {
        this.#opening = true
        own.given = "turn"
      }
      const stream = own.given === "turn" ? this.#openFor(own) : Effect.flatMap(wait(own), () => this.#taken(own))
      return Effect.onExit(restore(stream), (exit) =>
        Effect.sync(() => {
          this.#waiting.delete(own)
          if (own.given === "turn") this.#pass()
          else if (own.given !== undefined && !Exit.isSuccess(exit)) this.#spare.push(own.given)
        })
      )
    })
  }

  #taken(own: Wanting): Effect.Effect<SendStream, ConnectionLost> {
    return typeof own.given === "object" ? Effect.succeed(own.given) : this.#openFor(own)
  }

  /** Who is first is decided when the stream is there: waiting for it may have taken long. */
  #openFor(own: Wanting): Effect.Effect<SendStream, ConnectionLost> {
    const spare = this.#spare.pop()
    return Effect.flatMap(spare === undefined ? this.#connection.openUni : Effect.succeed(spare), (stream) => {
      const first = this.#first()
      if (first === undefined || first.rank() <= own.rank()) return Effect.succeed(stream)
      this.#give(first, stream)
      return this.#openFor(own)
    })
  }

  /** Another one opens. */
  #pass(): void {
    const first = this.#first()
    if (first === undefined) this.#opening = false
    else this.#give(first, "turn")
  }

  #give(to: Wanting, given: SendStream | "turn"): void {
    this.#waiting.delete(to)
    to.given = given
    if (to.resume !== undefined) Resume.now(to.resume, Effect.void)
  }

  #first(): Wanting | undefined {
    let first: Wanting | undefined
    for (const wanting of this.#waiting) if (first === undefined || wanting.rank() > first.rank()) first = wanting
    return first
  }
}

/** Until it got something. */
const wait = (own: Wanting): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (own.given !== undefined) return resume(Effect.void)
    own.resume = resume
  })
