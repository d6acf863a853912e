import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointTicket from "@effect-live/endpoint/EndpointTicket"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Result, type Scope } from "effect"
import * as Iroh from "../src/Iroh.ts"

const alpn = "effect-live/process-test"
const peerFile = fileURLToPath(new URL("peer.ts", import.meta.url))

interface Peer {
  readonly child: ChildProcess
  /** The next line of JSON; fails when the process ends before it. */
  readonly line: () => Promise<Record<string, unknown>>
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>
  readonly stderr: () => string
}

const start = (
  args: ReadonlyArray<string>,
  options?: { readonly node?: ReadonlyArray<string>; readonly env?: object }
): Peer => {
  const child = spawn(
    process.execPath,
    [...(options?.node ?? []), "--conditions=@effect-live/source", peerFile, ...args],
    { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...options?.env } }
  )
  let stderr = ""
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    child,
    line: async () => {
      const next = await lines.next()
      if (next.done === true) throw new Error(`the peer ended: ${stderr}`)
      return JSON.parse(next.value)
    },
    ended: once(child, "exit").then(([code, signal]) => code ?? signal),
    stderr: () => stderr
  }
}

const peer = (...args: Parameters<typeof start>) =>
  Effect.acquireRelease(
    Effect.sync(() => start(...args)),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

const ticketOf = (of: Peer) => Effect.map(Effect.promise(of.line), ({ ticket }) => String(ticket))
const addrOf = (of: Peer) => Effect.map(ticketOf(of), (ticket) => Result.getOrThrow(EndpointTicket.decode(ticket)))

const loopback = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
const onIroh = <A, E>(program: Effect.Effect<A, E, Endpoint | Scope.Scope>) =>
  Effect.scoped(program).pipe(
    Effect.provide(Iroh.layer({ bindAddrs: loopback, relayMode: "disabled" }).pipe(Layer.provide(AddressBook.layer)))
  )

describe("@number0/iroh in processes of its own", { concurrent: true, timeout: 30_000 }, () => {
  it.live(
    "a peer that is killed ends reads and the connection with IdleTimeout, and disturbs nothing else",
    () =>
      onIroh(
        Effect.gen(function* () {
          const other = yield* peer(["pour"])
          const endpoint = yield* Endpoint
          const connection = yield* endpoint.connect(yield* addrOf(other), [alpn])
          const recv = yield* connection.acceptUni
          yield* recv.read
          other.child.kill("SIGKILL")
          const exit = yield* Effect.exit(Effect.forever(recv.read))
          assert.deepStrictEqual(yield* connection.closed, { _tag: "IdleTimeout" })
          assert.isTrue(Exit.isFailure(exit))
          if (Exit.isFailure(exit)) assert.include(String(Cause.squash(exit.cause)), "StreamError")
        })
      ),
    45_000
  )

  it.live("a process ends by itself once its Layer is closed", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const other = yield* peer(["bind"])
        assert.strictEqual((yield* Effect.promise(other.line))["exit"], "Success")
        assert.strictEqual(yield* Effect.promise(() => other.ended), 0)
      })
    )
  )

  it.live("garbage collection of forgotten streams aborts nothing, and none of them looks complete to the peer", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const counting = yield* peer(["count"])
        const forgetting = yield* peer(["forget", yield* ticketOf(counting)], { node: ["--expose-gc"] })
        assert.deepStrictEqual(yield* Effect.promise(forgetting.line), { forgot: 20 })
        assert.strictEqual(yield* Effect.promise(() => forgetting.ended), 0, forgetting.stderr())
        const first = yield* Effect.promise(counting.line)
        assert.strictEqual(first["end"], "error")
      })
    )
  )

  it.live("RUST_BACKTRACE in the environment changes no error", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const counting = yield* peer(["count"])
        const failing = yield* peer(["fail", yield* ticketOf(counting)], { env: { RUST_BACKTRACE: "1" } })
        assert.deepStrictEqual(yield* Effect.promise(failing.line), { reason: "WrongAlpn" })
        assert.strictEqual(yield* Effect.promise(() => failing.ended), 0, failing.stderr())
      })
    )
  )

  it.live("where the binding does not load, the Layer fails with BackingMissing", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const hooks = `import { registerHooks } from "node:module"
          registerHooks({ resolve: (name, context, next) => {
            if (name === "@number0/iroh") throw new Error("Cannot find native binding")
            return next(name, context)
          } })`
        const missing = yield* peer(["bind"], {
          node: ["--import", `data:text/javascript,${encodeURIComponent(hooks)}`]
        })
        const { exit, why } = yield* Effect.promise(missing.line)
        assert.strictEqual(exit, "Failure")
        assert.include(String(why), "Cannot find native binding")
        assert.include(String(why), process.platform)
      })
    )
  )
})
