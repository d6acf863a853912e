/* What happens when a limit is reached, over real sockets, on the backing that has it. Other tests reach the rest. */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import type { Connection } from "@effect-live/endpoint/Connection"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import { type BiStream, Blocked, End, type RecvStream, type SendStream } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import { assert, describe, it } from "@effect/vitest"
import * as number0 from "@number0/iroh"
import { Context, Deferred, Effect, Fiber, Layer, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import { vi } from "vitest"
import * as Iroh from "../src/Iroh.ts"
import * as Limits from "../src/Limits.ts"
import { backings } from "./backings.ts"

// Real sockets on a busy machine, some closing for seconds.
vi.setConfig({ testTimeout: 20_000 })

const alpn = "effect-live/limits-test"
const at = (port: number) => Result.getOrThrow(TransportAddr.parseIp(`127.0.0.1:${port}`))

/** What was asked of the outer world is done, as far as it needs nobody else. */
const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.flatMap(turn, () => until(holds))))

/** Sees every call of a method of a binding's class while the Scope lives. */
const watched = <A>(prototype: object, name: string, seen: (args: ReadonlyArray<unknown>, result: unknown) => A) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const property = Object.getOwnPropertyDescriptor(prototype, name)
        const original: unknown = property?.value
        if (property === undefined || typeof original !== "function") return assert.fail(`there is no ${name}`)
        const calls: Array<A> = []
        Object.defineProperty(prototype, name, {
          ...property,
          value(this: object, ...args: ReadonlyArray<unknown>) {
            const result: unknown = Reflect.apply(original, this, args)
            calls.push(seen(args, result))
            return result
          }
        })
        return { calls, undo: () => Object.defineProperty(prototype, name, property) }
      }),
      ({ undo }) => Effect.sync(undo)
    ),
    ({ calls }) => calls
  )

const binding =
  (layer: (options?: Iroh.Options) => ReturnType<typeof Iroh.layer>) =>
  (options: Iroh.Options = {}) =>
    Effect.map(
      Layer.build(
        Layer.fresh(layer({ bindAddrs: [at(0)], relayMode: "disabled", ...options })).pipe(
          Layer.provide(Layer.fresh(AddressBook.layer))
        )
      ),
      (context) => Context.get(context, Endpoint)
    )

const connecting = (bind: ReturnType<typeof binding>) =>
  Effect.fnUntraced(function* (options: { readonly a?: Iroh.Options; readonly b?: Iroh.Options } = {}) {
    const [a, b] = [yield* bind(options.a), yield* bind(options.b)]
    yield* b.setAlpns([alpn])
    const [here, there] = yield* Effect.all([a.connect(b.addr(), [alpn]), b.accept], { concurrency: 2 })
    return { a, b, here, there }
  })

const readAll = Effect.fnUntraced(function* (recv: RecvStream) {
  const lengths: Array<number> = []
  for (let read = yield* recv.read; read !== End; read = yield* recv.read) lengths.push(read.length)
  return lengths
})

/** A stream with these bytes, all of which the peer's transport has when it is done. */
const whole = Effect.fnUntraced(function* (connection: Connection, bytes: number) {
  const send = yield* connection.openUni
  yield* send.write(new Uint8Array(bytes))
  send.finish()
  yield* send.flushed
})

/** Somebody whose address it is, and who never answers. */
const silent = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = createSocket("udp4")
      socket.bind(0, "127.0.0.1")
      await once(socket, "listening")
      return socket
    }),
    (socket) => Effect.sync(() => socket.close())
  ),
  (socket) => ({ socket, at: at(socket.address().port) })
)

describe("every limit", () => {
  it("has a test that reaches it, or a reason why there is none", () => {
    const beyond = {
      idleTimeoutMs: "it is 30 s of iroh's own clock; tests set the option in its place"
    }
    const here = new URL(".", import.meta.url)
    const tests = readdirSync(here)
      .filter((file) => file.endsWith(".test.ts"))
      .map((file) => readFileSync(new URL(file, here), "utf8"))
      .join("\n")
    for (const name of Object.keys(Limits)) {
      assert.isTrue(name in beyond || new RegExp(`\\bLimits\\.${name}\\b`).test(tests), name)
    }
  })
})

