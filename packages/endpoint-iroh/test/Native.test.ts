/** What only the addon can, and what it must withstand: two real endpoints in one process. Processes have their own file. */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import type { Connection } from "@effect-live/endpoint/Connection"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import { Blocked, End, type RecvStream, type SendStream } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Result, Stream } from "effect"
import { Control } from "../src/Control.ts"
import * as Iroh from "../src/Iroh.ts"
import { nativeMissing } from "./backings.ts"

const alpn = "effect-live/native-test"
const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]

const bind = (options?: Iroh.Options) =>
  Effect.map(
    Layer.build(
      Layer.fresh(Iroh.layerNative({ bindAddrs, relayMode: "disabled", ...options })).pipe(
        Layer.provide(AddressBook.layer)
      )
    ),
    (context) => ({ endpoint: Context.get(context, Endpoint), control: Context.get(context, Control) })
  )

const connected = Effect.fnUntraced(function* (options: { readonly a?: Iroh.Options; readonly b?: Iroh.Options } = {}) {
  const [a, b] = [yield* bind(options.a), yield* bind(options.b)]
  yield* b.endpoint.setAlpns([alpn])
  const dial = a.endpoint.connect(b.endpoint.addr(), [alpn])
  const [here, there] = yield* Effect.all([dial, b.endpoint.accept], { concurrency: 2 })
  return { a, b, here, there }
})

const uni = Effect.fnUntraced(function* (from: Connection, to: Connection) {
  const send = yield* from.openUni
  yield* send.write(Uint8Array.of(1))
  const recv = yield* to.acceptUni
  yield* recv.read
  return { send, recv }
})

const readAll = Effect.fnUntraced(function* (recv: RecvStream) {
  let bytes = 0
  for (let read = yield* recv.read; read !== End; read = yield* recv.read) bytes += read.length
  return bytes
})

const readBytes = Effect.fnUntraced(function* (recv: RecvStream) {
  const chunks: Array<Uint8Array> = []
  for (let read = yield* recv.read; read !== End; read = yield* recv.read) chunks.push(read)
  return new Uint8Array(Buffer.concat(chunks))
})

const fill = (send: SendStream) => {
  for (const chunk = new Uint8Array(65_536); ;) if (send.tryWrite(chunk) === Blocked) return
}

const reasonOf = (exit: Exit.Exit<unknown, { readonly reason: { readonly _tag: string } }>) =>
  Exit.isSuccess(exit)
    ? "success"
    : exit.cause.reasons.map((why) => (Cause.isFailReason(why) ? why.error.reason._tag : why._tag)).join()

