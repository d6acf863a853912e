/** A peer that writes and reads the bytes of its streams itself. */
import type { BiStream, RecvStream, SendStream } from "@effect-live/endpoint/Stream"
import { Blocked, End, StreamError } from "@effect-live/endpoint/Stream"
import * as Hex from "@effect-live/wire/Hex"
import { Effect, Result } from "effect"
import * as ErrorCode from "../../src/ErrorCode.ts"
import * as Message from "../../src/Message.ts"
import type { Version } from "../../src/Version.ts"

/** May have spaces. */
export const fromHex = (hex: string): Uint8Array => Result.getOrThrow(Hex.decode(hex.replaceAll(" ", "")))
export const toHex = Hex.encode

/** What is there to read now: hex, then `FIN` or `RESET code` (as moq-lite's code) once the stream has ended. */
export const heard = (recv: RecvStream): string => {
  const parts: Array<string> = []
  for (;;) {
    const value = recv.tryRead()
    if (value === Blocked) break
    if (value instanceof Uint8Array) {
      parts.push(toHex(value))
      continue
    }
    parts.push(value === End ? " FIN" : ` ${outcome(value)}`)
    break
  }
  return parts.join("").trim()
}

/** How the peer ended a stream of ours. */
export const ended = (send: SendStream): string => {
  const value = send.tryWrite(Uint8Array.of(0))
  return value instanceof StreamError ? outcome(value) : "open"
}

const outcome = ({ reason }: StreamError): string => {
  switch (reason._tag) {
    case "PeerReset":
      return `RESET ${ErrorCode.fromStream(reason.code)}`
    case "PeerStopped":
      return `STOP ${ErrorCode.fromStream(reason.code)}`
    default:
      return reason._tag
  }
}

/** Time for everything in flight to arrive and be answered. */
export const settle = Effect.sleep(50)

export const say = (stream: BiStream | SendStream, hex: string) =>
  Effect.orDie(("send" in stream ? stream.send : stream).write(fromHex(hex)))

/** What asks for a track, with no particular wishes. */
export const subscribing = (version: Version, id: number, broadcast: string, track: string): Uint8Array =>
  Message.encodeTyped(Message.StreamType.subscribe, version.subscribe, {
    id,
    broadcast,
    track,
    priority: 0,
    ordered: false,
    maxLatencyMs: 0,
    start: undefined,
    end: undefined
  })
