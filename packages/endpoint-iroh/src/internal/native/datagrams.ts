/** The datagrams of a connection over the addon's. */
import * as Resume from "@effect-live/actor/Resume"
import { DatagramTooLarge } from "@effect-live/endpoint/Connection"
import { Blocked, type ConnectionLost } from "@effect-live/endpoint/Stream"
import type * as Native from "@effect-live/native"
import { Effect, Semaphore } from "effect"
import type { Owner } from "./streams.ts"
import { type Addon, Source } from "./waiting.ts"

/** What the addon says to a datagram: taken, too large, or that the connection is over. */
type Said = 0 | Native.TooLarge | Native.Over
type Sent = Effect.Effect<void, DatagramTooLarge | ConnectionLost>

/** Where the addon puts what it reads. UDP has nothing that is longer. */
const room = new Uint8Array(65_535)

export const make = (addon: Addon, native: Native.Connection, owner: Owner) => {
  const { BLOCKED, OVER, Token, TOO_LARGE } = addon

  const outcome = (datagram: Uint8Array, said: Said): Sent => {
    if (said === OVER) return Effect.fail(owner.lost().connection)
    if (said !== TOO_LARGE) return Effect.void
    return Effect.fail(new DatagramTooLarge({ bytes: datagram.length, maxBytes: native.maxDatagramBytes() }))
  }
  const send = (datagram: Uint8Array): Sent => Effect.suspend(() => outcome(datagram, native.sendDatagram(datagram)))

  /** Tries whenever the addon calls. Only one may wait for that. */
  const roomToken = native.token + Token.Connection.datagramRoom
  const untilTaken = (datagram: Uint8Array) =>
    Effect.callback<Said>((resume) => {
      const attempt = () => {
        const said = native.trySendDatagram(datagram)
        if (said === BLOCKED) addon.wait(roomToken, attempt)
        else Resume.now(resume, Effect.succeed(said))
      }
      attempt()
      return Effect.sync(() => addon.forget(roomToken))
    })
  const oneAtATime = Semaphore.makeUnsafe(1)
  let waiting = 0
  const write = (datagram: Uint8Array): Sent =>
    Effect.suspend(() => {
      // Whoever waits goes first.
      const said = waiting > 0 ? BLOCKED : native.trySendDatagram(datagram)
      if (said !== BLOCKED) return outcome(datagram, said)
      waiting++
      return oneAtATime.withPermit(untilTaken(datagram)).pipe(
        Effect.ensuring(Effect.sync(() => waiting--)),
        Effect.flatMap((said) => outcome(datagram, said))
      )
    })

  const token = native.token + Token.Connection.datagramReceived
  const received = new Source<Uint8Array | ConnectionLost>(addon, "Connection.readDatagram", token, () => {
    if (owner.closedByUs()) return owner.lost().connection
    const length = native.tryReadDatagram(room)
    if (length === BLOCKED) return Blocked
    return length === OVER ? owner.lost().connection : room.slice(0, length)
  })
  return { send, write, received }
}
