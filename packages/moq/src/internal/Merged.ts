/**
 * What several sessions with one peer announce, as one table. A path that more than one of them announces is that of who did first,
 * until it ends there; then it is the next one's, and watchers see no end.
 */
import * as Broadcast from "../Broadcast.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { HopId } from "../Message.ts"
import * as Origin from "../Origin.ts"

/** A broadcast that one session announces. */
interface Source<Session> {
  readonly session: Session
  readonly broadcast: Broadcast.BroadcastConsumer
}

/** One life of a path: from its first announcement until nobody announces it any more. */
interface Life<Session> {
  readonly producer: Broadcast.BroadcastProducer
  /** First come. */
  readonly sources: Array<Source<Session>>
}

export class Merged<Session> {
  readonly table = Origin.make()
  readonly #lives = new Map<string, Life<Session>>()

  came(path: string, hops: ReadonlyArray<HopId>, source: Source<Session>): void {
    const life = this.#lives.get(path)
    if (life !== undefined) {
      life.sources.push(source)
      return
    }
    const producer = Broadcast.make()
    this.#lives.set(path, { producer, sources: [source] })
    // beyond the limit of one table it counts as not announced
    if (this.table.publish(path, producer.consume(), hops) !== "published") this.#lives.delete(path)
  }

  went(path: string, session: Session, how: Broadcast.Ended): void {
    const life = this.#lives.get(path)
    const index = life?.sources.findIndex((source) => source.session === session) ?? -1
    if (life === undefined || index < 0) return
    life.sources.splice(index, 1)
    if (life.sources.length > 0) return
    this.#lives.delete(path)
    this.table.unpublish(path)
    end(life, how)
  }

  /** This session is over. */
  left(session: Session): void {
    for (const path of this.#lives.keys()) this.went(path, session, lost)
  }

  /** What a session announces at a path; without one, whose broadcast the path is. */
  source(path: string, session?: Session): Source<Session> | undefined {
    const sources = this.#lives.get(path)?.sources
    return session === undefined ? sources?.[0] : sources?.find((source) => source.session === session)
  }

  close(): void {
    this.table.close()
    for (const life of this.#lives.values()) end(life, lost)
    this.#lives.clear()
  }
}

const lost: Broadcast.Ended = { _tag: "Aborted", code: ErrorCode.transport }

const end = ({ producer }: Life<unknown>, how: Broadcast.Ended): void =>
  how._tag === "Finished" ? producer.finish() : producer.abort(how.code)
