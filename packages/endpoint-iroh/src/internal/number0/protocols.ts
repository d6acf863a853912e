/** Which protocols peers did not speak when they were last dialed, so that the next dial offers those last. */
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import * as Limits from "../../Limits.ts"

export const make = () => {
  /** The peer that was remembered first comes first. */
  const wrongFor = new Map<EndpointId, ReadonlyArray<string>>()
  return {
    /** What to offer one after the other, without repeats. */
    order: (peer: EndpointId, offered: ReadonlyArray<string>): ReadonlyArray<string> => {
      const wrong = wrongFor.get(peer) ?? []
      return [...new Set([...offered.filter((alpn) => !wrong.includes(alpn)), ...offered])]
    },
    /** Of more than `Limits.rememberedPeers` the oldest is forgotten: it costs one handshake more to find out again. */
    refused: (peer: EndpointId, wrong: ReadonlyArray<string>): void => {
      wrongFor.delete(peer)
      wrongFor.set(peer, wrong)
      const [oldest] = wrongFor.keys()
      if (wrongFor.size > Limits.rememberedPeers && oldest !== undefined) wrongFor.delete(oldest)
    }
  }
}
