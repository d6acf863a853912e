/** The other process of the tests: `node child.ts ROLE`. It speaks JSON lines and does one thing. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises"
import { isMainThread, Worker } from "node:worker_threads"
import type * as Addon from "../../index.cjs"
import * as N from "./native.ts"

if (N.loaded instanceof Error) throw N.loaded
const addon = N.loaded
const { BLOCKED, OVER, Token, wait, watch } = addon
const gc = (): void => {
  assert(globalThis.gc !== undefined, "node --expose-gc")
  globalThis.gc()
}
const tell = (line: object): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
/** An id that nobody here has. */
const stranger = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"
const never = (): Promise<never> => new Promise(() => {})

const pair = async (options: Addon.BindOptions = {}): Promise<N.Pair> => {
  const [a, b] = await Promise.all([N.bind(options), N.bind(options)])
  const [dialed, accepted] = await Promise.all([N.connect(a, N.addrOf(b)), N.accept(b)])
  return { a, b, dialed, accepted }
}

/** Two endpoints with every operation that can wait waiting, and bytes on their way. */
const busy = async (): Promise<N.Pair> => {
  const made = await pair()
  const { a, b, dialed, accepted } = made
  const pour = async () => {
    const send = await N.openUni(dialed)
    const bytes = new Uint8Array(65_536)
    while ((await N.write(send, bytes)) !== OVER);
  }
  const drink = async () => {
    const recv = await N.acceptUni(accepted)
    while (typeof (await N.read(recv)) !== "number");
  }
  void pour()
  void drink()
  for (const connection of [dialed, accepted]) {
    void N.closed(connection)
    connection.pathsChanged()
    watch(connection.token + Token.Connection.paths, () => {})
    void N.until(connection.token + Token.Connection.acceptBi, () => connection.tryAcceptBi())
    void N.until(connection.token + Token.Connection.datagramReceived, () =>
      connection.tryReadDatagram(new Uint8Array(2000))
    )
  }
  for (const endpoint of [a, b]) {
    void N.until(endpoint.token + Token.Endpoint.accept, () => endpoint.tryAccept())
    // Nobody answers at this port.
    void N.dialed(endpoint.connect({ id: stranger, relays: [], ips: ["127.0.0.1:9"] }, ["x"]))
  }
  await sleep(50)
  return made
}

/** Resident and heap bytes when what can be collected is. */
const memory = async (): Promise<{ readonly rss: number; readonly heap: number }> => {
  for (let i = 0; i < 5; i++) {
    gc()
    await sleep(20)
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss, heap: heapUsed + external }
}

