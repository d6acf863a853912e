/** The first words of lite-05 (moq-lite section 3.5.1), and the last ones (GOAWAY, section 3.4). */
import type { Connection } from "@effect-live/endpoint/Connection"
import { End, type StreamError } from "@effect-live/endpoint/Stream"
import { Effect } from "effect"
import * as ErrorCode from "../ErrorCode.ts"
import * as Message from "../Message.ts"
import type { Event } from "../SessionCore.ts"
import type { ControlReader, ReadError } from "./ControlReader.ts"
import type { Beginning } from "./HalfOpen.ts"
import type { Link } from "./Link.ts"
import { measure } from "./Probing.ts"

/** Says who we are, on a stream of its own, before anything else. */
export const sendSetup = (link: Link): Effect.Effect<void> =>
  link.connection.openUni.pipe(
    Effect.flatMap((send) => {
      const setup: Message.Setup = { probe: measure(link.connection) === undefined ? 0 : 1, origin: link.shared.hop }
      return Effect.andThen(
        send.write(Message.encodeTyped(Message.StreamType.setup, Message.setup, setup)),
        Effect.sync(() => send.finish())
      )
    }),
    Effect.ignore,
    Effect.andThen(Effect.sync(() => link.introduce()))
  )

/** The peer's, behind the type of its stream. A SETUP that cannot be read ends the session: nothing can be built on it. */
export const readSetup = (link: Link, reader: ControlReader): Effect.Effect<Event, ReadError> =>
  Effect.gen(function* () {
    const body = yield* reader.message()
    const setup = body === End ? undefined : yield* Effect.fromResult(Message.decode(Message.setup, body))
    if (setup === undefined) return undecodable(link, "it is empty")
    yield* link.tell({ _tag: "SetupReceived", link: link.number })
    link.greeted(setup)
    return link.done
  }).pipe(Effect.catchTag("DecodeError", (error) => Effect.succeed(undecodable(link, error.message))))

const undecodable = (link: Link, message: string): Event => ({
  _tag: "Violated",
  link: link.number,
  code: ErrorCode.decode,
  reason: `SETUP: ${message}`
})

/** The peer's GOAWAY, behind the type of its stream. */
export const readGoaway = (link: Link, reader: ControlReader, beginning: Beginning): Effect.Effect<void, ReadError> =>
  Effect.gen(function* () {
    const body = yield* reader.message()
    beginning.over()
    if (body === End) return
    const { uri } = yield* Effect.fromResult(Message.decode(Message.goaway, body))
    yield* link.tell({ _tag: "GoingAway", link: link.number, uri })
  })

/** Tells the peer that we will close the session; succeeds when it has heard. */
export const sendGoaway = (connection: Connection, uri: string): Effect.Effect<void, StreamError> =>
  Effect.flatMap(Effect.option(connection.openBi), (stream) => {
    if (stream._tag === "None") return Effect.void // nobody is left to be told
    const { send } = stream.value
    return send
      .write(Message.encodeTyped(Message.StreamType.goaway, Message.goaway, { uri }))
      .pipe(Effect.andThen(Effect.sync(() => send.finish())), Effect.andThen(send.flushed))
  })
