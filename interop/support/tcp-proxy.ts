/** A TCP proxy that delays everything: the way to a relay that is not the shortest one. */
import { connect, createServer, type Server, type Socket } from "node:net"
import * as RelayUrl from "@effect-live/endpoint/RelayUrl"
import { Effect, Result, type Scope } from "effect"

/** Its URL. */
export const make = (options: {
  /** A port of 127.0.0.1. */
  readonly to: number
  /** Each way. */
  readonly delayMs: number
}): Effect.Effect<RelayUrl.RelayUrl, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() => listen(options.to, options.delayMs)),
      ({ close }) => Effect.sync(close)
    ),
    ({ at }) => Result.getOrThrow(RelayUrl.parse(`http://${at}`))
  )

const listen = async (to: number, delayMs: number): Promise<{ readonly at: string; readonly close: () => void }> => {
  const sockets = new Set<Socket>()
  const later = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.setNoDelay(true)
    from.on("data", (data) => setTimeout(() => to.writable && to.write(data), delayMs))
    from.on("close", () => setTimeout(() => to.destroy(), delayMs))
    from.on("error", () => {}) // `close` follows
  }
  const server: Server = createServer((client) => {
    const upstream = connect(to, "127.0.0.1")
    later(client, upstream)
    later(upstream, client)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return {
    at: `127.0.0.1:${port}`,
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    }
  }
}
