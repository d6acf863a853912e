/** Announcements, told and heard (moq-lite section 4.2). */
import {
  Blocked,
  type BiStream,
  ConnectionLost,
  End,
  type SendStream,
  type StreamError
} from "@effect-live/endpoint/Stream"
import { DecodeError } from "@effect-live/wire/DecodeError"
import { Effect, Result } from "effect"
import type { BroadcastConsumer } from "../Broadcast.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as Limits from "../Limits.ts"
import * as Message from "../Message.ts"
import type { Announcement } from "../Origin.ts"
import * as Path from "../Path.ts"
import type { Event, Verdict } from "../SessionCore.ts"
import { ControlReader } from "./ControlReader.ts"
import { isLost } from "./failures.ts"
import type { Beginning } from "./HalfOpen.ts"
import type { Link } from "./Link.ts"
import { readToEnd } from "./Probing.ts"

// ---- the peer announces ---------------------------------------------------------------------------------------------

/** Our one Announce stream: everything that the peer has. */
export const readAnnouncements = (link: Link): Effect.Effect<Event> => {
  const { number, shared, version } = link
  const read = ({ recv, send }: BiStream) =>
    Effect.gen(function* () {
      const request = { prefix: "", excludeHop: shared.hop }
      yield* send.write(Message.encodeTyped(Message.StreamType.announce, version.announceRequest, request))
      const reader = new ControlReader(recv)
      /** The sender, where it does not name itself in every announcement. */
      let sender: Message.HopId | undefined
      if (version.announceOk) {
        const body = yield* reader.message()
        if (body === End) return { _tag: "AnnouncementsEnded", link: number } as const
        const { active, hop } = yield* Effect.fromResult(Message.decode(Message.announceOk, body))
        sender = hop
        yield* link.tell({ _tag: "AnnounceOk", link: number, active })
      }
      // most come by the hundred: it waits only where it has to
      for (;;) {
        const body = reader.tryMessage()
        if (body === End) break
        if (body === Blocked) {
          yield* reader.readable
          continue
        }
        if (!(body instanceof Uint8Array)) return yield* body
        const said = Message.decode(version.announceBroadcast, body)
        if (Result.isFailure(said)) return yield* said.failure
        const wait = link.tryCharge()
        if (wait !== undefined) yield* wait
        const { active, hops, suffix: path } = said.success
        const loop = hops.includes(shared.hop)
        const way = sender === undefined || !active ? hops : [...hops, sender]
        const event: Event = { _tag: "Announced", link: number, path, active, hops: way, loop }
        if (!link.tryTell(event)) yield* link.tell(event)
      }
      return { _tag: "AnnouncementsEnded", link: number } as const
    }).pipe(Effect.ensuring(Effect.sync(() => send.finish())))
  return Effect.flatMap(link.connection.openBi, read).pipe(
    Effect.catch((error) => {
      if (error instanceof DecodeError) {
        const reason = `announcement: ${error.message}`
        return Effect.succeed<Event>({ _tag: "Violated", link: number, code: ErrorCode.decode, reason })
      }
      // what was announced stays until the peer had time to announce it again on the next connection
      const lost = error instanceof ConnectionLost || isLost(error)
      return Effect.succeed<Event>(lost ? link.done : { _tag: "AnnouncementsEnded", link: number })
    })
  )
}

// ---- the peer asks --------------------------------------------------------------------------------------------------

/**
 * An Announce stream of the peer, behind its type. It is never reset: peers close their session on that. Nor does it end with a
 * connection that is left for another one: its end is the end of everything that was announced.
 */
export const serveAnnouncements = (
  link: Link,
  { send }: BiStream,
  reader: ControlReader,
  beginning: Beginning
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const body = yield* reader.message()
    beginning.over()
    if (body === End) return
    const request = yield* Effect.fromResult(Message.decode(link.version.announceRequest, body))
    yield* Effect.yieldNow // who knows already what it wants is served first
    const verdict = yield* link.ask<Verdict>((replyTo) => ({ _tag: "AnnounceRequested", link: link.number, replyTo }))
    if (verdict !== "accept") return
    yield* Effect.raceFirst(writeAnnouncements(link, request, send), readToEnd(link, reader)).pipe(
      Effect.ensuring(link.tell({ _tag: "AnnounceClosed", link: link.number }))
    )
  }).pipe(Effect.ignore, Effect.andThen(Effect.sync(() => send.finish())))

