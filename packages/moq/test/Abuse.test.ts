/**
 * The abuse list: what a peer can do to a publisher that its honest subscribers must not notice. Everything is done to a running
 * Moq service by raw streams, in virtual time; `support/abuse.ts` has the scene.
 */
import { End } from "@effect-live/endpoint/Stream"
import { run } from "@effect-live/endpoint/testing/SimNetwork"
import { encode } from "@effect-live/wire/Writer"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import * as Broadcast from "../src/Broadcast.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Limits from "../src/Limits.ts"
import * as Message from "../src/Message.ts"
import * as Track from "../src/Track.ts"
import { lite03, lite04, lite05, type Version } from "../src/Version.ts"
import { type Abuser, type Attack, endOf, type Load, type Observation, observe, p95, stopOf } from "./support/abuse.ts"
import { fromHex } from "./support/raw.ts"
import { framesOf, sessionsOn, write } from "./support/world.ts"

const seed = 1
/** The run without an abuser, made once. */
let calm: Observation | undefined

/** Events that one peer may cause in the 24 seconds of the film: a few for every request of the burst and of the rate. */
const eventsOfOnePeer = 6 * (Limits.requestBurst + 24 * Limits.requestsPerSecond)

interface Expected {
  /** The code with which the victim closes the connection; none: it stays open. */
  readonly close?: number
  readonly reason?: string
  /** How much more of something there may be than without the abuser. */
  readonly atMost?: Partial<Load>
  readonly greet?: boolean
}

/** One abuse, on every version that has it. */
const abuse = (name: string, versions: ReadonlyArray<Version>, expected: Expected, attack: Attack): void => {
  for (const version of versions) {
    it.effect(
      `${name} (${version.alpn})`,
      () =>
        Effect.gen(function* () {
          const quiet = (calm ??= yield* observe({ seed, version }))
          const { greet = true } = expected
          const abused = yield* observe({ seed, version, attack, greet })
          assert.strictEqual(quiet.lost, 0)
          assert.deepStrictEqual(abused.defects, [])
          assert.strictEqual(abused.lost, 0, "frames that honest subscribers lost")
          assert.strictEqual(abused.latencies.length, quiet.latencies.length)
          assert.isBelow(p95(abused), 1.5 * p95(quiet), "95th percentile of the latency, in milliseconds")
          assert.deepStrictEqual(abused.after, abused.before, "what is left behind")
          assert.isBelow(abused.handled - quiet.handled, eventsOfOnePeer, "events")
          for (const key of ["children", "timers", "depth", "consumers", "pendingAsks"] as const) {
            assert.isAtMost(abused.peak[key], abused.before[key] + (expected.atMost?.[key] ?? 5_000), `most ${key}`)
          }
          const { close } = abused
          if (expected.close === undefined) return assert.isUndefined(close)
          if (close?._tag !== "Remote") return assert.fail(`not closed by the victim but ${close?._tag}`)
          assert.strictEqual(close.code, expected.close)
          if (expected.reason !== undefined) assert.strictEqual(close.reason, expected.reason)
        }),
      60_000
    )
  }
}

const tooMany: Expected = { close: ErrorCode.boundsExceeded, reason: "too many requests" }
const withdrawn = (stream: {
  readonly send: { reset(code: number): void }
  readonly recv: { stop(code: number): void }
}) => {
  stream.send.reset(ErrorCode.toStream(ErrorCode.cancel))
  stream.recv.stop(ErrorCode.toStream(ErrorCode.cancel))
}

/** Opens a stream with these bytes and takes it back, again and again. */
const rapidly =
  (bytes: (abuser: Abuser, n: number) => Uint8Array): Attack =>
  (abuser) => {
    let n = 0
    return Effect.forever(
      Effect.map(
        Effect.suspend(() => abuser.bi(bytes(abuser, n++))),
        withdrawn
      )
    )
  }

const repeated = (bytes: Uint8Array, times: number): Uint8Array => {
  const all = new Uint8Array(bytes.length * times)
  for (let n = 0; n < times; n++) all.set(bytes, n * bytes.length)
  return all
}
const joined = (...pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}

const update = (version: Version, priority: number): Uint8Array =>
  Message.encode(version.subscribeUpdate, {
    priority,
    ordered: false,
    maxLatencyMs: 0,
    start: undefined,
    end: undefined
  })
