/** Messages of any shape, and the bytes of tests. */
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import * as Hex from "@effect-live/wire/Hex"
import { Result } from "effect"
import fc from "fast-check"
import type * as Message from "../../src/Message.ts"
import type { PeerId } from "../../src/PeerId.ts"

/** May have spaces. */
export const fromHex = (hex: string): Uint8Array => Result.getOrThrow(Hex.decode(hex.replaceAll(" ", "")))
export const toHex = Hex.encode

const key = (hex: string) => Result.getOrThrow(EndpointId.parse(hex))
/** The keys of the seeds 32 x 01, 02, 03. */
export const idA = key("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c")
const idB = key("8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394")
const idC = key("ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1")

const id = fc.constantFrom(idA, idB, idC)
const bytes = fc.uint8Array({ maxLength: 300 })
const data = fc.option(bytes, { nil: undefined })
const u16 = fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 127, 128, 16_383, 16_384, 65_535))
const messageId = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex)

/** Any message of the membership, of these peers, with this data, these nodes and hops. */
export const membership = <P extends PeerId>({
  data,
  nodes,
  peer,
  ttl
}: {
  readonly peer: fc.Arbitrary<P>
  readonly data: fc.Arbitrary<Uint8Array | undefined>
  readonly nodes: number
  readonly ttl: fc.Arbitrary<number>
}): fc.Arbitrary<Message.Membership<P>> => {
  const info = fc.record({ id: peer, data })
  const infos = fc.array(info, { maxLength: nodes })
  return fc.oneof(
    fc.record({ _tag: fc.constant("Join" as const), data }),
    fc.record({ _tag: fc.constant("ForwardJoin" as const), peer: info, ttl }),
    fc.record({ _tag: fc.constant("Shuffle" as const), origin: peer, nodes: infos, ttl }),
    fc.record({ _tag: fc.constant("ShuffleReply" as const), nodes: infos }),
    fc.record({
      _tag: fc.constant("Neighbor" as const),
      priority: fc.constantFrom("High" as const, "Low" as const),
      data
    }),
    fc.record({ _tag: fc.constant("Disconnect" as const), alive: fc.boolean() })
  )
}

export const anyMessage: fc.Arbitrary<Message.Message<EndpointId.EndpointId>> = fc.oneof(
  { weight: 6, arbitrary: membership({ peer: id, data, nodes: 8, ttl: u16 }) },
  fc.record({
    _tag: fc.constant("Gossip" as const),
    id: messageId,
    content: fc.oneof(
      bytes,
      fc.constantFrom(127, 128, 16_383, 16_384).map((length) => new Uint8Array(length))
    ),
    scope: fc.oneof(
      fc.record({ _tag: fc.constant("Swarm" as const), round: u16 }),
      fc.record({ _tag: fc.constant("Neighbors" as const) })
    )
  }),
  fc.record({ _tag: fc.constant("Prune" as const) }),
  fc.record({
    _tag: fc.constant("Graft" as const),
    id: fc.option(messageId, { nil: undefined }),
    round: u16
  }),
  fc.record({
    _tag: fc.constant("IHave" as const),
    messages: fc.array(fc.record({ id: messageId, round: u16 }), { maxLength: 150 })
  })
)
