/** The Moq service on simulated nodes that come and go, somebody who publishes on it, and somebody who watches. */
import * as Router from "@effect-live/endpoint/Router"
import { End } from "@effect-live/endpoint/Stream"
import { node, SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import { Context, Effect, Exit, Layer, Schedule, Scope, Stream } from "effect"
import * as Broadcast from "../../src/Broadcast.ts"
import type { GroupProducer } from "../../src/Group.ts"
import * as Moq from "../../src/Moq.ts"
import type { Connectivity, Peer } from "../../src/Peer.ts"
import * as Track from "../../src/Track.ts"
import { bytes, text } from "./world.ts"

/** The service on a node of its own, as long as the Scope. */
export const moqOn = (name: string, options?: Moq.Options) =>
  Effect.map(
    Layer.build(Moq.layer(options).pipe(Layer.provideMerge(Router.layer), Layer.provideMerge(Layer.fresh(node(name))))),
    (context) => Context.get(context, Moq.Moq)
  )

/** One life of a node. */
export interface Life {
  readonly moq: Moq.Moq["Service"]
  /** Ends with it. */
  readonly scope: Scope.Scope
  /** Loses power: nothing that it says on the way out arrives. */
  readonly kill: Effect.Effect<void>
}

export const start = (name: string): Effect.Effect<Life, never, SimNetwork | Scope.Scope> =>
  Effect.gen(function* () {
    const network = yield* SimNetwork
    const scope = yield* Scope.fork(yield* Effect.scope)
    const moq = yield* Scope.provide(moqOn(name), scope)
    return { moq, scope, kill: Effect.andThen(network.crash(name), Scope.close(scope, Exit.void)) }
  })

export const framesPerGroup = 4

/** Publishes a broadcast with one track, a frame every so often, until the Scope closes or `stop`. */
export const broadcast = Effect.fnUntraced(function* ({ moq }: Life, path: string, content: string, frameEveryMs = 50) {
  const producer = Broadcast.make()
  const track = Track.make("track")
  producer.insertTrack(track)
  yield* moq.publish(path, producer)
  const written = { frames: 0 }
  let group: GroupProducer | undefined
  const beat = Effect.gen(function* () {
    for (;;) {
      group = track.appendGroup()
      for (let index = 0; index < framesPerGroup; index++) {
        yield* Effect.sleep(frameEveryMs)
        if (track.ended) return
        group.write(bytes(frame(content, group.sequence, index)))
        written.frames++
      }
      group.finish()
    }
  })
  yield* Effect.forkScoped(beat)
  const stop = Effect.sync(() => {
    group?.finish()
    track.finish()
    producer.finish()
  })
  return { track, producer, written, stop }
})

const frame = (content: string, sequence: number, index: number): string => `${content} ${sequence} ${index}`

/** What somebody who watches a track got: a word for each frame, and for what is no frame. */
export class Seen {
  readonly words: Array<string> = []
  /** Groups that were read to their end or to an error, by content. */
  readonly #groups = new Map<string, number>()
  readonly #short = new Map<string, number>()
  readonly faults: Array<string> = []
  lagged = 0
  frames = 0

  /** Checks a frame against all that came before. */
  frame(content: string, sequence: number, index: number, word: string): void {
    this.frames++
    this.words.push(word)
    const [of = "", group = "", at = ""] = word.split(" ")
    if (of !== content || Number(group) !== sequence || Number(at) !== index) {
      this.faults.push(`frame ${index} of group ${sequence} of ${content} is "${word}"`)
    }
  }

  group(content: string, sequence: number, frames: number): void {
    const key = `${content} ${sequence}`
    if (this.#groups.has(key)) this.faults.push(`group ${key} came twice`)
    this.#groups.set(key, frames)
  }

  /** Only the last group of a content may be shorter. */
  clean(content: string, sequence: number, frames: number): void {
    const short = this.#short.get(content)
    if (short !== undefined && short < sequence) this.faults.push(`group ${short} of ${content} is cut`)
    if (frames < framesPerGroup) this.#short.set(content, sequence)
  }

  has(content: string): boolean {
    return this.words.some((word) => word.startsWith(`${content} `))
  }
}

/** Reads a track to its end or error, and says which. The content is that of its first frame. */
export const read = Effect.fnUntraced(function* (track: Track.TrackConsumer, seen: Seen) {
  let content: string | undefined
  for (;;) {
    const next = yield* Effect.result(track.next)
    if (next._tag === "Failure") return next.failure
    const group = next.success
    if (group === End) return End
    if ("_tag" in group) {
      seen.lagged += group.groups
      continue
    }
    for (let index = 0; ; index++) {
      const read = yield* Effect.result(group.read)
      if (read._tag === "Failure" || read.success === End) {
        if (read._tag === "Success") seen.clean(content ?? "", group.sequence, index)
        if (content !== undefined && index > 0) seen.group(content, group.sequence, index)
        break
      }
      const word = text(read.success)
      content ??= word.split(" ")[0] ?? ""
      seen.frame(content, group.sequence, index, word)
    }
  }
})

/** Connects as somebody who does not give up: a first connection is tried once only. */
export const connectAnyway = ({ moq }: Life, to: EndpointAddr) =>
  Effect.retry(moq.connect(to), {
    schedule: Schedule.spaced("500 millis"),
    while: ({ reason }) => reason._tag !== "ShutDown"
  })

/** Watches a track for as long as the Scope: subscribes again whenever it ends. */
export const watch = Effect.fnUntraced(function* (peer: Peer, path: string, seen: Seen) {
  yield* Effect.forkScoped(
    Effect.gen(function* () {
      for (;;) {
        const how = yield* Effect.scoped(
          Effect.flatMap(peer.consume(path).subscribe("track"), (track) => read(track, seen))
        ).pipe(Effect.result)
        if (peer.connectivity()._tag === "Closed") return
        seen.words.push(
          how._tag === "Failure" ? how.failure.reason._tag : how.success === End ? "end" : `error ${how.success.code}`
        )
        if (how._tag === "Failure") {
          yield* Effect.sleep(100)
          yield* Effect.raceFirst(
            peer.closed,
            peer.announced(path).pipe(
              Stream.filter(({ active }) => active),
              Stream.runHead
            )
          )
        }
      }
    })
  )
})

/** What a peer's connectivity went through, in short: `connected`, `reconnecting`, `closed IdleTimeout`. */
export const connectivityOf = Effect.fnUntraced(function* (peer: Peer) {
  const words: Array<string> = []
  yield* Effect.forkScoped(
    Stream.runForEach(peer.connectivityChanges, (state) =>
      Effect.sync(() => {
        const word = wordOf(state)
        if (words.at(-1) !== word) words.push(word)
      })
    ),
    { startImmediately: true }
  )
  return words
})

const wordOf = (state: Connectivity): string => {
  switch (state._tag) {
    case "Connected":
      return "connected"
    case "Reconnecting":
      return "reconnecting"
    case "Closed":
      return `closed ${state.close._tag}`
  }
}