const announceRequest = ({ version }: Abuser, prefix = ""): Uint8Array =>
  Message.encodeTyped(Message.StreamType.announce, version.announceRequest, { prefix, excludeHop: 0 })
const fetch = ({ version }: Abuser, group: number): Uint8Array =>
  Message.encodeTyped(Message.StreamType.fetch, version.fetch, {
    broadcast: "film",
    track: "video",
    priority: 0,
    group
  })
const goaway = (uri: string): Uint8Array => Message.encodeTyped(Message.StreamType.goaway, Message.goaway, { uri })
const trackRequest = (): Uint8Array =>
  Message.encodeTyped(Message.StreamType.track, Message.trackRequest, { broadcast: "film", track: "video" })

describe("abuse 1: rapid reset", () => {
  abuse("one broadcast announced and ended in a loop", [lite03, lite05], tooMany, (abuser) =>
    Effect.gen(function* () {
      const { send } = yield* abuser.announcing
      const both = joined(abuser.announcement("flicker", true), abuser.announcement("flicker", false))
      return yield* Effect.forever(send.write(repeated(both, 100)))
    })
  )

  abuse("a thousand broadcasts announced and ended in turn", [lite03, lite05], tooMany, (abuser) =>
    Effect.gen(function* () {
      const { send } = yield* abuser.announcing
      const paths = Array.from({ length: 1_000 }, (_, n) => `broadcast/${n}`)
      const all = joined(
        ...paths.map((path) => abuser.announcement(path, true)),
        ...paths.map((path) => abuser.announcement(path, false))
      )
      return yield* Effect.forever(send.write(all))
    })
  )

  abuse("one broadcast restarted in a loop", [lite05], tooMany, (abuser) =>
    Effect.gen(function* () {
      const { send } = yield* abuser.announcing
      return yield* Effect.forever(send.write(repeated(abuser.announcement("again", true), 100)))
    })
  )

  abuse(
    "subscribed and cancelled in a loop",
    [lite03, lite05],
    tooMany,
    rapidly((abuser, n) => abuser.subscribe(n))
  )

  abuse("subscribed to what is not there, in a loop: refused requests are work too", [lite03], tooMany, (abuser) => {
    let n = 0
    return Effect.forever(Effect.suspend(() => abuser.bi(abuser.subscribe(n++, "nothing/here"))))
  })

  abuse("wishes changed in a loop", [lite05], tooMany, (abuser) =>
    Effect.gen(function* () {
      const { send } = yield* abuser.bi(abuser.subscribe(0))
      return yield* Effect.forever(send.write(joined(update(abuser.version, 1), update(abuser.version, 200))))
    })
  )

  abuse(
    "announcements, tracks, groups, measurements and goodbyes, asked for and taken back in a loop",
    [lite05],
    tooMany,
    rapidly((abuser, n) => {
      const all = [announceRequest(abuser), trackRequest(), fetch(abuser, n % 2), fromHex("04"), goaway(`https://${n}`)]
      return all[n % all.length] ?? fromHex("04")
    })
  )

  abuse("a new connection every second, and as much as goes over it", [lite03], {}, (abuser) =>
    Effect.gen(function* () {
      for (let n = 0; n < 15; n++) {
        const flood = Effect.flatMap(
          abuser.again,
          rapidly((abuser, n) => abuser.subscribe(n))
        )
        yield* Effect.ignore(Effect.scoped(Effect.timeoutOption(flood, 1_000)))
      }
    })
  )

  abuse(
    "thrown out and back at once: what connections of one peer ask for is counted together",
    [lite03, lite05],
    {},
    (abuser) =>
      Effect.gen(function* () {
        let connections = 0
        const flood = Effect.gen(function* () {
          const again = yield* abuser.again
          connections++
          const { send } = yield* again.announcing
          const both = joined(again.announcement("flicker", true), again.announcement("flicker", false))
          return yield* Effect.forever(send.write(repeated(both, 100)))
        })
        yield* Effect.timeoutOption(Effect.forever(Effect.ignore(Effect.scoped(flood))), 17_000)
        const worth = Limits.requestBurst + 18 * Limits.requestsPerSecond
        assert.isAbove(connections, 5)
        assert.isAtMost(connections, worth / Limits.requestsPerConnection)
      })
  )

  abuse("streams of unknown types", [lite03], tooMany, (abuser) => Effect.forever(abuser.bi(fromHex("3f 01 00"))))

  abuse("empty messages on a stream on which nothing is to be said", [lite03, lite05], tooMany, (abuser) =>
    Effect.gen(function* () {
      const { send } = yield* abuser.bi(announceRequest(abuser))
      return yield* Effect.forever(send.write(new Uint8Array(1_000)))
    })
  )

  abuse("groups for subscriptions that nobody made", [lite03], tooMany, (abuser) => {
    let sequence = 0
    return Effect.forever(
      Effect.suspend(() => abuser.uni(Message.encodeGroupHeader({ subscribe: 4_711, sequence: sequence++ })))
    )
  })

  abuse("unidirectional streams of unknown types", [lite05], tooMany, (abuser) =>
    Effect.forever(abuser.uni(fromHex("3f 01 00")))
  )

  abuse("answers to a subscription that never end", [lite03, lite05], tooMany, (abuser) =>
    Effect.gen(function* () {
      const { stream } = yield* abuser.watched
      const drop = abuser.version.encodeResponse({ _tag: "SubscribeDrop", start: 0, end: 0, code: 0 })
      return yield* Effect.forever(stream.send.write(repeated(drop, 100)))
    })
  )

  abuse("datagrams for subscriptions that nobody made", [lite05], tooMany, ({ connection }) => {
    const payload = new Uint8Array(10)
    const datagram = Message.encodeDatagram({ subscribe: 4_711, sequence: 0, timestamp: 0, payload })
    const some = Effect.andThen(Effect.repeat(connection.sendDatagram(datagram), { times: 20 }), Effect.sleep(10))
    return Effect.catchTag(Effect.forever(some), "DatagramTooLarge", Effect.die)
  })

  abuse("every group stopped as soon as it begins", [lite03, lite05], {}, (abuser) =>
    Effect.gen(function* () {
      yield* Effect.forEach(Array.from({ length: 200 }), (_, n) => abuser.bi(abuser.subscribe(n)))
      const groups = abuser.connection.acceptUni.pipe(
        Effect.map((group) => group.stop(ErrorCode.toStream(ErrorCode.cancel))),
        Effect.forever
      )
      yield* Effect.timeoutOption(groups, 10_000)
    })
  )
})