for (const { layer, missing, name } of backings) {
  const bind = binding(layer)
  const connected = connecting(bind)

  describe.skipIf(missing !== undefined)(`on ${name}`, () => {
    for (const [kind, most] of [
      ["Uni", Limits.concurrentUniStreams],
      ["Bi", Limits.concurrentBiStreams]
    ] as const) {
      it.live(
        `concurrent${kind}Streams of a peer are open at once; one more waits until more than an eighth are over`,
        () =>
          Effect.scoped(
            Effect.gen(function* () {
              const { here, there } = yield* connected()
              const open: Effect.Effect<SendStream | BiStream, unknown> = kind === "Uni" ? here.openUni : here.openBi
              const opened: Array<SendStream | BiStream> = []
              for (let i = 0; i < most; i++) opened.push(yield* open)
              const more = yield* Effect.forkChild(open, { startImmediately: true })
              // Long enough for something else to go there and back.
              const other = yield* kind === "Uni" ? here.openBi : here.openUni
              const send = "send" in other ? other.send : other
              yield* send.write(Uint8Array.of(1))
              send.finish()
              yield* readAll(kind === "Uni" ? (yield* there.acceptBi).recv : yield* there.acceptUni)
              yield* send.flushed
              assert.isUndefined(more.pollUnsafe())
              for (const stream of opened.slice(0, 1 + (most >> 3))) {
                if ("send" in stream) {
                  stream.send.finish()
                  const { recv, send } = yield* there.acceptBi
                  yield* readAll(recv)
                  send.finish()
                  yield* readAll(stream.recv)
                } else {
                  stream.finish()
                  yield* readAll(yield* there.acceptUni)
                }
              }
              yield* Fiber.join(more)
            })
          ),
        20_000
      )
    }

    it.effect("a dial that nobody answers gives up after connectTimeoutMs, where the options say nothing else", () =>
      Effect.gen(function* () {
        const [a, b, nobody] = [yield* bind(), yield* bind(), yield* silent]
        const dial = a.connect(EndpointAddr.make(b.id, [nobody.at]), [alpn])
        const dialing = yield* Effect.forkChild(Effect.flip(dial), { startImmediately: true })
        yield* TestClock.adjust(Limits.connectTimeoutMs - 1)
        yield* turn
        assert.isUndefined(dialing.pollUnsafe())
        yield* TestClock.adjust(1)
        const { reason } = yield* Fiber.join(dialing)
        assert.strictEqual(reason._tag, "ConnectTimeout")
        assert.strictEqual("timeoutMs" in reason && reason.timeoutMs, Limits.connectTimeoutMs)
      })
    )
  })
}

