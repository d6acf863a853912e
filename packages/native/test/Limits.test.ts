/* Every limit is an option of `bind`: what happens when it is reached, and when there is room again. */
import { execFileSync } from "node:child_process"
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { assert, it, vi } from "vitest"
import type * as Addon from "../index.cjs"
import * as N from "./support/native.ts"
import { spawnPeer } from "./support/peer.ts"
import { suite } from "./support/suite.ts"

// Real sockets on a busy machine, some closing for seconds.
vi.setConfig({ testTimeout: 20_000 })

/** For what nobody calls about. */
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

const portOf = (endpoint: Addon.Endpoint): number => Number(endpoint.boundAddrs[0]?.split(":")[1])

/** A way to an endpoint on which nothing comes back but the word to come again (RFC 9000 section 8.1.2). */
interface Mute {
  readonly addr: Addon.Addr
  /** From now on everything goes through, or nothing. */
  readonly open: () => void
  readonly cut: () => void
  readonly close: () => void
}
const mute = async (to: Addon.Endpoint): Promise<Mute> => {
  const socket: Socket = createSocket("udp4")
  socket.bind(0, "127.0.0.1")
  await once(socket, "listening")
  let way: "mute" | "open" | "cut" = "mute"
  let dialer = 0
  socket.on("message", (packet, { port }) => {
    if (way === "cut") return
    if (port !== portOf(to)) {
      dialer = port
      socket.send(packet, portOf(to), "127.0.0.1")
    } else if (way === "open" || ((packet[0] ?? 0) & 0xf0) === 0xf0) socket.send(packet, dialer, "127.0.0.1")
  })
  return {
    addr: { id: to.id, relays: [], ips: [`127.0.0.1:${socket.address().port}`] },
    open: () => {
      way = "open"
    },
    cut: () => {
      way = "cut"
    },
    close: () => socket.close()
  }
}

/** What a stream takes at once. */
const fill = (send: Addon.SendStream): number => {
  for (let taken = 0; ;) {
    const bytes = send.tryWrite(new Uint8Array(100_000))
    if (bytes < 0) return taken
    taken += bytes
  }
}

/** Reads so many bytes. */
const take = async (recv: Addon.RecvStream, bytes: number): Promise<void> => {
  for (let left = bytes; left > 0;) {
    const read = await N.read(recv, left)
    assert(typeof read !== "number")
    left -= read.length
  }
}

