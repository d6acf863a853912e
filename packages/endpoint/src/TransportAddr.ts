/** One way to reach an endpoint: over a relay, at a socket address, or by a transport that only its users know. */
import * as Bytes from "@effect-live/wire/Bytes"
import * as Hex from "@effect-live/wire/Hex"
import { Brand, Result, Schema } from "effect"
import * as IpText from "./internal/ipAddress.ts"
import { RelayUrl } from "./RelayUrl.ts"

/** An IPv4 or IPv6 address in its normal form (`127.0.0.1`, `::1`), without port and scope. Made by `ip` and `parseIp`. */
export const IpAddress = Schema.String.check(
  Schema.makeFilter(
    (text: string) => {
      const bytes = IpText.parse(text)
      return bytes !== undefined && IpText.format(bytes) === text
    },
    { expected: "an IP address in its normal form" }
  )
).pipe(Schema.brand("IpAddress"))
export type IpAddress = typeof IpAddress.Type

export const Port = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))

export const Relay = Schema.TaggedStruct("Relay", { url: RelayUrl })
export type Relay = typeof Relay.Type

export const Ip = Schema.TaggedStruct("Ip", { ip: IpAddress, port: Port })
export type Ip = typeof Ip.Type

/**
 * `layout` is how the address came and will be sent: as `bytes` since iroh-base 1.1, before that `inline` (at most 30 bytes) or
 * `heap`. Peers of the other age cannot read it: do not send custom addresses into the open.
 */
export const Custom = Schema.TaggedStruct("Custom", {
  id: Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: 0xffff_ffff_ffff_ffffn })),
  data: Schema.Uint8Array,
  layout: Schema.Literals(["bytes", "inline", "heap"])
})
export type Custom = typeof Custom.Type

export const TransportAddr = Schema.Union([Relay, Ip, Custom])
export type TransportAddr = typeof TransportAddr.Type

/** Not `IPv4:port` or `[IPv6]:port`. Host names are refused too: resolve them first. */
export class SocketAddrError extends Schema.TaggedError<SocketAddrError>()("SocketAddrError", {}) {
  override get message(): string {
    return "a socket address is 192.0.2.1:443 or [2001:db8::1]:443"
  }
}

export const relay = (url: RelayUrl): Relay => ({ _tag: "Relay", url })

/** Normalises the address; a scope (`%7`) is dropped, because it means nothing to others. Errors: no IP address, no port. */
export const ip = (address: string, port: number): Result.Result<Ip, SocketAddrError> => {
  const scope = /%\d+$/.exec(address)
  const scoped = scope !== null && address.includes(":") && Number(scope[0].slice(1)) <= 0xffff_ffff
  const bytes = IpText.parse(scoped ? address.slice(0, scope.index) : address)
  return bytes === undefined || !Number.isInteger(port) || port < 0 || port > 65_535
    ? Result.fail(new SocketAddrError())
    : Result.succeed(fromIpBytes(bytes, port))
}

/** Reads `192.0.2.1:443` and `[2001:db8::1]:443`. */
export const parseIp = (text: string): Result.Result<Ip, SocketAddrError> => {
  const match = /^(\[?)([^[\]]*)(\]?):(\d+)$/.exec(text)
  if (match === null) return Result.fail(new SocketAddrError())
  const [, open, address = "", close, port] = match
  // IPv6 in brackets, IPv4 without
  const [v6, bracketed] = [address.includes(":"), open === "[" && close === "]"]
  const plain = open === "" && close === ""
  return (v6 && bracketed) || (!v6 && plain) ? ip(address, Number(port)) : Result.fail(new SocketAddrError())
}

export const custom = (id: bigint, data: Uint8Array): Custom => ({ _tag: "Custom", id, data, layout: "bytes" })

/** 4 or 16 bytes in network order. */
export const ipBytes = (addr: Ip): Uint8Array => {
  const bytes = IpText.parse(addr.ip)
  if (bytes === undefined) throw new TypeError("an IpAddress that is none: make them with TransportAddr.ip")
  return bytes
}

/** The address of 4 or 16 bytes in network order. */
export const fromIpBytes = (bytes: Uint8Array, port: number): Ip => ({
  _tag: "Ip",
  ip: normalIp(IpText.format(bytes)),
  port
})

/** For people, as the Rust tools print it without the kind: a URL, `ip:port` or `id_data` in hex. */
export const format = (addr: TransportAddr): string => {
  switch (addr._tag) {
    case "Relay":
      return addr.url
    case "Ip":
      return addr.ip.includes(":") ? `[${addr.ip}]:${addr.port}` : `${addr.ip}:${addr.port}`
    case "Custom":
      return `${addr.id.toString(16)}_${Hex.encode(addr.data)}`
  }
}

/**
 * The order of the set that is sent: relays by their URL's bytes, then IPv4, then IPv6, each by number and port, then custom
 * addresses by id and data. 0 means that two addresses are the same.
 */
export const order = (a: TransportAddr, b: TransportAddr): number => {
  if (a._tag === "Relay" && b._tag === "Relay") return Bytes.compare(utf8.encode(a.url), utf8.encode(b.url))
  if (a._tag === "Ip" && b._tag === "Ip") {
    const [left, right] = [ipBytes(a), ipBytes(b)]
    return left.length - right.length || Bytes.compare(left, right) || a.port - b.port
  }
  if (a._tag === "Custom" && b._tag === "Custom") {
    if (a.id !== b.id) return a.id < b.id ? -1 : 1
    const [left, right] = [onHeap(a), onHeap(b)]
    if (left !== right) return left ? 1 : -1
    return (left ? 0 : a.data.length - b.data.length) || Bytes.compare(a.data, b.data)
  }
  return rank[a._tag] - rank[b._tag]
}

/** Custom data up to this length is kept inline by the Rust type, which shows in its order and in its old layout. */
export const maxInlineBytes = 30

const rank = { Relay: 0, Ip: 1, Custom: 2 }
const utf8 = new TextEncoder()
const normalIp = Brand.nominal<IpAddress>()

const onHeap = (addr: Custom): boolean =>
  addr.layout === "heap" || (addr.layout === "bytes" && addr.data.length > maxInlineBytes)