/** Tells a peer what is published under a prefix, as long as it listens. */
const writeAnnouncements = (
  link: Link,
  request: Message.AnnounceRequest,
  send: SendStream
): Effect.Effect<void, StreamError> =>
  Effect.acquireUseRelease(
    Effect.sync(() => link.shared.published.announced(request.prefix)),
    (watcher) => {
      const said = new Announcer(link, request)
      /** In pieces: a long table must not hold up what others wait for. */
      const say = (announcements: ReadonlyArray<Announcement>): Effect.Effect<void, StreamError> =>
        Effect.gen(function* () {
          for (let from = 0; from < announcements.length; from += pieceAnnouncements) {
            if (from > 0) yield* Effect.yieldNow
            const messages = said.changes(announcements, from, from + pieceAnnouncements)
            if (messages.length > 0) yield* send.write(messages)
          }
        })
      return Effect.gen(function* () {
        if (link.version.announceOk) {
          const next = watcher.tryNext()
          const there = next === Blocked || next === End ? [] : next
          yield* send.write(said.first(there))
          yield* say(there)
        }
        for (;;) {
          const next = watcher.tryNext()
          if (next === End) {
            send.finish()
            return yield* send.flushed
          }
          if (next === Blocked) {
            yield* watcher.readable
            yield* Effect.yieldNow // what is published at once is said at once
          } else {
            yield* say(next)
          }
        }
      })
    },
    (watcher) => Effect.sync(() => watcher.close())
  )

/** Turns what is published into what one peer may hear of it. */
class Announcer {
  readonly #link: Link
  readonly #request: Message.AnnounceRequest
  /** What the peer was told is there: nothing else can end for it. */
  readonly #told = new Map<string, Told>()

  constructor(link: Link, request: Message.AnnounceRequest) {
    this.#link = link
    this.#request = request
  }

  /** Who we are, and how much of this the peer will hear of. */
  first(announcements: ReadonlyArray<Announcement>): Uint8Array {
    const active = announcements.filter(({ hops }) => this.#way(hops) !== undefined).length
    return Message.encode(Message.announceOk, { hop: this.#link.shared.hop, active })
  }

  /** What to say of some of these, in one piece; nothing of it may be for this peer. */
  changes(announcements: ReadonlyArray<Announcement>, from: number, to: number): Uint8Array {
    const messages: Array<Message.AnnounceBroadcast> = []
    for (const [index, announcement] of announcements.slice(from, to).entries()) {
      const { active, path } = announcement
      const following = announcements[from + index + 1]
      if (active) this.#begins(announcement, messages)
      // one message says that it ended and began
      else if (following?.path !== path || !this.#restarts(following)) this.#ends(path, messages)
    }
    return Message.encodeAll(this.#link.version.announceBroadcast, messages)
  }

  #begins({ hops, path }: Announcement, messages: Array<Message.AnnounceBroadcast>): void {
    const way = this.#way(hops)
    if (way === undefined) return
    this.#told.set(path, { broadcast: this.#link.shared.published.consume(path), origin: this.#originOf(hops) })
    messages.push({ active: true, suffix: this.#suffix(path), hops: way })
  }

  #ends(path: string, messages: Array<Message.AnnounceBroadcast>): void {
    if (this.#told.delete(path)) messages.push({ active: false, suffix: this.#suffix(path), hops: [] })
  }

  /** Whether this beginning alone makes the peer replace what it was told before, or only take another way to the same. */
  #restarts({ hops, path }: Announcement): boolean {
    const told = this.#told.get(path)
    if (!this.#link.version.restarts || told === undefined || this.#way(hops) === undefined) return false
    // the same origin says that the content is the same
    const same = told.broadcast === this.#link.shared.published.consume(path)
    return same === (told.origin === this.#originOf(hops))
  }

  #originOf(hops: ReadonlyArray<Message.HopId>): Message.HopId {
    return hops[0] ?? this.#link.shared.hop
  }

  /** The hops to say; undefined where the peer must not hear of it: it came from there, or from too far. */
  #way(hops: ReadonlyArray<Message.HopId>): ReadonlyArray<Message.HopId> | undefined {
    const { shared, version } = this.#link
    const { excludeHop } = this.#request
    if (excludeHop !== 0 && hops.includes(excludeHop)) return undefined
    if (hops.length >= Limits.hops) return undefined
    if (version.hops === "receiverAppends") return hops
    // where hops are only counted, the name of the content is none
    return version.hops === "count" && hops.length > 0 ? hops : [...hops, shared.hop]
  }

  #suffix(path: string): string {
    return Path.suffix(this.#request.prefix, path) ?? path
  }
}

/** Announcements that go out before others get a turn. */
const pieceAnnouncements = 32

interface Told {
  readonly broadcast: BroadcastConsumer | undefined
  readonly origin: Message.HopId
}