suite("a limit", ({ END, Token }) => {
  it("that is an option of bind has a test that reaches it", () => {
    const declared = readFileSync(new URL("../index.d.cts", import.meta.url), "utf8")
    const options = /interface BindOptions \{(.*?)\n\}/s.exec(declared)?.[1] ?? ""
    const names = [...options.matchAll(/readonly (\w+)\?: number/g)].map(([, name = ""]) => name)
    assert.include(names, "acceptBacklog")
    // Those say only which values there may be; what iroh begins with is no limit.
    const others = new Set(["Arguments.test.ts", "Endpoint.test.ts"])
    const tests = readdirSync(new URL(".", import.meta.url))
      .filter((file) => file.endsWith(".test.ts") && !others.has(file))
      .map((file) => readFileSync(new URL(file, import.meta.url), "utf8"))
      .join("\n")
    for (const name of names) if (!name.startsWith("initial")) assert.match(tests, new RegExp(`\\b${name}: `), name)
  })

  it("maxHandshakes: one more is refused, and there is room again when they are done", () =>
    N.withEndpoints([{ maxHandshakes: 8 }, { initialRttMs: 20 }, {}], async (b, a, other) => {
      assert(a !== undefined && b !== undefined && other !== undefined)
      const way = await mute(b)
      const dials = Array.from({ length: 8 }, () => N.connect(a, way.addr))
      await until(() => b.incoming().pending === 8)
      assert.strictEqual((await N.failure(other.connect(N.addrOf(b), [N.alpn]))).kind, "refused")
      assert.deepInclude(b.incoming(), { pending: 8, accepted: 0, refused: 1, failed: 0 })
      way.open()
      await Promise.all(dials)
      await until(() => b.incoming().pending === 0)
      await N.connect(other, N.addrOf(b))
      await until(() => b.incoming().accepted === 9)
      assert.deepInclude(b.incoming(), { refused: 1, failed: 0 })
      way.close()
    }))

  it("handshakeTimeoutMs: a handshake that takes longer is given up and counted, and its place is free", () =>
    N.withEndpoints([{ handshakeTimeoutMs: 200, maxHandshakes: 1 }, {}, {}], async (b, a, other) => {
      assert(a !== undefined && b !== undefined && other !== undefined)
      const way = await mute(b)
      const dial = a.connect(way.addr, [N.alpn])
      await until(() => b.incoming().pending === 1)
      way.cut()
      await until(() => b.incoming().pending === 0)
      assert.deepInclude(b.incoming(), { accepted: 0, refused: 0, failed: 1 })
      await Promise.all([N.connect(other, N.addrOf(b)), N.accept(b)])
      assert.deepInclude(b.incoming(), { accepted: 1, refused: 0, failed: 1 })
      dial.cancel()
      way.close()
    }))

  it("receiveWindowBytes: all streams of a connection together take no more until something is read", () =>
    N.withEndpoints([{}, { receiveWindowBytes: 100_000 }], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      const [dialed, accepted] = await Promise.all([N.connect(a, N.addrOf(b)), N.accept(b)])
      const streams = [await N.openUni(dialed), await N.openUni(dialed)] as const
      assert.strictEqual(await N.write(streams[0], new Uint8Array(30_000)), 30_000)
      assert.strictEqual(fill(streams[1]), 70_000)
      assert.deepStrictEqual(streams.map(fill), [0, 0])
      assert.strictEqual(fill(await N.openUni(dialed)), 0)
      const more = N.write(streams[1], new Uint8Array(1))
      await take(await N.acceptUni(accepted), 30_000)
      assert.strictEqual(await more, 1)
      // What is stopped is no longer unread.
      fill(streams[0])
      const last = N.write(streams[0], new Uint8Array(1))
      const recv = await N.acceptUni(accepted)
      recv.stop(0)
      assert.strictEqual(await last, 1)
    }))

  it("streamReceiveWindowBytes: a stream takes no more until something of it is read, and others do", () =>
    N.withEndpoints([{}, { streamReceiveWindowBytes: 50_000 }], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      const [dialed, accepted] = await Promise.all([N.connect(a, N.addrOf(b)), N.accept(b)])
      const streams = [await N.openUni(dialed), await N.openUni(dialed)] as const
      assert.deepStrictEqual(streams.map(fill), [50_000, 50_000])
      const more = N.write(streams[1], new Uint8Array(1))
      await N.acceptUni(accepted)
      await take(await N.acceptUni(accepted), 50_000)
      assert.strictEqual(await more, 1)
      assert.strictEqual(fill(streams[0]), 0)
    }))

  it("sendWindowBytes: all streams of a connection together take no more until the peer has acknowledged something", async () => {
    const a = await N.bind({ sendWindowBytes: 60_000 })
    const peer = await spawnPeer("hold")
    const connection = await N.connect(a, peer.addr)
    const streams = [await N.openUni(connection), await N.openUni(connection)] as const
    assert.strictEqual(await N.write(streams[0], new Uint8Array(1)), 1)
    streams[0].finish()
    assert.strictEqual(await N.settled(streams[0]), END)
    peer.child.kill("SIGSTOP")
    const state = () => execFileSync("ps", ["-o", "state=", "-p", String(peer.child.pid)], { encoding: "utf8" })
    await until(() => state().startsWith("T"))
    const other = await N.openUni(connection)
    assert.strictEqual(await N.write(streams[1], new Uint8Array(20_000)), 20_000)
    assert.strictEqual(fill(other), 40_000)
    assert.strictEqual(fill(streams[1]), 0)
    const more = N.write(streams[1], new Uint8Array(100_000))
    peer.child.kill("SIGCONT")
    assert.strictEqual(await more, 100_000)
    peer.child.kill("SIGKILL")
    await N.close(a)
  })

  const kinds = [
    ["maxUniStreams", "openUni", (connection: Addon.Connection) => connection.tryOpenUni()],
    ["maxBiStreams", "openBi", (connection: Addon.Connection) => connection.tryOpenBi()]
  ] as const
  for (const [name, offset, open] of kinds) {
    it(`${name}: so many streams of a peer are open at once, 100 without it; one more waits until more than an eighth are over on both sides`, async () => {
      for (const [options, most] of [
        [{}, 100],
        [{ maxUniStreams: 3, maxBiStreams: 3 }, 3]
      ] as const) {
        await N.withEndpoints([{}, options], async (a, b) => {
          assert(a !== undefined && b !== undefined)
          const [dialed, accepted] = await Promise.all([N.connect(a, N.addrOf(b)), N.accept(b)])
          const opened: Array<Addon.SendStream | Addon.BiStream> = []
          for (;;) {
            const stream = open(dialed)
            if (typeof stream === "number") break
            opened.push(stream)
          }
          assert.strictEqual(opened.length, most)
          const more = N.until(dialed.token + Token.Connection[offset], () => open(dialed))
          // The peer says that there is room when more than an eighth are over.
          for (const stream of opened.slice(0, 1 + (most >> 3))) {
            if ("send" in stream) {
              stream.send.finish()
              const { recv, send } = await N.acceptBi(accepted)
              await N.readAll(recv)
              send.finish()
              await N.readAll(stream.recv)
            } else {
              stream.finish()
              await N.readAll(await N.acceptUni(accepted))
            }
          }
          assert.isObject(await more)
        })
      }
    })
  }

  it(
    "keepAliveMs: 5 s are the most, so a connection with a longer one outlives an idle timeout of 6.5 s",
    { timeout: 40_000 },
    () =>
      N.withEndpoints(
        [
          { idleTimeoutMs: 6500, keepAliveMs: 60_000 },
          { idleTimeoutMs: 6500, keepAliveMs: 60_000 }
        ],
        async (a, b) => {
          assert(a !== undefined && b !== undefined)
          const [dialed] = await Promise.all([N.connect(a, N.addrOf(b)), N.accept(b)])
          // Silent for at least as long: the end of one whose peer is gone says when.
          const peer = await spawnPeer("hold")
          const gone = await N.connect(a, peer.addr)
          peer.child.kill("SIGKILL")
          assert.strictEqual((await N.closed(gone)).kind, "idle")
          assert.isNull(dialed.closed())
        }
      )
  )

  it("datagramReceiveBufferBytes: of datagrams that nobody reads the newest so many bytes are kept", () =>
    N.withPair(
      async ({ dialed, accepted }) => {
        const count = 300
        for (let i = 0; i < count; i++) {
          const datagram = new Uint8Array(1000)
          new DataView(datagram.buffer).setUint32(0, i)
          const sent = () => dialed.trySendDatagram(datagram)
          assert.strictEqual(await N.until(dialed.token + Token.Connection.datagramRoom, sent), 0)
        }
        const send = await N.openUni(dialed)
        await N.write(send, new Uint8Array(1))
        await N.acceptUni(accepted)
        const room = new Uint8Array(2000)
        const numbers: Array<number> = []
        while (accepted.tryReadDatagram(room) > 0) numbers.push(new DataView(room.buffer).getUint32(0))
        assert.isNotEmpty(numbers)
        assert.isAtMost(numbers.length * 1000, 65_567)
        assert.isAtLeast(numbers[0] ?? 0, 1)
      },
      { datagramReceiveBufferBytes: 65_567 }
    ))

  it("of 1,024 bytes for the reason of a close: it is cut between two characters", () =>
    N.withPair(async ({ dialed, accepted }) => {
      dialed.close(1, `x${"é".repeat(1024)}`)
      const reason = `x${"é".repeat(511)}`
      assert.deepStrictEqual(dialed.closed(), { kind: "local", code: 1, reason })
      assert.deepStrictEqual(await N.closed(accepted), { kind: "remote", code: 1, reason })
    }))
})
