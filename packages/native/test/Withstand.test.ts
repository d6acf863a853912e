import { assert, it, onTestFinished } from "vitest"
import * as N from "./support/native.ts"
import { spawnChild, spawnPeer } from "./support/peer.ts"
import { suite } from "./support/suite.ts"

/** Ends well, having said what it had to. */
const wellEnded = async (role: string, ...args: ReadonlyArray<string>): Promise<Record<string, unknown>> => {
  const { line, ended } = spawnChild(role, ...args)
  const said = await line()
  const { code, signal, stderr } = await ended
  assert.deepStrictEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: "" })
  return said
}

/** What is ready at once never lets the event loop run, and a peer may always be faster than we are. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

interface Memory {
  readonly before: { readonly rss: number; readonly heap: number }
  readonly after: { readonly rss: number; readonly heap: number }
}
const flat = async (role: string, count: number): Promise<void> => {
  const { before, after } = (await wellEnded(role, String(count))) as unknown as Memory
  assert.isAtMost(after.rss / before.rss, 1.1, `resident: ${before.rss} to ${after.rss}`)
  assert.isAtMost(after.heap / before.heap, 1.1, `heap: ${before.heap} to ${after.heap}`)
}

suite("the addon withstands", ({ END, OVER, Token }) => {
  for (const [how, expected] of [
    ["exit", { code: 3, signal: null }],
    ["throw", { code: 1, signal: null }],
    ["SIGTERM", { code: null, signal: "SIGTERM" }],
    ["SIGKILL", { code: null, signal: "SIGKILL" }]
  ] as const) {
    it(`the end of its process by ${how} in the middle of everything`, { timeout: 20_000 }, async () => {
      const { line, child, ended } = spawnChild("end", how)
      await line()
      if (how === "SIGTERM" || how === "SIGKILL") child.kill(how)
      const { code, signal, stderr } = await ended
      assert.deepStrictEqual({ code, signal }, expected, stderr)
      if (how !== "throw") assert.strictEqual(stderr, "")
    })
  }

  it("being closed in the middle of everything: the process ends by itself", { timeout: 20_000 }, async () => {
    assert.deepStrictEqual(await wellEnded("close"), { closed: true })
  })

  it("that nobody waits: open endpoints and watchers keep no process alive", { timeout: 20_000 }, async () => {
    assert.deepStrictEqual(await wellEnded("idle"), { idle: true })
  })

  it("a close with thousands of operations waiting, and tells every one", { timeout: 60_000 }, async () => {
    assert.deepStrictEqual(await wellEnded("waiters"), { told: 6000 })
  })

  it(
    "more streams in motion than a batch of wake-ups holds: timers run all the while",
    { timeout: 30_000 },
    async () => {
      const { child, line } = spawnChild("pingPong")
      // whose event loop never gets its turn does not hear that we have gone either
      onTestFinished(() => void child.kill("SIGKILL"))
      assert.deepStrictEqual(await line(), { timers: 20, playing: 4000 })
    }
  )

  it("garbage collection of its objects in every order", { timeout: 60_000 }, async () => {
    assert.deepStrictEqual(await wellEnded("gc"), { orders: 24 })
  })

  it("that a sender is forgotten: the peer sees a reset, and never an end", { timeout: 20_000 }, async () => {
    assert.deepStrictEqual(await wellEnded("forget"), { end: OVER, ended: { kind: "reset", code: 0 } })
  })

  it("that a stream is forgotten that somebody waits for: whoever waits is called", { timeout: 20_000 }, async () => {
    assert.deepStrictEqual(await wellEnded("forgotten"), { called: true })
  })

  it(
    "a lack of descriptors when it is first bound: that fails, and goes well when there are some",
    { timeout: 20_000 },
    async () => {
      assert.deepStrictEqual(await wellEnded("limited", "descriptors"), { first: "other", second: "bound" })
    }
  )

  it("workers that are terminated in the middle of everything", { timeout: 60_000 }, async () => {
    assert.deepStrictEqual(await wellEnded("workers"), { workers: 10 })
  })

  it("kill -9 of a peer at any moment", { timeout: 60_000 }, async () => {
    const a = await N.bind({ idleTimeoutMs: 500, keepAliveMs: 100, maxUniStreams: 1000 })
    for (let i = 0; i < 8; i++) {
      const peer = await spawnPeer("everything")
      const connection = await N.connect(a, peer.addr)
      const reading = (async () => {
        for (;;) {
          const recv = await N.until(connection.token + Token.Connection.acceptUni, () => connection.tryAcceptUni())
          if (recv === OVER) return
          await turn()
          void (async () => {
            while (typeof (await N.read(recv)) !== "number") await turn()
          })()
        }
      })()
      const writing = (async () => {
        const send = await N.openUni(connection)
        while ((await N.write(send, new Uint8Array(65_536))) !== OVER) await turn()
        return send.ended()
      })()
      await new Promise((resolve) => setTimeout(resolve, 2 ** i - 1))
      peer.child.kill("SIGKILL")
      assert.strictEqual((await N.closed(connection)).kind, "idle")
      await reading
      assert.deepStrictEqual(await writing, { kind: "lost", code: null })
    }
    await N.close(a)
  })

  it(
    "a peer whose clock jumps because it stood still: nothing is lost before the idle timeout, after it that is the end",
    { timeout: 20_000 },
    async () => {
      const a = await N.bind({ idleTimeoutMs: 3000, keepAliveMs: 200 })
      const peer = await spawnPeer("hold")
      const connection = await N.connect(a, peer.addr)
      const send = await N.openUni(connection)
      peer.child.kill("SIGSTOP")
      await N.write(send, N.pattern(1000))
      send.finish()
      await new Promise((resolve) => setTimeout(resolve, 500))
      peer.child.kill("SIGCONT")
      assert.strictEqual(await N.settled(send), END)
      assert.isNull(connection.closed())
      peer.child.kill("SIGSTOP")
      assert.strictEqual((await N.closed(connection)).kind, "idle")
      peer.child.kill("SIGKILL")
      await N.close(a)
    }
  )

  it(
    "a peer that opens streams and never writes: it gets as many as it may, and no more",
    { timeout: 20_000 },
    async () => {
      const a = await N.bind({ maxUniStreams: 50 })
      const peer = await spawnPeer("mute")
      const connection = await N.connect(a, peer.addr)
      const streams = []
      for (let i = 0; i < 50; i++) streams.push(await N.acceptUni(connection))
      await new Promise((resolve) => setTimeout(resolve, 200))
      assert.strictEqual(connection.tryAcceptUni(), -1)
      for (const stream of streams) stream.stop(1)
      for (let i = 0; i < 50; i++) await N.acceptUni(connection)
      peer.child.kill("SIGKILL")
      await N.close(a)
    }
  )

  it("100,000 streams come and gone: memory stays within 1.1", { timeout: 300_000 }, () => flat("streams", 100_000))

  it("thousands of connections come and gone: memory stays within 1.1", { timeout: 300_000 }, () =>
    flat("connections", 1500)
  )
})