describe("abuse 2: more than anybody needs", () => {
  abuse(
    `ten thousand subscriptions to one track: those above ${Limits.subscriptionsPerTrack} are refused, and then it is enough`,
    [lite03, lite05],
    { ...tooMany, atMost: { consumers: Limits.subscriptionsPerTrack, children: 2_048 } },
    (abuser) =>
      Effect.gen(function* () {
        const ends = new Map<string, number>()
        const some = (from: number, to: number) =>
          Effect.gen(function* () {
            for (let id = from; id < to; id++) {
              const { recv } = yield* abuser.bi(abuser.subscribe(id))
              yield* Effect.forkScoped(Effect.map(endOf(recv), (end) => void ends.set(end, (ends.get(end) ?? 0) + 1)))
            }
          })
        yield* some(0, 500)
        yield* Effect.sleep(1_000) // they are taken at their pace
        const refused = 500 - Limits.subscriptionsPerTrack
        assert.deepStrictEqual(ends, new Map([[`RESET ${ErrorCode.boundsExceeded}`, refused]]))
        yield* some(500, Infinity)
        return yield* Effect.never
      })
  )

  abuse(
    "ten thousand subscriptions to a hundred tracks by somebody who reads nothing: the transport grants no more streams",
    [lite03, lite05],
    { atMost: { consumers: 1_024, children: 5_000 } },
    (abuser) => {
      let id = 0
      const endless = Effect.forever(
        Effect.suspend(() => abuser.bi(abuser.subscribe(id++, "wide", `camera/${id % 100}`)))
      )
      return Effect.map(Effect.timeoutOption(endless, 15_000), () => assert.isAbove(id, 900))
    }
  )

  abuse(
    "ten thousand broadcasts announced",
    [lite03, lite04, lite05],
    { close: ErrorCode.boundsExceeded, reason: "too many broadcasts announced" },
    (abuser) =>
      Effect.gen(function* () {
        const { send } = yield* abuser.announcing
        const paths = Array.from({ length: 10_000 }, (_, n) => `broadcast/${n}`)
        yield* send.write(joined(...paths.map((path) => abuser.announcement(path, true))))
        return yield* Effect.never
      })
  )

  abuse("a hundred Announce streams: those above the limit are finished, never reset", [lite03, lite05], {}, (abuser) =>
    Effect.gen(function* () {
      const streams = yield* Effect.forEach(Array.from({ length: 100 }), () => abuser.bi(announceRequest(abuser)))
      const ends = yield* Effect.forEach(streams, ({ recv }) => Effect.timeoutOption(endOf(recv), 2_000), {
        concurrency: "unbounded"
      })
      const finished = ends.flatMap((end) => (end._tag === "Some" ? [end.value] : []))
      assert.deepStrictEqual(
        finished,
        Array.from({ length: 100 - Limits.announceStreamsPerSession }, () => "FIN")
      )
    })
  )

  abuse("the same subscription twice: the second is refused as a duplicate", [lite03, lite05], {}, (abuser) =>
    Effect.gen(function* () {
      yield* abuser.bi(abuser.subscribe(5))
      yield* Effect.sleep(200)
      const { recv } = yield* abuser.bi(abuser.subscribe(5))
      assert.strictEqual(yield* endOf(recv), `RESET ${ErrorCode.duplicate}`)
    })
  )

  const setup = (...parameters: ReadonlyArray<readonly [id: number, value: Uint8Array]>): Uint8Array =>
    encode((writer) => {
      const body = encode((writer) => {
        writer.varint(parameters.length)
        for (const [id, value] of parameters) {
          writer.varint(id)
          writer.varint(value.length)
          writer.raw(value)
        }
      })
      writer.varint(Message.StreamType.setup)
      writer.varint(body.length)
      writer.raw(body)
    })
  const floods: ReadonlyArray<readonly [string, Uint8Array]> = [
    [
      "with more parameters than there may be",
      setup(...Array.from({ length: Limits.setupParameters + 1 }, (_, n) => [100 + n, fromHex("00")] as const))
    ],
    ["with a value larger than may be", setup([100, new Uint8Array(Limits.setupValueBytes + 1)])],
    ["with a parameter twice", setup([1, fromHex("01")], [1, fromHex("01")])],
    ["larger than a message", joined(fromHex("01 80010001"), new Uint8Array(65_537))]
  ]
  for (const [what, bytes] of floods) {
    abuse(`a SETUP ${what}`, [lite05], { close: ErrorCode.decode, greet: false }, (abuser) =>
      Effect.andThen(abuser.uni(bytes), Effect.never)
    )
  }

  abuse("a second SETUP", [lite05], { close: ErrorCode.protocolViolation }, (abuser) =>
    Effect.andThen(abuser.uni(setup()), Effect.never)
  )

  abuse("no SETUP, but requests", [lite05], { close: ErrorCode.timeout, greet: false }, (abuser) =>
    Effect.gen(function* () {
      yield* Effect.forEach(Array.from({ length: 200 }), (_, n) => abuser.bi(abuser.subscribe(n)))
      return yield* Effect.never
    })
  )

  abuse("GOAWAY to a place whose name is longer than may be", [lite05], {}, (abuser) =>
    Effect.gen(function* () {
      const uri = "x".repeat(Limits.nameBytes + 1)
      const { recv } = yield* abuser.bi(goaway(uri))
      assert.strictEqual(yield* endOf(recv), `RESET ${ErrorCode.decode}`)
    })
  )
})

