/**
 * A session: two peers that publish to and subscribe from each other (moq-lite section 4), over one connection, or over several
 * that take each other's place. `SessionCore` decides, and `internal/SessionDriver` does what it orders. Frames flow past the core:
 * from a stream straight into their Group, and from a Group straight into the streams of all who want it.
 */
import * as Actor from "@effect-live/actor/Actor"
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection, Remote } from "@effect-live/endpoint/Connection"
import type { StreamError } from "@effect-live/endpoint/Stream"
import { Clock, Effect, type Scope, type Stream } from "effect"
import type * as Broadcast from "./Broadcast.ts"
import type { Budget } from "./Budget.ts"
import * as closes from "./internal/closes.ts"
import type { Counters } from "./internal/Link.ts"
import type * as Requests from "./internal/Requests.ts"
import { SessionDriver } from "./internal/SessionDriver.ts"
import type { Probe, Setup } from "./Message.ts"
import type * as Origin from "./Origin.ts"
import * as SessionCore from "./SessionCore.ts"
import type { Version } from "./Version.ts"

export interface Session {
  readonly remote: Remote
  /** The ALPN that was agreed for the present connection, such as `moq-lite-05`. */
  readonly version: string
  /** The present connection, or the last one while there is none. */
  readonly connection: () => Connection
  /** What the peer announces under a prefix: first what is there, then changes. Ends with the session. */
  readonly announced: (prefix: string) => Stream.Stream<Origin.Announcement>
  /** The table behind `announced`: its entries are the broadcasts that were announced. */
  readonly origin: Origin.Origin
  /** The paths that the peer has announced and not ended, now. */
  readonly announcedNow: () => ReadonlyArray<string>
  /**
   * A broadcast of the peer, whether it is announced yet or not. All consumers of one track share one subscription on the wire.
   * Its `closed` is the end of the announced broadcast, or of the session. Without a connection, new subscriptions wait for one.
   */
  readonly consume: (path: string) => Broadcast.BroadcastConsumer
  /** The end of the session, once everything that had arrived was read. Hold its Scope until then. */
  readonly closed: Effect.Effect<Close>
  /** How the session ended, if it has. Set before its announcements and tracks end. */
  readonly ended: Close | undefined
  /** Waits until the peer has everything that it asked for: ended tracks, and announcements whose table was closed. */
  readonly drained: Effect.Effect<void>
  /** Ends the session at once: what is in flight is lost. */
  readonly close: (code: number, reason: string) => void
  /** Waits until the session has lost its connection and could go on with another one, and says how it was lost. */
  readonly detached: Effect.Effect<Close>
  /**
   * Goes on with another connection. What was announced and subscribed over the one before goes on where the peer still has it. A
   * connection that the session still has is left, not closed; of several calls the last one counts. `ended`: the session is over,
   * the connection was not touched.
   */
  readonly attach: (connection: Connection, version: Version) => Effect.Effect<"attached" | "ended">
  /** Waits until the peer says that it will close the session, and where it can be had afterwards; empty: dial it again. */
  readonly goaway: Effect.Effect<string>
  /** Tells the peer that we will close the session, and waits until it has heard. Nothing before lite-04. */
  readonly sendGoaway: (uri: string) => Effect.Effect<void, StreamError>
  /**
   * What the peer measures of the way to us, for as long as the stream is read (section 4.5); from then on the peer reports changes.
   * Ends with the session. Peers that measure nothing give nothing.
   */
  readonly estimates: Stream.Stream<Probe>
  /** What the peer said of itself on the present connection; undefined before it did, and before lite-05. */
  readonly peerSetup: () => Setup | undefined
  /** What was lost on the way to subscribers, since the session began. */
  readonly counters: () => Readonly<Counters>
}

export interface Options {
  readonly connection: Connection
  readonly version: Version
  /** What the peer may see and subscribe to. */
  readonly publish: Origin.Origin
  /** Names this process in the ways of announcements: a random integer, 1 to 2^53 - 1, the same for all its sessions. */
  readonly hop: number
  /** Bytes that the peer may make us hold. */
  readonly budget?: Budget
  /** What the peer may ask for, with all its sessions. */
  readonly requests?: Requests.Allowance
  /** Survives the loss of its connection, and waits for `attach`. Without it the session ends with its connection. */
  readonly resumable?: boolean
}

/**
 * Runs a session until the Scope closes or the session ends. Connections belong to their own Scopes, which close them: the session
 * leaves them open.
 */
export const make = (options: Options): Effect.Effect<Session, never, Scope.Scope> =>
  Effect.gen(function* () {
    const driver = new SessionDriver(options, yield* Clock.Clock, yield* Effect.scope)
    yield* Effect.addFinalizer(() => Effect.sync(() => driver.end(closes.here)))
    const actor = yield* Actor.make({
      name: "moq-session",
      core: SessionCore.core,
      perform: (output, self) => driver.perform(output, self)
    })
    // Whoever holds the Scope may hear of the end of the connection before the actor does: the core still decides what is complete.
    yield* Effect.addFinalizer(() =>
      Effect.andThen(Effect.ignore(actor.tell({ _tag: "Closed", close: closes.here })), Effect.exit(actor.join))
    )
    const session = driver.session(actor)
    yield* session.attach(options.connection, options.version)
    return session
  })
