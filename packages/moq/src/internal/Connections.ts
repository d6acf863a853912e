/** The connections and sessions of a Moq service: what `Connecting` decides is done here. */
import type * as Actor from "@effect-live/actor/Actor"
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection, Remote } from "@effect-live/endpoint/Connection"
import { ConnectError, type Endpoint, TransportFailure } from "@effect-live/endpoint/Endpoint"
import type { EndpointAddr } from "@effect-live/endpoint/EndpointAddr"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { Cause, Clock, Effect, Exit, Scope, Stream } from "effect"
import * as Budget from "../Budget.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as Limits from "../Limits.ts"
import type * as MoqCore from "../MoqCore.ts"
import type { Origin } from "../Origin.ts"
import * as Session from "../Session.ts"
import * as Version from "../Version.ts"
import * as closes from "./closes.ts"
import { Joined } from "./Joined.ts"
import type * as Peers from "./Peers.ts"
import { Requests } from "./Requests.ts"
import { Signal } from "@effect-live/actor/Signal"
import * as TokenBucket from "./TokenBucket.ts"

type Event = MoqCore.Event
type Verdict = Peers.Verdict
type Self = Actor.Self<Event, never>

export interface Options {
  readonly endpoint: typeof Endpoint.Service
  /** Sessions and peers live in it, whoever brought their connections. */
  readonly scope: Scope.Scope
  /** Names the service in the ways of announcements. */
  readonly hop: number
  /** What every session shows to its peer. */
  readonly published: Origin
}

/** A connection that the core knows by number. */
interface Known {
  readonly connection: Connection
  readonly version: Version.Version
  readonly dialed: boolean
}

interface Living<A> {
  readonly it: A
  readonly scope: Scope.Closeable
}

export class Connections {
  readonly #options: Options
  readonly #budget = Budget.make()
  readonly #requests = new Requests()
  readonly #connections = new Map<number, Known>()
  readonly #sessions = new Map<number, Living<Session.Session>>()
  readonly #peers = new Map<number, Living<Joined>>()
  /** Sessions with a connection that the peer opened. */
  readonly #incoming = new Set<Session.Session>()
  readonly #incomingChanged = new Signal()
  #nextConnection = 0
  #shutDown = false

  constructor(options: Options) {
    this.#options = options
  }

  inspect(): {
    readonly peers: number
    readonly sessions: number
    readonly connections: number
    readonly heldBytes: number
  } {
    return {
      peers: this.#peers.size,
      sessions: this.#sessions.size,
      connections: this.#connections.size,
      heldBytes: this.#budget.used
    }
  }

  /** What the number of a peer stands for. */
  peer(number: number): Joined {
    return this.#peer(number).it
  }