describe("abuse 3: half-open streams and slow loris", () => {
  const timeout = `RESET ${ErrorCode.timeout}`
  for (const [what, bytes] of [
    ["nothing behind their type", fromHex("02")],
    ["half a type", fromHex("40")],
    ["half a message", fromHex("02 4064 00 04")]
  ] as const) {
    abuse(
      `three hundred streams with ${what}: never more than ${Limits.halfOpenStreams} are open, and an honest request gets through`,
      [lite03, lite05],
      { atMost: { children: Limits.halfOpenStreams + 16 } },
      (abuser) =>
        Effect.gen(function* () {
          const streams = yield* Effect.forEach(Array.from({ length: 300 }), () => abuser.bi(bytes))
          const honest = yield* abuser.bi(abuser.subscribe(0))
          // its turn comes when those before it had their second
          assert.isTrue((yield* Effect.timeoutOption(abuser.group, 6_000))._tag === "Some", "a group")
          withdrawn(honest)
          const ends = yield* Effect.forEach(streams, ({ recv }) => Effect.timeoutOption(endOf(recv), 17_000), {
            concurrency: "unbounded"
          })
          assert.isTrue(ends.every((end) => end._tag === "Some" && end.value === timeout))
        })
    )
  }

  abuse(
    "unidirectional streams that never say what they are",
    [lite03, lite05],
    { atMost: { children: Limits.halfOpenStreams + 16 } },
    (abuser) =>
      Effect.gen(function* () {
        const streams = yield* Effect.forEach(Array.from({ length: 300 }), () => abuser.uni(fromHex("00 05")))
        const ends = yield* Effect.forEach(streams, (stream) => Effect.timeoutOption(stopOf(stream), 17_000), {
          concurrency: "unbounded"
        })
        assert.isTrue(ends.every((end) => end._tag === "Some" && end.value === `STOP ${ErrorCode.timeout}`))
      })
  )

  abuse("a request of which a byte comes every second", [lite03, lite05], {}, (abuser) =>
    Effect.gen(function* () {
      const stream = yield* abuser.bi()
      const bytes = abuser.subscribe(0)
      for (let at = 0; at < bytes.length; at++) {
        if ((yield* Effect.result(stream.send.write(bytes.subarray(at, at + 1))))._tag === "Failure") break
        assert.isBelow(at, 11, "bytes that were taken")
        yield* Effect.sleep(1_000)
      }
      assert.strictEqual(yield* endOf(stream.recv), timeout)
    })
  )
})

