import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber } from "effect"
import { Blocked, End, PeerReset, StreamError } from "../src/Stream.ts"
import * as StreamKit from "../src/StreamKit.ts"

const recvBuffer = () => {
  const calls: Array<string> = []
  const buffer = new StreamKit.RecvBuffer({
    taken: (bytes) => calls.push(`taken ${bytes}`),
    drained: () => calls.push("drained"),
    stopped: (code) => calls.push(`stopped ${code}`)
  })
  return { buffer, calls }
}

const sendBuffer = (room: number) => {
  const state = { room, bytes: 0, calls: Array.of<string>() }
  const buffer = new StreamKit.SendBuffer({
    room: () => state.room,
    take: (chunk) => {
      state.room -= chunk.length
      state.bytes += chunk.length
    },
    finish: () => state.calls.push("finish"),
    reset: (code) => state.calls.push(`reset ${code}`),
    setPriority: (priority) => state.calls.push(`priority ${priority}`)
  })
  return { buffer, state }
}

const bytes = (n: number) => new Uint8Array(n)
const lost = StreamKit.loss({ _tag: "Remote", code: 1, reason: "" })

describe("RecvBuffer", () => {
  it.effect("gives chunks in order, then the end, for ever", () =>
    Effect.gen(function* () {
      const { buffer, calls } = recvBuffer()
      const reader = yield* Effect.forkChild(buffer.read, { startImmediately: true })
      buffer.push(bytes(1))
      buffer.push(bytes(2))
      buffer.push(bytes(0))
      assert.deepStrictEqual(yield* Fiber.join(reader), bytes(1))
      assert.strictEqual(buffer.bufferedBytes, 2)
      assert.deepStrictEqual(buffer.tryRead(), bytes(2))
      assert.strictEqual(buffer.tryRead(), Blocked)
      buffer.finish()
      buffer.push(bytes(3))
      assert.strictEqual(yield* buffer.read, End)
      assert.strictEqual(buffer.tryRead(), End)
      assert.deepStrictEqual(calls, ["taken 1", "taken 2", "drained", "drained"])
    })
  )

  it("drops unread bytes on a reset, and keeps them when the connection is lost", () => {
    const { buffer: reset } = recvBuffer()
    reset.push(bytes(1))
    reset.reset(5)
    const error = reset.tryRead()
    assert.isTrue(error instanceof StreamError && error.reason instanceof PeerReset && error.reason.code === 5)
    reset.lose(lost.stream)
    assert.strictEqual(reset.tryRead(), error)

    const { buffer: kept } = recvBuffer()
    kept.push(bytes(1))
    kept.lose(lost.stream)
    assert.deepStrictEqual(kept.tryRead(), bytes(1))
    assert.strictEqual(kept.tryRead(), lost.stream)

    const { buffer: closed } = recvBuffer()
    closed.push(bytes(1))
    closed.lose(lost.stream, { drop: true })
    assert.strictEqual(closed.tryRead(), lost.stream)
    assert.strictEqual(closed.bufferedBytes, 0)
  })

  it("tells the driver of a stop while there was something to stop", () => {
    const { buffer, calls } = recvBuffer()
    buffer.push(bytes(1))
    buffer.stop(3)
    buffer.stop(4)
    assert.strictEqual(buffer.tryRead(), StreamKit.streamEnded)
    assert.strictEqual(calls[0], "stopped 3")
    assert.notInclude(calls, "stopped 4")
  })

  it.effect("a second waiter is a defect, an interrupted one is forgotten", () =>
    Effect.gen(function* () {
      const { buffer } = recvBuffer()
      const first = yield* Effect.forkChild(buffer.readable, { startImmediately: true })
      const second = yield* Effect.exit(buffer.read)
      assert.isTrue(Exit.isFailure(second) && Cause.hasDies(second.cause))
      yield* Fiber.interrupt(first)
      const third = yield* Effect.forkChild(buffer.read, { startImmediately: true })
      buffer.push(bytes(1))
      assert.deepStrictEqual(yield* Fiber.join(third), bytes(1))
    })
  )

  it.effect("chains of readers that wake each other do not overflow the stack", () =>
    Effect.gen(function* () {
      const depth = 20_000
      const buffers = Array.from({ length: depth }, () => recvBuffer().buffer)
      const links = yield* Effect.forEach(buffers, (buffer, index) =>
        Effect.forkChild(
          Effect.map(buffer.read, (chunk) => {
            if (chunk !== End) buffers[index + 1]?.push(chunk)
          }),
          { startImmediately: true }
        )
      )
      buffers[0]?.push(bytes(1))
      yield* Fiber.joinAll(links)
    })
  )
})

