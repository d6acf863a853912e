/**
 * Many endpoints in one process, connected by simulated links, in the world of `@effect-live/sim`: virtual time, and all chance
 * from one seed. A program that is written against `Endpoint` runs here as it runs on a real node; links get slow, lose packets,
 * split and heal, nodes crash and come back, and the same seed always gives the same trace.
 *
 * What is simulated is what applications notice of QUIC: credit, order per stream, ends, resets, datagrams, closing, silence.
 * Loss of stream data costs a retransmission. The sender knows the rate of its link, as with an ideal congestion control: streams
 * wait at the sender by priority and never overflow the queue of the link; datagrams do.
 */
import * as Simulation from "@effect-live/sim/Simulation"
import { Context, Effect, Exit, Fiber, Layer, Random, Result, type Scope, Stream } from "effect"
import * as AddressBook from "../AddressBook.ts"
import type { Connection } from "../Connection.ts"
import {
  ConnectError,
  ConnectTimeout,
  Endpoint,
  EndpointClosed,
  NoAddress,
  Refused,
  SelfDial,
  WrongAlpn,
  WrongId
} from "../Endpoint.ts"
import * as EndpointAddr from "../EndpointAddr.ts"
import type { EndpointId } from "../EndpointId.ts"
import { End, type Host as Life } from "../internal/simConnection.ts"
import { Direction, type Link, retransmitMs } from "../internal/simLink.ts"
import * as Limits from "../Limits.ts"
import * as SecretKey from "../SecretKey.ts"
import { Outcome, WaitQueue } from "../StreamKit.ts"
import * as TransportAddr from "../TransportAddr.ts"

export type { Link } from "../internal/simLink.ts"

/** A wire between two machines in one room: 1 ms, perfect, without a rate. */
export const lan: Link = {
  latencyMs: 1,
  jitterMs: 0,
  loss: 0,
  duplicates: 0,
  bytesPerSecond: Infinity,
  queueBytes: 262_144
}

export interface Options {
  /** How links behave that nobody changed yet; what is not named is as in `lan`. */
  readonly link?: Partial<Link> | ((from: string, to: string) => Partial<Link>)
}

export class SimNetwork extends Context.Service<
  SimNetwork,
  {
    /** Key and address of a node are made from the seed and its name; they stay the same when it comes back. */
    readonly secretKey: (name: string) => SecretKey.SecretKey
    readonly addr: (name: string) => EndpointAddr.EndpointAddr
    /** Starts a node; it lives as long as the Scope. Binding a name that is up is a defect. */
    readonly bind: (
      name: string,
      addressBook?: AddressBook.AddressBook["Service"]
    ) => Effect.Effect<Endpoint["Service"], never, Scope.Scope>
    /**
     * Runs a program on a node of its own, with that node's Endpoint, AddressBook, Scope and random numbers; layers that it
     * provides are built anew. When the program ends, so does the node. Spawning the name again afterwards is its restart.
     */
    readonly spawn: <A, E, R>(
      name: string,
      program: Effect.Effect<A, E, R>
    ) => Effect.Effect<
      Fiber.Fiber<A, E>,
      never,
      Exclude<Exclude<R, Endpoint | AddressBook.AddressBook>, Scope.Scope> | Scope.Scope
    >
    /** The machine loses power: the network is cut first, so nothing that finalizers say arrives. Waits for them. */
    readonly crash: (name: string) => Effect.Effect<void>
    /** Nothing passes between nodes of different groups. Nodes that are in no group still reach everybody. */
    readonly partition: (groups: ReadonlyArray<ReadonlyArray<string>>) => void
    /** Nothing passes in this one direction. */
    readonly cut: (from: string, to: string) => void
    /** Undoes `cut` and `partition` for this one direction. */
    readonly mend: (from: string, to: string) => void
    /** Undoes every partition and cut. */
    readonly heal: () => void
    /** Changes one direction of a link, from the next packet on. */
    readonly setLink: (from: string, to: string, change: Partial<Link>) => void
  }
>()("@effect-live/endpoint/testing/SimNetwork") {}

/** A network without nodes, in the world of a running simulation. */
export const layer = (options?: Options): Layer.Layer<SimNetwork, never, Simulation.Simulation> =>
  Layer.effect(
    SimNetwork,
    Effect.map(Simulation.Simulation, (sim) => make(sim, options))
  )

/**
 * A node as a Layer, for programs that are written against `Endpoint`; it is up while the Layer lives. Each call is a node of
 * its own: make one constant where a node is used twice.
 */
