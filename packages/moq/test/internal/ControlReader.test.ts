import { End } from "@effect-live/endpoint/Stream"
import { RecvBuffer } from "@effect-live/endpoint/StreamKit"
import { DecodeError } from "@effect-live/wire/DecodeError"
import { encode } from "@effect-live/wire/Writer"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { ControlReader } from "../../src/internal/ControlReader.ts"
import * as Limits from "../../src/Limits.ts"
import { fromHex, toHex } from "../support/raw.ts"

const stream = (): RecvBuffer => new RecvBuffer({ taken: () => {}, drained: () => {}, stopped: () => {} })

/** A stream of which these chunks have arrived, and its end. */
const ended = (...chunks: ReadonlyArray<Uint8Array>): ControlReader => {
  const recv = stream()
  for (const chunk of chunks) recv.push(chunk)
  recv.finish()
  return new ControlReader(recv)
}

const message = (body: Uint8Array): Uint8Array =>
  encode((writer) => {
    writer.varint(body.length)
    writer.raw(body)
  }).slice()

describe("messages on a control stream", () => {
  it.effect("come out whole, however the stream is cut, then its end", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }),
          fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
          async (bodies, cuts) => {
            const bytes = Buffer.concat([fromHex("4002"), ...bodies.map(message)])
            const chunks: Array<Uint8Array> = []
            for (let at = 0, n = 0; at < bytes.length; n++) {
              const end = at + (cuts[n % cuts.length] ?? 1)
              chunks.push(bytes.subarray(at, end))
              at = end
            }
            const reader = ended(...chunks)
            assert.strictEqual(await Effect.runPromise(reader.varint()), 2, "the type of the stream")
            const read: Array<Uint8Array | End> = []
            for (const _ of bodies) read.push(await Effect.runPromise(reader.message()))
            assert.strictEqual(await Effect.runPromise(reader.message()), End)
            // views stay what they were while more is read behind them
            assert.deepStrictEqual(
              read.map((body) => (body === End ? "end" : toHex(body))),
              bodies.map(toHex)
            )
          }
        )
      )
    )
  )

  it.effect("are read up to maxMessageBytes, and refused above before anything of them is there", () =>
    Effect.gen(function* () {
      const most = yield* ended(message(new Uint8Array(Limits.maxMessageBytes))).message()
      assert.strictEqual(most === End ? -1 : most.length, Limits.maxMessageBytes)
      for (const length of [Limits.maxMessageBytes + 1, 2 ** 53 - 1, 2n ** 62n - 1n]) {
        const recv = stream()
        recv.push(encode((writer) => writer.varint(length)).slice())
        assert.instanceOf(yield* Effect.flip(new ControlReader(recv).message()), DecodeError)
      }
    })
  )

  it.effect("that break off are undecodable, not an end", () =>
    Effect.gen(function* () {
      for (const hex of ["05", "0561", "40", "c00000"]) {
        assert.instanceOf(yield* Effect.flip(ended(fromHex(hex)).message()), DecodeError, hex)
      }
      assert.instanceOf(yield* Effect.flip(ended(fromHex("c000")).varint()), DecodeError)
      assert.instanceOf(yield* Effect.flip(ended(fromHex("ffffffffffffffff")).varint()), DecodeError, "above 2^53 - 1")
      assert.strictEqual(yield* ended().varint(), End)
    })
  )
})
