/**
 * Gives incoming connections to whoever speaks their protocol. It owns the accepting side of an Endpoint: one accept loop, one
 * Scope per connection, and a handler that fails takes only its own connection with it.
 */
import { Cause, Context, Effect, Exit, FiberSet, Layer, Schema, Scope, Semaphore } from "effect"
import type { Connection } from "./Connection.ts"
import { Endpoint } from "./Endpoint.ts"
import * as Limits from "./Limits.ts"

/** Another handler has this protocol already. */
export class AlpnTaken extends Schema.TaggedError<AlpnTaken>()("AlpnTaken", { alpn: Schema.String }) {
  override get message(): string {
    return `another handler accepts ${this.alpn} already`
  }
}

/** How the Router closes connections. Far above the codes that protocols use. */
export const failedCode = 0x1000_0001
/** `Limits.routerConnections` are being handled. */
export const busyCode = 0x1000_0002
/** Nobody handles this protocol (any more). */
export const noHandlerCode = 0x1000_0003

export class Router extends Context.Service<
  Router,
  {
    /**
     * Accepts these protocols while the Scope lives. The handler runs once per connection, in a Scope of its own; when it
     * returns, the connection closes with code 0, when it fails or dies, with `failedCode`, and that is logged with the peer
     * and the protocol. Closing the Scope stops accepting, then interrupts the handlers, then their connections are closed.
     */
    readonly handle: <E, R>(
      alpns: readonly [string, ...Array<string>],
      handler: (connection: Connection) => Effect.Effect<void, E, R>
    ) => Effect.Effect<void, AlpnTaken, Exclude<R, Scope.Scope> | Scope.Scope>
  }
>()("@effect-live/endpoint/Router") {}

interface Handlers {
  /** Runs until the connection is closed; fails never. */
  readonly serve: (connection: Connection) => Effect.Effect<void, never, Scope.Scope>
  readonly running: FiberSet.FiberSet
}

export const make: Effect.Effect<Router["Service"], never, Endpoint | Scope.Scope> = Effect.gen(function* () {
  const endpoint = yield* Endpoint
  const table = new Map<string, Handlers>()
  const oneAtATime = Semaphore.makeUnsafe(1)
  let handled = 0

  /** Serial, and from the table as it is then: the last one to set the protocols knows all changes. */
  const announce = oneAtATime.withPermit(Effect.suspend(() => endpoint.setAlpns([...table.keys()])))

  const handle = Effect.fnUntraced(function* <E, R>(
    alpns: readonly [string, ...Array<string>],
    handler: (connection: Connection) => Effect.Effect<void, E, R>
  ) {
    // without the Scope of whoever registers: a handler gets the one of its connection
    const context = Context.omit(Scope.Scope)(yield* Effect.context<Exclude<R, Scope.Scope>>())
    const running = yield* FiberSet.make()
    const serve = (connection: Connection) =>
      Effect.suspend(() => handler(connection)).pipe(
        Effect.provide(context),
        Effect.onExit((exit) => (Exit.isFailure(exit) ? failed(connection, exit.cause) : Effect.void)),
        Effect.exit,
        Effect.asVoid
      ) as Effect.Effect<void, never, Scope.Scope>
    yield* Effect.acquireRelease(
      Effect.suspend(() => {
        const taken = alpns.find((alpn) => table.has(alpn))
        if (taken !== undefined) return Effect.fail(new AlpnTaken({ alpn: taken }))
        for (const alpn of alpns) table.set(alpn, { serve, running })
        return announce
      }),
      () =>
        Effect.suspend(() => {
          for (const alpn of alpns) table.delete(alpn)
          return announce
        })
    )
  })

  /** Owned by the FiberSet of its handlers; detached, because the loop must not take connections along when it ends. */
  const start = (handlers: Handlers, connection: Connection, scope: Scope.Closeable) =>
    Effect.suspend(() => {
      handled++
      return handlers.serve(connection).pipe(
        Scope.provide(scope),
        Effect.interruptible,
        Effect.onExit((exit) =>
          Effect.suspend(() => {
            handled--
            return Scope.close(scope, exit)
          })
        ),
        Effect.forkDetach({ startImmediately: true, uninterruptible: true }),
        Effect.flatMap((fiber) => FiberSet.add(handlers.running, fiber))
      )
    })

  const acceptOne = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const connection = yield* restore(Scope.provide(endpoint.accept, scope)).pipe(
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
      const handlers = table.get(connection.alpn)
      if (handlers !== undefined && handled < Limits.routerConnections) return yield* start(handlers, connection, scope)
      if (handlers === undefined) connection.close(noHandlerCode, `nobody handles ${connection.alpn}`)
      else connection.close(busyCode, "too many connections")
      yield* Scope.close(scope, Exit.void)
    })
  )

  yield* Effect.addFinalizer(() =>
    Effect.forEach(new Set([...table.values()].map(({ running }) => running)), FiberSet.clear, { discard: true })
  )
  yield* acceptOne.pipe(
    Effect.forever,
    Effect.catchTag("EndpointClosed", () => Effect.void),
    Effect.tapDefect((defect) => Effect.logError("the router stopped accepting", defect)),
    Effect.interruptible,
    Effect.forkScoped({ startImmediately: true, uninterruptible: true })
  )
  return Router.of({ handle })
})

/** Accepts from the Endpoint and closes what it accepted with its Scope. Needs the accepting side for itself. */
export const layer: Layer.Layer<Router, never, Endpoint> = Layer.effect(Router, make)

const failed = (connection: Connection, cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.void
  const { alpn, remote } = connection
  connection.close(failedCode, "the handler failed")
  return Effect.logError("a connection's handler failed", cause).pipe(
    Effect.annotateLogs({ alpn, peer: remote._tag === "Peer" ? remote.id : `anonymous ${remote.path}` })
  )
}
