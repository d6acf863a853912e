/** Members of gossip topics in processes of their own, of either kind: both take the same words and say the same. */
import { randomBytes } from "node:crypto"
import { createSocket } from "node:dgram"
import { fileURLToPath } from "node:url"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import * as SecretKey from "@effect-live/endpoint/SecretKey"
import * as TopicId from "@effect-live/gossip/TopicId"
import { Effect, Result, type Scope } from "effect"
import * as Address from "./address.ts"
import { type Process, type ProcessError, start } from "./process.ts"
import * as Tools from "./tools.ts"

export interface Member extends Process {
  readonly id: string
  /** `ID@IP:PORT`. */
  readonly at: string
  readonly addr: EndpointAddr
}

/** What `gossip-peer --help` has, of both kinds. */
export type Start = (...args: ReadonlyArray<string>) => Effect.Effect<Member, ProcessError, Scope.Scope>

export type Kind = "Rust" | "ours"

const program = fileURLToPath(new URL("../gossip-member.ts", import.meta.url))
const commands: { readonly [kind in Kind]: { readonly command: string; readonly args: ReadonlyArray<string> } } = {
  Rust: { command: Tools.gossipPeer, args: [] },
  ours: { command: process.execPath, args: ["--conditions=@effect-live/source", program] }
}

/** A member, once it is bound. */
export const member =
  (kind: Kind): Start =>
  (...args) =>
    Effect.gen(function* () {
      const { command, args: first } = commands[kind]
      const started = yield* start({ command, args: [...first, ...args] })
      const ready = yield* started.sees({ event: "ready" })
      const [at = ""] = ready["addrs"] as ReadonlyArray<string>
      return Object.assign(started, { id: String(ready["id"]), at, addr: Address.parse(at) })
    })

/** A topic that nobody else is in. */
export const topic = (): TopicId.TopicId => Result.getOrThrow(TopicId.fromBytes(randomBytes(32)))

/** `--topic` of each. */
export const topics = (...ids: ReadonlyArray<TopicId.TopicId>): ReadonlyArray<string> =>
  ids.flatMap((id) => ["--topic", id])

/** `--bootstrap` of each. */
export const bootstrap = (...members: ReadonlyArray<{ readonly at: string }>): ReadonlyArray<string> =>
  members.flatMap(({ at }) => ["--bootstrap", at])

/** A key and a place that are known before anybody is there: `--secret` and `--bind`. */
export interface Home {
  readonly at: string
  readonly args: ReadonlyArray<string>
}

export const home: Effect.Effect<Home> = Effect.gen(function* () {
  const key = yield* SecretKey.generate
  const place = `127.0.0.1:${yield* freePort}`
  return {
    at: `${SecretKey.endpointId(key)}@${place}`,
    args: ["--secret", SecretKey.toHex(key), "--bind", place]
  }
})

/** One that was free a moment ago. */
const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const socket = createSocket("udp4")
  socket.bind(0, "127.0.0.1", () => {
    const { port } = socket.address()
    socket.close(() => resume(Effect.succeed(port)))
  })
})
