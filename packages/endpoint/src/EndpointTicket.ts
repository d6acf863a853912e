/** An address as a text to hand around: `endpoint` and base32 of a version and the address. */
import { encode as encodeBytes } from "@effect-live/wire/Writer"
import type { Result } from "effect"
import * as EndpointAddr from "./EndpointAddr.ts"
import * as TicketEnvelope from "./TicketEnvelope.ts"

/** Never fails. */
export const encode = (addr: EndpointAddr.EndpointAddr): string =>
  TicketEnvelope.encode(
    kind,
    encodeBytes((writer) => {
      writer.u8(version)
      EndpointAddr.write(writer, addr)
    })
  )

/** Bytes behind the address are ignored, as the Rust peers do. Errors: see `TicketEnvelope.decode`. */
export const decode = (text: string): Result.Result<EndpointAddr.EndpointAddr, TicketEnvelope.TicketError> =>
  TicketEnvelope.decode(kind, text, (bytes) =>
    EndpointAddr.decodeContaining(bytes, (reader, layout) => {
      if (reader.leb32() !== version) return reader.fail("version 0", 0)
      return EndpointAddr.read(reader, layout)
    })
  )

const kind = "endpoint"
const version = 0
