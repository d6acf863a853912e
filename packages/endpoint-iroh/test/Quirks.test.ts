/**
 * The rules for the binding, checked on the binding itself: every call on its objects is counted on its way in, while two real
 * endpoints work.
 */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import type { Connection } from "@effect-live/endpoint/Connection"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointTicket from "@effect-live/endpoint/EndpointTicket"
import { Blocked, End, PeerReset, type RecvStream, StreamError } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import { assert, describe, it } from "@effect/vitest"
import * as binding from "@number0/iroh"
import { Context, Effect, Exit, Fiber, Layer, Result, Scope } from "effect"
import { closeOf, codeIn, connectReason, textOf } from "../src/internal/number0/errors.ts"
import { collectGarbage } from "../src/internal/number0/collect.ts"
import * as Iroh from "../src/Iroh.ts"
import * as Limits from "../src/Limits.ts"

const alpn = "effect-live/quirks"
const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
const bind = (options?: Iroh.CommonOptions) =>
  Effect.map(
    Layer.build(
      Layer.fresh(Iroh.layerNumber0({ bindAddrs, relayMode: "disabled", ...options })).pipe(
        Layer.provide(AddressBook.layer)
      )
    ),
    (context) => Context.get(context, Endpoint)
  )

const connected = Effect.gen(function* () {
  const [a, b] = [yield* bind(), yield* bind()]
  yield* b.setAlpns([alpn])
  const [here, there] = yield* Effect.all([a.connect(b.addr(), [alpn]), b.accept], { concurrency: 2 })
  return { a, b, here, there }
})

const readAll = (recv: RecvStream) =>
  Effect.gen(function* () {
    let bytes = 0
    for (let read = yield* recv.read; read !== End; read = yield* recv.read) bytes += read.length
    return bytes
  })

// ---- what the binding is asked to do

interface Call {
  readonly of: object
  readonly kind: string
  readonly name: string
  /** Calls on the same object that had not settled when this one was made. */
  readonly beside: ReadonlyArray<string>
  readonly size: number
}

/** Sees every asynchronous call on the objects of the binding while the Scope lives. */
const watched = Effect.acquireRelease(
  Effect.sync(() => {
    const calls: Array<Call> = []
    const pending = new WeakMap<object, Array<string>>()
    const undo: Array<() => void> = []
    for (const kind of ["Endpoint", "Connection", "SendStream", "RecvStream"] as const) {
      const prototype: object = binding[kind].prototype
      for (const name of Object.getOwnPropertyNames(prototype)) {
        const property = Object.getOwnPropertyDescriptor(prototype, name)
        if (property === undefined || name === "constructor" || typeof property.value !== "function") continue
        const original: (...args: ReadonlyArray<unknown>) => unknown = property.value
        Object.defineProperty(prototype, name, {
          ...property,
          value(this: object, ...args: ReadonlyArray<unknown>) {
            const beside = pending.get(this) ?? []
            const [first] = args
            calls.push({ of: this, kind, name, beside: [...beside], size: Array.isArray(first) ? first.length : 0 })
            const result = Reflect.apply(original, this, args)
            if (!(result instanceof Promise)) return result
            pending.set(this, beside)
            beside.push(name)
            const settled = () => {
              beside.splice(beside.indexOf(name), 1)
            }
            result.then(settled, settled)
            return result
          }
        })
        undo.push(() => Object.defineProperty(prototype, name, property))
      }
    }
    return { calls, undo }
  }),
  ({ undo }) =>
    Effect.sync(() => {
      for (const restore of undo) restore()
    })
).pipe(Effect.map(({ calls }) => calls))

