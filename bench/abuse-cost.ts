/**
 * What abuse costs the one who is abused, without a network and without the abuser's own work: milliseconds of a core for each thing
 * that is asked, and the longest time in which nobody else got a turn. A burst of as much as a peer may ask at once
 * (`Limits.requestBurst`, of streams `Limits.streamBurst`) is thrown at a session in one go. `npm run bench -- abuse-cost`
 */
import type { BiStream } from "@effect-live/endpoint/Stream"
import type { Connection } from "@effect-live/endpoint/Connection"
import * as ErrorCode from "@effect-live/moq/ErrorCode"
import * as Limits from "@effect-live/moq/Limits"
import * as Message from "@effect-live/moq/Message"
import * as Session from "@effect-live/moq/Session"
import { lite05 } from "@effect-live/moq/Version"
import { Effect, type Scope } from "effect"
import { type Allowance, make as makeAllowance } from "../packages/moq/src/internal/Requests.ts"
import { camera, cpuMs, memory } from "./moq.ts"
import type { Row } from "./Row.ts"

const rounds = 15

interface Abuse {
  readonly name: string
  readonly times: number
  /** Makes ready what is thrown; the answer throws it. */
  readonly prepare: (peer: Connection) => Effect.Effect<Effect.Effect<void, unknown>, unknown, Scope.Scope>
}

const wishes = { priority: 0, ordered: false, maxLatencyMs: 0, start: undefined, end: undefined }
const subscribe = (id: number): Uint8Array =>
  Message.encodeTyped(Message.StreamType.subscribe, lite05.subscribe, {
    id,
    broadcast: "camera",
    track: "video",
    ...wishes
  })
const open = (peer: Connection, bytes: Uint8Array): Effect.Effect<BiStream, unknown> =>
  Effect.tap(peer.openBi, ({ send }) => send.write(bytes))

/** So many messages on one stream. */
const messages =
  (stream: (peer: Connection) => Effect.Effect<BiStream, unknown>, message: (n: number) => Uint8Array) =>
  (peer: Connection): Effect.Effect<Effect.Effect<void, unknown>, unknown> =>
    Effect.map(stream(peer), ({ send }) => {
      const all = Buffer.concat(Array.from({ length: Limits.requestBurst }, (_, n) => message(n)))
      return send.write(all)
    })

const announcement = (active: boolean, suffix: string): Uint8Array =>
  Message.encode(lite05.announceBroadcast, { active, suffix, hops: active ? [7] : [] })
/** The stream on which the victim wants to hear of what there is. */
const announcing = (peer: Connection): Effect.Effect<BiStream, unknown> =>
  Effect.tap(peer.acceptBi, ({ send }) => send.write(Message.encode(Message.announceOk, { hop: 7, active: 0 })))

const abuses: ReadonlyArray<Abuse> = [
  {
    name: "a broadcast announced and ended in turn",
    times: Limits.requestBurst,
    prepare: messages(announcing, (n) => announcement(n % 2 === 0, "flicker"))
  },
  {
    name: "broadcasts announced",
    times: Limits.requestBurst,
    prepare: messages(announcing, (n) => announcement(true, `room/${n}`))
  },
  {
    name: "wishes changed",
    times: Limits.requestBurst,
    prepare: messages(
      (peer) => open(peer, subscribe(0)),
      (n) => Message.encode(lite05.subscribeUpdate, { ...wishes, priority: n % 256 })
    )
  },
  {
    name: "empty messages",
    times: Limits.requestBurst,
    prepare: messages(
      (peer) =>
        open(
          peer,
          Message.encodeTyped(Message.StreamType.announce, lite05.announceRequest, { prefix: "", excludeHop: 0 })
        ),
      () => Uint8Array.of(0)
    )
  },
  {
    name: "subscribed and taken back",
    times: Limits.streamBurst,
    prepare: (peer) =>
      Effect.succeed(
        Effect.forEach(
          Array.from({ length: Limits.streamBurst }, (_, id) => id),
          (id) =>
            Effect.map(open(peer, subscribe(id)), ({ recv, send }) => {
              send.reset(ErrorCode.toStream(ErrorCode.cancel))
              recv.stop(ErrorCode.toStream(ErrorCode.cancel))
            }),
          { discard: true }
        )
      )
  },
  {
    name: "streams of no known type",
    times: Limits.streamBurst,
    prepare: (peer) =>
      Effect.succeed(
        Effect.forEach(Array.from({ length: Limits.streamBurst }), () => open(peer, Uint8Array.of(0x3f)), {
          discard: true
        })
      )
  }
]

/** How much of it is done in one turn of the loop at most. */
const mostInATurn = ({ work }: Allowance): Effect.Effect<number> =>
  Effect.promise(
    () =>
      new Promise((resolve) => {
        const untilMs = performance.now() + overMs
        let [most, before] = [0, work.tokens]
        const turn = (): void => {
          most = Math.max(most, before - work.tokens)
          before = work.tokens
          if (performance.now() < untilMs) setImmediate(turn)
          else resolve(Math.round(most))
        }
        setImmediate(turn)
      })
  )

/** Milliseconds of a core until it is over. */
const cpu = (attack: Effect.Effect<unknown, never, Scope.Scope>): Effect.Effect<number, never, Scope.Scope> =>
  Effect.suspend(() => {
    const fromMs = cpuMs()
    return Effect.map(Effect.andThen(attack, Effect.sleep(overMs)), () => cpuMs() - fromMs)
  })

/** Long enough for each of them. */
const overMs = 60

/** What is measured of one attack. */
const under = <A>(
  { prepare }: Abuse,
  measure: (
    attack: Effect.Effect<unknown, never, Scope.Scope>,
    requests: Allowance
  ) => Effect.Effect<A, never, Scope.Scope>
): Effect.Effect<A, unknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const [origin] = camera()
      const [victim, peer] = yield* memory
      const requests = makeAllowance(Date.now())
      yield* Session.make({ connection: victim, version: lite05, publish: origin, hop: 1, requests })
      const hello = yield* peer.openUni
      yield* hello.write(Message.encodeTyped(Message.StreamType.setup, Message.setup, { probe: 0 }))
      hello.finish()
      const attack = yield* prepare(peer)
      yield* Effect.sleep(5)
      return yield* measure(Effect.forkScoped(Effect.ignore(attack)), requests)
    })
  )

const times = <A>(effect: Effect.Effect<A, unknown>): Effect.Effect<ReadonlyArray<A>, unknown> =>
  Effect.all(Array.from({ length: rounds }, () => effect))

const measured = (abuse: Abuse): Effect.Effect<ReadonlyArray<Row>, unknown> =>
  Effect.gen(function* () {
    // the clock of a thread's work has the grain of the scheduler: only the mean of many tells something
    const each = (yield* times(under(abuse, cpu))).reduce((sum, ms) => sum + ms, 0) / rounds / abuse.times
    const most = Math.max(
      ...(yield* times(under(abuse, (attack, requests) => Effect.andThen(attack, mostInATurn(requests)))))
    )
    const row = (what: string, value: number, unit: string, reach: string): Row => ({
      what: `abuse: ${abuse.name}${what}`,
      value,
      unit,
      reach
    })
    return [
      row(", each", 1_000 * each, "us of a core", "printed"),
      row(`, ${abuse.times} at once, most of them in one turn of the loop`, most, "", "printed"),
      row(", the longest turn", most * each, "ms of a core", "below 2")
    ]
  })

export const run = async (): Promise<ReadonlyArray<Row>> =>
  (await Effect.runPromise(Effect.forEach(abuses, measured))).flat()
