import { assert, it } from "vitest"
import * as N from "./support/native.ts"
import { suite } from "./support/suite.ts"

/** What no function takes in any place. */
const wrong: ReadonlyArray<unknown> = [undefined, null, true, "text", Symbol("s"), 1n, -1, 1.5, Number.NaN, 2 ** 53]
const objects: ReadonlyArray<unknown> = [
  {},
  [],
  new Uint16Array(2),
  new ArrayBuffer(8),
  new DataView(new ArrayBuffer(8))
]
type Call = (value: never) => unknown

suite("wrong arguments", (native) => {
  it("throw a TypeError, whatever they are, and change nothing", () =>
    N.withPair(async ({ a, dialed, accepted }) => {
      const send = await N.openUni(dialed)
      await N.write(send, N.bytes("x"))
      const recv = await N.acceptUni(accepted)
      const addr = N.addrOf(a)
      const bytes: Record<string, Call> = {
        tryWrite: (value) => send.tryWrite(value),
        tryRead: (value) => recv.tryRead(value),
        tryAcceptWholeUni: (value) => accepted.tryAcceptWholeUni(value, new Uint32Array(1)),
        tryAcceptWholeUniLengths: (value) => accepted.tryAcceptWholeUni(new Uint8Array(1), value),
        sendDatagram: (value) => dialed.sendDatagram(value),
        trySendDatagram: (value) => dialed.trySendDatagram(value),
        tryReadDatagram: (value) => dialed.tryReadDatagram(value),
        secretKey: (value) => native.bind({ secretKey: value ?? new Uint8Array(31) })
      }
      const codes: Record<string, Call> = {
        reset: (value) => send.reset(value),
        stop: (value) => recv.stop(value),
        close: (value) => dialed.close(value, "")
      }
      const others: Record<string, Call> = {
        setPriority: (value) => send.setPriority(value === -1 ? ((2 ** 31) as never) : value),
        reason: (value) => dialed.close(0, (value === "text" ? 5 : value) as never),
        setAlpns: (value) => a.setAlpns(value),
        alpnElement: (value) => a.setAlpns([value === "text" ? (5 as never) : value]),
        setAdmission: (value) => a.setAdmission(value),
        admissionRule: (value) => a.setAdmission([value]),
        remember: (value) => a.remember(value),
        forget: (value) => a.forget(value),
        connectAddr: (value) => a.connect(value, [N.alpn]),
        connectAlpns: (value) => a.connect(addr, value),
        connectNoAlpn: () => a.connect(addr, []),
        bind: (value) => native.bind((value === undefined ? null : value) as never)
      }
      for (const [calls, values] of [
        [bytes, [...wrong, ...objects]],
        [codes, [...wrong, ...objects]],
        [others, wrong]
      ] as const) {
        for (const [name, call] of Object.entries(calls)) {
          for (const value of values)
            assert.throws(() => call(value as never), TypeError, "", `${name}(${String(value)})`)
        }
      }
      assert.isNull(dialed.closed())
      assert.isNull(send.ended())
      assert.strictEqual(N.text(await N.read(recv)), "x")
    }))

  it("in the options throw a TypeError, and so does an option that there is not", () => {
    const options: Record<string, ReadonlyArray<unknown>> = {
      secretKey: [new Uint8Array(31), "key"],
      alpns: ["one", [1], ["one", ""], ["x".repeat(256)], ["é".repeat(128)]],
      bindAddrs: [["nowhere"], ["127.0.0.1"], "127.0.0.1:0", ["127.0.0.1:0", "127.0.0.1:0"]],
      relays: ["none", ["no url"], 5],
      dns: [1, "yes"],
      pkarr: [null],
      congestion: ["reno", 1],
      idleTimeoutMs: [0, -1, 1.5, "1", 2 ** 32],
      maxUniStreams: [-1, 2 ** 32],
      streamReceiveWindowBytes: [0, 2_400_001],
      receiveWindowBytes: [0],
      sendWindowBytes: [1199],
      initialWindowBytes: [2399],
      datagramSendBufferBytes: [0, 1499],
      datagramReceiveBufferBytes: [1, 65_566],
      maxHandshakes: [0],
      acceptBacklog: [0],
      idleTimeoutMS: [1]
    }
    for (const [name, values] of Object.entries(options)) {
      for (const value of values) {
        assert.throws(() => native.bind({ [name]: value }), TypeError, undefined, `${name}: ${String(value)}`)
      }
    }
  })

  it("in a list are found at once, however long it says that it is", () =>
    N.withEndpoints([{}], async (endpoint) => {
      assert(endpoint !== undefined)
      const sparse: Array<never> = []
      sparse.length = 2 ** 22
      const addr = N.addrOf(endpoint)
      for (const call of [
        () => endpoint.setAlpns(sparse),
        () => endpoint.setAdmission(sparse),
        () => endpoint.connect(addr, sparse),
        () => endpoint.remember({ ...addr, ips: sparse }),
        () => endpoint.remember({ ...addr, relays: sparse }),
        () => native.bind({ bindAddrs: sparse })
      ]) {
        assert.throws(call, TypeError)
      }
    }))

  it("are names of protocols that have no byte, or more than 255 or together 8,192; those with fewer are agreed on", () =>
    N.withEndpoints([{}, {}], async (a, b) => {
      assert(a !== undefined && b !== undefined)
      const longest = "x".repeat(255)
      // 32 of 256 bytes, their lengths counted.
      const most = Array.from({ length: 32 }, (_, index) => longest.slice(2) + String(10 + index))
      for (const wrong of [[""], [N.alpn, ""], [`${longest}x`], ["é".repeat(128)], [...most, "x"]]) {
        assert.throws(() => b.setAlpns(wrong), TypeError)
        assert.throws(() => a.connect(N.addrOf(b), wrong), TypeError)
      }
      b.setAlpns([longest, N.alpn])
      for (const [offered, agreed] of [
        [[longest], longest],
        [[...most.slice(1), N.alpn], N.alpn]
      ] as const) {
        const [dialed] = await Promise.all([N.connect(a, N.addrOf(b), offered), N.accept(b)])
        assert.strictEqual(dialed.alpn, agreed)
      }
    }))

  it("that are endless texts are not quoted", () => {
    const text = "é".repeat(2 ** 20)
    for (const options of [{ bindAddrs: [text] }, { relays: [text] }]) {
      try {
        native.bind(options)
      } catch (error) {
        assert.instanceOf(error, TypeError)
        assert.isBelow(String(error).length, 200)
        continue
      }
      assert.fail("it was taken")
    }
  })

  it("that JavaScript computes may throw what they like", () => {
    const options = {
      get alpns(): ReadonlyArray<string> {
        throw new RangeError("thrown by the getter")
      }
    }
    assert.throws(() => native.bind(options), RangeError, "thrown by the getter")
  })

  it("in place of the object throw as well", () =>
    N.withPair(async ({ dialed }) => {
      const send = await N.openUni(dialed)
      const prototype = Object.getPrototypeOf(send) as typeof send
      for (const object of [undefined, {}, dialed, Object.create(prototype)]) {
        assert.throws(() => prototype.tryWrite.call(object as typeof send, new Uint8Array(1)))
        assert.throws(() => Reflect.get(prototype, "token", object))
      }
      assert.throws(() => Reflect.construct(send.constructor, []))
    }))

  it("of a callback or a token throw a TypeError", () => {
    assert.throws(() => native.wait(1, "no function" as never), TypeError)
    assert.throws(() => native.wait("1" as never, () => {}), TypeError)
  })

  it("may be arrays over shared, resized or given away memory", () =>
    N.withPair(async ({ dialed, accepted }) => {
      const send = await N.openUni(dialed)
      const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(1)
      const resizable = new ArrayBuffer(8, { maxByteLength: 16 })
      const resized = new Uint8Array(resizable).fill(2)
      resizable.resize(4)
      const given = new Uint8Array(4)
      structuredClone(given, { transfer: [given.buffer] })
      assert.strictEqual(send.tryWrite(shared), 4)
      assert.strictEqual(send.tryWrite(resized), 4)
      assert.strictEqual(send.tryWrite(given), 0)
      assert.strictEqual(send.tryWrite(Buffer.from([3])), 1)
      send.finish()
      const recv = await N.acceptUni(accepted)
      assert.deepStrictEqual([...(await N.readAll(recv))], [1, 1, 1, 1, 2, 2, 2, 2, 3])
    }))
})