describe("SendBuffer", () => {
  it.effect("takes what there is room for, and waits for more", () =>
    Effect.gen(function* () {
      const { buffer, state } = sendBuffer(5)
      assert.strictEqual(buffer.tryWrite(bytes(0)), 0)
      assert.strictEqual(buffer.tryWrite(bytes(3)), 3)
      assert.strictEqual(buffer.tryWrite(bytes(3)), 2)
      assert.strictEqual(buffer.tryWrite(bytes(1)), Blocked)
      const writer = yield* Effect.forkChild(buffer.write([bytes(4), bytes(0), bytes(4)]), { startImmediately: true })
      for (let i = 0; i < 4; i++) {
        state.room += 2
        buffer.wake()
      }
      yield* Fiber.join(writer)
      assert.strictEqual(state.bytes, 13)
    })
  )

  it.effect("ends once: finish, then flushed", () =>
    Effect.gen(function* () {
      const { buffer, state } = sendBuffer(5)
      const flushed = yield* Effect.forkChild(buffer.flushed, { startImmediately: true })
      buffer.finish()
      buffer.finish()
      assert.strictEqual(buffer.tryWrite(bytes(1)), StreamKit.streamEnded)
      buffer.flushedByPeer()
      yield* Fiber.join(flushed)
      buffer.reset(1)
      buffer.stoppedByPeer(1)
      assert.deepStrictEqual(state.calls, ["finish"])
    })
  )

  it.effect("a reset wins over unsent data, also after finish", () =>
    Effect.gen(function* () {
      const { buffer, state } = sendBuffer(5)
      buffer.finish()
      buffer.reset(1)
      buffer.reset(2)
      assert.deepStrictEqual(state.calls, ["finish", "reset 1"])
      assert.strictEqual(yield* Effect.flip(buffer.flushed), StreamKit.streamEnded)
    })
  )

  it.effect("every wait ends with the connection", () =>
    Effect.gen(function* () {
      const { buffer } = sendBuffer(0)
      const waits = yield* Effect.forEach([buffer.write(bytes(1)), buffer.stopped, buffer.flushed], (wait) =>
        Effect.forkChild(Effect.flip(wait as Effect.Effect<unknown, StreamError>), { startImmediately: true })
      )
      buffer.lose(lost.stream)
      assert.deepStrictEqual(yield* Fiber.joinAll(waits), [lost.stream, lost.stream, lost.stream])
    })
  )
})

describe("WaitQueue", () => {
  it.effect("gives what came before a failure, unless that is dropped", () =>
    Effect.gen(function* () {
      const queue = new StreamKit.WaitQueue<number, string>("test")
      queue.push(1)
      queue.push(2)
      queue.fail("over")
      queue.push(3)
      assert.strictEqual(yield* queue.take, 1)
      assert.strictEqual(yield* queue.take, 2)
      assert.strictEqual(yield* Effect.flip(queue.take), "over")
      const dropping = new StreamKit.WaitQueue<number, string>("test")
      dropping.push(1)
      dropping.fail("over", { drop: true })
      assert.strictEqual(yield* Effect.flip(dropping.take), "over")
    })
  )

  it.effect("an interrupted take takes nothing along", () =>
    Effect.gen(function* () {
      const queue = new StreamKit.WaitQueue<number>("test")
      yield* Fiber.interrupt(yield* Effect.forkChild(queue.take, { startImmediately: true }))
      const next = yield* Effect.forkChild(queue.take, { startImmediately: true })
      queue.push(1)
      assert.strictEqual(yield* Fiber.join(next), 1)
    })
  )
})
