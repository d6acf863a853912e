import { createPublicKey, verify as verifyWithNode } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { EndpointId, SecretKey, Signature } from "@effect-live/endpoint"
import { Bytes } from "@effect-live/wire"
import { ed25519, ed25519_hasher, ED25519_TORSION_SUBGROUP } from "@noble/curves/ed25519.js"
import { Result } from "effect"
import { base, bytesOf, utf8, vectors } from "./vectors.ts"

const { Point } = ed25519
const message = utf8("x")
const key = Result.getOrThrow(SecretKey.parse("01".repeat(32)))
const id = SecretKey.endpointId(key)

const littleEndian = (bytes: Uint8Array) => bytes.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n)
const bytesLE = (value: bigint) =>
  Uint8Array.from({ length: 32 }, (_, index) => Number((value >> BigInt(8 * index)) & 255n))
const challenge = (r: Uint8Array, a: Uint8Array, m: Uint8Array) =>
  littleEndian(ed25519_hasher.defaults.hash(Bytes.concat([r, a, m]))) % Point.Fn.ORDER

/** OpenSSL, which agreed with the Rust peers on every probed case. */
const openssl = (id: EndpointId.EndpointId, message: Uint8Array, signature: Uint8Array) =>
  verifyWithNode(
    null,
    message,
    createPublicKey({
      key: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), EndpointId.toBytes(id)]),
      format: "der",
      type: "spki"
    }),
    signature
  )

describe("Signature", () => {
  for (const { fields, hex, what } of vectors(base, "strict verify: ")) {
    it(`${fields.reject === true ? "refuses" : "accepts"} ${what}`, () => {
      const signer = Result.getOrThrow(EndpointId.parse(fields.endpointId ?? ""))
      assert.strictEqual(Signature.verify(signer, utf8(fields.message_utf8), bytesOf(hex)), fields.reject !== true)
    })
  }

  it("refuses a flipped bit anywhere, another message and another length", () => {
    const good = SecretKey.sign(key, message)
    assert.isTrue(Signature.verify(id, message, good))
    for (let bit = 0; bit < 512; bit += 37) {
      const bad = good.slice()
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.isFalse(Signature.verify(id, message, bad), `bit ${bit}`)
    }
    assert.isFalse(Signature.verify(id, utf8("y"), good))
    assert.isFalse(Signature.verify(id, message, good.subarray(1)))
  })

  it("refuses an R of small order, in every encoding", () => {
    for (const hex of ED25519_TORSION_SUBGROUP) {
      const r = bytesOf(hex)
      // S = k·a makes the equation hold for R = identity
      const a = ed25519.utils.getExtendedPublicKey(bytesOf("01".repeat(32))).scalar
      const s = (challenge(r, EndpointId.toBytes(id), message) * a) % Point.Fn.ORDER
      assert.isFalse(Signature.verify(id, message, Bytes.concat([r, bytesLE(s)])), hex)
    }
  })

  it("uses no cofactor: a signature that holds only after multiplying by 8 is refused", () => {
    const torsion = Point.fromHex(ED25519_TORSION_SUBGROUP[1] ?? "")
    const a = ed25519.utils.getExtendedPublicKey(bytesOf("01".repeat(32))).scalar
    const r = Point.BASE.multiply(12_345n).add(torsion).toBytes()
    const s = (12_345n + challenge(r, EndpointId.toBytes(id), message) * a) % Point.Fn.ORDER
    const signature = Bytes.concat([r, bytesLE(s)])
    assert.isTrue(ed25519.verify(signature, message, EndpointId.toBytes(id), { zip215: true }))
    assert.isFalse(Signature.verify(id, message, signature))
    assert.isFalse(openssl(id, message, signature))
  })

  it("decides about keys of mixed order by the exact equation, as OpenSSL does", () => {
    const torsion = Point.fromHex(ED25519_TORSION_SUBGROUP[1] ?? "")
    const a = 987_654_321n
    const mixed = Result.getOrThrow(EndpointId.fromBytes(Point.BASE.multiply(a).add(torsion).toBytes()))
    const outcomes = Array.from({ length: 32 }, (_, nonce) => {
      const r = Point.BASE.multiply(BigInt(nonce + 1)).toBytes()
      const s = (BigInt(nonce + 1) + challenge(r, EndpointId.toBytes(mixed), message) * a) % Point.Fn.ORDER
      const signature = Bytes.concat([r, bytesLE(s)])
      const accepted = Signature.verify(mixed, message, signature)
      assert.strictEqual(accepted, openssl(mixed, message, signature), `nonce ${nonce}`)
      return accepted
    })
    assert.includeMembers(outcomes, [true, false])
  })
})
