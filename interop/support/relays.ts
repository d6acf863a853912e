/** The foreign servers: moq-relay, a hop between publishers and subscribers, and iroh-relay, which carries whole connections. */
import { createSocket } from "node:dgram"
import { randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import { Effect, Result, type Scope } from "effect"
import * as Address from "./address.ts"
import { folder } from "./folder.ts"
import { type Process, type ProcessError, start } from "./process.ts"
import * as Tools from "./tools.ts"

/** These servers do not care for their stdin: a shell ends them when it ends, even if it is because the tests were killed. */
const server = (command: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
  start({
    command: "/bin/sh",
    args: ["-c", '"$@" & server=$!; cat > /dev/null; kill $server; wait $server', "sh", command, ...args],
    env: { NO_COLOR: "1", ...env }
  })

export interface MoqRelay extends Process {
  readonly at: string
  readonly addr: EndpointAddr
}

/** A moq-relay on loopback that anybody may use, over iroh, in these versions of moq-lite. */
export const moqRelay = (...versions: ReadonlyArray<string>): Effect.Effect<MoqRelay, ProcessError, Scope.Scope> =>
  Effect.gen(function* () {
    const port = yield* freeUdpPort
    const options = {
      listen: "127.0.0.1:0",
      "listen-tls-generate": "localhost",
      "auth-public": "**",
      "web-http-listen": "127.0.0.1:0",
      "iroh-enabled": "true",
      "iroh-secret": randomBytes(32).toString("hex"),
      "iroh-bind-v4": `127.0.0.1:${port}`,
      "iroh-disable-relay": "true"
    }
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
    args.push(...new Set(versions.map((version) => `--listen-version=${version}`)))
    const process = yield* server(Tools.moqRelay, args, {})
    const [, id = ""] = yield* process.says(/iroh listening endpoint_id=(\w+)/)
    yield* process.says(/relay: listening .*kind="quic"/)
    const at = `${id}@127.0.0.1:${port}`
    return Object.assign(process, { at, addr: Address.parse(at) })
  })

export interface IrohRelay {
  readonly url: RelayUrl.RelayUrl
  readonly port: number
}

/** An iroh-relay on loopback, without TLS. */
export const irohRelay: Effect.Effect<IrohRelay, ProcessError, Scope.Scope> = Effect.gen(function* () {
  const config = join(yield* folder, "relay.toml")
  writeFileSync(config, 'http_bind_addr = "127.0.0.1:0"\nenable_metrics = false\n')
  const process = yield* server(Tools.irohRelay, ["--dev", "--config-path", config], { RUST_LOG: "info" })
  const [, port = ""] = yield* process.says(/serving on 127\.0\.0\.1:(\d+)/)
  return { url: Result.getOrThrow(RelayUrl.parse(`http://127.0.0.1:${port}`)), port: Number(port) }
})

/** For servers that do not tell which port they got. */
const freeUdpPort: Effect.Effect<number> = Effect.callback((resume) => {
  const socket = createSocket("udp4")
  socket.bind(0, "127.0.0.1", () => {
    const { port } = socket.address()
    socket.close(() => resume(Effect.succeed(port)))
  })
})
