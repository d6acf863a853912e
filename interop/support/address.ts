/** `ID@IP:PORT` and `ID@URL`, as the Rust peer reads and writes addresses. */
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import { Result } from "effect"

export const parse = (text: string): EndpointAddr.EndpointAddr => {
  const [id = "", at = ""] = text.split("@")
  const way = at.startsWith("http")
    ? TransportAddr.relay(Result.getOrThrow(RelayUrl.parse(at)))
    : Result.getOrThrow(TransportAddr.parseIp(at))
  return EndpointAddr.make(Result.getOrThrow(EndpointId.parse(id)), [way])
}

/** The first socket address. */
export const format = (addr: EndpointAddr.EndpointAddr): string => {
  const [ip] = EndpointAddr.ips(addr)
  if (ip === undefined) throw new Error(`${addr.id} has no socket address`)
  return `${addr.id}@${TransportAddr.format(ip)}`
}