const roles: Record<string, (...args: ReadonlyArray<string>) => Promise<unknown>> = {
  /** Accepts connections and holds them. */
  hold: async () => {
    const endpoint = await N.bind({ keepAliveMs: 200 })
    tell({ addr: N.addrOf(endpoint) })
    const held = []
    for (;;) held.push(await N.accept(endpoint))
  },

  /** Accepts a connection and reads, writes, opens and sends without end, in both directions. */
  everything: async () => {
    const endpoint = await N.bind({ maxUniStreams: 1000 })
    tell({ addr: N.addrOf(endpoint) })
    const connection = await N.accept(endpoint)
    const pour = async () => {
      const send = await N.openUni(connection)
      while ((await N.write(send, new Uint8Array(65_536))) !== OVER);
    }
    const drop = async () => {
      for (;;) {
        const send = await N.openUni(connection)
        await N.write(send, N.pattern(1000))
        send.finish()
      }
    }
    const drink = async () => {
      for (;;) {
        const recv = await N.acceptUni(connection)
        void (async () => {
          while (typeof (await N.read(recv)) !== "number");
        })()
      }
    }
    void pour()
    void drop().catch(() => {})
    void drink().catch(() => {})
    for (;;) {
      connection.sendDatagram(new Uint8Array(1000))
      await turn()
    }
  },

  /** Opens streams with one byte each and never writes more. */
  mute: async () => {
    const endpoint = await N.bind()
    tell({ addr: N.addrOf(endpoint) })
    const connection = await N.accept(endpoint)
    const streams = []
    for (;;) {
      const send = await N.openUni(connection)
      send.tryWrite(new Uint8Array(1))
      // Only this notices that the other side gave up, where nothing is written any more.
      streams.push(N.settled(send))
    }
  },

  /** Ends in the middle of everything, in the way that is asked for. */
  end: async (how) => {
    await busy()
    tell({ ready: true })
    if (how === "exit") process.exit(3)
    if (how === "throw") {
      setTimeout(() => {
        throw new Error("thrown on purpose")
      })
    }
    await never()
  },

  /** Ends by itself once it closed what it opened. */
  close: async () => {
    const { a, b } = await busy()
    await Promise.all([N.close(a), N.close(b)])
    tell({ closed: true })
  },

  /** Ends by itself though endpoints and a connection are open: nobody waits for anything, some only watch. */
  idle: async () => {
    const { a, b, dialed, accepted } = await pair()
    for (const connection of [dialed, accepted]) {
      assert.equal(connection.closed(), null)
      watch(connection.token + Token.Connection.closed, () => {})
    }
    for (const endpoint of [a, b]) {
      while (endpoint.addrChanged());
      watch(endpoint.token + Token.Endpoint.addr, () => {})
    }
    tell({ idle: true })
  },

  /** Closes with thousands of operations waiting: every one is told. */
  waiters: async () => {
    const { a, b, dialed, accepted } = await pair({ maxUniStreams: 4000 })
    let told = 0
    const streams = []
    for (let i = 0; i < 3000; i++) {
      const send = await N.openUni(dialed)
      assert.equal(send.tryWrite(new Uint8Array(1)), 1)
      const recv = await N.acceptUni(accepted)
      assert.equal(recv.tryRead(new Uint8Array(2)) >= BLOCKED, true)
      streams.push(
        N.settled(send).then(() => told++),
        N.read(recv)
          .then((first) => (typeof first === "number" ? first : N.read(recv)))
          .then((end) => {
            assert.equal(end, OVER)
            told++
          })
      )
    }
    await Promise.all([N.close(a), N.close(b)])
    await Promise.all(streams)
    tell({ told })
  },

  /** More streams play ping and pong in this process than one batch of wake-ups holds, and timers are to run all the while. */
  pingPong: async () => {
    const streams = 2000
    const { dialed, accepted } = await pair({ maxBiStreams: 2 * streams })
    const [ball, room] = [new Uint8Array(1), new Uint8Array(8)]
    const play = ({ recv, send }: Addon.BiStream): void => {
      while (recv.tryRead(room) >= 0) send.tryWrite(ball)
      wait(recv.token, () => play({ recv, send }))
    }
    const playing: Array<Addon.BiStream> = []
    for (let i = 0; i < streams; i++) {
      const here = await N.openBi(dialed)
      here.send.tryWrite(ball)
      playing.push(here, await N.acceptBi(accepted))
    }
    for (const stream of playing) play(stream)
    let timers = 0
    for (; timers < 20; timers++) await sleep(1)
    tell({ timers, playing: playing.length })
    process.exit(0)
  },

  /** Drops every object in every order; what is left must work, and nothing may abort. */
  gc: async () => {
    const names = ["endpoint", "connection", "send", "recv"] as const
    const orders = permutations(names)
    for (const order of orders) {
      const far = await pair()
      const objects: {
        endpoint: Addon.Endpoint | undefined
        connection: Addon.Connection | undefined
        send: Addon.SendStream | undefined
        recv: Addon.RecvStream | undefined
        /** The far side stays as long as the test looks. */
        readonly there: Addon.Connection
      } = await (async () => {
        const endpoint = await N.bind()
        const [connection, there] = await Promise.all([N.connect(endpoint, N.addrOf(far.b)), N.accept(far.b)])
        const { send, recv } = await N.openBi(connection)
        await N.write(send, N.bytes("a"))
        const answer = await N.acceptBi(there)
        void echo(answer)
        assert.equal(N.text(await N.read(recv)), "a")
        return { endpoint, connection, send, recv, there }
      })()
      for (const name of order) {
        objects[name] = undefined
        for (let i = 0; i < 3; i++) {
          gc()
          await turn()
        }
        const { send, recv, connection, there } = objects
        if (connection !== undefined || send !== undefined || recv !== undefined) assert.equal(there.closed(), null)
        if (connection !== undefined) assert.equal(connection.closed(), null)
        // The far side gives up both directions when one is collected here.
        if (send !== undefined && recv !== undefined) {
          assert.equal(await N.write(send, N.bytes("b")), 1)
          assert.equal(N.text(await N.read(recv)), "b")
        } else if (send !== undefined) send.tryWrite(N.bytes("b"))
        else recv?.tryRead(new Uint8Array(1))
      }
      await Promise.all([N.close(far.a), N.close(far.b)])
    }
    // Those that are pending.
    for (let i = 0; i < 20; i++) {
      addon.bind({ bindAddrs: ["127.0.0.1:0"] })
      const endpoint = await N.bind()
      endpoint.connect({ id: stranger, relays: [], ips: ["127.0.0.1:9"] }, ["x"])
      gc()
      await turn()
    }
    tell({ orders: orders.length })
  },

  /** A sender that is collected unfinished: the peer must see a reset with code 0 and no end. */
  forget: async () => {
    const { accepted, dialed } = await pair()
    await (async () => {
      const send = await N.openUni(dialed)
      await N.write(send, N.bytes("part"))
    })()
    const recv = await N.acceptUni(accepted)
    assert.equal(N.text(await N.read(recv)), "part")
    const end = N.read(recv)
    const collecting = setInterval(gc, 10)
    tell({ end: await end, ended: recv.ended() })
    clearInterval(collecting)
    process.exit(0)
  },

  /** Somebody waits for a stream that is collected: only the call-back is left. */
  forgotten: async () => {
    const { accepted, dialed } = await pair()
    await N.write(await N.openUni(dialed), N.bytes("part"))
    const called = Promise.withResolvers<void>()
    await (async () => {
      const recv = await N.acceptUni(accepted)
      await N.read(recv)
      assert.equal(recv.tryRead(new Uint8Array(1)), BLOCKED)
      addon.wait(recv.token, called.resolve)
    })()
    const collecting = setInterval(gc, 10)
    await called.promise
    clearInterval(collecting)
    tell({ called: true })
    process.exit(0)
  },

  /** A role in a process that may have 100 descriptors open. */
  limited: async (role = "") => {
    const args = ["-c", 'ulimit -n 100 && exec "$0" "$@"', process.execPath, import.meta.filename, role]
    spawnSync("sh", args, { stdio: "inherit" })
    process.exit(0)
  },

  /** Binds while there is no descriptor left, and again when there are. */
  descriptors: async () => {
    const outcome = async () => {
      const binding = addon.bind({ bindAddrs: ["127.0.0.1:0"] })
      const bound = await N.until(binding.token, () => binding.poll())
      return bound === OVER ? binding.failure()?.kind : "bound"
    }
    const held: Array<number> = []
    assert.throws(() => {
      for (;;) held.push(openSync("/dev/null", "r"))
    })
    const first = await outcome()
    held.forEach(closeSync)
    tell({ first, second: await outcome() })
    process.exit(0)
  },

  /** Streams come and go. */
  streams: async (count) => {
    const { dialed, accepted } = await pair({ maxUniStreams: 100 })
    const payload = N.pattern(100)
    const run = async (streams: number) => {
      const sending = (async () => {
        for (let i = 0; i < streams; i++) {
          const send = await N.openUni(dialed)
          await N.write(send, payload)
          if (i % 3 === 0) send.reset(1)
          else send.finish()
          if (i % 5 === 0) send.settled()
          // What is ready at once never lets the collector's finalizers run.
          if (i % 100 === 0) await turn()
        }
      })()
      for (let i = 0; i < streams; i++) {
        const recv = await N.acceptUni(accepted)
        if (i % 7 === 0) recv.stop(2)
        else while (typeof (await N.read(recv, 200)) !== "number");
      }
      await sending
    }
    await run(20_000)
    const before = await memory()
    await run(Number(count))
    tell({ before, after: await memory() })
    process.exit(0)
  },

  /** Connections come and go, closed by either side or by neither. */
  connections: async (count) => {
    const [a, b] = await Promise.all([N.bind(), N.bind()])
    const run = async (connections: number) => {
      for (let i = 0; i < connections; i++) {
        const [dialed, accepted] = await Promise.all([N.connect(a, N.addrOf(b)), N.accept(b)])
        const send = await N.openUni(dialed)
        await N.write(send, N.pattern(100))
        send.finish()
        await N.readAll(await N.acceptUni(accepted))
        if (i % 3 === 0) dialed.close(0, "")
        else if (i % 3 === 1) accepted.close(0, "")
        if (i % 3 !== 2) await Promise.all([N.closed(dialed), N.closed(accepted)])
        if (i % 50 === 0) {
          gc()
          await turn()
        }
      }
    }
    await run(Number(count))
    const before = await memory()
    await run(Number(count))
    tell({ before, after: await memory() })
    process.exit(0)
  },

  /** Workers with endpoints come and are terminated in the middle of everything, and the main thread's go on. */
  workers: async () => {
    const { dialed, accepted } = await pair()
    for (let i = 0; i < 10; i++) {
      const worker = new Worker(new URL(import.meta.url), { argv: ["inWorker"] })
      await new Promise((resolve, reject) => {
        worker.once("message", resolve)
        worker.once("error", reject)
      })
      await worker.terminate()
      const send = await N.openUni(dialed)
      await N.write(send, N.bytes("main"))
      send.finish()
      assert.equal(N.text(await N.readAll(await N.acceptUni(accepted))), "main")
    }
    tell({ workers: 10 })
    process.exit(0)
  },

  inWorker: async () => {
    await busy()
    const { parentPort } = await import("node:worker_threads")
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port has none
    parentPort?.postMessage("busy")
    await never()
  }
}

const echo = async ({ send, recv }: Addon.BiStream): Promise<void> => {
  for (;;) {
    const bytes = await N.read(recv)
    if (typeof bytes === "number" || (await N.write(send, bytes)) < 0) return
  }
}

function permutations<A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> {
  if (items.length === 0) return [[]]
  return items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item, ...rest]))
}

const [role = "", ...args] = process.argv.slice(2)
const run = roles[role]
if (run === undefined) throw new Error(`no such role: ${role}`)
// Whoever started it may be killed: what loops without end must not outlive that.
if (isMainThread)
  process.stdin
    .once("close", () => process.exit(1))
    .resume()
    .unref()
// Only for its own promise: what the roles wait for keeps the process alive, or does not.
run(...args).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