export const node = (name: string): Layer.Layer<Endpoint | AddressBook.AddressBook, never, SimNetwork> =>
  Layer.effect(
    Endpoint,
    Effect.gen(function* () {
      const network = yield* SimNetwork
      return yield* network.bind(name, yield* AddressBook.AddressBook)
    })
  ).pipe(Layer.provideMerge(Layer.fresh(AddressBook.layer)))

/** Runs a program in a new world with a network: `Simulation.run` with this Layer and a Scope. */
export const run = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  options: Simulation.Options & Options
): Effect.Effect<
  A,
  E | Simulation.Stuck,
  Exclude<Exclude<Exclude<R, SimNetwork>, Scope.Scope> | Simulation.Simulation, Simulation.Simulation>
> => Simulation.run(Effect.scoped(Effect.provide(program, layer(options))), options)

type Reason = ConnectError["reason"]

interface Attempt {
  readonly result: Outcome<End, Reason>
}

/** One life of a node. */
class Host implements Life {
  readonly node: Node
  readonly ends = new Set<End>()
  readonly attempts = new Set<Attempt>()
  readonly accepts = new WaitQueue<End, EndpointClosed>("Endpoint.accept")
  readonly closed = new Outcome<void>()
  alpns: ReadonlySet<string> = new Set()
  handshakes = 0

  constructor(node: Node) {
    this.node = node
  }

  get id(): EndpointId {
    return this.node.id
  }
  get up(): boolean {
    return this.closed.exit === undefined
  }

  /** In order: the goodbyes go out, then nothing does. */
  close(): void {
    for (const end of this.ends) end.close(0, "")
    this.cut()
    this.forget()
  }

  /** From here on nothing leaves and nothing arrives. */
  cut(): void {
    this.closed.done(Exit.void)
  }

  /** Ends what is left without a word to the peers. */
  forget(): void {
    for (const end of this.ends) {
      end.end({ _tag: "TransportFailed", message: "the endpoint is gone" })
    }
    for (const { result } of this.attempts) result.done(Exit.fail(new EndpointClosed()))
    this.accepts.fail(new EndpointClosed(), { drop: true })
  }
}

/** A name with its key and address, through all its lives. */
class Node {
  readonly name: string
  readonly secretKey: SecretKey.SecretKey
  readonly id: EndpointId
  readonly addr: EndpointAddr.EndpointAddr
  host: Host | undefined
  lives = 0
  readonly fibers = new Set<Fiber.Fiber<unknown, unknown>>()

  constructor(name: string, seed: Uint8Array, way: TransportAddr.TransportAddr) {
    this.name = name
    this.secretKey = Result.getOrThrow(SecretKey.fromBytes(seed))
    this.id = SecretKey.endpointId(this.secretKey)
    this.addr = EndpointAddr.make(this.id, [way])
  }
}

