import { assert, describe, it } from "@effect/vitest"
import { EndpointAddr, EndpointId, RelayUrl, TransportAddr } from "@effect-live/endpoint"
import { Result } from "effect"
import fc from "fast-check"
import { base, bytesOf, hexOf, vectors, type Vector } from "./vectors.ts"

const id = Result.getOrThrow(EndpointId.parse("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"))
const relay = (url: string) => TransportAddr.relay(Result.getOrThrow(RelayUrl.parse(url)))
const ip = (text: string) => Result.getOrThrow(TransportAddr.parseIp(text))

const addrOf = ({ fields }: Vector) =>
  EndpointAddr.make(Result.getOrThrow(EndpointId.parse(fields.id ?? "")), [
    ...(fields.relay == null ? [] : [relay(fields.relay)]),
    ...(fields.ips ?? []).map(ip)
  ])

const custom = (id: bigint, length: number, fill = 0) => TransportAddr.custom(id, new Uint8Array(length).fill(fill))
/** Layout and data of the custom addresses behind the id. */
const customs = (hex: string) =>
  Result.getOrThrow(EndpointAddr.decode(bytesOf(`${id}01${hex}`))).addrs.map((way) =>
    way._tag === "Custom" ? `${way.layout} ${hexOf(way.data)}` : way._tag
  )

describe("EndpointAddr", () => {
  for (const vector of vectors(base, "EndpointAddr: ")) {
    it(`writes and reads ${vector.what}`, () => {
      const addr = addrOf(vector)
      assert.strictEqual(hexOf(EndpointAddr.encode(addr)), vector.hex)
      assert.deepStrictEqual(Result.getOrThrow(EndpointAddr.decode(bytesOf(vector.hex), { trailing: "refuse" })), addr)
    })
  }

  for (const { fields, hex, what } of vectors(base, "EndpointAddr decode: ")) {
    it(`${fields.reject === true ? "refuses" : "reads"} ${what}`, () => {
      const addr = EndpointAddr.decode(bytesOf(hex))
      if (fields.reject === true) assert.isTrue(Result.isFailure(addr))
      else assert.strictEqual(hexOf(EndpointAddr.encode(Result.getOrThrow(addr))), fields.reencoded)
    })
  }

  it("says where the bytes are wrong", () => {
    const head = `${id}01`
    for (const [hex, offset, expected] of [
      [id.slice(2), 0, "32 bytes, there are 31"],
      ["02".padEnd(64, "0"), 0, "a public key"],
      [`${head}0300`, 33, "0, 1 or 2 for relay, IP or custom address"],
      [`${head}01027f00000101`, 34, "0 for IPv4 or 1 for IPv6"],
      [`${head}0003616263`, 34, "an absolute URL of a relay"],
      [`${head}0003fffefd`, 35, "valid UTF-8"],
      [`${head}01007f000001ffff04`, 39, "a varint of at most 3 bytes and 65535"],
      [`${id}ffffffff0f`, 32, "at most 0 items, 0 bytes are left"]
    ] as const) {
      const error = Result.getOrThrow(Result.flip(EndpointAddr.decode(bytesOf(hex))))
      assert.deepInclude(error, { offset, expected })
    }
  })

  it("ignores bytes behind it, unless told to refuse them", () => {
    const bytes = bytesOf(`${id}00ff`)
    assert.deepStrictEqual(Result.getOrThrow(EndpointAddr.decode(bytes)), EndpointAddr.make(id))
    assert.isTrue(Result.isFailure(EndpointAddr.decode(bytes, { trailing: "refuse" })))
  })

  it("reads custom addresses in the layout that takes the bytes exactly", () => {
    assert.deepStrictEqual(customs("02d29ed10202aabb"), ["bytes aabb"])
    assert.deepStrictEqual(customs(`02d29ed1020002aabb${"00".repeat(28)}`), ["inline aabb"])
    assert.deepStrictEqual(customs(`02d29ed102011f${"aa".repeat(31)}`), [`heap ${"aa".repeat(31)}`])
    // an inline size above 30 crashes the old release; as the newer layout the same bytes are fine
    assert.deepStrictEqual(customs(`02d29ed102001f${"00".repeat(30)}`), ["bytes "])
  })

  it("sorts relays, then IPv4, IPv6 by number and port, then custom addresses, and drops repeats", () => {
    const sorted = [
      relay("http://derp.me"),
      relay("https://a.example"),
      ip("9.0.0.1:3"),
      ip("9.0.0.1:9"),
      ip("10.0.0.1:2"),
      ip("[::]:5"),
      ip("[::1]:1"),
      custom(1n, 31),
      custom(2n, 1, 9),
      custom(2n, 2, 0),
      custom(2n, 30, 9),
      custom(2n, 40, 0),
      custom(2n, 31, 1)
    ]
    fc.assert(
      fc.property(fc.shuffledSubarray([...sorted, ...sorted], { minLength: 1 }), (addrs) => {
        const { addrs: made } = EndpointAddr.make(id, addrs)
        assert.deepStrictEqual(
          made,
          sorted.filter((addr) => addrs.includes(addr))
        )
      })
    )
    assert.deepStrictEqual(EndpointAddr.relays(EndpointAddr.make(id, sorted)).map(String), [
      "http://derp.me/",
      "https://a.example/"
    ])
    assert.strictEqual(EndpointAddr.ips(EndpointAddr.make(id, sorted)).length, 5)
  })

  it("comes back as it was sent", () => {
    const way = fc.oneof(
      fc.webUrl().map(relay),
      fc
        .tuple(fc.constantFrom(4, 16), fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(65_535))
        .map(([size, bytes, port]) => TransportAddr.fromIpBytes(bytes.slice(0, size), port)),
      fc
        .tuple(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.uint8Array({ maxLength: 60 }))
        .map(([id, data]) => TransportAddr.custom(id, data))
    )
    fc.assert(
      fc.property(fc.array(way, { maxLength: 8 }), (ways) => {
        const addr = EndpointAddr.make(id, ways)
        const bytes = EndpointAddr.encode(addr)
        assert.deepStrictEqual(Result.getOrThrow(EndpointAddr.decode(bytes, { trailing: "refuse" })), addr)
      }),
      { numRuns: 300 }
    )
  })
})