describe("abuse 4: what cannot be decoded", () => {
  const text = (value: string): Uint8Array => new TextEncoder().encode(value)
  const typed = (type: number, body: Uint8Array): Uint8Array =>
    encode((writer) => {
      writer.varint(type)
      writer.varint(body.length)
      writer.raw(body)
    })
  const string = (bytes: Uint8Array): Uint8Array =>
    encode((writer) => {
      writer.varint(bytes.length)
      writer.raw(bytes)
    })
  const subscribe = (path: Uint8Array, wishes = fromHex("00 00 00 00 00")): Uint8Array =>
    typed(2, joined(fromHex("00"), string(path), string(text("video")), wishes))
  const requests: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["a type of 2^62 - 1", fromHex("ffffffffffffffff")],
    ["a message of 2^62 - 1 bytes", fromHex("02 ffffffffffffffff")],
    ["a message of 65,537 bytes", fromHex("02 80010001")],
    ["a varint that is cut off", fromHex("02 80")],
    ["a message that is cut off", fromHex("02 12 00 05 616c")],
    ["bytes behind a message's last field", typed(2, fromHex("00 00 00 00 00 00 00 00 00"))],
    ["a message without its last field", typed(2, fromHex("00 00 00 00 00 00 00"))],
    ["a path of 2^62 - 1 bytes", typed(2, fromHex("00 ffffffffffffffff"))],
    ["a path of 4,097 bytes", subscribe(new Uint8Array(4_097).fill(0x61))],
    ["a path of 33 segments", subscribe(text(Array.from({ length: 33 }, () => "a").join("/")))],
    ["a path that is no UTF-8", subscribe(fromHex("ff fe"))],
    ["a flag of 2", subscribe(text("film"), fromHex("00 02 00 00 00"))],
    ["a first group of 2^62 - 1", subscribe(text("film"), fromHex("00 00 00 ffffffffffffffff 00"))]
  ]
  abuse("requests: each is reset, and the session goes on", [lite03, lite04, lite05], {}, (abuser) =>
    Effect.gen(function* () {
      for (const [what, bytes] of requests) {
        const { recv, send } = yield* abuser.bi(bytes)
        send.finish()
        assert.strictEqual(yield* endOf(recv), `RESET ${ErrorCode.decode}`, what)
      }
      yield* abuser.bi(abuser.subscribe(1))
      yield* abuser.group
    })
  )

  abuse("a request for announcements: finished, never reset", [lite03, lite04, lite05], {}, (abuser) =>
    Effect.gen(function* () {
      for (const bytes of ["01 ffffffffffffffff", "01 02 05 61", "01 01", "01 04 02 ff fe 00"]) {
        const { recv, send } = yield* abuser.bi(fromHex(bytes))
        send.finish()
        assert.strictEqual(yield* endOf(recv), "FIN", bytes)
      }
    })
  )

  const announcements: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["of 2^62 - 1 bytes", fromHex("ffffffffffffffff")],
    ["with a status of 3", fromHex("04 03 01 61 00")],
    ["that passed 33 hops", fromHex("04 01 01 61 21")],
    [
      "of a path of 33 segments",
      typed(0x43, joined(fromHex("01"), string(text("a/".repeat(33))), fromHex("00"))).subarray(2)
    ]
  ]
  for (const [what, bytes] of announcements) {
    abuse(`an announcement ${what}`, [lite03, lite05], { close: ErrorCode.decode }, (abuser) =>
      Effect.gen(function* () {
        const { send } = yield* abuser.announcing
        yield* send.write(bytes)
        return yield* Effect.never
      })
    )
  }

  abuse("headers of groups: each is stopped, and the session goes on", [lite03, lite05], {}, (abuser) =>
    Effect.gen(function* () {
      for (const [bytes, code] of [
        ["00 ffffffffffffffff", ErrorCode.decode],
        ["00 01 00", ErrorCode.decode],
        ["00 09 00 ffffffffffffffff", ErrorCode.decode],
        ["00 03 00 00 00", ErrorCode.decode],
        ["00", ErrorCode.decode],
        ["00 02 09 00", ErrorCode.cancel],
        ["ffffffffffffffff", ErrorCode.decode]
      ] as const) {
        const send = yield* abuser.uni(fromHex(bytes))
        if (bytes === "00") send.finish()
        else assert.strictEqual(yield* stopOf(send), `STOP ${code}`, bytes)
      }
    })
  )

  /** What a reader at the victim sees of a group with these bytes as its frames. */
  const groups: ReadonlyArray<readonly [string, (version: Version) => Uint8Array, RegExp]> = [
    ["a frame of 2^62 - 1 bytes", () => fromHex("ffffffffffffffff"), /^0: lost 27$/],
    ["a frame of 32 MiB + 1 bytes", () => fromHex("82000001"), /^0: lost 27$/],
    ["a frame that is cut off", () => fromHex("05 61"), /^0: lost 14$/],
    ["a size that is cut off", () => fromHex("80"), /^0: lost 14$/],
    [
      "a hundred thousand empty frames",
      ({ timestamps }) => new Uint8Array((timestamps ? 2 : 1) * 100_000),
      /^0: 100000 frames, 0 bytes$/
    ],
    [
      "more empty frames than a group may have",
      ({ timestamps }) => new Uint8Array((timestamps ? 2 : 1) * 300_000),
      /^0: lost 11$/
    ]
  ]
  for (const [what, frames, expected] of groups) {
    abuse(`a group with ${what}`, [lite03, lite05], {}, (abuser) =>
      Effect.gen(function* () {
        const { header } = yield* abuser.watched
        const timed = abuser.version.timestamps && frames(abuser.version).length < 10
        const send = yield* abuser.uni(header(0), timed ? fromHex("00") : new Uint8Array(0), frames(abuser.version))
        send.finish()
        yield* Effect.sleep(3_000)
        assert.strictEqual(abuser.seen[0], "subscribed")
        assert.match(abuser.seen[1] ?? "nothing", expected)
      })
    )
  }

  abuse("timestamps below 0 and above 2^53 - 1", [lite05], {}, (abuser) =>
    Effect.gen(function* () {
      const { header } = yield* abuser.watched
      yield* abuser.uni(header(0), fromHex("01 01 61"))
      yield* abuser.uni(header(1), fromHex("ffffffffffffffff 01 61"))
      yield* Effect.sleep(1_000)
      assert.sameMembers(abuser.seen.slice(1), ["0: lost 5", "1: lost 5"])
    })
  )
})

