/**
 * Somebody who does to a publisher what nobody should, over real iroh, with streams written by hand:
 * `node abuser.ts TICKET TRACK [ABUSE…]` does them all at once, and with `forever` among them again and again. Says how each ended,
 * one JSON object a line.
 */
import { randomBytes } from "node:crypto"
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import type { Connection } from "@effect-live/endpoint/Connection"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import { type BiStream, type ConnectionLost, End, type StreamError } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import * as ErrorCode from "@effect-live/moq/ErrorCode"
import * as Message from "@effect-live/moq/Message"
import { lite03, lite05, type Version } from "@effect-live/moq/Version"
import { Effect, Layer, Result, type Scope } from "effect"

/** What was done, and what came of it. */
export interface Report {
  readonly abuse: string
  readonly alpn: string
  /** How the victim ended the connection; absent when the abuser left by itself. */
  readonly close?: { readonly code: number; readonly reason: string }
  /** Streams by how the victim ended them. */
  readonly ends: Readonly<Record<string, number>>
  readonly streams: number
}

interface Abuse {
  readonly name: string
  readonly version: Version
  readonly run: (abuser: Abuser) => Effect.Effect<void, ConnectionLost | StreamError, Scope.Scope>
}

interface Abuser {
  readonly connection: Connection
  readonly version: Version
  readonly subscribe: (id: number) => Uint8Array
  /** A new stream that begins with these bytes. */
  readonly open: (bytes: Uint8Array) => Effect.Effect<BiStream, ConnectionLost>
  readonly ends: Map<string, number>
}

/** How the victim ended its half, added to the others; so is ours then. */
const count = ({ ends }: Abuser, { recv, send }: BiStream): Effect.Effect<void> =>
  recv.read.pipe(
    Effect.repeat({ until: (chunk) => chunk === End }),
    Effect.match({
      onSuccess: () => "FIN",
      onFailure: ({ reason }) =>
        reason._tag === "PeerReset" ? `RESET ${ErrorCode.fromStream(reason.code)}` : reason._tag
    }),
    Effect.map((how) => {
      ends.set(how, (ends.get(how) ?? 0) + 1)
      send.reset(ErrorCode.toStream(ErrorCode.cancel))
    })
  )

const cancel = ({ recv, send }: BiStream): void => {
  send.reset(ErrorCode.toStream(ErrorCode.cancel))
  recv.stop(ErrorCode.toStream(ErrorCode.cancel))
}

const rapid: Abuse["run"] = (abuser) => {
  let id = 0
  return Effect.forever(
    Effect.map(
      Effect.suspend(() => abuser.open(abuser.subscribe(id++))),
      cancel
    )
  )
}

const abuses: ReadonlyArray<Abuse> = [
  {
    name: "greedy",
    version: lite05,
    // as many subscriptions as the victim takes, and nothing of what comes is read
    run: (abuser) => {
      let id = 0
      const next = Effect.suspend(() => abuser.open(abuser.subscribe(id++)))
      const endless = Effect.forever(Effect.flatMap(next, (stream) => Effect.forkScoped(count(abuser, stream))))
      return Effect.asVoid(Effect.timeoutOption(endless, 5_000))
    }
  },
  {
    name: "half-open",
    version: lite05,
    run: (abuser) =>
      Effect.gen(function* () {
        const streams = yield* Effect.forEach(Array.from({ length: 200 }), () => abuser.open(Uint8Array.of(2)))
        yield* Effect.forEach(streams, (stream) => count(abuser, stream), { concurrency: "unbounded" })
      })
  },
  {
    name: "rubbish",
    version: lite03,
    run: (abuser) =>
      Effect.forEach(
        Array.from({ length: 500 }, (_, n) => Uint8Array.of(2, ...randomBytes(1 + (n % 60)))),
        (bytes) =>
          Effect.flatMap(abuser.open(bytes), (stream) => {
            stream.send.finish()
            return count(abuser, stream)
          }),
        { concurrency: 32, discard: true }
      )
  },
  {
    name: "announcements",
    version: lite03,
    run: ({ connection, version }) =>
      Effect.gen(function* () {
        const { send } = yield* connection.acceptBi // the victim asks what we have
        const message = (active: boolean) =>
          Message.encode(version.announceBroadcast, { active, suffix: "flicker", hops: active ? [0] : [] })
        const both = [message(true), message(false)]
        return yield* Effect.forever(send.write(Array.from({ length: 100 }, () => both).flat()))
      })
  },
  { name: "rapid reset", version: lite03, run: rapid },
  { name: "rapid reset", version: lite05, run: rapid }
]

const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
/** Everybody has a key of their own: what one peer asks for is counted together. */
const somebody = () =>
  Iroh.layer({ bindAddrs, relayMode: "disabled" }).pipe(Layer.provide(Layer.fresh(AddressBook.layer)))

const commit = ({ name, run, version }: Abuse) =>
  Effect.scoped(
    Effect.gen(function* () {
      const endpoint = yield* Endpoint
      const connection = yield* endpoint.connect(LiveTicket.dialAddr(ticket), [version.alpn])
      let streams = 0
      const abuser: Abuser = {
        connection,
        version,
        subscribe: (id) =>
          Message.encodeTyped(Message.StreamType.subscribe, version.subscribe, {
            id,
            broadcast: ticket.name,
            track,
            priority: 255,
            ordered: false,
            maxLatencyMs: 0,
            start: undefined,
            end: undefined
          }),
        open: (bytes) =>
          Effect.tap(connection.openBi, ({ send }) => {
            streams++
            return Effect.ignore(send.write(bytes))
          }),
        ends: new Map()
      }
      if (version.setup) {
        const hello = yield* connection.openUni
        yield* hello.write(Message.encodeTyped(Message.StreamType.setup, Message.setup, { probe: 0 }))
        hello.finish()
      }
      process.stderr.write(`${name} begins\n`)
      const closed = yield* Effect.raceFirst(
        connection.closed,
        Effect.andThen(Effect.ignore(run(abuser)), Effect.as(Effect.sleep(200), undefined))
      )
      const report: Report = {
        abuse: name,
        alpn: version.alpn,
        ...(closed?._tag === "Remote" ? { close: { code: closed.code, reason: closed.reason } } : {}),
        ends: Object.fromEntries(abuser.ends),
        streams
      }
      process.stdout.write(`${JSON.stringify(report)}\n`)
    })
  )

const [text = "", track = "", ...wanted] = process.argv.slice(2)
const ticket = Result.getOrThrow(LiveTicket.parse(text))
const forever = wanted.includes("forever")
const chosen = wanted.length === 0 ? abuses : abuses.filter(({ name }) => wanted.includes(name))
const done = (abuse: Abuse) => Effect.provide(forever ? Effect.forever(commit(abuse)) : commit(abuse), somebody())
await Effect.runPromise(Effect.forEach(chosen, done, { concurrency: "unbounded", discard: true }))
