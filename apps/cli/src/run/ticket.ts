/** `irl ticket`: explains a ticket, or makes one. */
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import { Effect, Option } from "effect"
import * as Failure from "../Failure.ts"
import { Output } from "../Output.ts"
import * as Tickets from "../Tickets.ts"
import * as Ways from "../Ways.ts"

interface Input {
  readonly ticket: Option.Option<string>
  readonly id: Option.Option<string>
  readonly addr: ReadonlyArray<string>
  readonly name: Option.Option<string>
}

export const ticket = Effect.fnUntraced(function* (input: Input) {
  const making = Option.isSome(input.id) || Option.isSome(input.name) || input.addr.length > 0
  if (Option.isSome(input.ticket)) {
    if (making)
      return yield* Failure.misuse(
        "Usage",
        "give a ticket to explain, or --id, --addr and --name to make one, not both"
      )
    return yield* explain(input.ticket.value)
  }
  if (Option.isNone(input.id) || Option.isNone(input.name)) {
    return yield* Failure.misuse("Usage", "give a ticket to explain, or --id and --name (and --addr) to make one")
  }
  return yield* make(input.id.value, input.addr, input.name.value)
})

const explain = Effect.fnUntraced(function* (text: string) {
  const output = yield* Output
  const { addr, name, relayUrls } = yield* Tickets.parse(text)
  const relays = [...EndpointAddr.relays(addr), ...relayUrls]
  const direct = EndpointAddr.ips(addr).map(TransportAddr.format)
  const custom = addr.addrs.filter((way) => way._tag === "Custom").map(TransportAddr.format)
  const ways = relays.length + direct.length + custom.length
  yield* output.event(
    "ticket",
    { id: addr.id, name, direct, relays, custom },
    [
      `endpoint  ${addr.id}`,
      `name      ${name === "" ? "(empty)" : name}`,
      ...direct.map((way) => `direct    ${way}`),
      ...relays.map((url) => `relay     ${url}`),
      ...custom.map((way) => `custom    ${way}`),
      ...(ways === 0 ? ["no address: only a discovery service or an earlier connection leads there"] : [])
    ].join("\n")
  )
})

const make = Effect.fnUntraced(function* (idText: string, addrTexts: ReadonlyArray<string>, name: string) {
  const output = yield* Output
  const id = yield* Effect.fromResult(EndpointId.parse(idText)).pipe(
    Effect.mapError((error) =>
      Failure.misuse("IdError", `--id: ${error.message}; \`irl ticket TICKET\` tells that of a ticket`)
    )
  )
  const addrs = yield* Effect.forEach(addrTexts, (text) => Ways.parse(text, `--addr ${text}`))
  const made = yield* Effect.fromResult(LiveTicket.make(EndpointAddr.make(id, addrs), name)).pipe(
    Effect.mapError((error) => Failure.misuse("NameError", `--name: ${error.reason.message}; try hello or room/ada`))
  )
  const text = LiveTicket.format(made)
  yield* output.event("ticket", { ticket: text }, text)
})