describe.skipIf(nativeMissing !== undefined)("the addon", () => {
  it.live("offers several protocols in one handshake", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const [a, b] = [yield* bind(), yield* bind()]
        yield* b.endpoint.setAlpns([alpn])
        const connection = yield* a.endpoint.connect(b.endpoint.addr(), ["one", "two", alpn])
        assert.strictEqual(connection.alpn, alpn)
        yield* b.endpoint.accept
        const { accepted, failed } = b.control.incoming()
        assert.deepStrictEqual({ accepted, failed }, { accepted: 1, failed: 0 })
      })
    )
  )

  it.live(
    "takes a copy of what is written: it may be transferred or changed in the same turn, and what throws is alone",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { here, there } = yield* connected()
          const [transferred, changed] = [yield* here.openUni, yield* here.openUni]
          const gone = Uint8Array.of(1, 2, 3)
          assert.strictEqual(transferred.tryWrite(gone), 3)
          structuredClone(gone, { transfer: [gone.buffer] })
          assert.strictEqual(gone.length, 0)
          assert.throws(() => transferred.tryWrite("four" as never), TypeError)
          const scratch = new Uint8Array(1000)
          // More than is held back for the end of the turn.
          for (let value = 0; value < 200; value++) assert.strictEqual(changed.tryWrite(scratch.fill(value)), 1000)
          transferred.finish()
          changed.finish()
          scratch.fill(255)
          assert.deepStrictEqual(yield* Effect.flatMap(there.acceptUni, readBytes), Uint8Array.of(1, 2, 3))
          const bytes = yield* Effect.flatMap(there.acceptUni, readBytes)
          assert.deepStrictEqual(
            bytes,
            Uint8Array.from({ length: 200_000 }, (_, at) => Math.floor(at / 1000))
          )
        })
      )
  )

  it.live("a dial gives up after the idle timeout where that is shorter, and says so", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const [a, b] = [yield* bind({ idleTimeoutMs: 300 }), yield* bind()]
        const silent = EndpointAddr.make(b.endpoint.id, [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:9"))])
        const { reason } = yield* Effect.flip(a.endpoint.connect(silent, [alpn]))
        assert.deepStrictEqual([reason._tag, "timeoutMs" in reason && reason.timeoutMs], ["ConnectTimeout", 300])
      })
    )
  )

  it.live("keeps a connection alive that is silent for longer than its idle timeout", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const options = { idleTimeoutMs: 1500, keepAliveMs: 200 }
        const { here, there } = yield* connected({ a: options, b: options })
        yield* Effect.sleep(2500)
        yield* uni(here, there)
      })
    )
  )

  it.live(
    "admission is asked before any work is done: refused and ignored peers are counted, and rules change at any time",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const admission = [{ from: "127.0.0.0/8", action: "refuse" }] as const
          const [a, b] = [yield* bind({ connectTimeoutMs: 500 }), yield* bind({ admission })]
          yield* b.endpoint.setAlpns([alpn])
          const dial = Effect.exit(Effect.scoped(a.endpoint.connect(b.endpoint.addr(), [alpn])))
          assert.strictEqual(reasonOf(yield* dial), "Refused")
          yield* b.control.setAdmission([{ from: "127.0.0.1", action: "ignore" }])
          assert.strictEqual(reasonOf(yield* dial), "ConnectTimeout")
          yield* b.control.setAdmission([
            { from: "127.0.0.1", action: "accept" },
            { from: "0.0.0.0/0", action: "refuse" }
          ])
          assert.strictEqual(reasonOf(yield* dial), "success")
          const { accepted, ignored, refused } = b.control.incoming()
          assert.deepStrictEqual({ accepted, refused }, { accepted: 1, refused: 1 })
          assert.isAtLeast(ignored, 1)
          const error = yield* Effect.flip(b.control.setAdmission([{ from: "nowhere", action: "refuse" }]))
          assert.strictEqual(error.reason._tag, "InvalidOptions")
        })
      )
  )

  it.live("tells its relays, which of them is connected, and ends with the endpoint", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const relay = Result.getOrThrow(RelayUrl.parse("https://127.0.0.1:9/"))
        const { control, endpoint } = yield* bind({ relayMode: [relay], dns: false, pkarr: false })
        const seen = yield* Effect.forkChild(Stream.runCollect(control.relayChanges), { startImmediately: true })
        // Nobody is there, so it never becomes the home relay.
        assert.isFalse(control.relays().some(({ connected }) => connected))
        assert.deepStrictEqual(EndpointAddr.relays(endpoint.addr()), [])
        yield* endpoint.close
        assert.isNotEmpty(yield* Fiber.join(seen))
      })
    )
  )

  it.live("counts what its sockets do", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { a, here, there } = yield* connected()
        yield* uni(here, there)
        const counters = Object.values(a.control.metrics())
        assert.isNotEmpty(counters)
        assert.isTrue(counters.some((count) => count > 0))
      })
    )
  )

  it.live(
    "chunks are the reader's own: no later read changes them, and none keeps more than twice its length alive",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { here, there } = yield* connected()
          const writing = Effect.gen(function* () {
            const send = yield* here.openUni
            for (let i = 0; i < 400; i++) {
              yield* send.write(new Uint8Array(i * 37).fill(i))
              if (i % 7 === 0) yield* Effect.yieldNow
            }
            send.finish()
          })
          const reading = Effect.gen(function* () {
            const recv = yield* there.acceptUni
            const chunks: Array<Uint8Array> = []
            for (let read = yield* recv.read; read !== End; read = yield* recv.read) chunks.push(read)
            return chunks
          })
          const [chunks] = yield* Effect.all([reading, writing], { concurrency: 2 })
          const whole = Buffer.concat(chunks)
          let at = 0
          for (let i = 0; i < 400; i++) {
            assert.isTrue(whole.subarray(at, at + i * 37).every((byte) => byte === (i & 0xff)))
            at += i * 37
          }
          assert.strictEqual(whole.length, at)
          for (const chunk of chunks) assert.isAtMost(chunk.buffer.byteLength, 2 * chunk.length)
        })
      )
  )

  it.live("fibers that wait for stream credit get it in their order, and one that went away costs none", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { here, there } = yield* connected({ b: { maxUniStreams: 2 } })
        const held = [yield* uni(here, there), yield* uni(here, there)]
        const order: Array<number> = []
        const open = (index: number) =>
          Effect.forkChild(
            Effect.map(here.openUni, (send) => {
              order.push(index)
              return send
            }),
            { startImmediately: true }
          )
        const [first, second, third] = [yield* open(1), yield* open(2), yield* open(3)]
        yield* Fiber.interrupt(second)
        for (const { recv, send } of held) {
          send.finish()
          yield* readAll(recv)
        }
        for (const fiber of [first, third]) (yield* Fiber.join(fiber)).reset(0)
        assert.deepStrictEqual(order, [1, 3])
      })
    )
  )

  it.live(
    "a stream that the peer stops makes room for others, though nobody writes on it: open, blocked or finished",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { here, there } = yield* connected({ b: { maxUniStreams: 2 } })
          const held: Array<SendStream> = []
          for (let i = 0; i < 9; i++) {
            const send = yield* here.openUni
            held.push(send)
            if (i % 3 === 0) yield* send.write(Uint8Array.of(1))
            else fill(send)
            if (i % 3 === 2) send.finish()
            const recv = yield* there.acceptUni
            recv.stop(9)
          }
          for (const send of held) send.reset(0)
        })
      )
  )

  it.live("a flood of streams does not starve the others", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { here, there } = yield* connected()
        const streams = 20_000
        const flooding = Effect.gen(function* () {
          for (let i = 0; i < streams; i++) {
            const send = yield* here.openUni
            send.tryWrite(Uint8Array.of(1))
            send.finish()
          }
        })
        let turns = 0
        const other = Effect.forever(
          Effect.map(Effect.sleep(1), () => {
            turns++
          })
        )
        const accepting = Effect.gen(function* () {
          for (let i = 0; i < streams; i++) yield* Effect.flatMap(there.acceptUni, readAll)
        })
        yield* Effect.raceFirst(Effect.all([flooding, accepting], { concurrency: 2 }), other)
        assert.isAtLeast(turns, 10)
      })
    )
  )

  it.live("an endpoint that is closed ends thousands of operations that wait, each saying how", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { a, b, here, there } = yield* connected({ b: { maxUniStreams: 3000 } })
        const streams: Array<{ readonly send: SendStream; readonly recv: RecvStream }> = []
        for (let i = 0; i < 1000; i++) streams.push(yield* uni(here, there))
        for (const { send } of streams.slice(0, 20)) fill(send)
        const waits: ReadonlyArray<Effect.Effect<unknown, unknown, unknown>> = [
          ...streams.flatMap(({ recv, send }) => [Effect.forever(recv.read), send.stopped, send.flushed]),
          ...streams.slice(0, 20).map(({ send }) => Effect.forever(send.write(new Uint8Array(100_000)))),
          ...[here, there].flatMap(({ acceptBi, acceptUni, readDatagram }) => [acceptUni, acceptBi, readDatagram]),
          a.endpoint.accept,
          b.endpoint.accept
        ]
        const fibers: Array<Fiber.Fiber<Exit.Exit<unknown, unknown>>> = []
        for (const wait of waits) {
          const exit = Effect.exit(Effect.scoped(wait as Effect.Effect<unknown, unknown>))
          fibers.push(yield* Effect.forkChild(exit, { startImmediately: true }))
        }
        yield* b.endpoint.close
        assert.deepStrictEqual(yield* there.closed, { _tag: "Local", code: 0, reason: "" })
        assert.deepStrictEqual(yield* here.closed, { _tag: "Remote", code: 0, reason: "" })
        yield* a.endpoint.close
        for (const exit of yield* Fiber.joinAll(fibers)) assert.isTrue(Exit.isFailure(exit))
      })
    )
  )
})