/** A bit of everything: streams of all ends, datagrams, closes, failing dials. */
const everything = Effect.gen(function* () {
  const { a, b, here, there } = yield* connected
  const serve = Effect.forEach(
    Array.from({ length: 20 }),
    () => Effect.flatMap(there.acceptUni, (recv) => Effect.exit(readAll(recv))),
    { concurrency: 1 }
  )
  const served = yield* Effect.forkChild(serve)
  for (let i = 0; i < 20; i++) {
    const send = yield* here.openUni
    send.setPriority(i)
    for (let k = 0; k < 50; k++) yield* send.write(new Uint8Array(2000))
    if (i % 3 === 0) send.reset(i)
    else send.finish()
  }
  yield* Fiber.join(served)
  const bi = yield* here.openBi
  yield* bi.send.write(new Uint8Array(10))
  const other = yield* there.acceptBi
  other.recv.stop(7)
  other.send.reset(8)
  bi.send.finish()
  yield* Effect.exit(bi.send.flushed)
  yield* Effect.exit(bi.recv.read)
  yield* here.sendDatagram(new Uint8Array(100))
  here.paths()
  yield* Effect.exit(a.connect(b.addr(), ["nobody speaks this"]))
  here.close(4, "enough")
  yield* there.closed
})

describe("the rules of @number0/iroh", () => {
  it.live("one call is outstanding per object; only a reset or a stop may queue behind one", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const calls = yield* watched
        yield* Effect.scoped(everything)
        const streams = calls.filter(({ kind }) => kind === "SendStream" || kind === "RecvStream")
        assert.isAbove(streams.length, 100)
        for (const { beside, kind, name } of streams) {
          if (name !== "reset" && name !== "stop") assert.deepStrictEqual(beside, [], `${kind}.${name}`)
        }
        for (const { beside, kind, name } of calls) assert.notInclude(beside, name, `${kind}.${name} twice`)
      })
    )
  )

  it.live("what aborts the process or poisons a connection is never called", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const calls = yield* watched
        yield* Effect.scoped(everything)
        for (const { name } of calls) assert.notMatch(name, /^(watch|receivedReset$|readToEnd$|readExact$)/)
        const order = new Map<object, Array<string>>()
        for (const { kind, name, of } of calls) {
          if (kind === "SendStream") order.set(of, [...(order.get(of) ?? []), name])
        }
        for (const names of order.values()) {
          const stopped = names.indexOf("stopped")
          if (stopped >= 0) assert.include(names.slice(0, stopped), "finish", "stopped() only after finish()")
        }
        // an unfinished stream that is collected looks complete to the peer
        for (const names of order.values()) {
          assert.isTrue(names.includes("finish") || names.includes("reset"), `ended by ${names.join()}`)
        }
      })
    )
  )

  it.live("stream limits are raised on both sides as soon as there is a connection", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const calls = yield* watched
        yield* connected
        const raised = (name: string) => calls.filter((call) => call.name === name).length
        assert.strictEqual(raised("setMaxConcurrentUniStreams"), 2)
        assert.strictEqual(raised("setMaxConcurrentBiStreams"), 2)
      })
    )
  )

  it.live("small writes go to the binding together, large ones in pieces", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const calls = yield* watched
        const { here, there } = yield* connected
        const send = yield* here.openUni
        for (let i = 0; i < 1000; i++) assert.strictEqual(send.tryWrite(new Uint8Array(100)), 100)
        send.finish()
        assert.strictEqual(yield* readAll(yield* there.acceptUni), 100_000)
        const writes = () => calls.filter(({ name }) => name === "writeAll")
        assert.isAtMost(writes().length, Math.ceil(100_000 / (Limits.nativeWriteBytes - 100)) + 1)
        const large = yield* here.openUni
        yield* large.write(new Uint8Array(1_000_000))
        large.finish()
        assert.strictEqual(yield* readAll(yield* there.acceptUni), 1_000_000)
        for (const { size } of writes()) assert.isAtMost(size, Limits.nativeWriteBytes)
      })
    )
  )

  it.live("tryWrite takes sendBufferBytes and says Blocked beyond", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { here } = yield* connected
        const send = yield* here.openUni
        const chunk = new Uint8Array(100_000)
        let taken = 0
        for (;;) {
          const wrote = send.tryWrite(chunk)
          if (wrote === Blocked) break
          assert.isNumber(wrote)
          if (typeof wrote === "number") taken += wrote
        }
        assert.strictEqual(taken, Limits.sendBufferBytes)
        yield* send.writable
        assert.isNumber(send.tryWrite(chunk))
        send.reset(0)
      })
    )
  )

  it.live("a reader that stands still stops the writer, and a blocked write can be reset at once", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { here, there } = yield* connected
        const send = yield* here.openUni
        let sent = 0
        const chunk = new Uint8Array(10_000)
        const pour = Effect.forever(
          Effect.map(send.write(chunk), () => {
            sent += chunk.length
          })
        )
        const pouring = yield* Effect.forkChild(Effect.exit(pour))
        const recv = yield* there.acceptUni
        yield* recv.readable
        // Nothing is taken: the writer comes to rest when our buffers and the window of 1.25 MB are full.
        let before = -1
        while (before !== sent || sent < 1_000_000) {
          before = sent
          yield* Effect.sleep(300)
        }
        assert.isAtMost(sent, 1_250_000 + 2 * Limits.readAheadBytes + Limits.sendBufferBytes)
        send.reset(9)
        const exit = yield* Fiber.join(pouring)
        assert.isTrue(Exit.isFailure(exit))
        assert.instanceOf(send.tryWrite(chunk), StreamError)
        const end = yield* Effect.flip(readAll(recv))
        assert.deepStrictEqual(end.reason, new PeerReset({ code: 9 }))
        assert.instanceOf(recv.tryRead(), StreamError)
      })
    )
  )

  it.live("a stop after a short read reaches a peer that writes nothing more, and that peer notices it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { here, there } = yield* connected
        const send = yield* here.openUni
        yield* send.write(Uint8Array.of(1))
        const recv = yield* there.acceptUni
        yield* recv.read
        recv.stop(5)
        assert.strictEqual(yield* send.stopped, 5)
      })
    )
  )

  it.live("our own close is remembered with its code and reason, and the peer reads both", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { here, there } = yield* connected
        here.close(42, "bye (code 7)")
        assert.deepStrictEqual(yield* here.closed, { _tag: "Local", code: 42, reason: "bye (code 7)" })
        assert.deepStrictEqual(yield* there.closed, { _tag: "Remote", code: 42, reason: "bye (code 7)" })
      })
    )
  )

  it.live("an interrupted dial returns at once, and the connection that comes too late is closed", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const [a, b] = [yield* bind(), yield* bind()]
        yield* b.setAlpns([alpn])
        const dialing = yield* Effect.forkChild(a.connect(b.addr(), [alpn]), { startImmediately: true })
        yield* Fiber.interrupt(dialing)
        const late = yield* b.accept
        assert.deepStrictEqual(yield* late.closed, { _tag: "Remote", code: 0, reason: "" })
      })
    )
  )

  it.live("a dial gives up after connectTimeoutMs and says so", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const [a, b] = [yield* bind({ connectTimeoutMs: 200 }), yield* bind()]
        const silent = EndpointAddr.make(b.id, [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:9"))])
        const { reason } = yield* Effect.flip(a.connect(silent, [alpn]))
        assert.deepStrictEqual([reason._tag, "timeoutMs" in reason && reason.timeoutMs], ["ConnectTimeout", 200])
      })
    )
  )

  it.live("a dial by id asks the address book when it runs, not when it is described", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const book = yield* AddressBook.make
        const layer = Iroh.layerNumber0({ bindAddrs, relayMode: "disabled" }).pipe(
          Layer.provide(Layer.succeed(AddressBook.AddressBook, book))
        )
        const a = Context.get(yield* Layer.build(Layer.fresh(layer)), Endpoint)
        const b = yield* bind()
        yield* b.setAlpns([alpn])
        const dial = a.connect(b.id, [alpn])
        assert.strictEqual((yield* Effect.flip(dial)).reason._tag, "NoAddress")
        book.add(b.addr(), "test")
        assert.strictEqual((yield* dial).alpn, alpn)
      })
    )
  )

  it.live("connections beyond the accept backlog are refused, and there is room again after an accept", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const [a, b] = [yield* bind(), yield* bind()]
        yield* b.setAlpns([alpn])
        const dial = a.connect(b.addr(), [alpn])
        for (let i = 0; i < Limits.acceptBacklog; i++) yield* dial
        assert.strictEqual((yield* Effect.flip(dial)).reason._tag, "Refused")
        yield* b.accept
        yield* dial
      })
    )
  )

  it.live("handshakes beyond the limit are refused, and there is room again when they are done", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const gate = yield* Effect.acquireRelease(
          Effect.sync(() => {
            const { connect } = binding.Accepting.prototype
            const { promise, resolve } = Promise.withResolvers<void>()
            binding.Accepting.prototype.connect = function (this: binding.Accepting) {
              return promise.then(() => Reflect.apply(connect, this, []))
            }
            const open = () => {
              binding.Accepting.prototype.connect = connect
              resolve()
            }
            return { open }
          }),
          ({ open }) => Effect.sync(open)
        )
        const [a, b] = [yield* bind(), yield* bind()]
        yield* b.setAlpns([alpn])
        const dial = a.connect(b.addr(), [alpn])
        for (let i = 0; i < Limits.handshakes; i++) yield* dial
        assert.strictEqual((yield* Effect.flip(dial)).reason._tag, "Refused")
        gate.open()
        for (let i = 0; i < Limits.handshakes; i++) yield* b.accept
        yield* dial
        yield* b.accept
      })
    )
  )

  it.live("the reason of a close is cut between two characters at closeReasonBytes", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { here, there } = yield* connected
        here.close(1, `x${"\u00e9".repeat(Limits.closeReasonBytes)}`)
        const reason = `x${"\u00e9".repeat((Limits.closeReasonBytes - 2) / 2)}`
        assert.deepStrictEqual(yield* here.closed, { _tag: "Local", code: 1, reason })
        assert.deepStrictEqual(yield* there.closed, { _tag: "Remote", code: 1, reason })
      })
    )
  )

  it.live("without options and without a network, two endpoints find each other by ticket", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const fresh = Layer.fresh(Iroh.layerNumber0()).pipe(Layer.provide(AddressBook.layer))
        const one = Context.get(yield* Layer.build(fresh), Endpoint)
        const two = Context.get(yield* Layer.build(fresh), Endpoint)
        yield* two.setAlpns([alpn])
        const addr = Result.getOrThrow(EndpointTicket.decode(EndpointTicket.encode(two.addr())))
        const [here] = yield* Effect.all([one.connect(addr, [alpn]), two.accept], { concurrency: 2 })
        assert.strictEqual(here.paths()[0]?.kind, "direct")
      })
    )
  )

  it.live("live objects survive a collection; a closed connection leaves nothing behind", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { a, b, here, there } = yield* connected
        const send = yield* here.openUni
        yield* send.write(new Uint8Array(10))
        const recv = yield* there.acceptUni
        for (let i = 0; i < 3; i++) {
          collectGarbage()
          yield* Effect.sleep(10)
        }
        yield* send.write(new Uint8Array(10))
        send.finish()
        assert.strictEqual(yield* readAll(recv), 20)

        const gone: Array<WeakRef<Connection>> = []
        for (let i = 0; i < 10; i++) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const [one, two] = yield* Effect.all([a.connect(b.addr(), [alpn]), b.accept], { concurrency: 2 })
              gone.push(new WeakRef(one), new WeakRef(two))
              yield* one.openBi
            })
          )
        }
        // Some turns: who looks at a weak reference keeps its object for that turn.
        for (let i = 0; i < 5; i++) {
          yield* Effect.sleep(10)
          collectGarbage()
        }
        const left = gone.filter((ref) => ref.deref() !== undefined).length
        assert.isAtMost(left, 2, "the last ones may still stand on the stack")
      })
    )
  )

  for (const [name, order] of [
    ["the dialer's endpoint first", [0, 1]],
    ["the acceptor's endpoint first", [1, 0]]
  ] as const) {
    it.live(`closing with everything pending ends it all: ${name}`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const scopes = [yield* Scope.make(), yield* Scope.make()] as const
          const a = yield* Scope.provide(bind(), scopes[0])
          const b = yield* Scope.provide(bind(), scopes[1])
          yield* b.setAlpns([alpn])
          const [here, there] = yield* Effect.all([a.connect(b.addr(), [alpn]), b.accept], { concurrency: 2 })
          const bi = yield* here.openBi
          yield* bi.send.write(new Uint8Array(10))
          const other = yield* there.acceptBi
          yield* other.recv.read
          const waits = [
            b.accept,
            here.acceptUni,
            there.acceptBi,
            here.readDatagram,
            bi.recv.read,
            other.recv.read,
            other.send.stopped
          ].map((wait) => Effect.exit(Effect.scoped<unknown, unknown, Scope.Scope>(wait)))
          const pending = yield* Effect.forkChild(Effect.all(waits, { concurrency: "unbounded" }), {
            startImmediately: true
          })
          for (const index of order) yield* Scope.close(scopes[index], Exit.void)
          for (const exit of yield* Fiber.join(pending)) assert.isTrue(Exit.isFailure(exit))
          yield* here.closed
          yield* there.closed
        })
      )
    )
  }
})

