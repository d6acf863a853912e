import * as Rng from "@effect-live/actor/Rng"
import { assert, describe, it } from "@effect/vitest"
import { Cache } from "../../src/internal/Contents.ts"
import * as Limits from "../../src/Limits.ts"

const keep = (cache: Cache, n: number, bytes: number, expiresAtMs: number): Uint8Array =>
  cache.keep(`${n}`, Rng.hash(`${n}`), new Uint8Array(bytes).fill(n), 3, expiresAtMs).content

describe("the contents that a topic keeps", () => {
  it("are copies, as they came, in whatever blocks they lie", () => {
    const cache = new Cache(1)
    const sizes = [0, 1, 500, 13, Limits.cacheBlockBytes, 2 * Limits.cacheBlockBytes, 4_096, 4_096, 7]
    for (const [n, bytes] of sizes.entries()) keep(cache, n, bytes, n)
    for (const [n, bytes] of sizes.entries()) {
      assert.deepStrictEqual(cache.get(`${n}`), {
        _tag: "Gossip",
        id: `${n}`,
        content: new Uint8Array(bytes).fill(n),
        scope: { _tag: "Swarm", round: 3 }
      })
    }
    assert.strictEqual(
      cache.bytes,
      sizes.reduce((sum, bytes) => sum + bytes)
    )
    for (const n of sizes.keys()) {
      cache.expire(n)
      assert.isUndefined(cache.get(`${n}`))
      assert.strictEqual(cache.size, sizes.length - n - 1)
    }
    assert.strictEqual(cache.bytes, 0)
  })

  it("are held with no more than `cacheBlockBytes` by who holds on to one of them", () => {
    const cache = new Cache(1)
    assert.isAtMost(keep(cache, 0, 10, 0).buffer.byteLength, 512)
    let most = 0
    for (let n = 1; n < 2_000; n++) most = Math.max(most, keep(cache, n, 200, n).buffer.byteLength)
    assert.strictEqual(most, Limits.cacheBlockBytes)
  })
})