describe("abuse 5: groups without end, and numbers that make no sense", () => {
  const one = ({ version }: Abuser, hex: string): Uint8Array => fromHex(version.timestamps ? `00 ${hex}` : hex)

  abuse(
    "five thousand groups that never end: the oldest are given up, readers hear of it, and the newest arrives",
    [lite03, lite05],
    { atMost: { children: Limits.openGroupsPerSubscription + 64 } },
    (abuser) =>
      Effect.gen(function* () {
        const { header } = yield* abuser.watched
        for (let sequence = 0; sequence < 4_999; sequence++) {
          yield* abuser.uni(header(sequence), one(abuser, "01 61"))
        }
        const last = yield* abuser.uni(header(4_999), one(abuser, "01 61"))
        last.finish()
        yield* Effect.sleep(2_000)
        assert.include(abuser.seen, "4999: 1 frames, 1 bytes")
        assert.isAtLeast(
          abuser.seen.filter((line) => line.endsWith(" lost 2")).length,
          4_999 - Limits.openGroupsPerSubscription
        )
      })
  )

  abuse("groups in leaps up to 2^53 - 1, backwards and twice", [lite03, lite05], {}, (abuser) =>
    Effect.gen(function* () {
      const { header } = yield* abuser.watched
      const sequences = [5, Number.MAX_SAFE_INTEGER, 0, 7, Number.MAX_SAFE_INTEGER - 1, 2 ** 40]
      for (const sequence of sequences) {
        const send = yield* abuser.uni(header(sequence), one(abuser, "01 61"))
        send.finish()
        yield* Effect.sleep(100)
      }
      assert.strictEqual(yield* stopOf(yield* abuser.uni(header(7))), `STOP ${ErrorCode.duplicate}`)
      assert.sameMembers(
        abuser.seen.slice(1),
        sequences.map((sequence) => `${sequence}: 1 frames, 1 bytes`)
      )
    })
  )

  abuse("groups behind the end of the subscription", [lite03, lite05], {}, (abuser) =>
    Effect.gen(function* () {
      const { header, stream } = yield* abuser.watched
      const send = yield* abuser.uni(header(0), one(abuser, "01 61"))
      send.finish()
      yield* Effect.sleep(200)
      stream.send.finish()
      yield* Effect.sleep(Limits.lateGroupsMs + 200)
      assert.strictEqual(yield* stopOf(yield* abuser.uni(header(1))), `STOP ${ErrorCode.cancel}`)
      assert.deepStrictEqual(abuser.seen, ["subscribed", "0: 1 frames, 1 bytes", "finished"])
    })
  )

  abuse(
    "frames that promise 32 MiB and come byte by byte: what was promised is not allocated",
    [lite03, lite05],
    {},
    (abuser) =>
      Effect.gen(function* () {
        const before = process.memoryUsage().arrayBuffers
        const { header } = yield* abuser.watched
        const streams = yield* Effect.forEach(Array.from({ length: 200 }), (_, sequence) =>
          abuser.uni(header(sequence), one(abuser, "82000000"))
        )
        for (let n = 0; n < 5; n++) {
          for (const send of streams) yield* Effect.ignore(send.write(fromHex("00")))
          yield* Effect.sleep(200)
        }
        assert.isBelow(process.memoryUsage().arrayBuffers - before, 64 * 1024 * 1024)
      })
  )
})

