/** Our side: the real packages on real UDP. */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as Router from "@effect-live/endpoint/Router"
import { Blocked, End } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as Broadcast from "@effect-live/moq/Broadcast"
import { type GroupConsumer, GroupError } from "@effect-live/moq/Group"
import * as Moq from "@effect-live/moq/Moq"
import type { Announcement } from "@effect-live/moq/Origin"
import * as Track from "@effect-live/moq/Track"
import { Context, Effect, Fiber, Layer, Result, type Scope, Stream } from "effect"
import * as Address from "./address.ts"
import { content } from "./content.ts"

export interface Ours {
  readonly endpoint: typeof Endpoint.Service
  readonly moq: typeof Moq.Moq.Service
  /** `ID@IP:PORT`. */
  readonly at: string
}

/** A node of ours on a free port of the loopback device. */
export const ours = (options: Iroh.Options = {}): Effect.Effect<Ours, Iroh.IrohError, Scope.Scope> => {
  const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
  const endpoint = Iroh.layer({ bindAddrs, relayMode: "disabled", ...options })
  const layer = Moq.layer().pipe(
    Layer.provideMerge(Router.layer),
    Layer.provideMerge(endpoint),
    Layer.provide(AddressBook.layer)
  )
  return Effect.map(Layer.build(Layer.fresh(layer)), (context) => {
    const endpoint = Context.get(context, Endpoint)
    return { endpoint, moq: Context.get(context, Moq.Moq), at: Address.format(endpoint.addr()) }
  })
}

/** A short idle timeout where it can be had: on `@number0/iroh` it is always 30 s. */
export const soonIdle: Iroh.Options = process.env["IROH_BACKING"] === "number0" ? {} : { idleTimeoutMs: 4000 }

/** Whether this endpoint runs on the addon of this repository, which binds the addresses it is given and no others. */
export const isNative = (endpoint: Ours["endpoint"]): boolean => endpoint.backing.name === "@effect-live/native"

/** Waits until a peer announces a path. */
export const announced = (
  { announced }: { readonly announced: (prefix: string) => Stream.Stream<Announcement> },
  path: string
): Effect.Effect<void> =>
  announced("").pipe(
    Stream.filter((each) => each.active && each.path === path),
    Stream.runHead,
    Effect.flatMap((head) =>
      head._tag === "Some" ? Effect.void : Effect.die(new Error(`the session ended before ${path} was announced`))
    )
  )

/** What a publisher of either side writes: the same as the options of `interop-peer publish`. */
export interface Plan {
  readonly groups: number
  readonly frames?: number
  readonly bytes?: number
  readonly intervalMs?: number
  readonly resetEvery?: number
  readonly seed?: number
}

/**
 * Writes a track by its plan and finishes it. `begun` waits until the reader has seen a frame of a group that will be reset: a reset
 * may overtake all of its stream.
 */
export const write = Effect.fnUntraced(function* <E = never>(
  track: Track.TrackProducer,
  plan: Plan,
  begun: (group: number) => Effect.Effect<unknown, E> = () => Effect.void
) {
  const { bytes = 1000, frames = 5, groups, intervalMs = 50, resetEvery, seed = 0 } = plan
  for (let sequence = 0; sequence < groups; sequence++) {
    const group = track.appendGroup()
    const reset = resetEvery !== undefined && sequence % resetEvery === Math.floor(resetEvery / 2)
    const count = reset ? Math.floor(frames / 2) : frames
    for (let frame = 0; frame < count; frame++) group.write(content(seed, sequence, frame, bytes + frame))
    yield* Effect.sleep(intervalMs)
    if (reset) {
      yield* begun(sequence)
      group.abort(0)
    } else group.finish()
  }
  track.finish()
})

/** Publishes a broadcast with one track, named `data`, until the Scope closes. */
export const publish = Effect.fnUntraced(function* (moq: Ours["moq"], path = "hello", options?: Track.Options) {
  const broadcast = Broadcast.make()
  const track = Track.make("data", options)
  broadcast.insertTrack(track)
  yield* moq.publish(path, broadcast)
  return { broadcast, track }
})

/** A group as it arrived. */
export interface Received {
  readonly sequence: number
  /** Every frame so far. */
  readonly frames: ReadonlyArray<Uint8Array>
  /** `complete`, or the code it was given up with. */
  readonly end: "complete" | number
}

/** Reads a track to its end, its groups side by side: these by their numbers, and how many were missed. */
export const readAll = (
  track: Track.TrackConsumer,
  options: { readonly onFrame?: (group: number) => void; readonly groups?: number } = {}
) =>
  Effect.gen(function* () {
    const received: Array<Received> = []
    const reading = []
    let lagged = 0
    for (;;) {
      const next = yield* track.next
      if (next === End) break
      if ("_tag" in next) {
        lagged += next.groups
        continue
      }
      reading.push(
        yield* Effect.forkChild(Effect.map(readGroup(next, options.onFrame), (group) => received.push(group)))
      )
      if (reading.length === options.groups) break
    }
    for (const fiber of reading) yield* Fiber.await(fiber)
    return { received: received.toSorted((a, b) => a.sequence - b.sequence), lagged }
  })

const readGroup = Effect.fnUntraced(function* (group: GroupConsumer, onFrame?: (group: number) => void) {
  const frames: Array<Uint8Array> = []
  for (;;) {
    const frame = group.tryRead()
    if (frame === Blocked) yield* group.readable
    else if (frame === End) return { sequence: group.sequence, frames, end: "complete" } as const
    else if (frame instanceof GroupError) return { sequence: group.sequence, frames, end: frame.code }
    else {
      frames.push(frame)
      onFrame?.(group.sequence)
    }
  }
})
