import { assert, it } from "vitest"
import * as N from "./support/native.ts"
import { suite } from "./support/suite.ts"

suite("streams", ({ BLOCKED, END, OVER, Token, forget, wait }) => {
  it("carry bytes of every length in both directions, and end where they were finished", () =>
    N.withPair(async ({ dialed, accepted }) => {
      for (const length of [0, 1, 1199, 65_536, 3_000_000]) {
        const sent = N.pattern(length)
        const stream = await N.openBi(dialed)
        const sending = N.write(stream.send, sent).then(() => stream.send.finish())
        const there = await N.acceptBi(accepted)
        const received = await N.readAll(there.recv)
        assert.isTrue(Buffer.compare(received, sent) === 0, `${length} bytes`)
        const answering = N.write(there.send, received).then(() => there.send.finish())
        assert.isTrue(Buffer.compare(await N.readAll(stream.recv), sent) === 0, `${length} bytes back`)
        await Promise.all([sending, answering])
      }
    }))

  it("take what is written in order, however small", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const stream = await N.openUni(dialed)
      const number = new Uint8Array(4)
      for (let i = 0; i < 1000; i++) {
        new DataView(number.buffer).setUint32(0, i)
        assert.strictEqual(await N.write(stream, number), 4)
      }
      stream.finish()
      const received = Buffer.from(await N.readAll(await N.acceptUni(accepted)))
      for (let i = 0; i < 1000; i++) assert.strictEqual(received.readUInt32BE(4 * i), i)
    }))

  it("copy what is written: it may be changed afterwards", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const stream = await N.openUni(dialed)
      const bytes = N.pattern(10_000)
      await N.write(stream, bytes)
      bytes.fill(0)
      stream.finish()
      assert.deepStrictEqual(new Uint8Array(await N.readAll(await N.acceptUni(accepted))), N.pattern(10_000))
    }))

  it("are accepted in the order in which they were opened", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const opened = []
      for (const name of ["one", "two", "three"]) {
        const stream = await N.openUni(dialed)
        opened.push(stream.id)
        await N.write(stream, N.bytes(name))
        stream.finish()
      }
      const seen = []
      for (const id of opened) {
        const stream = await N.acceptUni(accepted)
        assert.strictEqual(stream.id, id)
        seen.push(N.text(await N.readAll(stream)))
      }
      assert.deepStrictEqual(seen, ["one", "two", "three"])
    }))

  it("that are here whole are accepted many at once, in their order with those that are not", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const lengths = [3, 0, 2500, 70_000, 1, 5000]
      const opened = []
      for (const length of lengths) {
        const stream = await N.openUni(dialed)
        await N.write(stream, N.pattern(length))
        stream.finish()
        opened.push(stream)
      }
      const reset = await N.openUni(dialed)
      await N.write(reset, N.pattern(10))
      reset.reset(7)
      const open = await N.openUni(dialed)
      await N.write(open, N.pattern(20))
      const into = new Uint8Array(65_536)
      const places = new Uint32Array(4)
      const seen: Array<Uint8Array> = []
      const token = accepted.token + Token.Connection.acceptUni
      const others = []
      while (others.length < 2) {
        const count = await N.until<number>(token, () => accepted.tryAcceptWholeUni(into, places))
        for (let i = 0, at = 0; i < count; i++) seen.push(into.slice(at, (at += places[i] ?? 0)))
        if (count > 0) continue
        const stream = await N.acceptUni(accepted)
        const index = opened.findIndex(({ id }) => id === stream.id)
        if (index < 0) others.push(stream)
        else {
          assert.strictEqual(index, seen.length)
          seen.push(await N.readAll(stream))
        }
      }
      assert.deepStrictEqual(
        seen.map(({ length }) => length),
        lengths
      )
      seen.forEach((bytes) => assert.isTrue(Buffer.compare(bytes, N.pattern(bytes.length)) === 0))
      const [first, second] = others
      while (typeof (await N.read(first as never)) !== "number");
      assert.deepStrictEqual(first?.ended(), { kind: "reset", code: 7 })
      assert.strictEqual(((await N.read(second as never)) as Uint8Array).length, 20)
      assert.strictEqual(accepted.tryAcceptWholeUni(into, places), BLOCKED)
      dialed.close(0, "")
      await N.closed(accepted)
      assert.strictEqual(accepted.tryAcceptWholeUni(into, places), OVER)
    }))

  it("tell whether there is something to read, and lose nothing of it", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const sent = N.pattern(200_000)
      const send = await N.openUni(dialed)
      await N.write(send, N.bytes("x"))
      const recv = await N.acceptUni(accepted)
      assert.strictEqual(N.text(await N.read(recv)), "x")
      assert.isFalse(recv.readable())
      const writing = N.write(send, sent).then(() => send.finish())
      const pieces: Array<Uint8Array> = []
      for (let size = 1; ; size = (size * 7) % 9973) {
        await N.until(recv.token, () => recv.readable() || null)
        assert.isTrue(recv.readable())
        const room = new Uint8Array(size)
        const read = recv.tryRead(room)
        assert.notStrictEqual(read, BLOCKED)
        if (read === END) break
        pieces.push(room.subarray(0, read))
      }
      await writing
      assert.isTrue(Buffer.compare(Buffer.concat(pieces), sent) === 0)
      assert.isTrue(recv.readable(), "the end")
      const reset = await N.openUni(dialed)
      await N.write(reset, N.bytes("y"))
      const there = await N.acceptUni(accepted)
      reset.reset(5)
      while ((await N.read(there)) !== OVER);
      assert.isTrue(there.readable(), "the reset")
    }))

  it("say END again and again after the end", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const send = await N.openUni(dialed)
      send.finish()
      const recv = await N.acceptUni(accepted)
      assert.strictEqual(await N.read(recv), END)
      assert.strictEqual(await N.read(recv), END)
      assert.deepStrictEqual(recv.ended(), { kind: "finished", code: null })
      assert.strictEqual(send.tryWrite(N.bytes("more")), OVER)
      assert.strictEqual(await N.settled(send), END)
      assert.deepStrictEqual(send.ended(), { kind: "finished", code: null })
    }))

  it("give nothing for nothing: an empty write and an empty room are 0", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const send = await N.openUni(dialed)
      assert.strictEqual(send.tryWrite(new Uint8Array(0)), 0)
      await N.write(send, N.bytes("x"))
      const recv = await N.acceptUni(accepted)
      assert.strictEqual(recv.tryRead(new Uint8Array(0)), 0)
      assert.strictEqual(N.text(await N.read(recv)), "x")
    }))

  it("take a new priority and a reset at once while a write is blocked, and the write is called", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const send = await N.openUni(dialed)
      while (send.tryWrite(N.pattern(65_536)) !== BLOCKED);
      let called = 0
      const woken = new Promise<void>((resolve) => {
        globalThis.setImmediate(() => {
          send.setPriority(5)
          assert.strictEqual(called, 0)
          send.reset(7)
        })
        void N.until<number>(send.token + Token.SendStream.writable, () => {
          called++
          return send.tryWrite(new Uint8Array(1))
        }).then((result) => {
          assert.strictEqual(result, OVER)
          resolve()
        })
        called = 0
      })
      await woken
      assert.deepStrictEqual(send.ended(), { kind: "ended", code: null })
      const recv = await N.acceptUni(accepted)
      for (;;) if ((await N.read(recv)) === OVER) break
      assert.deepStrictEqual(recv.ended(), { kind: "reset", code: 7 })
      assert.strictEqual(await N.read(recv), OVER, "a reset never turns into an end")
    }))

  it("stopped by the peer, fail a blocked write with its code, which comes back as a reset", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const send = await N.openUni(dialed)
      const writing = N.write(send, new Uint8Array(8_000_000))
      const recv = await N.acceptUni(accepted)
      await N.read(recv, 4)
      recv.stop(9)
      assert.strictEqual(await writing, OVER)
      assert.deepStrictEqual(send.ended(), { kind: "stopped", code: 9 })
      assert.strictEqual(await N.settled(send), OVER)
      assert.strictEqual(recv.tryRead(new Uint8Array(1)), OVER)
      assert.deepStrictEqual(recv.ended(), { kind: "ended", code: null })
    }))

  it("stopped by the peer while nothing is written, settle", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const send = await N.openUni(dialed)
      await N.write(send, N.bytes("x"))
      const settled = N.settled(send)
      const recv = await N.acceptUni(accepted)
      recv.stop(2 ** 53 - 1)
      assert.strictEqual(await settled, OVER)
      assert.deepStrictEqual(send.ended(), { kind: "stopped", code: 2 ** 53 - 1 })
    }))

  it("call a reader that waits when it stops the stream itself", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const send = await N.openUni(dialed)
      await N.write(send, N.bytes("x"))
      const recv = await N.acceptUni(accepted)
      await N.read(recv)
      const reading = N.read(recv)
      recv.stop(3)
      assert.strictEqual(await reading, OVER)
    }))

  it("settle only when the peer has everything", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const send = await N.openUni(dialed)
      await N.write(send, N.pattern(1_000_000))
      assert.strictEqual(send.settled(), BLOCKED)
      send.finish()
      send.finish()
      assert.strictEqual(send.tryWrite(new Uint8Array(1)), OVER)
      const recv = await N.acceptUni(accepted)
      const [received] = await Promise.all([N.readAll(recv), N.settled(send)])
      assert.strictEqual(received.length, 1_000_000)
      send.reset(1)
      assert.deepStrictEqual(send.ended(), { kind: "finished", code: null }, "too late to be reset")
    }))

  it("reset after the finish, are reset while the peer lacks something", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const send = await N.openUni(dialed)
      while (send.tryWrite(N.pattern(65_536)) !== BLOCKED);
      send.finish()
      send.reset(2 ** 53 - 1)
      send.reset(4)
      const recv = await N.acceptUni(accepted)
      for (;;) if ((await N.read(recv)) === OVER) break
      assert.deepStrictEqual(recv.ended(), { kind: "reset", code: 2 ** 53 - 1 })
    }))

  it("end what waits with the connection, and say whose doing it was", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const send = await N.openUni(dialed)
      await N.write(send, N.bytes("a"))
      const recv = await N.acceptUni(accepted)
      await N.read(recv)
      const back = await N.openUni(accepted)
      while (back.tryWrite(N.pattern(65_536)) !== BLOCKED);
      const waiting = Promise.all([
        N.read(recv),
        N.write(back, new Uint8Array(1)),
        N.settled(back),
        N.until(accepted.token + Token.Connection.acceptUni, () => accepted.tryAcceptUni()),
        N.until(accepted.token + Token.Connection.datagramReceived, () =>
          accepted.tryReadDatagram(new Uint8Array(2000))
        )
      ])
      dialed.close(42, 'bye "x" ü')
      assert.deepStrictEqual(await waiting, [OVER, OVER, OVER, OVER, OVER])
      assert.deepStrictEqual(await N.closed(accepted), { kind: "remote", code: 42, reason: 'bye "x" ü' })
      assert.deepStrictEqual(await N.closed(dialed), { kind: "local", code: 42, reason: 'bye "x" ü' })
      assert.deepStrictEqual(recv.ended(), { kind: "lost", code: null })
      assert.strictEqual(dialed.tryOpenUni(), OVER)
      assert.strictEqual(dialed.sendDatagram(new Uint8Array(1)), OVER)
      dialed.close(1, "again")
      assert.deepStrictEqual(
        dialed.closed(),
        { kind: "local", code: 42, reason: 'bye "x" ü' },
        "the first close counts"
      )
    }))

  it("still give what had arrived when the peer closed", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const send = await N.openUni(dialed)
      await N.write(send, N.bytes("before the end"))
      send.finish()
      assert.strictEqual(await N.settled(send), END)
      dialed.close(0, "")
      await N.closed(accepted)
      assert.strictEqual(N.text(await N.readAll(await N.acceptUni(accepted))), "before the end")
      assert.strictEqual(accepted.tryAcceptUni(), OVER)
    }))

  it("with more priority go first", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const bytes = N.pattern(1_000_000)
      const whoIsFirst = async (): Promise<string> => {
        const low = await N.openUni(dialed)
        const high = await N.openUni(dialed)
        low.setPriority(-1)
        high.setPriority(2 ** 31 - 1)
        for (const stream of [low, high]) {
          assert.strictEqual(await N.write(stream, bytes), bytes.length)
          stream.finish()
        }
        const [lowAt, highAt] = [await N.acceptUni(accepted), await N.acceptUni(accepted)]
        const done: Array<string> = []
        await Promise.all([
          N.readAll(highAt).then(() => done.push("high")),
          N.readAll(lowAt).then(() => done.push("low"))
        ])
        return done[0] ?? ""
      }
      // A busy machine may send all of the first before the second is written, but not again and again.
      let rounds = 0
      while ((await whoIsFirst()) !== "high") assert.isBelow(++rounds, 20)
    }))

  it("beyond the peer's limit wait until one of the others is over", () =>
    N.withPair(
      async ({ dialed, accepted }) => {
        const streams = [await N.openUni(dialed), await N.openUni(dialed)]
        assert.strictEqual(dialed.tryOpenUni(), BLOCKED)
        const third = N.openUni(dialed)
        streams[0]?.finish()
        await N.readAll(await N.acceptUni(accepted))
        assert.isAbove((await third).id, 0)
      },
      { maxUniStreams: 2 }
    ))

  it("let only one wait for a token, and forget a waiter who went away", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const token = accepted.token + Token.Connection.acceptUni
      assert.strictEqual(accepted.tryAcceptUni(), BLOCKED)
      wait(token, () => assert.fail("forgotten, and yet called"))
      assert.throws(() => wait(token, () => {}), /one waiter at a time/)
      forget(token)
      forget(token)
      const send = await N.openUni(dialed)
      send.finish()
      assert.strictEqual(await N.read(await N.acceptUni(accepted)), END)
    }))

  it("call the others though one call-back throws, which is the process's to see", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const thrown = new Promise((resolve) => process.once("uncaughtException", resolve))
      assert.strictEqual(accepted.tryAcceptUni(), BLOCKED)
      assert.strictEqual(accepted.tryAcceptBi(), BLOCKED)
      wait(accepted.token + Token.Connection.acceptUni, () => {
        throw new Error("thrown on purpose")
      })
      const called = new Promise<void>((resolve) => wait(accepted.token + Token.Connection.acceptBi, resolve))
      dialed.close(0, "")
      await called
      assert.match(String(await thrown), /thrown on purpose/)
    }))
})
