/* What strangers can make an endpoint do, and what they cannot. */
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { assert, it } from "vitest"
import type * as Addon from "../index.cjs"
import * as N from "./support/native.ts"
import { suite } from "./support/suite.ts"

const socket = async (): Promise<Socket> => {
  const made = createSocket("udp4")
  made.bind(0, "127.0.0.1")
  await once(made, "listening")
  return made
}
const portOf = (endpoint: Addon.Endpoint): number => Number(endpoint.boundAddrs[0]?.split(":")[1])
const behind = (socket: Socket, { id }: Addon.Endpoint): Addon.Addr => ({
  id,
  relays: [],
  ips: [`127.0.0.1:${socket.address().port}`]
})

/** For what nobody calls about. */
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

/** The first packets of so many dials, which anybody on their way could have kept. */
const firstPackets = async (victim: Addon.Endpoint, count: number): Promise<ReadonlyArray<Uint8Array>> => {
  const [attacker, sink] = await Promise.all([N.bind(), socket()])
  /** By the id that the dialer made up for the connection (RFC 9000 section 17.2.2). */
  const packets = new Map<string, Uint8Array>()
  const kept = new Promise<void>((resolve) => {
    sink.on("message", (packet) => {
      const id = packet.toString("hex", 6, 6 + (packet[5] ?? 0))
      if (!packets.has(id)) packets.set(id, packet)
      if (packets.size === count) resolve()
    })
  })
  const dials = Array.from({ length: count }, () => attacker.connect(behind(sink, victim), [N.alpn]))
  await kept
  for (const dial of dials) dial.cancel()
  await N.close(attacker)
  sink.close()
  return [...packets.values()]
}

