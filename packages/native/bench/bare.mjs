/**
 * The bare addon and `@number0/iroh` at what `bench/rust` does in plain Rust, in the same words and on the same wire:
 *
 *     node bare.mjs <native|number0> server <bulk|groups|frames> <amount>
 *     node bare.mjs <native|number0> client <bulk|groups|frames> <amount> <id> <ip:port>
 */
const alpn = "effect-live/bench"
const chunkBytes = 64 * 1024
const maxStreams = 1024

const frameBytes = (frame) => 1024 + ((frame * 7919) % 3073)
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

const meter = (role) => {
  const started = performance.now()
  const before = process.cpuUsage()
  return (frames, bytes) => {
    const { user, system } = process.cpuUsage(before)
    tell({ role, frames, bytes, ms: performance.now() - started, cpuMs: (user + system) / 1000 })
  }
}

/** Counts frames in whatever pieces they come. */
const counter = () => {
  let frames = 0
  let bytes = 0
  let head = 0
  let headBytes = 0
  let left = 0
  return {
    push: (chunk, length) => {
      for (let at = 0; at < length;) {
        if (left > 0) {
          const step = Math.min(left, length - at)
          left -= step
          at += step
          if (left === 0) frames++
        } else {
          head = head * 256 + chunk[at++]
          if (++headBytes === 4) {
            left = head
            bytes += head
            head = 0
            headBytes = 0
          }
        }
      }
    },
    counts: () => ({ frames, bytes })
  }
}

// ---- the addon

const overNative = async () => {
  const n = await import("../index.cjs")
  const { BLOCKED, OVER, END, Token } = n
  /** Tries until it is no longer blocked; the waiter is called by the addon, and nothing waits where nothing is blocked. */
  const until = (token, attempt) => {
    const value = attempt()
    if (value !== BLOCKED && value !== null) return value
    return new Promise((resolve) => {
      const again = () => {
        const value = attempt()
        if (value === BLOCKED || value === null) n.wait(token, again)
        else resolve(value)
      }
      n.wait(token, again)
    })
  }
  const binding = n.bind({ alpns: [alpn], bindAddrs: ["127.0.0.1:0"], maxUniStreams: maxStreams })
  const endpoint = await until(binding.token, () => binding.poll())
  const room = new Uint8Array(chunkBytes)
  const wrap = (connection) => ({
    openUni: async () => {
      const stream = await until(connection.token + Token.Connection.openUni, () => connection.tryOpenUni())
      return {
        write: (bytes) => {
          let at = 0
          const attempt = () => {
            while (at < bytes.length) {
              const written = stream.tryWrite(at === 0 ? bytes : bytes.subarray(at))
              if (written < 0) return written
              at += written
            }
            return at
          }
          return until(stream.token + Token.SendStream.writable, attempt)
        },
        finish: () => stream.finish()
      }
    },
    acceptUni: async () => {
      const stream = await until(connection.token + Token.Connection.acceptUni, () => connection.tryAcceptUni())
      return {
        drain: (each) =>
          until(stream.token, () => {
            for (;;) {
              const read = stream.tryRead(room)
              if (read > 0) each(room, read)
              else if (read === END) return true
              else return read
            }
          })
      }
    },
    close: () => connection.close(0, "received"),
    closed: () => until(connection.token + Token.Connection.closed, () => connection.closed())
  })
  return {
    id: endpoint.id,
    addr: endpoint.boundAddrs[0],
    accept: async () => wrap(await until(endpoint.token + Token.Endpoint.accept, () => endpoint.tryAccept())),
    connect: async (id, addr) => {
      const dial = endpoint.connect({ id, relays: [], ips: [addr] }, [alpn])
      const connection = await until(dial.token, () => dial.poll())
      if (connection === OVER) throw new Error(JSON.stringify(dial.failure()))
      return wrap(connection)
    },
    close: () => {
      endpoint.close()
      return until(endpoint.token + Token.Endpoint.closed, () => endpoint.closed() || null)
    }
  }
}

// ---- @number0/iroh