describe("on number0", () => {
  const bind = binding(Iroh.layerNumber0)
  const connected = connecting(bind)

  it.effect("an endpoint whose peers do not answer is closed after closeTimeoutMs all the same", () =>
    Effect.gen(function* () {
      const [a, b, nobody] = [yield* bind(), yield* bind(), yield* silent]
      const asked = Effect.promise(() => once(nobody.socket, "message"))
      const dial = Effect.scoped(a.connect(EndpointAddr.make(b.id, [nobody.at]), [alpn]))
      const dialing = yield* Effect.forkChild(Effect.exit(dial), { startImmediately: true })
      yield* asked
      const closing = yield* Effect.forkChild(a.close, { startImmediately: true })
      yield* TestClock.adjust(Limits.closeTimeoutMs - 1)
      yield* turn
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(closing)
      yield* Fiber.interrupt(dialing)
    })
  )

  it.live(
    "a stream begins with firstWriteBytes, and every further call takes twice as many up to nativeWriteBytes",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const sizes = yield* watched(number0.SendStream.prototype, "writeAll", ([bytes]) =>
            Array.isArray(bytes) ? bytes.length : 0
          )
          const { here, there } = yield* connected()
          const send = yield* here.openUni
          for (let i = 0; i < 60; i++) assert.strictEqual(send.tryWrite(new Uint8Array(1024)), 1024)
          send.finish()
          yield* readAll(yield* there.acceptUni)
          const most = Limits.nativeWriteBytes
          assert.deepStrictEqual(sizes, [Limits.firstWriteBytes, 2 * Limits.firstWriteBytes, most, most, most])
        })
      )
  )

  it.live("a reader that stands still has at most readAheadBytes and one read of nativeReadBytes before it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        let [pending, bytes] = [0, 0]
        const asked = yield* watched(number0.RecvStream.prototype, "read", ([most], result) => {
          pending++
          const settled = (numbers: unknown) => {
            pending--
            bytes += Array.isArray(numbers) ? numbers.length : 0
          }
          if (result instanceof Promise) result.then(settled, settled)
          return most
        })
        const { here, there } = yield* connected()
        const send = yield* here.openUni
        const sending = yield* Effect.forkChild(
          Effect.andThen(send.write(new Uint8Array(500_000)), Effect.sync(send.finish))
        )
        const recv = yield* there.acceptUni
        yield* recv.readable
        const more = yield* until(() => bytes >= Limits.readAheadBytes && pending === 0).pipe(
          Effect.andThen(turn),
          Effect.as(pending)
        )
        assert.strictEqual(more, 0)
        assert.isBelow(bytes, Limits.readAheadBytes + Limits.nativeReadBytes)
        const lengths = yield* readAll(recv)
        assert.strictEqual(
          lengths.reduce((sum, length) => sum + length),
          500_000
        )
        assert.strictEqual(Math.max(...lengths), Limits.nativeReadBytes)
        assert.isTrue(asked.every((most) => most === Limits.nativeReadBytes))
        yield* Fiber.join(sending)
      })
    )
  )

  it.effect("paths and addresses are looked at every pollIntervalMs", () =>
    Effect.gen(function* () {
      const looks = yield* watched(number0.Connection.prototype, "paths", () => "paths")
      const others = yield* watched(number0.Endpoint.prototype, "addr", () => "addr")
      const { a, here } = yield* connected()
      for (const [calls, changes] of [
        [looks, here.pathChanges],
        [others, a.addrChanges]
      ] as const) {
        yield* Effect.forkScoped(Stream.runDrain<unknown, unknown, never>(changes), { startImmediately: true })
        yield* turn
        const before = calls.length
        for (let n = 1; n <= 3; n++) {
          yield* TestClock.adjust(Limits.pollIntervalMs - 1)
          assert.strictEqual(calls.length, before + n - 1)
          yield* TestClock.adjust(1)
          assert.strictEqual(calls.length, before + n)
        }
      }
    })
  )

  it.effect("a stop is noticed within stopProbeIntervalMs of its arrival, where nothing is written", () =>
    Effect.gen(function* () {
      const probes = yield* watched(number0.SendStream.prototype, "write", ([bytes]) => bytes)
      const { here, there } = yield* connected()
      const send = yield* here.openUni
      yield* send.write(Uint8Array.of(1))
      const recv = yield* there.acceptUni
      yield* recv.read
      yield* TestClock.adjust(Limits.stopProbeIntervalMs - 1)
      yield* turn
      assert.isEmpty(probes)
      yield* TestClock.adjust(1)
      yield* until(() => probes.length === 1)
      recv.stop(5)
      const stopped = yield* Effect.forkChild(send.stopped, { startImmediately: true })
      while (stopped.pollUnsafe() === undefined) {
        yield* TestClock.adjust(Limits.stopProbeIntervalMs)
        yield* turn
      }
      assert.strictEqual(yield* Fiber.join(stopped), 5)
    })
  )

  it.effect(
    "a port that somebody holds is asked for rebinds times more, every rebindIntervalMs, and then refused",
    () =>
      Effect.gen(function* () {
        let failed = 0
        const attempts = yield* watched(number0.EndpointBuilder.prototype, "bind", (_, result) => {
          if (result instanceof Promise) {
            result.catch(() => {
              failed++
            })
          }
        })
        const taken = yield* silent
        const binding = yield* Effect.forkChild(Effect.flip(Effect.scoped(bind({ bindAddrs: [taken.at] }))))
        for (let n = 1; n <= Limits.rebinds; n++) {
          yield* until(() => failed === n)
          yield* turn
          yield* TestClock.adjust(Limits.rebindIntervalMs - 1)
          assert.strictEqual(attempts.length, n)
          yield* TestClock.adjust(1)
          assert.strictEqual(attempts.length, n + 1)
        }
        assert.strictEqual((yield* Fiber.join(binding)).reason._tag, "AddressInUse")
        assert.strictEqual(attempts.length, 1 + Limits.rebinds)
      })
  )
})

