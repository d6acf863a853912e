/**
 * One side of `transport.ts`, through the Endpoint contract: what `bench/rust` does in plain Rust, in the same words and on the
 * same wire.
 *
 *     node transport-child.ts <native|number0> server <bulk|groups|frames> <amount>
 *     node transport-child.ts <native|number0> client <bulk|groups|frames> <amount> <id> <ip:port>
 *     node transport-child.ts <native|number0> accept    whoever comes, until it is killed
 */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import { Blocked, End, type RecvStream, type SendStream, StreamError } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import { Deferred, Effect, Layer, Result, type Scope } from "effect"

const alpn = "effect-live/bench"
const chunkBytes = 65_536

/** 1 to 4 KiB, all mixed: so many different lengths, and then again. */
const lengths = 3073
const frameBytes = (frame: number): number => 1024 + ((frame * 7919) % lengths)

/** Four bytes of length and that many. They are made beforehand: moving them is what is measured. */
const makeFrames = (): ReadonlyArray<Uint8Array> =>
  Array.from({ length: lengths }, (_, frame) => {
    const bytes = new Uint8Array(4 + frameBytes(frame)).fill(7)
    new DataView(bytes.buffer).setUint32(0, frameBytes(frame))
    return bytes
  })

const tell = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

/** Counts from now on. */
const meter = (role: string) => {
  const started = performance.now()
  const before = process.cpuUsage()
  return (frames: number, bytes: number) => {
    const { system, user } = process.cpuUsage(before)
    tell({ role, frames, bytes, ms: performance.now() - started, cpuMs: (user + system) / 1000 })
  }
}

/** Finds frames in whatever pieces they come: four bytes of length, big endian, and that many bytes. */
const counter = () => {
  let [frames, bytes, head, headBytes, left] = [0, 0, 0, 0, 0]
  const push = (chunk: Uint8Array) => {
    for (let at = 0; at < chunk.length;) {
      if (left > 0) {
        const step = Math.min(left, chunk.length - at)
        left -= step
        at += step
        if (left === 0) frames++
      } else {
        head = head * 256 + (chunk[at++] ?? 0)
        if (++headBytes < 4) continue
        left = head
        bytes += head
        head = headBytes = 0
      }
    }
  }
  return { push, counts: () => ({ frames, bytes }) }
}

/** Hands on what `next` gives until the stream ends. */
const drain = <A extends number | Uint8Array>(
  recv: RecvStream,
  next: () => A | Blocked | End | StreamError,
  each: (read: A) => void
) => {
  const advance = (): Effect.Effect<boolean, StreamError> => {
    for (;;) {
      const value = next()
      if (value === Blocked) return Effect.as(recv.readable, true)
      if (value === End) return Effect.succeed(false)
      if (value instanceof StreamError) return Effect.fail(value)
      each(value)
    }
  }
  let open = true
  return Effect.whileLoop({ while: () => open, body: advance, step: (more) => (open = more) })
}

const serve = (mode: string, amount: number) =>
  Effect.gen(function* () {
    const endpoint = yield* Endpoint
    yield* endpoint.setAlpns([alpn])
    tell({ id: endpoint.id, addr: EndpointAddr.ips(endpoint.addr()).map(TransportAddr.format)[0] })
    const connection = yield* endpoint.accept
    const streams = mode === "bulk" ? 1 : amount
    let next = yield* connection.acceptUni
    const report = meter("receive")
    const all = yield* Deferred.make<void, StreamError>()
    let [frames, bytes, ended] = [0, 0, 0]
    const room = new Uint8Array(chunkBytes)
    const receive = (recv: RecvStream) => {
      if (mode === "bulk") {
        return drain(
          recv,
          () => recv.tryReadInto(room),
          (length) => (bytes += length)
        )
      }
      const count = counter()
      return Effect.map(drain(recv, recv.tryRead, count.push), () => {
        frames += count.counts().frames
        bytes += count.counts().bytes
      })
    }
    // Nothing is kept of a stream that is over: fibers kept to join them would be most of what is collected.
    const received = (recv: RecvStream) =>
      Effect.matchEffect(receive(recv), {
        onFailure: (error) => Deferred.fail(all, error),
        onSuccess: () => (++ended === streams ? Deferred.succeed(all, undefined) : Effect.void)
      })
    for (let stream = 1; stream <= streams; stream++) {
      yield* Effect.forkChild(received(next), { startImmediately: true })
      if (stream < streams) next = yield* connection.acceptUni
    }
    yield* Deferred.await(all)
    report(frames, bytes)
    connection.close(0, "received")
  })

const accept = Effect.gen(function* () {
  const endpoint = yield* Endpoint
  yield* endpoint.setAlpns([alpn])
  tell({ id: endpoint.id, addr: EndpointAddr.ips(endpoint.addr()).map(TransportAddr.format)[0] })
  const one = Effect.flatMap(endpoint.accept, (connection) => connection.closed)
  return yield* Effect.forever(Effect.scoped(one))
})

/** Hands over all of it: at once as long as the stream takes it. */
const write = (send: SendStream, bytes: Uint8Array): Effect.Effect<void, StreamError> | undefined => {
  for (let at = 0; at < bytes.length;) {
    const taken = send.tryWrite(at === 0 ? bytes : bytes.subarray(at))
    if (taken === Blocked)
      return Effect.andThen(
        send.writable,
        Effect.suspend(() => send.write(bytes.subarray(at)))
      )
    if (taken instanceof StreamError) return Effect.fail(taken)
    at += taken
  }
  return undefined
}

const send = (mode: string, amount: number, id: string, addr: string) =>
  Effect.gen(function* () {
    const endpoint = yield* Endpoint
    const peer = EndpointAddr.make(Result.getOrThrow(EndpointId.parse(id)), [
      Result.getOrThrow(TransportAddr.parseIp(addr))
    ])
    const connection = yield* endpoint.connect(peer, [alpn])
    const made = makeFrames()
    const chunk = new Uint8Array(chunkBytes).fill(7)
    const report = meter("send")
    let [frames, bytes] = [0, 0]
    if (mode === "bulk") {
      const stream = yield* connection.openUni
      for (; bytes < amount * 2 ** 20; bytes += chunkBytes) {
        const waiting = write(stream, chunk)
        if (waiting !== undefined) yield* waiting
      }
      stream.finish()
    } else {
      const perStream = mode === "groups" ? 30 : 1
      for (let i = 0; i < amount; i++) {
        const stream = yield* connection.openUni
        for (let frame = 0; frame < perStream; frame++) {
          const next = made[frames++ % lengths]
          if (next === undefined) continue
          bytes += next.length - 4
          const waiting = write(stream, next)
          if (waiting !== undefined) yield* waiting
        }
        stream.finish()
      }
    }
    yield* connection.closed
    report(frames, bytes)
  })

const [backing, role = "", mode = "", amount, id = "", addr = ""] = process.argv.slice(2)
const layer = backing === "native" ? Iroh.layerNative : Iroh.layerNumber0
const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
const programs: { readonly [role: string]: Effect.Effect<unknown, unknown, Endpoint | Scope.Scope> } = {
  server: serve(mode, Number(amount)),
  client: send(mode, Number(amount), id, addr),
  accept
}
const program = programs[role] ?? Effect.die(new Error(`no such role: ${role}`))
await Effect.runPromise(
  Effect.scoped(program).pipe(
    Effect.provide(layer({ bindAddrs, relayMode: "disabled" }).pipe(Layer.provide(AddressBook.layer)))
  )
)
// The binding keeps the process for some seconds.
process.exit(0)
