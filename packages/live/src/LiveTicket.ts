/**
 * What a publisher hands to its viewers: where it is and the name of the broadcast. Written as `iroh-live:ADDRESS/NAME`; the older
 * form `NAME@ADDRESS` is still read. Whoever holds a ticket can watch, so no printout shows one: `format` is the only way to text.
 */
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import { BadName, badContent, BadText, badText, TicketError, WrongKind } from "@effect-live/endpoint/TicketEnvelope"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Base32 from "@effect-live/wire/Base32"
import * as Base64Url from "@effect-live/wire/Base64Url"
import type { DecodeError } from "@effect-live/wire/DecodeError"
import { encode } from "@effect-live/wire/Writer"
import { Redactable, Result } from "effect"

/** Equal fields mean the same ticket. Made by `make`, `parse` and `fromBytes`. */
export class LiveTicket {
  readonly addr: EndpointAddr.EndpointAddr
  readonly name: string
  /** More relays of the publisher, as plain text. Only the binary form carries them as such; see `dialAddr`. */
  readonly relayUrls: ReadonlyArray<string>

  constructor(addr: EndpointAddr.EndpointAddr, name: string, relayUrls: ReadonlyArray<string>) {
    this.addr = addr
    this.name = name
    this.relayUrls = relayUrls
  }

  toString(): string {
    return redacted
  }

  toJSON(): string {
    return redacted
  }

  [Redactable.symbolRedactable](): string {
    return redacted
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return redacted
  }
}

/**
 * A ticket for a broadcast of ours. Errors: `BadName`. Names that would not survive the ticket, the broadcast path or a URL are
 * refused: empty, white space at an end, control characters, lone surrogates, and a path with empty, "." or ".." segments.
 */
export const make = (addr: EndpointAddr.EndpointAddr, name: string): Result.Result<LiveTicket, TicketError> => {
  const problem = nameProblem(name)
  return problem === undefined
    ? Result.succeed(new LiveTicket(addr, name, []))
    : Result.fail(new TicketError({ kind, reason: new BadName({ problem }) }))
}

/**
 * Reads what people paste. White space around it is dropped; behind `iroh-live:` comes the address in base64url up to the first
 * "/", then the name as it is. Without that scheme a text with "@" is the older form: name, first "@", address in base32 of any
 * case; without "@" the scheme may be missing. Errors: `WrongKind`, `BadText`, `BadContent`, with the offset in `text`.
 */
export const parse = (text: string): Result.Result<LiveTicket, TicketError> => {
  const { body, start } = trim(text)
  if (body.startsWith(scheme)) return parseUri(body.slice(scheme.length), start + scheme.length)
  const at = body.indexOf("@")
  if (at >= 0) return parseLegacy(body, at, start)
  if (!body.includes("/") || body.toLowerCase().startsWith(scheme)) return fail(new WrongKind({ expected: scheme }))
  return parseUri(body, start)
}

/** The text to hand around, always with its scheme. The address is `dialAddr`, because this form has no place for `relayUrls`. */
export const format = (ticket: LiveTicket): string =>
  `${scheme}${Base64Url.encode(EndpointAddr.encode(dialAddr(ticket)))}/${ticket.name}`

/** The address to dial: the ticket's, with each of `relayUrls` that is a URL as one more way. */
export const dialAddr = ({ addr, relayUrls }: LiveTicket): EndpointAddr.EndpointAddr =>
  EndpointAddr.make(addr.id, [
    ...addr.addrs,
    ...relayUrls.flatMap((text) => {
      const url = RelayUrl.parse(text)
      return Result.isSuccess(url) ? [TransportAddr.relay(url.success)] : []
    })
  ])

/** The binary form: address, name, relay URLs. Readable by every Rust peer. */
export const toBytes = (ticket: LiveTicket): Uint8Array => writeBytes(ticket, true)

/**
 * The bytes that the Rust peers write, to compare with theirs. Without relay URLs these leave the empty list out, and then the Rust
 * peers cannot read them: send `toBytes`.
 */
