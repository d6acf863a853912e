/** `irl publish`: a file or a pipe becomes a broadcast. */
import * as Import from "@effect-live/media/Import"
import * as Live from "@effect-live/live/Live"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import * as LocalBroadcast from "@effect-live/media/LocalBroadcast"
import * as Moq from "@effect-live/moq/Moq"
import type { Session } from "@effect-live/moq/Session"
import { Readable } from "node:stream"
import { Effect, Stream } from "effect"
import { onNode } from "../onNode.ts"
import { Output } from "../Output.ts"
import { qr } from "../qr.ts"
import * as Relay from "../Relay.ts"

interface Input {
  readonly source: string
  readonly name: string
  readonly loop: boolean
  readonly wait: boolean
  readonly noQr: boolean
}

/** How long subscribers may take to leave after the end. */
const audienceGrace = "3 seconds"

export const publish = Effect.fnUntraced(function* (input: Input) {
  yield* onNode(run(input))
})

const run = Effect.fnUntraced(function* (input: Input) {
  const output = yield* Output
  const live = yield* Live.Live
  const source = yield* open(input.source)
  for (const { codec, kind } of source.skipped) yield* output.hint(`left out: ${kind} track in ${codec}`)
  const broadcast = yield* LocalBroadcast.fromImport(source, { loop: input.loop, wait: input.wait })

  yield* Relay.waitToShare("the ticket leads here")
  const ticket = yield* live.publish(input.name, broadcast)
  const text = LiveTicket.format(ticket)
  yield* output.event("publishing", { ticket: text, id: ticket.addr.id, name: ticket.name }, `publishing at ${text}`)
  if (!input.noQr) yield* output.text(qr(text))
  yield* output.hint("press Ctrl-C to stop")

  const audience = yield* watchAudience
  yield* broadcast.ended.pipe(Effect.onInterrupt(() => output.event("done", { reason: "interrupted" })))
  yield* output.hint("the source has ended")
  // Everything has arrived, but a close takes away what a slow subscriber has not read of it yet.
  yield* Effect.timeoutOption(audience.gone, audienceGrace)
  yield* output.event("done", { reason: "ended" })
})

/** Who is connected. `gone` waits until all of them have left. */
const watchAudience = Effect.gen(function* () {
  const moq = yield* Moq.Moq
  const here = new Set<Session>()
  const follow = (session: Session) => {
    here.add(session)
    return Effect.forkScoped(
      Effect.andThen(
        session.closed,
        Effect.sync(() => here.delete(session))
      )
    )
  }
  yield* Effect.forkScoped(Stream.runForEach(moq.sessions, follow))
  const gone = Effect.suspend(() =>
    Effect.forEach(here, (session) => session.closed, { concurrency: "unbounded", discard: true })
  )
  return { gone }
})

const open = (source: string) =>
  source === "-" ? Import.fromStream("stdin", Readable.toWeb(process.stdin)) : Import.fromFile(source)