const make = (sim: Simulation.Simulation["Service"], options: Options | undefined): SimNetwork["Service"] => {
  const nodes = new Map<string, Node>()
  const byWay = new Map<string, Node>()
  const directions = new Map<string, Direction>()
  const cuts = new Set<string>()
  const dials = new Map<string, number>()

  const nodeOf = (name: string): Node => {
    const known = nodes.get(name)
    if (known !== undefined) return known
    const rng = sim.rng(`key ${name}`)
    const seed = Uint8Array.from({ length: 32 }, () => rng.below(256))
    let way: TransportAddr.TransportAddr
    do {
      way = TransportAddr.fromIpBytes(Uint8Array.of(10, rng.below(256), rng.below(256), 1 + rng.below(254)), 4433)
    } while (byWay.has(TransportAddr.format(way)))
    const node = new Node(name, seed, way)
    nodes.set(name, node)
    byWay.set(TransportAddr.format(way), node)
    return node
  }

  const direction = (from: string, to: string): Direction => {
    const name = `${from}>${to}`
    const known = directions.get(name)
    if (known !== undefined) return known
    const link = typeof options?.link === "function" ? options.link(from, to) : options?.link
    const made = new Direction(sim, name, { ...lan, ...link })
    made.blocked = cuts.has(name)
    directions.set(name, made)
    return made
  }

  /** After every change of who hears whom. */
  const review = (): void => {
    for (const { host } of nodes.values()) if (host !== undefined) for (const end of host.ends) end.watchSilence()
  }

  const setCut = (from: string, to: string, cut: boolean): void => {
    const name = `${from}>${to}`
    if (cut) cuts.add(name)
    else cuts.delete(name)
    const known = directions.get(name)
    if (known !== undefined) known.blocked = cut
  }

  // A handshake: Initial there, Accepted (or Rejected) back, and with the dialer's next packet the acceptor knows.

  const dial = (host: Host, target: Node, peer: EndpointId, alpns: ReadonlyArray<string>, attempt: Attempt): void => {
    const out = direction(host.node.name, target.name)
    const back = direction(target.name, host.node.name)
    const number = (dials.get(out.name) ?? 0) + 1
    dials.set(out.name, number)
    const label = `#${number}`

    /** Until it arrives, or until nobody waits for it any more. */
    const persist = (way: Direction, opposite: Direction, text: string, sender: Host, arrive: () => boolean): void => {
      const send = (tries: number): void =>
        way.carry({
          label: `${label}${text}`,
          bytes: 1160,
          datagram: false,
          arrive,
          lost: () => {
            sim.at(sim.nowMs() + retransmitMs(way.link, opposite.link, tries), () => {
              if (sender.up && attempt.result.exit === undefined) send(tries + 1)
            })
          }
        })
      send(0)
    }

    const reject = (server: Host, reason: Reason): void =>
      persist(back, out, reason._tag, server, () => {
        attempt.result.done(Exit.fail(reason))
        return true
      })

    persist(out, back, "Initial", host, () => {
      const server = target.host
      if (server === undefined || !server.up) return false
      const alpn = [...server.alpns].find((name) => alpns.includes(name))
      if (peer !== target.id) reject(server, new WrongId())
      else if (alpn === undefined) reject(server, new WrongAlpn({ offered: [...alpns] }))
      else if (server.handshakes + server.accepts.length >= Limits.simAcceptBacklog) reject(server, new Refused())
      else accept(server, alpn)
      return true
    })

    const accept = (server: Host, alpn: string): void => {
      const there = new End({ sim, host: server, remoteId: host.id, out: back, back: out, label, dialed: false }, alpn)
      server.handshakes++
      let waiting = true
      const settle = (): void => {
        if (!waiting) return
        waiting = false
        server.handshakes--
        giveUp()
      }
      const giveUp = sim.at(sim.nowMs() + Limits.simConnectTimeoutMs, () => {
        settle()
        if (there.confirmed !== undefined) there.end({ _tag: "IdleTimeout" })
      })
      there.confirmed = () => {
        settle()
        server.accepts.push(there)
      }
      there.ended = settle
      persist(back, out, "Accepted", server, () => {
        if (!host.up) return false
        const here = new End({ sim, host, remoteId: target.id, out, back, label, dialed: true }, alpn)
        here.peer = there
        there.peer = here
        if (attempt.result.exit === undefined) here.send({ _tag: "Confirm" })
        else here.close(0, "") // given up meanwhile: the acceptor never sees it
        attempt.result.done(Exit.succeed(here))
        there.watchSilence()
        here.watchSilence()
        return true
      })
    }
  }

  // Endpoints

  const endpointOf = (host: Host, book: AddressBook.AddressBook["Service"] | undefined): Endpoint["Service"] => {
    const { node } = host

    const start = (
      peer: EndpointId,
      ways: ReadonlyArray<TransportAddr.TransportAddr>,
      alpns: ReadonlyArray<string>
    ) => {
      const attempt: Attempt = { result: new Outcome() }
      host.attempts.add(attempt)
      const reached = ways.flatMap((way) => byWay.get(TransportAddr.format(way)) ?? [])
      const target = reached.find(({ id }) => id === peer) ?? reached[0]
      const cancel = sim.at(sim.nowMs() + Limits.simConnectTimeoutMs, () =>
        attempt.result.done(Exit.fail(new ConnectTimeout({ timeoutMs: Limits.simConnectTimeoutMs })))
      )
      if (target !== undefined) dial(host, target, peer, alpns, attempt)
      return {
        attempt,
        over: Effect.sync(() => {
          cancel()
          host.attempts.delete(attempt)
        })
      }
    }

    const connect = (
      to: EndpointAddr.EndpointAddr | EndpointId,
      alpns: readonly [string, ...Array<string>]
    ): Effect.Effect<Connection, ConnectError, Scope.Scope> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.suspend(() => {
          const peer = typeof to === "string" ? to : to.id
          const given = typeof to === "string" ? [] : to.addrs
          const ways = given.length > 0 ? given : (book?.lookup(peer)?.addrs ?? [])
          const refuse = (reason: Reason) => Effect.fail(new ConnectError({ peer, reason }))
          if (!host.up) return refuse(new EndpointClosed())
          if (peer === host.id) return refuse(new SelfDial())
          if (ways.length === 0) return refuse(new NoAddress())
          const { attempt, over } = start(peer, ways, alpns)
          return restore(attempt.result.await).pipe(
            Effect.onInterrupt(() =>
              Effect.sync(() => {
                const { exit } = attempt.result
                if (exit !== undefined && Exit.isSuccess(exit)) exit.value.close(0, "")
                else attempt.result.done(Exit.fail(new EndpointClosed()))
              })
            ),
            Effect.ensuring(over),
            Effect.catch(refuse),
            Effect.tap((end) => Effect.addFinalizer(() => Effect.sync(() => end.close(0, "")))),
            Effect.map((end) => end.connection)
          )
        })
      )

    const accept: Effect.Effect<Connection, EndpointClosed, Scope.Scope> = Effect.uninterruptibleMask((restore) =>
      Effect.suspend((): Effect.Effect<Connection, EndpointClosed, Scope.Scope> => {
        const next = host.accepts.poll()
        if (next === undefined) return Effect.andThen(restore(host.accepts.ready), accept)
        if (Exit.isFailure(next)) return Effect.failCause(next.cause)
        const end = next.value
        return Effect.as(
          Effect.addFinalizer(() => Effect.sync(() => end.close(0, ""))),
          end.connection
        )
      })
    )

    return Endpoint.of({
      id: host.id,
      backing: { name: "simulated", version: "1", severalAlpns: true },
      addr: () => node.addr,
      addrChanges: Stream.concat(Stream.make(node.addr), Stream.drain(Stream.fromEffect(host.closed.await))),
      setAlpns: (alpns) =>
        Effect.sync(() => {
          host.alpns = new Set(alpns)
        }),
      connect,
      accept,
      close: Effect.sync(() => {
        host.close()
        review()
      })
    })
  }

  const bind = (name: string, book?: AddressBook.AddressBook["Service"]) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        const node = nodeOf(name)
        if (node.host?.up === true) return Effect.die(new Error(`the simulated node ${name} is already up`))
        const host = new Host(node)
        node.host = host
        node.lives++
        sim.note(`${name} is up`)
        return Effect.succeed({ host, endpoint: endpointOf(host, book) })
      }),
      ({ endpoint, host }) =>
        Effect.suspend(() => {
          if (host.up) sim.note(`${name} is down`)
          return endpoint.close
        })
    ).pipe(Effect.map(({ endpoint }) => endpoint))

  const spawn = Effect.fnUntraced(function* <A, E, R>(name: string, program: Effect.Effect<A, E, R>) {
    const node = nodeOf(name)
    const random = Simulation.randomOf(sim.rng(`node ${name} ${node.lives}`))
    const here = Effect.gen(function* () {
      const book = yield* AddressBook.make
      const endpoint = yield* bind(name, book)
      const context = Context.make(Endpoint, endpoint).pipe(
        Context.add(AddressBook.AddressBook, book),
        Context.add(Random.Random, random)
      )
      return yield* Effect.provide(program, context)
    })
    const fiber = yield* Effect.forkScoped(Effect.scoped(withoutMemo(here)))
    node.fibers.add(fiber)
    fiber.addObserver((exit) => {
      node.fibers.delete(fiber)
      if (Exit.isFailure(exit)) sim.note(`the program on ${name} failed`)
    })
    return fiber
  })

  const crash = (name: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const { fibers, host } = nodeOf(name)
      sim.note(`${name} crashes`)
      host?.cut()
      const dying = [...fibers]
      for (const fiber of dying) fiber.interruptUnsafe()
      host?.forget()
      review()
      return Fiber.awaitAll(dying)
    })

  return SimNetwork.of({
    secretKey: (name) => nodeOf(name).secretKey,
    addr: (name) => nodeOf(name).addr,
    bind,
    spawn,
    crash,
    partition: (groups) => {
      for (const a of groups) {
        for (const b of groups) if (a !== b) for (const from of a) for (const to of b) setCut(from, to, true)
      }
      review()
    },
    cut: (from, to) => {
      setCut(from, to, true)
      review()
    },
    mend: (from, to) => {
      setCut(from, to, false)
      review()
    },
    heal: () => {
      cuts.clear()
      for (const known of directions.values()) known.blocked = false
      review()
    },
    setLink: (from, to, change) => {
      const known = direction(from, to)
      known.link = { ...known.link, ...change }
      review()
    }
  })
}

/** Each node builds its own layers: none that was built around it is reused. */
const withoutMemo = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.updateContext(
    effect,
    (context: Context.Context<R>) => Context.omit(Layer.CurrentMemoMap)(context) as Context.Context<R>
  )