export const toBytesAsRustWrites = (ticket: LiveTicket): Uint8Array => writeBytes(ticket, ticket.relayUrls.length > 0)

/** Reads both binary forms: without relay URLs their list may be empty or missing. Bytes left over are ignored. */
export const fromBytes = (bytes: Uint8Array): Result.Result<LiveTicket, DecodeError> =>
  EndpointAddr.decodeContaining(bytes, (reader, layout) => {
    const addr = EndpointAddr.read(reader, layout)
    const name = reader.str()
    const relayUrls: Array<string> = []
    for (let left = reader.remaining === 0 ? 0 : reader.count(); left > 0; left--) relayUrls.push(reader.str())
    return new LiveTicket(addr, name, relayUrls)
  })

const kind = "iroh-live"
const scheme = "iroh-live:"
const redacted = "<redacted:LiveTicket>"

const fail = (reason: TicketError["reason"]): Result.Result<never, TicketError> =>
  Result.fail(new TicketError({ kind, reason }))

/** Both parsers get the offset at which their part of the text begins. */
const parseUri = (body: string, start: number): Result.Result<LiveTicket, TicketError> => {
  const slash = body.indexOf("/")
  if (slash < 0) {
    return fail(new BadText({ offset: start + body.length, expected: `"/" and the name of the broadcast` }))
  }
  const place = { kind, start, bitsPerCharacter: 6 }
  return Base64Url.decode(body.slice(0, slash)).pipe(
    Result.mapError(badText(place)),
    Result.flatMap((bytes) => Result.mapError(EndpointAddr.decode(bytes), badContent(place))),
    Result.map((addr) => new LiveTicket(addr, body.slice(slash + 1), []))
  )
}

const parseLegacy = (body: string, at: number, start: number): Result.Result<LiveTicket, TicketError> => {
  const place = { kind, start: start + at + 1, bitsPerCharacter: 5 }
  return Base32.decode(body.slice(at + 1)).pipe(
    Result.mapError(({ expected, offset }) => badLegacyText(place.start + offset, expected)),
    Result.flatMap((bytes) => Result.mapError(EndpointAddr.decode(bytes), badContent(place))),
    Result.map((addr) => new LiveTicket(addr, body.slice(0, at), []))
  )
}

/** A newer ticket that lost its scheme looks like the older form when its name has an "@". */
const badLegacyText = (offset: number, expected: string): TicketError =>
  new TicketError({
    kind,
    reason: new BadText({
      offset,
      expected: `${expected} (without "${scheme}" in front, a text with "@" is NAME@ADDRESS)`
    })
  })

const whiteSpace = /\p{White_Space}/u

/** Unicode White_Space, which is not what `String.trim` removes: U+0085 goes, U+FEFF stays. */
const trim = (text: string): { readonly body: string; readonly start: number } => {
  let [start, end] = [0, text.length]
  while (start < end && whiteSpace.test(text.charAt(start))) start++
  while (end > start && whiteSpace.test(text.charAt(end - 1))) end--
  return { body: text.slice(start, end), start }
}

const nameProblem = (name: string): string | undefined => {
  if (name === "") return "must not be empty"
  if (trim(name).body !== name) return "must not begin or end with white space"
  if (/\p{Cc}/u.test(name)) return "must not contain control characters"
  if (!name.isWellFormed()) return "must be valid Unicode, without lone surrogates"
  const segments = name.split("/")
  if (segments.includes("")) return `must not begin or end with "/" or contain "//"`
  if (segments.includes(".") || segments.includes("..")) return `must not contain "." or ".." as a segment`
  return undefined
}

const writeBytes = ({ addr, name, relayUrls }: LiveTicket, withRelayUrls: boolean): Uint8Array =>
  encode((writer) => {
    EndpointAddr.write(writer, addr)
    writer.str(name)
    if (!withRelayUrls) return
    writer.leb53(relayUrls.length)
    for (const url of relayUrls) writer.str(url)
  })
