import { assert, it } from "vitest"
import * as N from "./support/native.ts"
import { spawnPeer } from "./support/peer.ts"
import { suite } from "./support/suite.ts"

/** An id and a port where nobody is. */
const nobody = async (): Promise<{ readonly id: string; readonly ips: ReadonlyArray<string> }> => {
  const gone = await N.bind()
  const { id, ips } = N.addrOf(gone)
  await N.close(gone)
  return { id, ips }
}

suite("connect", ({ BLOCKED, OVER, Token }) => {
  it("agrees on a protocol that both speak, in one handshake, and both know which", () =>
    N.withEndpoints([{}, { alpns: ["three", "two"] }], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      const [dialed, accepted] = await Promise.all([N.connect(a, N.addrOf(b), ["one", "two"]), N.accept(b)])
      assert.strictEqual(dialed.alpn, "two")
      assert.strictEqual(accepted.alpn, "two")
      assert.strictEqual(dialed.remoteId, b.id)
      assert.strictEqual(accepted.remoteId, a.id)
    }))

  it("fails with wrongAlpn where the peer speaks none of them, until it does", () =>
    N.withEndpoints([{}, { alpns: ["two"] }], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      assert.strictEqual((await N.failure(a.connect(N.addrOf(b), ["one", "zero"]))).kind, "wrongAlpn")
      b.setAlpns(["one"])
      assert.strictEqual((await N.connect(a, N.addrOf(b), ["zero", "one"])).alpn, "one")
      assert.strictEqual((await N.failure(a.connect(N.addrOf(b), ["two"]))).kind, "wrongAlpn")
      b.setAlpns([])
      assert.strictEqual((await N.failure(a.connect(N.addrOf(b), ["one"]))).kind, "wrongAlpn")
    }))

  it("fails with wrongId where somebody else answers", () =>
    N.withEndpoints([{}, {}], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      const { id } = await nobody()
      assert.strictEqual((await N.failure(a.connect({ id, relays: [], ips: b.boundAddrs }, [N.alpn]))).kind, "wrongId")
    }))

  it("fails with self at the own id, and with noAddress where nothing is known", () =>
    N.withEndpoints([{}], async (a) => {
      assert(a !== undefined)
      assert.strictEqual((await N.failure(a.connect(N.addrOf(a), [N.alpn]))).kind, "self")
      const { id } = await nobody()
      assert.strictEqual((await N.failure(a.connect({ id, relays: [], ips: [] }, [N.alpn]))).kind, "noAddress")
    }))

  it("fails with timedOut where nobody answers for the idle timeout", () =>
    N.withEndpoints([{ idleTimeoutMs: 300, initialRttMs: 20 }], async (a) => {
      assert(a !== undefined)
      assert.strictEqual((await N.failure(a.connect({ ...(await nobody()), relays: [] }, [N.alpn]))).kind, "timedOut")
    }))

  it("finds by id alone who is remembered, and no longer who is forgotten", () =>
    N.withEndpoints([{}, {}], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      const unknown = { id: b.id, relays: [], ips: [] }
      assert.strictEqual((await N.failure(a.connect(unknown, [N.alpn]))).kind, "noAddress")
      a.remember(N.addrOf(b))
      await N.connect(a, unknown)
    }))

  it("fails with cancelled when it is cancelled, at once, and the peer gets no connection", () =>
    N.withEndpoints([{}, {}], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      const hanging = a.connect({ ...(await nobody()), relays: [] }, [N.alpn])
      const failure = N.failure(hanging)
      hanging.cancel()
      hanging.cancel()
      assert.strictEqual((await failure).kind, "cancelled")
      assert.strictEqual(hanging.poll(), OVER)
    }))

  it("cancelled after it was done and before it was taken, closes the connection", () =>
    N.withEndpoints([{}, {}], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      const dial = a.connect(N.addrOf(b), [N.alpn])
      const accepted = await N.accept(b)
      dial.cancel()
      assert.strictEqual((await N.failure(dial)).kind, "cancelled")
      const { kind } = await N.closed(accepted)
      assert.include(["remote", "transport"], kind)
    }))

  it("gives its connection once", () =>
    N.withEndpoints([{}, {}], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      const dial = a.connect(N.addrOf(b), [N.alpn])
      assert.notStrictEqual(await N.dialed(dial), OVER)
      assert.strictEqual(dial.poll(), OVER)
      assert.strictEqual(dial.failure(), null)
      dial.cancel()
      assert.strictEqual(dial.failure(), null)
    }))

  it("fails with endpointClosed on a closed endpoint, also when it was under way", () =>
    N.withEndpoints([{ initialRttMs: 20 }], async (a) => {
      assert(a !== undefined)
      const peer = { ...(await nobody()), relays: [] }
      const underWay = N.failure(a.connect(peer, [N.alpn]))
      await N.close(a)
      assert.strictEqual((await underWay).kind, "endpointClosed")
      assert.strictEqual((await N.failure(a.connect(peer, [N.alpn]))).kind, "endpointClosed")
    }))

  it("of many at once all succeed, within the peer's backlog", () =>
    N.withEndpoints([{}, { acceptBacklog: 100, maxHandshakes: 100 }], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      const dialed = await Promise.all(Array.from({ length: 100 }, () => N.connect(a, N.addrOf(b))))
      while (b.incoming().accepted < 100) await new Promise((resolve) => setImmediate(resolve))
      assert.deepInclude(b.incoming(), { waiting: 100, pending: 0, refused: 0 })
      assert.strictEqual((await N.failure(a.connect(N.addrOf(b), [N.alpn]))).kind, "refused")
      await N.accept(b)
      dialed.push(await N.connect(a, N.addrOf(b)))
      assert.strictEqual(b.incoming().refused, 1)
      assert.isTrue(dialed.every((connection) => connection.closed() === null))
    }))

  it("is refused or ignored by the rules of admission, the first that matches", () =>
    N.withEndpoints([{ idleTimeoutMs: 300, initialRttMs: 20 }, {}], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      b.setAdmission([
        { from: "10.0.0.0/8", action: "ignore" },
        { from: "relay", action: "ignore" },
        { from: "127.0.0.0/8", action: "refuse" },
        { from: "127.0.0.1", action: "accept" }
      ])
      assert.strictEqual((await N.failure(a.connect(N.addrOf(b), [N.alpn]))).kind, "refused")
      b.setAdmission([{ from: "127.0.0.1/32", action: "ignore" }])
      assert.strictEqual((await N.failure(a.connect(N.addrOf(b), [N.alpn]))).kind, "timedOut")
      assert.isAtLeast(b.incoming().ignored, 1)
      b.setAdmission([{ from: "::/0", action: "refuse" }])
      await Promise.all([N.connect(a, N.addrOf(b)), N.accept(b)])
      assert.deepInclude(b.incoming(), { refused: 1, failed: 0, accepted: 1 })
    }))

  it("counts a handshake that fails, and gives its place free", () =>
    N.withEndpoints([{}, { alpns: ["another"], maxHandshakes: 1 }], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      for (let i = 0; i < 3; i++) {
        assert.strictEqual((await N.failure(a.connect(N.addrOf(b), [N.alpn]))).kind, "wrongAlpn")
        // The peer knows a moment later that it refused.
        while (b.incoming().pending > 0) await new Promise((resolve) => setImmediate(resolve))
      }
      assert.deepInclude(b.incoming(), { accepted: 0, failed: 3 })
    }))

  it("ends after the idle timeout when the peer is gone without a word", async () => {
    const a = await N.bind({ idleTimeoutMs: 1000, keepAliveMs: 200 })
    const peer = await spawnPeer("hold")
    const connection = await N.connect(a, peer.addr)
    peer.child.kill("SIGKILL")
    assert.deepStrictEqual(await N.closed(connection), { kind: "idle", code: null, reason: "" })
    assert.strictEqual(connection.tryAcceptUni(), OVER)
    await N.close(a)
  })

  it("leaves accept to whoever waits, and ends it when the endpoint closes", () =>
    N.withEndpoints([{}], async (a) => {
      assert(a !== undefined)
      assert.strictEqual(a.tryAccept(), BLOCKED)
      const accepting = N.until(a.token + Token.Endpoint.accept, () => a.tryAccept())
      a.close()
      assert.strictEqual(await accepting, OVER)
    }))
})
