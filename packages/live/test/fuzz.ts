import { readFileSync } from "node:fs"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import { Bytes, Hex } from "@effect-live/wire"
import type { Target } from "@effect-live/wire/testing/Fuzz"
import { Result } from "effect"

const vectors: ReadonlyArray<{ readonly what: string; readonly text?: string; readonly hex?: string }> = JSON.parse(
  readFileSync(new URL("./vectors/tickets.json", import.meta.url), "utf8")
)
const live = vectors.filter(({ what }) => what.startsWith("LiveTicket "))

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes)
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const custom = (ticket: LiveTicket.LiveTicket): boolean => ticket.addr.addrs.some(({ _tag }) => _tag === "Custom")

export const fuzzTargets: ReadonlyArray<Target> = [
  {
    name: "live/LiveTicket text",
    decode: (bytes) => {
      const ticket = LiveTicket.parse(latin1(bytes))
      if (Result.isFailure(ticket)) return ticket
      // What was read prints to a text that reads the same, but for white space at the end of a name.
      const text = LiveTicket.format(ticket.success)
      const again = custom(ticket.success) ? text : LiveTicket.format(Result.getOrThrow(LiveTicket.parse(text)))
      if (again !== text && !/\p{White_Space}$/u.test(text)) throw new Error("reads differently from its own text")
      return ticket
    },
    seeds: live.flatMap(({ text }) => (text === undefined ? [] : [utf8(text)]))
  },
  {
    name: "live/LiveTicket bytes",
    decode: (bytes) => {
      const ticket = LiveTicket.fromBytes(bytes)
      if (Result.isFailure(ticket) || custom(ticket.success)) return ticket
      const canonical = LiveTicket.toBytes(ticket.success)
      const again = LiveTicket.toBytes(Result.getOrThrow(LiveTicket.fromBytes(canonical)))
      if (!Bytes.equals(again, canonical)) throw new Error("decodes differently from its own encoding")
      return ticket
    },
    seeds: live.flatMap(({ hex }) => (hex === undefined ? [] : [Result.getOrThrow(Hex.decode(hex))]))
  }
]
