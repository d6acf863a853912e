import * as SecretKey from "@effect-live/endpoint/SecretKey"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Protocols from "../src/internal/number0/protocols.ts"
import * as Limits from "../src/Limits.ts"

const peer = (index: number) => {
  const seed = new Uint8Array(32)
  new DataView(seed.buffer).setUint32(0, index)
  return SecretKey.endpointId(Result.getOrThrow(SecretKey.fromBytes(seed)))
}

describe("the order in which protocols are offered", () => {
  it("is the caller's, until the peer did not speak one: that one comes last the next time, and is still tried", () => {
    const protocols = Protocols.make()
    const [ada, bob] = [peer(1), peer(2)]
    assert.deepStrictEqual(protocols.order(ada, ["new", "old", "new"]), ["new", "old"])
    protocols.refused(ada, ["new"])
    assert.deepStrictEqual(protocols.order(ada, ["new", "old"]), ["old", "new"])
    assert.deepStrictEqual(protocols.order(bob, ["new", "old"]), ["new", "old"])
  })

  it("is remembered for rememberedPeers peers; of one more the oldest is forgotten", () => {
    const protocols = Protocols.make()
    const peers = Array.from({ length: Limits.rememberedPeers + 1 }, (_, index) => peer(index))
    for (const each of peers) protocols.refused(each, ["new"])
    const orders = peers.map((each) => protocols.order(each, ["new", "old"])[0])
    assert.deepStrictEqual(orders, ["new", ...Array.from({ length: Limits.rememberedPeers }, () => "old")])
  })
})
