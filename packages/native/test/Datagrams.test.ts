import { assert, it } from "vitest"
import type * as Addon from "../index.cjs"
import * as N from "./support/native.ts"
import { suite } from "./support/suite.ts"

suite("datagrams", ({ BLOCKED, OVER, TOO_LARGE, Token }) => {
  const room = new Uint8Array(65_535)
  const next = async (connection: Addon.Connection): Promise<Uint8Array | number> => {
    const length = await N.until<number>(connection.token + Token.Connection.datagramReceived, () =>
      connection.tryReadDatagram(room)
    )
    return length < 0 ? length : room.slice(0, length)
  }

  it("arrive whole, also the empty one and the largest", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const most = dialed.maxDatagramBytes()
      assert.isAbove(most, 1000)
      for (const length of [0, 1, most]) {
        assert.strictEqual(dialed.sendDatagram(N.pattern(length)), 0)
        assert.deepStrictEqual(await next(accepted), N.pattern(length))
      }
      assert.strictEqual(dialed.sendDatagram(new Uint8Array(65_536)), TOO_LARGE)
      assert.strictEqual(dialed.trySendDatagram(new Uint8Array(65_536)), TOO_LARGE)
    }))

  it("stay unread where the room is too short for them", () =>
    N.withPair(async ({ dialed, accepted }) => {
      dialed.sendDatagram(N.pattern(10))
      while (true) {
        try {
          const read = accepted.tryReadDatagram(new Uint8Array(9))
          assert.strictEqual(read, BLOCKED)
        } catch (error) {
          assert.instanceOf(error, RangeError)
          assert.match(String(error), /10 bytes/)
          break
        }
        await new Promise((resolve) => setImmediate(resolve))
      }
      assert.deepStrictEqual(await next(accepted), N.pattern(10))
    }))

  it("are impossible with a peer that takes none, in both directions, and both sides know", () =>
    N.withEndpoints([{}, { datagramReceiveBufferBytes: 0 }], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      for (const connection of await Promise.all([N.connect(a, N.addrOf(b)), N.accept(b)])) {
        assert.strictEqual(connection.maxDatagramBytes(), 0)
        assert.strictEqual(connection.sendDatagram(new Uint8Array(1)), TOO_LARGE)
        assert.strictEqual(connection.trySendDatagram(new Uint8Array(1)), TOO_LARGE)
      }
    }))

  it("of the largest size go through the smallest buffers that there may be", () =>
    N.withPair(
      async ({ dialed, accepted }) => {
        const datagram = N.pattern(dialed.maxDatagramBytes())
        assert.strictEqual(
          await N.until(dialed.token + Token.Connection.datagramRoom, () => dialed.trySendDatagram(datagram)),
          0
        )
        assert.deepStrictEqual(await next(accepted), datagram)
      },
      { datagramSendBufferBytes: 1500, datagramReceiveBufferBytes: 65_567 }
    ))

  it("in the waiting form all leave, in order, though the buffer is small", () =>
    N.withPair(
      async ({ dialed, accepted }) => {
        const count = 2000
        const sending = (async () => {
          for (let i = 0; i < count; i++) {
            const datagram = new Uint8Array(1000)
            new DataView(datagram.buffer).setUint32(0, i)
            const sent = await N.until(dialed.token + Token.Connection.datagramRoom, () =>
              dialed.trySendDatagram(datagram)
            )
            assert.strictEqual(sent, 0)
          }
        })()
        let last = -1
        for (let i = 0; i < count; i++) {
          const datagram = await next(accepted)
          assert(typeof datagram !== "number")
          const number = Buffer.from(datagram).readUInt32BE(0)
          assert.isAbove(number, last)
          last = number
          // Loopback may drop under load; what was sent last is told by its number.
          if (number === count - 1) break
        }
        await sending
      },
      { datagramSendBufferBytes: 3000 }
    ))

  it("in a flood nobody reads cost bounded memory, and the connection lives", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const datagram = new Uint8Array(1000)
      for (let i = 0; i < 20_000; i++) {
        assert.strictEqual(dialed.sendDatagram(datagram), 0)
        if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      const before = process.memoryUsage().rss
      for (let i = 0; i < 100_000; i++) {
        assert.strictEqual(dialed.sendDatagram(datagram), 0)
        if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      assert.isBelow(process.memoryUsage().rss, before * 1.1 + 10_000_000)
      const send = await N.openUni(dialed)
      await N.write(send, N.bytes("still here"))
      send.finish()
      assert.strictEqual(N.text(await N.readAll(await N.acceptUni(accepted))), "still here")
    }))

  it("end with the connection, for whoever waits for room or for one", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const reading = next(accepted)
      dialed.close(0, "")
      assert.strictEqual(await reading, OVER)
      assert.strictEqual(dialed.trySendDatagram(new Uint8Array(1)), OVER)
    }))
})