suite("strangers", ({ BLOCKED, OVER, Token }) => {
  it("with packets in the names of others keep nobody out who answers from its own address", () =>
    N.withEndpoints([{ maxHandshakes: 8 }, {}], async (victim, honest) => {
      assert(victim !== undefined && honest !== undefined)
      const packets = await firstPackets(victim, 12)
      const sockets = await Promise.all(packets.map(socket))
      packets.forEach((packet, index) => sockets[index]?.send(packet, portOf(victim), "127.0.0.1"))
      await until(() => victim.incoming().retried === 10)
      assert.deepInclude(victim.incoming(), { pending: 2, refused: 0 })
      for (let i = 0; i < 20; i++) {
        const [dialed] = await Promise.all([N.connect(honest, N.addrOf(victim)), N.accept(victim)])
        dialed.close(0, "")
      }
      await until(() => victim.incoming().pending === 2)
      assert.deepInclude(victim.incoming(), { accepted: 20, refused: 0 })
      for (const one of sockets) one.close()
    }))

  it("who answer are refused beyond the places that there are", () =>
    N.withEndpoints([{ maxHandshakes: 1, acceptBacklog: 1 }, {}], async (victim, other) => {
      assert(victim !== undefined && other !== undefined)
      const dialed = await N.connect(other, N.addrOf(victim))
      await until(() => victim.incoming().waiting === 1)
      assert.deepInclude(victim.incoming(), { retried: 1, accepted: 1, waiting: 1 })
      assert.strictEqual((await N.failure(other.connect(N.addrOf(victim), [N.alpn]))).kind, "refused")
      assert.isNull(dialed.closed())
    }))

  it("that fill every stream have 64 MiB of a connection taken that nobody reads, and 256 KiB until somebody takes it", () =>
    N.withEndpoints([{ sendWindowBytes: 2 ** 30 }, {}], async (stranger, victim) => {
      assert(stranger !== undefined && victim !== undefined)
      const dialed = await N.connect(stranger, N.addrOf(victim))
      const chunk = new Uint8Array(2 ** 20)
      let taken = 0
      let told = () => {}
      const reached = (bytes: number) =>
        new Promise<void>((resolve) => {
          told = () => {
            if (taken >= bytes) resolve()
          }
          told()
        })
      const fill = async (stream: Addon.SendStream) => {
        for (;;) {
          const bytes = await N.until<number>(stream.token, () => stream.tryWrite(chunk))
          if (bytes < 0) return
          taken += bytes
          told()
        }
      }
      const streams: Array<Addon.SendStream> = []
      for (let i = 0; i < 60; i++) streams.push(await N.openUni(dialed))
      const filling = streams.map(fill)
      await reached(1)
      await new Promise((resolve) => setImmediate(resolve))
      assert.strictEqual(taken, 262_144)
      const accepted = await N.accept(victim)
      await reached(2 ** 26)
      assert.strictEqual(taken, 2 ** 26)
      // What is read makes room again.
      const empty = async (recv: Addon.RecvStream) => {
        while (typeof (await N.read(recv)) !== "number");
      }
      const emptying: Array<Promise<void>> = []
      for (let i = 0; i < 53; i++) emptying.push(empty(await N.acceptUni(accepted)))
      await reached(2 ** 26 + 2 ** 24)
      dialed.close(0, "")
      await Promise.all([...filling, ...emptying])
    }))

  it("that close what nobody took make room for others in a full backlog", () =>
    N.withEndpoints([{ acceptBacklog: 4 }, {}], async (victim, other) => {
      assert(victim !== undefined && other !== undefined)
      const waiting: Array<Addon.Connection> = []
      for (let i = 0; i < 4; i++) waiting.push(await N.connect(other, N.addrOf(victim)))
      await until(() => victim.incoming().waiting === 4)
      const dial = () => other.connect(N.addrOf(victim), [N.alpn])
      assert.strictEqual((await N.failure(dial())).kind, "refused")
      waiting[1]?.close(0, "")
      // Until the victim has heard of it.
      while ((await N.dialed(dial())) === OVER);
      for (let i = 0; i < 4; i++) assert.isNull((await N.accept(victim)).closed())
      assert.strictEqual(victim.tryAccept(), BLOCKED)
      assert.strictEqual(waiting.filter((connection) => connection.closed() === null).length, 3)
    }))

  it("that close while the handshake goes on are told as what they did: closedByPeer", async () => {
    const [a, b] = await Promise.all([N.bind(), N.bind()])
    const proxy = await socket()
    let dialer = 0
    proxy.on("message", (packet, { port }) => {
      if (port !== portOf(b)) {
        dialer = port
        proxy.send(packet, portOf(b), "127.0.0.1")
      } else {
        // It closes with its first answer, which does not arrive; the close is the only short packet.
        b.close()
        if (packet.length < 200) proxy.send(packet, dialer, "127.0.0.1")
      }
    })
    assert.deepStrictEqual(await N.failure(a.connect(behind(proxy, b), [N.alpn])), {
      kind: "closedByPeer",
      code: 0,
      message: ""
    })
    await Promise.all([N.close(a), N.close(b)])
    proxy.close()
  })

  it("that give wrong addresses beside a good one do not keep it from being tried", () =>
    N.withEndpoints([{}, {}, {}], async (a, b, c) => {
      assert(a !== undefined && b !== undefined && c !== undefined)
      const relays = ["https://xn--0.com/", "https://xn--a-ecp.ru/", "no url", ""]
      const [dialed] = await Promise.all([N.connect(a, { ...N.addrOf(b), relays }), N.accept(b)])
      dialed.close(0, "")
      a.remember({ ...N.addrOf(b), relays })
      assert.strictEqual((await N.failure(c.connect({ id: b.id, relays, ips: [] }, [N.alpn]))).kind, "noAddress")
    }))

  it("who closed first: our close drops what is unread, and how it ended stays", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const send = await N.openUni(dialed)
      await N.write(send, N.bytes("unread"))
      const recv = await N.acceptUni(accepted)
      dialed.close(7, "bye")
      assert.deepStrictEqual(await N.closed(accepted), { kind: "remote", code: 7, reason: "bye" })
      accepted.close(8, "too late")
      assert.deepStrictEqual(accepted.closed(), { kind: "remote", code: 7, reason: "bye" })
      assert.strictEqual(recv.tryRead(new Uint8Array(9)), OVER)
      assert.strictEqual(accepted.tryAcceptUni(), OVER)
      assert.strictEqual(accepted.tryReadDatagram(new Uint8Array(9)), OVER)
      await N.until(accepted.token + Token.Connection.closed, () => accepted.closed())
    }))
})