const nativeMissing = backings.find(({ name }) => name === "native")?.missing
describe.skipIf(nativeMissing !== undefined)("on native", () => {
  const bind = binding(Iroh.layerNative)
  const connected = connecting(bind)

  /** The classes of the addon, which exports none. */
  const classes = Effect.promise(async () => {
    const native = await import("@effect-live/native")
    const done = async <A extends object>(token: number, attempt: () => A | -1 | -2): Promise<A> => {
      for (let value = attempt(); ; value = attempt()) {
        if (typeof value !== "number") return value
        assert.strictEqual(value, native.BLOCKED)
        await new Promise<void>((resolve) => native.wait(token, resolve))
      }
    }
    const bindings = [0, 1].map(() => native.bind({ alpns: [alpn], bindAddrs: ["127.0.0.1:0"] }))
    const [a, b] = await Promise.all(bindings.map((binding) => done(binding.token, () => binding.poll())))
    assert(a !== undefined && b !== undefined)
    const dial = a.connect({ id: b.id, relays: [], ips: b.boundAddrs }, [alpn])
    const connection = await done(dial.token, () => dial.poll())
    const stream = await done(connection.token + native.Token.Connection.openUni, () => connection.tryOpenUni())
    for (const endpoint of [a, b]) endpoint.close()
    return { Connection: prototypeOf(connection), SendStream: prototypeOf(stream) }
  })
  const prototypeOf = (value: object): object => {
    const prototype: unknown = Object.getPrototypeOf(value)
    return typeof prototype === "object" && prototype !== null ? prototype : assert.fail("it has none")
  }

  it.live("receiveWindowBytes of all streams of a connection are taken unread; what is stopped makes room", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { here, there } = yield* connected({ a: { sendWindowBytes: 2 ** 30 } })
        const chunk = new Uint8Array(1_000_000)
        let taken = 0
        const [full, room] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const fill = Effect.fnUntraced(function* (send: SendStream) {
          for (;;) {
            const bytes = send.tryWrite(chunk)
            if (bytes === Blocked) yield* send.writable
            else if (typeof bytes !== "number") return
            else taken += bytes
            if (taken >= Limits.receiveWindowBytes) yield* Deferred.succeed(full, undefined)
            if (taken > Limits.receiveWindowBytes) yield* Deferred.succeed(room, undefined)
          }
        })
        for (let bytes = 0; bytes <= Limits.receiveWindowBytes; bytes += chunk.length) {
          yield* Effect.forkScoped(fill(yield* here.openUni))
        }
        yield* Deferred.await(full)
        yield* turn
        assert.strictEqual(taken, Limits.receiveWindowBytes)
        const another = yield* here.openUni
        assert.strictEqual(another.tryWrite(chunk), Blocked)
        yield* Effect.forkScoped(fill(another))
        // The peer says that there is room when it is more than an eighth; some of the streams may have nothing.
        for (let bytes = 0; bytes < Limits.receiveWindowBytes / 2; bytes += chunk.length)
          (yield* there.acceptUni).stop(0)
        yield* Deferred.await(room)
      })
    )
  )

  it.live("a read gives at most readBytes, and that where so many have arrived", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { here, there } = yield* connected()
        yield* whole(here, 10 * Limits.readBytes + 1)
        const lengths = yield* readAll(yield* there.acceptUni)
        assert.deepStrictEqual(lengths, [...Array.from({ length: 10 }, () => Limits.readBytes), 1])
      })
    )
  )

  it.live("streams that are here whole are accepted acceptWholeStreams at once, of readBytes together", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { Connection } = yield* classes
        const counts = yield* watched(Connection, "tryAcceptWholeUni", (_, count) => Number(count))
        const { here, there } = yield* connected()
        const accept = Effect.fnUntraced(function* (count: number, bytes: number) {
          for (let i = 0; i < count; i++) yield* whole(here, bytes)
          counts.length = 0
          for (let i = 0; i < count; i++) {
            const lengths = yield* readAll(yield* there.acceptUni)
            assert.strictEqual(
              lengths.reduce((sum, length) => sum + length),
              bytes
            )
          }
          return [...counts]
        })
        const most = Limits.acceptWholeStreams
        assert.deepStrictEqual(yield* accept(2 * most + 1, 10), [most, most, 1])
        const third = Math.floor(Limits.readBytes / 3)
        assert.deepStrictEqual(yield* accept(7, third), [3, 3, 1])
        // What has more than that is read as it comes.
        assert.deepStrictEqual(yield* accept(1, Limits.readBytes + 1), [0])
      })
    )
  )

  it.live("a stream that is still open after longLivedMs is watched: a stop makes room though nobody writes", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { SendStream } = yield* classes
        const asked = yield* watched(SendStream, "settled", () => undefined)
        const { here, there } = yield* connected({ b: { maxUniStreams: 1 } })
        yield* Effect.acquireRelease(
          Effect.sync(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })),
          () => Effect.sync(() => vi.useRealTimers())
        )
        const send = yield* here.openUni
        yield* send.write(Uint8Array.of(1))
        const more = yield* Effect.forkChild(here.openUni, { startImmediately: true })
        const recv = yield* there.acceptUni
        recv.stop(9)
        vi.advanceTimersByTime(Limits.longLivedMs - 1)
        assert.isEmpty(asked)
        assert.isUndefined(more.pollUnsafe())
        vi.advanceTimersByTime(1)
        assert.isNotEmpty(asked)
        yield* Fiber.join(more)
      })
    )
  )

  it.live("small chunks of one write go to the addon together, up to joinBytes", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { SendStream } = yield* classes
        const sizes = yield* watched(SendStream, "tryWrite", ([bytes]) =>
          bytes instanceof Uint8Array ? bytes.length : 0
        )
        const { here } = yield* connected()
        const send = yield* here.openUni
        const eighth = new Uint8Array(Limits.joinBytes / 8)
        yield* send.write(Array.from({ length: 17 }, () => eighth))
        assert.deepStrictEqual(sizes, [Limits.joinBytes, Limits.joinBytes, eighth.length])
      })
    )
  )
})
