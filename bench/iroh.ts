/**
 * The Endpoint Layer on `@number0/iroh` against the bare binding that carries it, two processes on the loopback interface, the two
 * taking turns: bytes of one stream, and the time to connect.
 */
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import { Blocked, StreamError } from "@effect-live/endpoint/Stream"
import * as binding from "@number0/iroh"
import { Effect } from "effect"
import { fromNumbers, toNumbers } from "../packages/endpoint-iroh/src/internal/number0/bytes.ts"
import { median, program, start } from "./Child.ts"
import { addrOf, alpn, endpointOn, type Target } from "./Loopback.ts"
import type { Row } from "./Row.ts"

const rounds = 11
const streamBytes = 16_000_000
const chunkBytes = 16_384
const connects = 40

const chunk = new Uint8Array(chunkBytes).map((_, index) => index)

const layerMain = (target: Target) =>
  Effect.gen(function* () {
    const endpoint = yield* Endpoint
    const addr = addrOf(target)
    const connection = yield* endpoint.connect(addr, [alpn])
    const send = Effect.gen(function* () {
      const started = performance.now()
      const stream = yield* connection.openUni
      for (let sent = 0; sent < streamBytes;) {
        const taken = stream.tryWrite(chunk)
        if (taken === Blocked) yield* stream.writable
        else if (taken instanceof StreamError) return yield* taken
        else sent += taken
      }
      stream.finish()
      const answer = yield* connection.acceptUni
      yield* answer.read
      return streamBytes / 1000 / (performance.now() - started)
    })
    const connect = Effect.gen(function* () {
      const started = performance.now()
      yield* Effect.scoped(endpoint.connect(addr, [alpn]))
      return performance.now() - started
    })
    return { sendOnce: send, connectOnce: connect }
  })

const bareMain = async (target: Target) => {
  const builder = binding.Endpoint.builder()
  binding.presetMinimal(builder)
  builder.relayMode(binding.RelayMode.disabled())
  builder.bindAddr("127.0.0.1:0")
  const endpoint = await builder.bind()
  const protocol = [...new TextEncoder().encode(alpn)]
  const addr = new binding.EndpointAddr(binding.EndpointId.fromString(target.id), null, [target.addr])
  const connection = await endpoint.connect(addr, protocol)
  // The bare binding takes arrays of numbers. They are made beforehand: the Layer, which takes bytes, gets no advantage by it.
  const numbers = Array.from(chunk)
  const sendOnce = async () => {
    const started = performance.now()
    const stream = await connection.openUni()
    for (let sent = 0; sent < streamBytes; sent += chunkBytes) await stream.writeAll(numbers)
    await stream.finish()
    const answer = await connection.acceptUni()
    await answer.read(1)
    return streamBytes / 1000 / (performance.now() - started)
  }
  const connectOnce = async () => {
    const started = performance.now()
    const fresh = await endpoint.connect(addr, protocol)
    const took = performance.now() - started
    fresh.close(0n, [])
    return took
  }
  return { endpoint, sendOnce, connectOnce }
}

// ---- bytes to arrays of numbers and back, which is what the binding takes and gives

const toNumbersWays: Record<string, (bytes: Uint8Array) => ReadonlyArray<number>> = {
  "preallocated array and loop (used)": (bytes) => toNumbers([bytes]),
  "Array.from": (bytes) => Array.from(bytes),
  spread: (bytes) => [...bytes],
  push: (bytes) => {
    const numbers: Array<number> = []
    for (const byte of bytes) numbers.push(byte)
    return numbers
  }
}
const fromNumbersWays: Record<string, (numbers: ReadonlyArray<number>) => Uint8Array> = {
  "loop (used)": fromNumbers,
  set: (numbers) => {
    const bytes = new Uint8Array(numbers.length)
    bytes.set(numbers)
    return bytes
  },
  "Uint8Array.from": (numbers) => Uint8Array.from(numbers),
  constructor: (numbers: ReadonlyArray<number>) => new Uint8Array(numbers)
}

/** Nanoseconds per byte, the best of some runs. */
const perByte = (work: () => unknown): number => {
  let best = Infinity
  for (let run = 0; run < 200; run++) {
    const started = performance.now()
    work()
    best = Math.min(best, ((performance.now() - started) * 1e6) / convertedBytes)
  }
  return best
}

const convertedBytes = 65_536
const row = (what: string, work: () => unknown): Row => ({ what, value: perByte(work), unit: "ns/byte", reach: "" })
const conversions = (): ReadonlyArray<Row> => {
  const bytes = new Uint8Array(convertedBytes).map((_, index) => index)
  const numbers = Array.from(bytes)
  return [
    ...Object.entries(toNumbersWays).map(([name, way]) => row(`iroh: bytes to numbers, ${name}`, () => way(bytes))),
    ...Object.entries(fromNumbersWays).map(([name, way]) => row(`iroh: numbers to bytes, ${name}`, () => way(numbers)))
  ]
}

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const [ours, theirs] = [start(program("iroh-child.ts", "layer")), start(program("iroh-child.ts", "bare"))]
  try {
    const target = await ours.line<Target>()
    const bare = await bareMain(await theirs.line<Target>())
    const measured = Effect.gen(function* () {
      const layer = yield* layerMain(target)
      const rates: Array<readonly [number, number]> = []
      for (let round = 0; round <= rounds; round++) {
        const pair = [yield* layer.sendOnce, yield* Effect.promise(bare.sendOnce)] as const
        if (round > 0) rates.push(pair)
      }
      const times: Array<readonly [number, number]> = []
      for (let round = 0; round < connects; round++) {
        times.push([yield* layer.connectOnce, yield* Effect.promise(bare.connectOnce)])
      }
      return { rates, times: times.slice(connects / 4) }
    })
    const { rates, times } = await Effect.runPromise(Effect.provide(Effect.scoped(measured), endpointOn("number0")))
    await bare.endpoint.close()
    const [rate, bareRate] = [median(rates.map(([ours]) => ours)), median(rates.map(([, bare]) => bare))]
    const [time, bareTime] = [median(times.map(([ours]) => ours)), median(times.map(([, bare]) => bare))]
    return [
      { what: "iroh: one stream through the Layer, two processes", value: rate, unit: "MB/s", reach: "" },
      { what: "iroh: the bare binding, same bytes", value: bareRate, unit: "MB/s", reach: "" },
      {
        what: "iroh: Layer / bare binding",
        value: median(rates.map(([ours, bare]) => ours / bare)),
        unit: "",
        reach: "0.9"
      },
      { what: "iroh: connect through the Layer", value: time, unit: "ms", reach: "" },
      { what: "iroh: connect with the bare binding", value: bareTime, unit: "ms", reach: "" },
      ...conversions()
    ]
  } finally {
    ours.stop()
    theirs.stop()
  }
}

if (import.meta.main) console.table(await run())