describe("what the binding says in words", () => {
  it("closes are told apart, whatever their reason contains", () => {
    const going = "the endpoint encountered an internal error and cannot continue: endpoint driver future was dropped"
    assert.deepStrictEqual(closeOf(going), { _tag: "Local", code: 0, reason: "" }, "the endpoint closed under it")
    assert.deepStrictEqual(closeOf("closed by peer: bye (code 42)"), { _tag: "Remote", code: 42, reason: "bye" })
    assert.deepStrictEqual(closeOf("closed by peer: a (code 7) (code 42)"), {
      _tag: "Remote",
      code: 42,
      reason: "a (code 7)"
    })
    assert.deepStrictEqual(closeOf("closed by peer: two\nlines (code 1)"), {
      _tag: "Remote",
      code: 1,
      reason: "two\nlines"
    })
    assert.deepStrictEqual(closeOf("closed by peer: 7"), { _tag: "Remote", code: 7, reason: "" })
    assert.deepStrictEqual(closeOf("timed out"), { _tag: "IdleTimeout" })
    assert.deepStrictEqual(closeOf("closed"), { _tag: "Local", code: 0, reason: "" })
    assert.strictEqual(closeOf("anything else")._tag, "TransportFailed")
  })

  it("errors read the same with a backtrace behind them", () => {
    const trace = "\n\nStack backtrace:\n   0: timed out\n   1: error 48\n   2: Reset(1)"
    for (const [text, tag] of [
      ["aborted by peer: the cryptographic handshake failed: error 120: peer doesn't support any", "WrongAlpn"],
      ["the cryptographic handshake failed: error 48: invalid peer certificate: UnknownIssuer", "WrongId"],
      ["the server refused to accept a new connection", "Refused"],
      ["Connecting to ourself is not supported", "SelfDial"],
      ["No addressing information available", "NoAddress"],
      ["timed out", "ConnectTimeout"],
      ["something new", "TransportFailure"]
    ] as const) {
      assert.strictEqual(connectReason(new Error(text + trace), alpn, 1)._tag, tag, text)
    }
    assert.strictEqual(textOf(new Error(`x${trace}`)), "x")
    assert.strictEqual(codeIn("Reset", new Error(`Reset(7)${trace}`)), 7)
    assert.strictEqual(codeIn("Reset", new Error(`ConnectionLost(TimedOut)${trace}`)), undefined)
    assert.strictEqual(codeIn("Stopped", new Error("Stopped(18446744073709551615)")), Number.MAX_SAFE_INTEGER)
  })
})
