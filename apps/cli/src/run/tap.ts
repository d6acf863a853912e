/** `irl tap`: every frame of a track, as it arrives. */
import { createHash } from "node:crypto"
import { End } from "@effect-live/endpoint/Stream"
import * as Live from "@effect-live/live/Live"
import type { LiveTicket } from "@effect-live/live/LiveTicket"
import * as RemoteBroadcast from "@effect-live/media/RemoteBroadcast"
import type { GroupConsumer } from "@effect-live/moq/Group"
import { Effect, Option } from "effect"
import * as Connection from "../Connection.ts"
import * as Failure from "../Failure.ts"
import { onNode } from "../onNode.ts"
import { Output } from "../Output.ts"
import * as Tickets from "../Tickets.ts"

interface Input {
  readonly ticket: string
  readonly track: Option.Option<string>
  readonly duration: Option.Option<number>
}

export const tap = Effect.fnUntraced(function* (input: Input) {
  const output = yield* Output
  const ticket = yield* Tickets.parse(input.ticket)
  const counted = { frames: 0, bytes: 0, groups: 0 }
  const all = onNode(tapTrack(ticket, input.track, counted))
  const limited = Option.isSome(input.duration) ? Effect.timeoutOption(all, input.duration.value) : all
  yield* Effect.onExit(Effect.asVoid(limited), () => output.event("done", counted))
})

const tapTrack = Effect.fnUntraced(function* (
  ticket: LiveTicket,
  wanted: Option.Option<string>,
  counted: { frames: number; bytes: number; groups: number }
) {
  const output = yield* Output
  const live = yield* Live.Live
  const { broadcast, name, peer } = yield* live.subscribe(ticket)
  yield* Connection.tell(peer)
  const track = yield* Option.match(wanted, { onSome: Effect.succeed, onNone: () => bestTrack(broadcast) })
  const consumer = yield* peer.consume(name).subscribe(track)

  const readGroup = Effect.fnUntraced(function* (group: GroupConsumer) {
    for (;;) {
      const index = group.index
      const frame = yield* group.read
      if (frame === End) return
      counted.frames++
      counted.bytes += frame.length
      const sha256 = createHash("sha256").update(frame).digest("hex")
      yield* output.event(
        "frame",
        { track, group: group.sequence, index, bytes: frame.length, sha256 },
        `${track} group ${group.sequence} frame ${index}  ${frame.length} bytes  sha256 ${sha256}`
      )
    }
  })

  for (;;) {
    const next = yield* consumer.next
    if (next === End) return
    if ("_tag" in next) {
      yield* output.event(
        "lagged",
        { track, groups: next.groups },
        `${track} lost ${next.groups} groups before they were read`
      )
      continue
    }
    counted.groups++
    yield* readGroup(next).pipe(
      Effect.catchTag("GroupError", (error) =>
        output.event(
          "reset",
          { track, group: error.sequence, code: error.code },
          `${track} group ${error.sequence} was given up by the publisher (code ${error.code})`
        )
      )
    )
  }
})

const bestTrack = (broadcast: RemoteBroadcast.RemoteBroadcast) =>
  Effect.flatMap(broadcast.ready, (catalog) => {
    const best = RemoteBroadcast.ranked(catalog, "video")[0] ?? RemoteBroadcast.ranked(catalog, "audio")[0]
    return best === undefined
      ? Effect.fail(Failure.make("NoTrack", "the catalog has no track that this program knows; name one with --track"))
      : Effect.succeed(best.name)
  })
