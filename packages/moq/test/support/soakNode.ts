/** What a node does in a soak: publishes contents that can be told from the frames alone, and checks those of others. */
import * as Rng from "@effect-live/actor/Rng"
import { End } from "@effect-live/endpoint/Stream"
import type { SimNetwork } from "@effect-live/endpoint/testing/SimNetwork"
import { Effect, type Latch, type Scope, Stream } from "effect"
import type { GroupConsumer } from "../../src/Group.ts"
import type * as Moq from "../../src/Moq.ts"
import type { Peer } from "../../src/Peer.ts"
import type * as Track from "../../src/Track.ts"
import type { Counts } from "../soak.ts"
import { bytes, camera, text } from "./world.ts"

/** One life of a node. */
export interface Life {
  readonly name: string
  readonly number: number
  readonly moq: Moq.Moq["Service"]
  readonly scope: Scope.Closeable
}

/** One subscription. */
export interface Watching {
  readonly label: string
  frames: number
}

/** What all nodes of a run share. */
export interface Run {
  readonly counts: Counts
  readonly network: SimNetwork["Service"]
  readonly names: ReadonlyArray<string>
  readonly watching: Set<Watching>
  /** What is published, by content. */
  readonly tracks: Map<string, Track.TrackProducer>
  readonly newContent: () => string
  /** Nobody dies any more, all publish, and all watch until `leaving` opens; then they keep their peers until `parting` does. */
  readonly whole: boolean
  readonly leaving: Latch.Latch
  readonly parting: Latch.Latch
  readonly fault: (what: string) => void
  /** What takes longer than it may is a fault, and is waited for all the same. */
  readonly within: <A, E, R>(limitMs: number, what: string, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

// ---- content --------------------------------------------------------------------------------------------------------

const framesOf = (content: string, sequence: number): number => 1 + (Rng.hash(`${content} ${sequence}`) % 6)

/** The frame itself says what it is; its length follows from that. */
const frameOf = (content: string, sequence: number, index: number): string => {
  const name = `${content} ${sequence} ${index}`
  const length = Rng.hash(name) % (index === 0 ? 6_000 : 600)
  return `${name} ${"x".repeat(length)}`
}

// ---- publishing -------------------------------------------------------------------------------------------------------

/** One path, with one content after the other. Refused: the service was shut down, and the node follows. */
export const publish = (run: Run, life: Life, slot: string, rng: Rng.Rng): Effect.Effect<void> => {
  const one = Effect.suspend(() =>
    Effect.andThen(
      Effect.sleep(run.whole ? 1 : rng.below(2_000)),
      Effect.scoped(publishOne(run, life, `${life.name}/${slot}`, rng))
    )
  )
  return Effect.ignore(Effect.forever(one))
}

const publishOne = (
  run: Run,
  life: Life,
  path: string,
  rng: Rng.Rng
): Effect.Effect<void, Moq.PublishError, Scope.Scope> =>
  Effect.gen(function* () {
    const content = run.newContent()
    const { broadcast, video: track } = camera({ retention: { ageMs: 5_000 } }, "track")
    run.tracks.set(content, track)
    yield* Effect.addFinalizer(() => Effect.sync(() => run.tracks.delete(content)))
    yield* life.moq.publish(path, broadcast)
    const everyMs = 100 + rng.below(400)
    let left = 2 + rng.below(40)
    while (run.whole || left-- > 0) {
      const group = track.appendGroup()
      const count = framesOf(content, group.sequence)
      for (let index = 0; index < count; index++) {
        yield* Effect.sleep(everyMs)
        group.write(bytes(frameOf(content, group.sequence, index)))
      }
      group.finish()
    }
    // some say that it is over, others give up
    if (rng.next() < 0.7) broadcast.finish()
    else broadcast.abort()
  })

// ---- watching ---------------------------------------------------------------------------------------------------------

/** Goes from peer to peer; when the network is whole, stays until it is time to leave. */
export const visit = (run: Run, life: Life, rng: Rng.Rng): Effect.Effect<void> => {
  const others = run.names.filter((name) => name !== life.name)
  return Effect.gen(function* () {
    while (!run.leaving.isOpen()) {
      yield* Effect.sleep(run.whole ? 100 : rng.below(1_500))
      const target = others[rng.below(others.length)] ?? ""
      const visit = Effect.scoped(stay(run, life, target, rng))
      yield* run.whole ? visit : Effect.timeoutOption(visit, rng.below(12_000))
    }
  })
}

const stay = (run: Run, life: Life, target: string, rng: Rng.Rng): Effect.Effect<void, never, Scope.Scope> => {
  const label = `${life.name} (life ${life.number}) at ${target}`
  return Effect.gen(function* () {
    run.counts.connections++
    const connecting = run.within(15_000, `${label}: connecting`, life.moq.connect(run.network.addr(target)))
    const connected = yield* Effect.result(connecting)
    if (connected._tag === "Failure") return ended(run, connected.failure.reason._tag)
    const peer = connected.success
    yield* Effect.forkScoped(countReconnects(run, peer))
    const path = `${target}/${run.whole ? 0 : rng.below(2)}`
    while (peer.connectivity()._tag !== "Closed") {
      yield* Effect.raceFirst(run.leaving.await, watch(run, peer, path, `${label} watching ${path}`))
      if (run.leaving.isOpen()) return yield* run.parting.await
      yield* Effect.sleep(500)
    }
  })
}

/** One subscription, to its end. */
const watch = (run: Run, peer: Peer, path: string, label: string): Effect.Effect<void> => {
  const watching: Watching = { label, frames: 0 }
  const subscribing = run.within(90_000, `${label}: subscribing`, peer.consume(path).subscribe("track"))
  return Effect.acquireUseRelease(
    Effect.sync(() => {
      run.counts.subscriptions++
      run.watching.add(watching)
    }),
    () =>
      Effect.scoped(Effect.flatMap(subscribing, (track) => read(run, track, watching))).pipe(
        Effect.match({
          onFailure: (error) => ended(run, error._tag === "TrackError" ? `code ${error.code}` : error.reason._tag),
          onSuccess: () => ended(run, "finished")
        })
      ),
    () => Effect.sync(() => run.watching.delete(watching))
  )
}

const read = (run: Run, track: Track.TrackConsumer, watching: Watching): Effect.Effect<void, Track.TrackError> =>
  Effect.gen(function* () {
    const seen = new Set<number>()
    let content: string | undefined
    for (;;) {
      const next = yield* track.next
      if (next === End) return
      if ("_tag" in next) {
        run.counts.lagged += next.groups
        continue
      }
      if (seen.has(next.sequence)) run.fault(`${watching.label}: group ${next.sequence} comes twice`)
      seen.add(next.sequence)
      content = yield* readGroup(run, next, content, watching)
    }
  })

/** Checks every frame; gives the content of the track, which is known from the first one. */
const readGroup = (
  run: Run,
  group: GroupConsumer,
  known: string | undefined,
  watching: Watching
): Effect.Effect<string | undefined> =>
  Effect.gen(function* () {
    const where = `${watching.label}: group ${group.sequence}`
    let content = known
    run.counts.groups++
    for (let index = 0; ; index++) {
      const next = yield* Effect.result(group.read)
      if (next._tag === "Failure") {
        run.counts.resets++
        return content
      }
      if (next.success === End) {
        const expected = content === undefined ? undefined : framesOf(content, group.sequence)
        if (index !== expected) run.fault(`${where} ends after ${index} frames, not ${expected}`)
        return content
      }
      const frame = text(next.success)
      content ??= frame.slice(0, frame.indexOf(" "))
      if (frame !== frameOf(content, group.sequence, index)) {
        run.fault(`${where}: frame ${index} of ${content} is "${frame.slice(0, 40)}"`)
      }
      watching.frames++
      run.counts.frames++
      run.counts.bytes += next.success.length
    }
  })

const countReconnects = (run: Run, peer: Peer): Effect.Effect<void> => {
  let lost = false
  return Stream.runForEach(peer.connectivityChanges, ({ _tag }) =>
    Effect.sync(() => {
      if (lost && _tag === "Connected") run.counts.reconnects++
      lost = _tag === "Reconnecting"
    })
  )
}

const ended = ({ counts }: Run, how: string): void => {
  counts.ends[how] = (counts.ends[how] ?? 0) + 1
}