describe("what is no abuse", () => {
  // a group that was charged as a request would wait from the 9,000th on
  for (const version of [lite03, lite05]) {
    it.effect(
      `a publisher of 200 tracks with 50 groups a second each, over a link that loses packets: nothing waits (${version.alpn})`,
      () =>
        run(
          Effect.gen(function* () {
            const [publisher, subscriber] = yield* sessionsOn(version)
            const broadcast = Broadcast.make()
            publisher.origin.publish("many", broadcast.consume())
            const many = subscriber.session.consume("many")
            const names = Array.from({ length: 200 }, (_, n) => `track/${n}`)
            const tracks = names.map((name) => {
              const track = Track.make(name)
              broadcast.insertTrack(track)
              return track
            })
            yield* Effect.sleep(1_000)
            let [groups, latestMs] = [0, 0]
            const readers = yield* Effect.forEach(names, (name) =>
              Effect.gen(function* () {
                const track = yield* many.subscribe(name)
                return yield* Effect.forkScoped(
                  Effect.gen(function* () {
                    for (;;) {
                      const group = yield* track.next
                      if (group === End) return
                      if ("_tag" in group) return assert.fail(`lagged ${group.groups}`)
                      const sentMs = Number((yield* framesOf(group))[0])
                      latestMs = Math.max(latestMs, (yield* Clock.currentTimeMillis) - sentMs)
                      groups++
                    }
                  })
                )
              })
            )
            for (let n = 0; n < 50; n++) {
              const now = String(yield* Clock.currentTimeMillis)
              for (const track of tracks) write(track, now)
              yield* Effect.sleep(20)
            }
            for (const track of tracks) track.finish()
            yield* Fiber.joinAll(readers)
            assert.strictEqual(groups, 10_000)
            assert.isBelow(
              latestMs,
              500,
              "in milliseconds: a packet that is lost again and again, and no other waits for it"
            )
          }),
          { seed: 3, link: { latencyMs: 10, jitterMs: 5, loss: 0.02 } }
        ),
      60_000
    )
  }
})
