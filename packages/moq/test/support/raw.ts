/** A peer that writes and reads the bytes of its streams itself. */
import type { BiStream, RecvStream, SendStream } from "@effect-live/endpoint/Stream"
import { Blocked, End, StreamError } from "@effect-live/endpoint/Stream"
import { Effect } from "effect"
import * as ErrorCode from "../../src/ErrorCode.ts"

export const fromHex = (hex: string): Uint8Array =>
  Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
export const toHex = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")

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
