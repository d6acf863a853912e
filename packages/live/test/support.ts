/** A source without a file, and Live on nodes of the simulated network. */
import * as Router from "@effect-live/endpoint/Router"
import { node } from "@effect-live/endpoint/testing/SimNetwork"
import type { Import } from "@effect-live/media/Import"
import type { Rendition } from "@effect-live/media/RemoteBroadcast"
import type { Sample } from "@effect-live/media/Sample"
import { End } from "@effect-live/endpoint/Stream"
import { Context, Effect, Layer, Stream } from "effect"
import type * as Limits from "../src/Limits.ts"
import * as Live from "../src/Live.ts"

const frameUs = 40_000

/** Opus-like audio: `count` packets of 40 ms, each with its number as content. */
export const source = (count: number): Import => ({
  source: "test",
  rewindable: true,
  skipped: [],
  tracks: [{ kind: "audio", name: "audio/opus", codec: "opus", sampleRate: 48_000, numberOfChannels: 2 }],
  samples: Stream.map(Stream.range(0, count - 1), (index): Sample => ({
    track: "audio/opus",
    ptsUs: index * frameUs,
    key: true,
    data: new TextEncoder().encode(`packet ${index}`),
    durationUs: frameUs
  }))
})

/** Live and Moq on a node of its own, as long as the Scope. */
export const liveOn = (name: string, limits?: Partial<Limits.Limits>) =>
  Effect.map(
    Layer.build(Live.layer(limits).pipe(Layer.provideMerge(Router.layer), Layer.provideMerge(Layer.fresh(node(name))))),
    (context) => Context.get(context, Live.Live)
  )

/** The packets of a rendition until its end, as text; a gap shows as `gap`. */
export const textsOf = Effect.fnUntraced(function* (rendition: Rendition) {
  const texts: Array<string> = []
  for (;;) {
    const event = yield* rendition.next
    if (event === End) return texts
    texts.push(event._tag === "Sample" ? new TextDecoder().decode(event.sample.data) : "gap")
  }
})

export const packets = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `packet ${index}`)
