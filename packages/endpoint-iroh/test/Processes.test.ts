import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointTicket from "@effect-live/endpoint/EndpointTicket"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Result, type Scope } from "effect"
import { backings, nativeMissing } from "./backings.ts"

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

const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]

for (const { layer, missing, name } of backings) {
  const on = (...[args, options]: Parameters<typeof start>) =>
    peer(args, { ...options, env: { IROH_BACKING: name, ...options?.env } })
  /** The addon need not wait for half a minute. */
  const patience = name === "native" ? { idleTimeoutMs: 700, keepAliveMs: 200 } : {}
  const onIroh = <A, E>(program: Effect.Effect<A, E, Endpoint | Scope.Scope>) =>
    Effect.scoped(program).pipe(
      Effect.provide(layer({ bindAddrs, relayMode: "disabled", ...patience }).pipe(Layer.provide(AddressBook.layer)))
    )

  describe.skipIf(missing !== undefined)(
    `${name} in processes of its own`,
    { concurrent: true, timeout: 30_000 },
    () => {
      it.live(
        "a peer that is killed while it writes ends reads and the connection with IdleTimeout, and disturbs nothing else",
        () =>
          onIroh(
            Effect.gen(function* () {
              const other = yield* on(["pour"])
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

      it.live(
        "a peer that is killed while it waits for everything ends all that waits here with IdleTimeout",
        () =>
          onIroh(
            Effect.gen(function* () {
              const endpoint = yield* Endpoint
              yield* endpoint.setAlpns([alpn])
              const other = yield* on(["wait", EndpointTicket.encode(endpoint.addr())])
              const connection = yield* endpoint.accept
              yield* Effect.promise(other.line)
              const recv = yield* connection.acceptUni
              const send = yield* connection.openUni
              yield* send.write(Uint8Array.of(1))
              const waits = [
                Effect.forever(send.write(new Uint8Array(10_000))),
                send.stopped,
                send.flushed,
                connection.acceptUni,
                connection.acceptBi,
                connection.readDatagram,
                Effect.forever(recv.read)
              ].map((wait) => Effect.exit(Effect.asVoid<unknown, unknown, never>(wait)))
              const waiting = yield* Effect.forkChild(Effect.all(waits, { concurrency: "unbounded" }), {
                startImmediately: true
              })
              other.child.kill("SIGKILL")
              assert.deepStrictEqual(yield* connection.closed, { _tag: "IdleTimeout" })
              for (const exit of yield* Fiber.join(waiting)) assert.isTrue(Exit.isFailure(exit))
            })
          ),
        45_000
      )

      it.live.skipIf(name === "number0")(
        "a peer that is frozen is given up after the idle timeout of either side",
        () =>
          onIroh(
            Effect.gen(function* () {
              const other = yield* on(["pour"])
              const endpoint = yield* Endpoint
              const connection = yield* endpoint.connect(yield* addrOf(other), [alpn])
              yield* connection.acceptUni
              other.child.kill("SIGSTOP")
              assert.deepStrictEqual(yield* connection.closed, { _tag: "IdleTimeout" })
            })
          )
      )

      it.live("a process ends by itself once its Layer is closed", () =>
        Effect.scoped(
          Effect.gen(function* () {
            const other = yield* on(["bind"])
            assert.strictEqual((yield* Effect.promise(other.line))["exit"], "Success")
            assert.strictEqual(yield* Effect.promise(() => other.ended), 0)
          })
        )
      )

      it.live.skipIf(name === "number0")(
        "a process ends when nobody waits for its endpoint, even if it was never closed",
        () =>
          Effect.scoped(
            Effect.gen(function* () {
              const other = yield* on(["leave"])
              assert.deepStrictEqual(yield* Effect.promise(other.line), { left: true })
              assert.strictEqual(yield* Effect.promise(() => other.ended), 0)
            })
          )
      )

      it.live(
        "garbage collection of forgotten streams aborts nothing, and none of them looks complete to the peer",
        () =>
          Effect.scoped(
            Effect.gen(function* () {
              const counting = yield* on(["count"])
              const forgetting = yield* on(["forget", yield* ticketOf(counting)], { node: ["--expose-gc"] })
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
            const counting = yield* on(["count"])
            const failing = yield* on(["fail", yield* ticketOf(counting)], { env: { RUST_BACKTRACE: "1" } })
            assert.deepStrictEqual(yield* Effect.promise(failing.line), { reason: "WrongAlpn" })
            assert.strictEqual(yield* Effect.promise(() => failing.ended), 0, failing.stderr())
          })
        )
      )
    }
  )
}

describe("which backing", { concurrent: true, timeout: 30_000 }, () => {
  /** A process in which these packages do not load. */
  const without = (missing: ReadonlyArray<string>, args: ReadonlyArray<string>, env: object = {}) => {
    const hooks = `import { registerHooks } from "node:module"
      registerHooks({ resolve: (name, context, next) => {
        if (${JSON.stringify(missing)}.includes(name)) throw new Error("Cannot find native binding")
        return next(name, context)
      } })`
    return peer(args, { node: ["--import", `data:text/javascript,${encodeURIComponent(hooks)}`], env })
  }
  const [native, number0] = ["@effect-live/native", "@number0/iroh"]

  it.live.skipIf(nativeMissing !== undefined)("the addon, where it loads", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const other = yield* without([], ["backing"], { IROH_BACKING: "" })
        assert.deepStrictEqual(yield* Effect.promise(other.line), { backing: native })
      })
    )
  )

  it.live("@number0/iroh where it does not, without a word on stdout", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const other = yield* without([native], ["backing"], { IROH_BACKING: "auto" })
        assert.deepStrictEqual(yield* Effect.promise(other.line), { backing: number0 })
      })
    )
  )

  it.live(
    "where neither loads, the Layer fails with BackingMissing, which says what was looked for and what to do",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const other = yield* without([native, number0], ["bind"], { IROH_BACKING: "auto" })
          const { exit, why } = yield* Effect.promise(other.line)
          assert.strictEqual(exit, "Failure")
          for (const part of [
            native,
            number0,
            "Cannot find native binding",
            process.platform,
            "npm run build:native"
          ]) {
            assert.include(String(why), part)
          }
        })
      )
  )

  for (const [insisted, name] of [
    ["native", native],
    ["number0", number0]
  ] as const) {
    it.live(`IROH_BACKING=${insisted} insists, and takes no other`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const other = yield* without([name], ["bind"], { IROH_BACKING: insisted })
          const { exit, why } = yield* Effect.promise(other.line)
          assert.strictEqual(exit, "Failure")
          assert.include(String(why), `${name} does not load`)
        })
      )
    )
  }
})
