import { assert, it } from "vitest"
import * as N from "./support/native.ts"
import { suite } from "./support/suite.ts"

suite("an endpoint", ({ BLOCKED, OVER, Token, bind, versions, binary }) => {
  it("says which releases are inside and where it came from", () => {
    assert.match(versions.iroh, /^1\.\d+\.\d+$/)
    assert.match(versions.noq, /^1\.\d+\.\d+$/)
    assert.match(binary, /\.node$/)
  })

  it("has the id of its key, and every fresh one another", () =>
    N.withEndpoints([{ secretKey: new Uint8Array(32).fill(7) }, {}, {}], async (known, one, other) => {
      assert.strictEqual(known?.id, "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c")
      assert.notStrictEqual(one?.id, other?.id)
    }))

  it("says where it can be reached, and that once", () =>
    N.withEndpoints([{}], async (endpoint) => {
      assert(endpoint !== undefined)
      assert.isTrue(endpoint.addrChanged())
      assert.deepStrictEqual(endpoint.addr(), N.addrOf(endpoint))
      assert.match(endpoint.boundAddrs[0] ?? "", /^127\.0\.0\.1:\d+$/)
      assert.isFalse(endpoint.addrChanged())
      assert.isTrue(endpoint.relaysChanged())
      assert.isFalse(endpoint.relaysChanged())
      assert.deepStrictEqual(endpoint.relays(), [])
    }))

  it("binds every address it is given, of both families", () =>
    N.withEndpoints([{ bindAddrs: ["127.0.0.1:0", "[::1]:0"] }, { bindAddrs: ["[::1]:0"] }], async (both, six) => {
      assert(both !== undefined && six !== undefined)
      assert.strictEqual(both.boundAddrs.length, 2)
      const [dialed] = await Promise.all([N.connect(six, N.addrOf(both)), N.accept(both)])
      assert.match(dialed.paths()[0]?.remote ?? "", /^\[::1\]:/)
    }))

  it("fails with addressInUse where the port is taken, and gets it when that endpoint has closed", async () => {
    const first = await N.bind()
    const [dialed, accepted] = await (async () => {
      const other = await N.bind()
      const pair = await Promise.all([N.connect(other, N.addrOf(first)), N.accept(first)])
      await N.close(other)
      return pair
    })()
    const bindAddrs = first.boundAddrs
    const binding = bind({ bindAddrs })
    assert.strictEqual(await N.until(binding.token, () => binding.poll()), OVER)
    assert.strictEqual(binding.failure()?.kind, "addressInUse")
    await N.close(first)
    const second = await N.bind({ bindAddrs })
    assert.deepStrictEqual(second.boundAddrs, bindAddrs)
    await N.close(second)
    assert.isNotNull(dialed.closed())
    assert.isNotNull(accepted.closed())
  })

  it("closing, ends everything of its connections in that turn, and whoever waits is called", () =>
    N.withPair(async ({ b, dialed, accepted }) => {
      const send = await N.openUni(dialed)
      await N.write(send, N.bytes("x"))
      const recv = await N.acceptUni(accepted)
      await N.read(recv)
      const waiting = Promise.all([
        N.read(recv),
        N.closed(accepted),
        N.until(accepted.token + Token.Connection.acceptBi, () => accepted.tryAcceptBi())
      ])
      b.close()
      const local = { kind: "local", code: 0, reason: "" } as const
      assert.deepStrictEqual(accepted.closed(), local)
      assert.deepStrictEqual(recv.ended(), { kind: "lost", code: null })
      assert.deepStrictEqual(await waiting, [OVER, local, OVER])
      assert.strictEqual(accepted.paths().length, 1)
      assert.deepStrictEqual(await N.closed(dialed), { kind: "remote", code: 0, reason: "" })
    }))

  it("closes its connections with code 0 and then says so, as often as it is asked", () =>
    N.withPair(async ({ a, dialed, accepted }) => {
      assert.isFalse(a.closed())
      a.close()
      a.close()
      await N.close(a)
      assert.isTrue(a.closed())
      assert.deepStrictEqual(await N.closed(dialed), { kind: "local", code: 0, reason: "" })
      assert.deepStrictEqual(await N.closed(accepted), { kind: "remote", code: 0, reason: "" })
      assert.strictEqual(a.tryAccept(), OVER)
      a.setAlpns(["late"])
      a.setAdmission([])
      assert.deepStrictEqual(a.addr(), N.addrOf(a), "as it was last")
      assert.deepStrictEqual(a.relays(), [])
    }))

  it("counts what it does", () =>
    N.withPair(async ({ a }) => {
      const metrics = a.metrics()
      assert.strictEqual(metrics.socket_num_conns_opened, 1)
      assert.isAbove(metrics.socket_send_ipv4 ?? 0, 1000)
    }))

  for (const congestion of ["cubic", "bbr3", "newReno"] as const) {
    it(`sends under ${congestion}`, () =>
      N.withPair(
        async ({ dialed, accepted }) => {
          const send = await N.openUni(dialed)
          const sending = N.write(send, N.pattern(2_000_000)).then(() => send.finish())
          assert.strictEqual((await N.readAll(await N.acceptUni(accepted))).length, 2_000_000)
          await sending
          assert.isAtLeast(dialed.paths()[0]?.congestionWindowBytes ?? 0, 30_000)
        },
        { congestion, initialWindowBytes: 50_000 }
      ))
  }

  it("keeps a connection of few words open by keep-alives, and lets a silent one go", () =>
    N.withEndpoints(
      [
        { idleTimeoutMs: 600, keepAliveMs: 100 },
        { idleTimeoutMs: 600, keepAliveMs: 60_000 }
      ],
      async (a, b) => {
        assert(a !== undefined && b !== undefined)
        const [dialed] = await Promise.all([N.connect(a, N.addrOf(b)), N.accept(b)])
        await new Promise((resolve) => setTimeout(resolve, 1500))
        assert.isNull(dialed.closed())
      }
    ))

  it("tells a connection's paths with their numbers, and when they change", () =>
    N.withPair(async ({ dialed, accepted }) => {
      assert.isTrue(dialed.pathsChanged())
      const [path, ...others] = dialed.paths()
      assert.isEmpty(others)
      assert(path !== undefined)
      assert.strictEqual(path.kind, "direct")
      assert.isTrue(path.selected)
      assert.isAbove(path.rttUs, 0)
      assert.isAbove(path.sentPackets, 0)
      assert.isAbove(path.sentBytes, 1000)
      assert.isAbove(path.mtuBytes, 1199)
      while (dialed.pathsChanged());
      const changed = N.until(dialed.token + Token.Connection.paths, () => dialed.pathsChanged() || null)
      accepted.close(1, "")
      assert.isTrue(await changed, "its end is the last change")
      assert.isFalse(dialed.pathsChanged())
      assert.strictEqual(dialed.paths()[0]?.remote, path.remote, "still answers after the end")
    }))

  it("takes options of every kind, and BLOCKED is all that an endpoint without peers says", () =>
    N.withEndpoints(
      [
        {
          relays: ["https://relay.example.org"],
          initialRttMs: 50,
          sendWindowBytes: 1_000_000,
          receiveWindowBytes: 1_000_000,
          streamReceiveWindowBytes: 100_000,
          maxUniStreams: 0,
          maxBiStreams: 2 ** 32 - 1,
          datagramSendBufferBytes: 1500,
          datagramReceiveBufferBytes: 0,
          handshakeTimeoutMs: 1
        }
      ],
      async (endpoint) => {
        assert(endpoint !== undefined)
        assert.strictEqual(endpoint.tryAccept(), BLOCKED)
        // Nobody answers at this relay, so it is nobody's home.
        assert.isFalse(endpoint.relays().some(({ connected }) => connected))
      }
    ))
})