/** The way of `packages/endpoint-iroh`: a plain loop is the fastest there is. */
const toNumbers = (bytes) => {
  // oxlint-disable-next-line unicorn/no-new-array -- `Array.from` takes several times as long
  const numbers = new Array(bytes.length)
  for (let i = 0; i < bytes.length; i++) numbers[i] = bytes[i]
  return numbers
}

const wrapNumber0 = (connection) => {
  connection.setMaxConcurrentUniStreams(BigInt(maxStreams))
  return {
    openUni: async () => {
      const stream = await connection.openUni()
      return { write: (bytes) => stream.writeAll(toNumbers(bytes)), finish: () => stream.finish() }
    },
    acceptUni: async () => {
      const stream = await connection.acceptUni()
      return {
        drain: async (each) => {
          for (;;) {
            const bytes = await stream.read(chunkBytes)
            if (bytes.length === 0) return
            each(bytes, bytes.length)
          }
        }
      }
    },
    close: () => connection.close(0n, []),
    closed: () => connection.closed()
  }
}

const overNumber0 = async () => {
  const { createRequire } = await import("node:module")
  const n = createRequire(new URL("../../endpoint-iroh/package.json", import.meta.url))("@number0/iroh")
  const builder = n.Endpoint.builder()
  n.presetMinimal(builder)
  builder.relayMode(n.RelayMode.disabled())
  builder.alpns([[...Buffer.from(alpn)]])
  builder.bindAddr("127.0.0.1:0")
  const endpoint = await builder.bind()
  return {
    id: endpoint.id().toString(),
    addr: endpoint.boundSockets()[0],
    accept: async () => wrapNumber0(await (await (await endpoint.acceptNext()).accept()).connect()),
    connect: async (id, addr) =>
      wrapNumber0(
        await endpoint.connect(new n.EndpointAddr(n.EndpointId.fromString(id), null, [addr]), [...Buffer.from(alpn)])
      ),
    close: () => endpoint.close()
  }
}

// ---- the three loads

const serve = async (endpoint, mode, amount) => {
  tell({ id: endpoint.id, addr: endpoint.addr })
  const connection = await endpoint.accept()
  const streams = mode === "bulk" ? 1 : amount
  let next = await connection.acceptUni()
  const report = meter("receive")
  const receiving = []
  let frames = 0
  let bytes = 0
  const receive = async (stream) => {
    if (mode === "bulk") return stream.drain((_, length) => (bytes += length))
    const count = counter()
    await stream.drain(count.push)
    frames += count.counts().frames
    bytes += count.counts().bytes
  }
  for (let stream = 1; stream <= streams; stream++) {
    receiving.push(receive(next))
    if (stream < streams) next = await connection.acceptUni()
  }
  await Promise.all(receiving)
  report(frames, bytes)
  connection.close()
}

const send = async (endpoint, mode, amount, id, addr) => {
  const connection = await endpoint.connect(id, addr)
  const report = meter("send")
  const source = new Uint8Array(4 + chunkBytes).fill(7)
  const head = new DataView(source.buffer)
  let frames = 0
  let bytes = 0
  if (mode === "bulk") {
    const stream = await connection.openUni()
    const chunk = source.subarray(0, chunkBytes)
    for (; bytes < amount * 2 ** 20; bytes += chunkBytes) {
      const written = stream.write(chunk)
      if (typeof written !== "number") await written
    }
    await stream.finish()
  } else {
    const perStream = mode === "groups" ? 30 : 1
    for (let i = 0; i < amount; i++) {
      const stream = await connection.openUni()
      for (let frame = 0; frame < perStream; frame++) {
        const length = frameBytes(frames++)
        bytes += length
        head.setUint32(0, length)
        const written = stream.write(source.subarray(0, 4 + length))
        if (typeof written !== "number") await written
      }
      const finished = stream.finish()
      if (finished !== undefined) await finished
    }
  }
  await connection.closed()
  report(frames, bytes)
}

const [implementation, role, mode, amount, id, addr] = process.argv.slice(2)
const endpoint = await (implementation === "native" ? overNative() : overNumber0())
await (role === "server" ? serve(endpoint, mode, Number(amount)) : send(endpoint, mode, Number(amount), id, addr))
await endpoint.close()
process.exit(0)