  perform(output: Peers.Output, self: Self): Effect.Effect<unknown> | void {
    switch (output._tag) {
      case "Dial": {
        const { dial, to } = output
        self.spawn(`dial/${dial}`, this.#dial(self, dial, to), (exit) => ({
          _tag: "DialFailed", // after `Dialed` it means nothing
          dial,
          error: errorOf(exit, to)
        }))
        return
      }
      case "CancelDial":
        self.kill(`dial/${output.dial}`)
        return
      case "OpenSession":
        return this.#open(self, output.session, this.#connection(output.connection))
      case "Attach": {
        const { it: session, scope } = this.#session(output.session)
        const { connection, dialed, version } = this.#connection(output.connection)
        if (!dialed) this.#arrived(session)
        const attached = Effect.map(session.attach(connection, version), (how) => {
          // it was closed meanwhile, and so has nobody the connection
          if (how === "ended") connection.close(closes.unused.code, closes.unused.reason)
        })
        return Effect.forkIn(attached, scope, { startImmediately: true })
      }
      case "SayGoodbye": {
        const { it: session, scope } = this.#session(output.session)
        const drained: Event = { _tag: "Drained", session: output.session }
        const goodbye = Effect.andThen(Effect.ignore(session.sendGoaway("")), session.drained)
        return Effect.forkIn(Effect.andThen(goodbye, Effect.ignore(self.tell(drained))), scope)
      }
      case "CloseConnection":
        this.#connection(output.connection).connection.close(output.code, output.reason)
        return
      case "ForgetConnection":
        this.#connections.delete(output.connection)
        return
      case "CloseSession":
        this.#session(output.session).it.close(output.code, output.reason)
        return
      case "Join":
        return this.#join(output.peer, output.id, output.session)
      case "Leave":
        this.#peer(output.peer).it.leave(output.session)
        return
      case "Connectivity": {
        const { it: peer, scope } = this.#peer(output.peer)
        peer.tell(output.state)
        return output.state._tag === "Closed" ? Scope.close(scope, Exit.void) : undefined
      }
      case "Forget":
        this.#peers.delete(output.peer)
        return
    }
  }

  /** An incoming connection, until it ends. */
  welcome(
    actor: Actor.Actor<Event>,
    accepted: Connection,
    admit: ((incoming: { readonly remote: Remote; readonly alpn: string }) => Effect.Effect<Verdict>) | undefined
  ): Effect.Effect<void, never, Scope.Scope> {
    const welcomed = Effect.gen({ self: this }, function* () {
      const { alpn, remote } = accepted
      const version = Version.fromAlpn(alpn)
      if (version === undefined) return accepted.close(1, `unknown protocol ${alpn}`)
      const connection = version.setup ? closes.ofAttempt(accepted) : accepted
      const refused = yield* this.#pace(connection)
      if (refused !== undefined) return connection.close(refused.code, refused.reason)
      const admission = admit === undefined ? "accept" : yield* admit({ remote, alpn })
      if (admission !== "accept") return connection.close(admission.code, admission.reason)
      const number = this.#know({ connection, version, dialed: false })
      const id = remote._tag === "Peer" ? remote.id : undefined
      const { oneConnection } = version
      const asked = actor.ask<MoqCore.Verdict>((replyTo) => ({
        _tag: "Incoming",
        replyTo,
        connection: number,
        id,
        oneConnection
      }))
      yield* Effect.andThen(
        Effect.map(asked, (verdict) => {
          if (verdict !== "accept") connection.close(verdict.code, verdict.reason)
        }),
        connection.closed
      ).pipe(Effect.onExit((exit) => tellClosed(actor, number, exit)))
    })
    // the service ended meanwhile
    return welcomed.pipe(Effect.catch(() => Effect.sync(() => accepted.close(ErrorCode.cancel, "cancelled"))))
  }

  /** Lets somebody wait who comes too often, or asked for too much before: how to close the connection, if it is not to go on. */
  #pace({ closed, remote }: Connection): Effect.Effect<typeof closes.overloaded | undefined> {
    return Effect.flatMap(Clock.currentTimeMillis, (nowMs) => {
      const { work } = this.#requests.of(remote, nowMs)
      if (work.tokens <= -Limits.requestBurst) return Effect.succeed(closes.overloaded)
      const waitMs = TokenBucket.take(work, nowMs, Limits.requestsPerConnection)
      if (waitMs === 0) return Effect.succeed(undefined)
      return Effect.raceFirst(Effect.as(Effect.sleep(waitMs), undefined), Effect.as(closed, closes.overloaded))
    })
  }

  /** Dials, and holds the connection until it ends. */
  #dial(self: Self, dial: number, to: EndpointAddr | EndpointId): Effect.Effect<void, ConnectError> {
    const alpns = Version.dialAlpns(this.#options.endpoint.backing.severalAlpns)
    return Effect.scoped(
      Effect.gen({ self: this }, function* () {
        // an attempt that is given up must not look like the end of a session to a peer that took it up already
        const connection = yield* Effect.acquireRelease(
          this.#options.endpoint.connect(to, alpns),
          (connection) => Effect.sync(() => connection.close(closes.unused.code, closes.unused.reason)),
          { interruptible: true }
        )
        const version = Version.fromAlpn(connection.alpn)
        if (version === undefined) {
          return yield* transportFailure(to, `the peer chose ${connection.alpn}, which was not offered`)
        }
        const number = this.#know({ connection, version, dialed: true })
        const { oneConnection } = version
        yield* Effect.andThen(
          Effect.ignore(self.tell({ _tag: "Dialed", dial, connection: number, oneConnection })),
          connection.closed
        ).pipe(Effect.onExit((exit) => tellClosed(self, number, exit)))
      })
    )
  }

  /** Begins a session, which lives until it is over, whatever becomes of this connection. */
  #open(self: Self, number: number, { connection, dialed, version }: Known): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const scope = yield* Scope.fork(this.#options.scope)
      const session = yield* Session.make({
        connection,
        version,
        publish: this.#options.published,
        hop: this.#options.hop,
        budget: this.#budget.child(),
        requests: this.#requests.of(connection.remote, yield* Clock.currentTimeMillis),
        resumable: connection.remote._tag === "Peer"
      }).pipe(Scope.provide(scope))
      this.#sessions.set(number, { it: session, scope })
      if (!dialed) this.#arrived(session)
      const goingAway = Effect.andThen(session.goaway, Effect.ignore(self.tell({ _tag: "GoingAway", session: number })))
      yield* Effect.forkIn(goingAway, scope)
      const over = Effect.tap(session.closed, () => Scope.close(scope, Exit.void))
      self.spawn(`session/${number}`, over, (exit): Event => {
        this.#sessions.delete(number)
        this.#incoming.delete(session)
        return { _tag: "SessionEnded", session: number, close: Exit.isSuccess(exit) ? exit.value : closes.here }
      })
    }).pipe(Effect.uninterruptible)
  }

  #join(peer: number, id: EndpointId, number: number): Effect.Effect<unknown> {
    return Effect.gen({ self: this }, function* () {
      const { it: session } = this.#session(number)
      const known = this.#peers.get(peer)
      const { it: joined, scope } = known ?? {
        it: new Joined(id, session),
        scope: yield* Scope.fork(this.#options.scope)
      }
      this.#peers.set(peer, { it: joined, scope })
      // what is announced already is seen at once
      yield* Effect.forkIn(joined.follow(number, session), scope, { startImmediately: true })
    })
  }

  // ---- sessions that peers opened -------------------------------------------------------------------------------------

  /** Those there are, then those that come, until `noMore`. */
  get incoming(): Stream.Stream<Session.Session> {
    return Stream.suspend(() => {
      const seen = new WeakSet<Session.Session>()
      const unseen = (): ReadonlyArray<Session.Session> => [...this.#incoming].filter((session) => !seen.has(session))
      const arrived = this.#incomingChanged.wait(() => this.#shutDown || unseen().length > 0)
      return Stream.fromIterableEffectRepeat(
        Effect.flatMap(arrived, () => {
          const sessions = unseen()
          if (sessions.length === 0) return Cause.done()
          for (const session of sessions) seen.add(session)
          return Effect.succeed(sessions)
        })
      )
    })
  }

  noMore(): void {
    this.#shutDown = true
    this.#incomingChanged.notify()
  }

  #arrived(session: Session.Session): void {
    if (this.#incoming.has(session)) return
    this.#incoming.add(session)
    this.#incomingChanged.notify()
  }

  // ---- what the core has numbers for ----------------------------------------------------------------------------------

  #know(known: Known): number {
    const number = this.#nextConnection++
    this.#connections.set(number, known)
    return number
  }

  #connection(number: number): Known {
    return this.#connections.get(number) ?? forgotten("connection", number)
  }

  #session(number: number): Living<Session.Session> {
    return this.#sessions.get(number) ?? forgotten("session", number)
  }

  #peer(number: number): Living<Joined> {
    return this.#peers.get(number) ?? forgotten("peer", number)
  }
}

const forgotten = (what: string, number: number): never => {
  throw new Error(`moq: ${what} ${number} was forgotten while the core knew it`)
}

/** In its turn behind what was told of the connection before. */
const tellClosed = (
  actor: Actor.Actor<Event>,
  connection: number,
  exit: Exit.Exit<Close, unknown>
): Effect.Effect<void> =>
  Effect.ignore(
    actor.tell({ _tag: "ConnectionClosed", connection, close: Exit.isSuccess(exit) ? exit.value : closes.here })
  )

const errorOf = (exit: Exit.Exit<void, ConnectError>, to: EndpointAddr | EndpointId): ConnectError => {
  const failed = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isFailReason) : undefined
  return failed?.error ?? transportFailure(to, "internal error")
}

const transportFailure = (to: EndpointAddr | EndpointId, message: string): ConnectError =>
  new ConnectError({ peer: idOf(to), reason: new TransportFailure({ message }) })

const idOf = (peer: EndpointAddr | EndpointId): EndpointId => (typeof peer === "string" ? peer : peer.id)
