/**
 * A network of one link: a UDP proxy with a rate and a queue, that can be cut. It translates between IPv4 and IPv6: where one end is
 * bound to 127.0.0.1 and the other to ::1, this is the only way between them.
 */
import { createSocket, type Socket } from "node:dgram"
import { type AddressInfo, isIPv6 } from "node:net"
import { Effect, type Scope } from "effect"

export interface Options {
  /** `ID@IP:PORT`. */
  readonly to: string
  /** Where clients come: `127.0.0.1` or `::1`. */
  readonly host: string
  /** Each way; without it nothing is delayed. */
  readonly bytesPerSecond?: number
  /** What may wait each way; more is dropped. */
  readonly queueBytes?: number
}

export interface Proxy {
  /** `ID@IP:PORT`, with the id of whoever is behind. */
  readonly at: string
  /** Drops everything, or lets it through again. */
  readonly cut: (cut: boolean) => void
  /** Packets so far. */
  readonly counts: { readonly passed: number; readonly dropped: number }
}

export const make = (options: Options): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => open(options)),
    ({ close }) => Effect.sync(close)
  )

const open = async (options: Options): Promise<Proxy & { readonly close: () => void }> => {
  const { bytesPerSecond = Infinity, host, queueBytes = 100_000, to } = options
  const [id = "", target = ""] = to.split("@")
  const [, address = "", port = ""] = /^\[?([^\]]+)\]?:(\d+)$/.exec(target) ?? []
  const counts = { passed: 0, dropped: 0 }
  let isCut = false
  /** One direction: packets leave one after the other. */
  const link = () => {
    let freeAtMs = 0
    return (bytes: number, deliver: () => void): void => {
      const now = performance.now()
      const waitMs = Math.max(0, freeAtMs - now)
      if (isCut || (waitMs / 1000) * bytesPerSecond > queueBytes) {
        counts.dropped++
        return
      }
      counts.passed++
      freeAtMs = now + waitMs + (bytes / bytesPerSecond) * 1000
      if (waitMs < 1) deliver()
      else setTimeout(deliver, waitMs)
    }
  }
  const sockets = new Set<Socket>()
  let closed = false
  const bind = async (host: string): Promise<Socket> => {
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4")
    sockets.add(socket)
    socket.on("error", () => {}) // nobody is there any more: lost, as UDP is
    await new Promise<void>((resolve) => socket.bind(0, host, resolve))
    return socket
  }
  const send = (socket: Socket, packet: Buffer, port: number, host: string): void => {
    if (!closed) socket.send(packet, port, host)
  }
  const front = await bind(host)
  const [up, down] = [link(), link()]
  const backs = new Map<string, Promise<Socket>>()
  front.on("message", (packet, client) => {
    const key = `${client.address} ${client.port}`
    let back = backs.get(key)
    if (back === undefined) {
      back = bind(isIPv6(address) ? "::1" : "127.0.0.1").then((socket) =>
        socket.on("message", (answer) => {
          down(answer.length, () => send(front, answer, client.port, client.address))
        })
      )
      backs.set(key, back)
    }
    void back.then((socket) => up(packet.length, () => send(socket, packet, Number(port), address)))
  })
  const { port: listening }: AddressInfo = front.address()
  return {
    at: `${id}@${isIPv6(host) ? `[${host}]` : host}:${listening}`,
    cut: (cut) => {
      isCut = cut
    },
    counts,
    close: () => {
      closed = true
      for (const socket of sockets) socket.close()
    }
  }
}
